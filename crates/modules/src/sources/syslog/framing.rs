//! Where one message of a stream ends and the next begins: RFC 6587, both ways.
//!
//! A message that begins with a digit is preceded by its length, any other ends with a line
//! feed; senders may mix them. At most one message and one read are held: a longer message is
//! passed over, and told. A length that cannot be meant ends the connection.

/// A length over this is no length but a broken or hostile sender.
const LENGTH_MAX: usize = 16 << 20;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Message(Vec<u8>),
    /// One was passed over.
    TooLong,
    /// Nothing after this can be understood.
    Broken,
}

/// Cuts a stream into messages.
#[derive(Debug)]
pub(super) struct Framer {
    bytes_max: usize,
    held: Vec<u8>,
    passing: Passing,
}

/// What of a message that is too long is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passing {
    Nothing,
    Bytes(usize),
    Line,
}

impl Framer {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            held: Vec::new(),
            passing: Passing::Nothing,
        }
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next message that is complete.
    pub(super) fn next(&mut self) -> Option<Frame> {
        self.pass();
        let blank = |byte: &&u8| matches!(**byte, b'\n' | b'\r' | b'\0' | b' ');
        let blanks = self.held.iter().take_while(blank).count();
        self.held.drain(..blanks);
        match self.held.first()? {
            b'1'..=b'9' => self.counted(),
            _ => self.line(),
        }
    }

    /// What is left when the sender has closed: a last line without its end.
    pub(super) fn last(mut self) -> Option<Frame> {
        let is_line = self.held.first().is_some_and(|byte| !byte.is_ascii_digit());
        let complete = is_line && self.passing == Passing::Nothing;
        complete.then(|| Frame::Message(std::mem::take(&mut self.held)))
    }

    fn pass(&mut self) {
        let passed = match self.passing {
            Passing::Nothing => return,
            Passing::Bytes(bytes) => bytes.min(self.held.len()),
            Passing::Line => self.line_end().map_or(self.held.len(), |end| end + 1),
        };
        self.passing = match self.passing {
            Passing::Bytes(bytes) if bytes > passed => Passing::Bytes(bytes - passed),
            Passing::Line if self.line_end().is_none() => Passing::Line,
            _ => Passing::Nothing,
        };
        self.held.drain(..passed);
    }

    fn line_end(&self) -> Option<usize> {
        self.held.iter().position(|byte| *byte == b'\n')
    }

    fn line(&mut self) -> Option<Frame> {
        match self.line_end() {
            Some(end) if end <= self.bytes_max => {
                let mut message: Vec<u8> = self.held.drain(..=end).collect();
                message.pop();
                Some(Frame::Message(message))
            }
            None if self.held.len() <= self.bytes_max => None,
            _ => {
                self.passing = Passing::Line;
                self.pass();
                Some(Frame::TooLong)
            }
        }
    }

    fn counted(&mut self) -> Option<Frame> {
        let digits = self.held.iter().take_while(|byte| byte.is_ascii_digit());
        let digits = digits.count();
        let length = std::str::from_utf8(&self.held[..digits]).unwrap_or_default();
        let length = length.parse().unwrap_or(usize::MAX);
        if length > LENGTH_MAX {
            return Some(Frame::Broken);
        }
        match self.held.get(digits) {
            None => return None,
            Some(b' ') => {}
            Some(_) => return Some(Frame::Broken),
        }
        if length > self.bytes_max {
            self.held.drain(..=digits);
            self.passing = Passing::Bytes(length);
            self.pass();
            return Some(Frame::TooLong);
        }
        let end = digits + 1 + length;
        if self.held.len() < end {
            return None;
        }
        let message = self.held[digits + 1..end].to_vec();
        self.held.drain(..end);
        Some(Frame::Message(message))
    }
}
