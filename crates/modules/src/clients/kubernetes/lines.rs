//! The lines of a watch: bounded in length and in the pauses between them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use kube::client::Body;

use super::Error;

/// An object of etcd's is at most 1.5 MiB, and JSON is somewhat longer.
const LINE_BYTES_MAX: usize = 8 << 20;

/// A watch that is being read.
pub(crate) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no end of a line.
    searched: usize,
    idle: Duration,
}

impl Lines {
    pub(super) fn new(body: Body, idle: Duration) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            searched: 0,
            idle,
        }
    }

    /// The next line without its end; none when the server has ended the watch in order.
    /// Nothing is lost where the wait for it is given up.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let unseen = &self.buffer[self.searched..];
            if let Some(end) = unseen.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + end + 1).freeze();
                self.searched = 0;
                return Ok(Some(line.slice(..line.len() - 1)));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > LINE_BYTES_MAX {
                let message = format!("a line of a watch has more than {LINE_BYTES_MAX} bytes");
                return Err(Error::Nonsense(message));
            }
            let frame = tokio::time::timeout(self.idle, self.body.frame()).await;
            let frame = frame.map_err(|_elapsed| {
                Error::Interrupted(format!("nothing came for {} s", self.idle.as_secs()))
            })?;
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(Error::Interrupted(error.to_string())),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Error::Interrupted("it ended within a line".to_owned())),
            }
        }
    }
}
