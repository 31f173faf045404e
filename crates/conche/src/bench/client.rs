//! The smallest HTTP/1.1 client that can measure: it repeats one request on one connection.
//!
//! A whole client would take as much of the two cores as the server that it measures. It
//! understands only answers with a `content-length`, and reports any other as an error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Error;

/// The largest answer understood.
const ANSWER_MAX: usize = 16 * 1024;
/// The answer that counts: accepted.
const ACCEPTED: &[u8] = b"HTTP/1.1 202";

/// Posts one body again and again over many connections.
pub(crate) struct Posts {
    stopped: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    connections: JoinSet<Result<(), Error>>,
}

impl Posts {
    /// Connects and begins.
    pub(crate) fn start(to: SocketAddr, path: &str, body: &str, connections: usize) -> Self {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let request: Arc<[u8]> = request.into_bytes().into();
        let mut posts = Self {
            stopped: Arc::default(),
            done: Arc::default(),
            connections: JoinSet::new(),
        };
        for _ in 0..connections {
            let (stopped, done, request) =
                (posts.stopped.clone(), posts.done.clone(), request.clone());
            posts.connections.spawn(async move {
                repeat(to, &request, &stopped, &done)
                    .await
                    .map_err(|cause| Error::of("a POST", cause))
            });
        }
        posts
    }

    /// Answers counted in the next while, and the seconds that it took.
    pub(crate) async fn count(&self, window: Duration) -> (u64, f64) {
        let (start, before) = (Instant::now(), self.done.load(Ordering::Relaxed));
        tokio::time::sleep(window).await;
        (
            self.done.load(Ordering::Relaxed) - before,
            start.elapsed().as_secs_f64(),
        )
    }

    /// Lets every connection end its request, and tells of any that failed.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        self.stopped.store(true, Ordering::Relaxed);
        while let Some(connection) = self.connections.join_next().await {
            connection.map_err(|cause| Error::of("a connection", cause))??;
        }
        Ok(())
    }
}

async fn repeat(
    to: SocketAddr,
    request: &[u8],
    stopped: &AtomicBool,
    done: &AtomicU64,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(ANSWER_MAX);
    while !stopped.load(Ordering::Relaxed) {
        exchange(&mut stream, request, ACCEPTED, &mut buffer).await?;
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Sends a request and reads the whole answer, which must begin as wanted.
pub(crate) async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    wanted: &[u8],
    buffer: &mut Vec<u8>,
) -> std::io::Result<()> {
    stream.write_all(request).await?;
    buffer.clear();
    let length = loop {
        if let Some(length) = answer_length(buffer)? {
            break length;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    if !buffer.starts_with(wanted) || buffer.len() != length {
        let text = String::from_utf8_lossy(buffer).into_owned();
        return Err(std::io::Error::other(format!("not as wanted: {text}")));
    }
    Ok(())
}

/// The length of the whole answer, once its head and body are there; `None` before that.
fn answer_length(bytes: &[u8]) -> std::io::Result<Option<usize>> {
    let other = |message: &str| Err(std::io::Error::other(message.to_owned()));
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > ANSWER_MAX {
            other("the answer is too long")
        } else {
            Ok(None)
        };
    };
    let text = String::from_utf8_lossy(&bytes[..head]);
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let Some(length) = length else {
        return other("the answer has no content-length");
    };
    let whole = head + 4 + length;
    Ok((bytes.len() >= whole).then_some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is_there() {
        let text = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
        for cut in 0..text.len() {
            assert_eq!(answer_length(&text[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(answer_length(text).unwrap(), Some(text.len()));
    }

    #[test]
    fn an_answer_of_unknown_length_is_an_error() {
        assert!(answer_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(answer_length(&vec![b'x'; ANSWER_MAX + 1]).is_err());
    }
}
