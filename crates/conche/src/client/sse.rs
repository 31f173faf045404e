//! Server-sent events, as far as the API sends them: `event:` and one `data:` line each.

/// Bytes of one message; a journal record is smaller.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A message of a live view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// What it tells.
    pub(super) event: String,
    /// JSON.
    pub(super) data: String,
}

/// The stream is not what the API sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of the live view is larger than {MESSAGE_BYTES_MAX} bytes")]
pub(super) struct TooLarge;

/// Collects bytes until messages are whole.
#[derive(Debug, Default)]
pub(super) struct Reader {
    rest: Vec<u8>,
    event: String,
    data: Vec<String>,
}

impl Reader {
    /// Takes bytes; returns the messages that they complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLarge> {
        self.rest.extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            messages.extend(self.line(line.trim_end_matches(['\n', '\r'])));
        }
        let held = self.rest.len() + self.data.iter().map(String::len).sum::<usize>();
        if held > MESSAGE_BYTES_MAX {
            return Err(TooLarge);
        }
        Ok(messages)
    }

    fn line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let data = std::mem::take(&mut self.data).join("\n");
            return (!data.is_empty()).then_some(Message { event, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "event" => self.event = value,
            "data" => self.data.push(value),
            // Comments, which keep the connection alive, and ids.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_however_the_bytes_are_cut() {
        let stream =
            b": alive\n\nevent: record\nid: 1\ndata: {\"a\":1}\n\nevent: end\r\ndata: {}\r\n\r\n";
        for size in 1..stream.len() {
            let mut reader = Reader::default();
            let mut messages = Vec::new();
            for part in stream.chunks(size) {
                messages.extend(reader.read(part).unwrap());
            }
            let told: Vec<(&str, &str)> = messages.iter().map(|m| (&*m.event, &*m.data)).collect();
            assert_eq!(told, [("record", "{\"a\":1}"), ("end", "{}")], "{size}");
        }
    }

    #[test]
    fn an_endless_message_is_refused() {
        let mut reader = Reader::default();
        let part = vec![b'x'; MESSAGE_BYTES_MAX / 2 + 1];
        assert_eq!(reader.read(&part), Ok(Vec::new()));
        assert_eq!(reader.read(&part), Err(TooLarge));
    }
}
