//! What an action writes to its two outputs, as lines that say when and where.
//!
//! Reading goes on beyond the limit, so that the action never hangs on a full pipe; keeping
//! does not.

use jiff::Timestamp;

use super::texts;

/// Bytes of a line beside its text: the time, the name of the output, and the line's end. They
/// count, as a million empty lines are stored like others.
const FRAME: u64 = 40;

/// One of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The logs of one call.
pub(super) struct Logs {
    lines: Vec<String>,
    /// A line of each output that has not ended, and when it began.
    open: [Option<(Timestamp, Vec<u8>)>; 2],
    limit: u64,
    /// Bytes kept, those of open lines included.
    kept: u64,
    truncated: bool,
}

impl Logs {
    /// Keeps so many bytes of what is written.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            lines: Vec::new(),
            open: [None, None],
            limit,
            kept: 0,
            truncated: false,
        }
    }

    /// Takes what was read of an output.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            self.append(stream, text, now);
            if ends {
                self.close(stream);
            }
        }
    }

    fn append(&mut self, stream: Stream, text: &[u8], now: Timestamp) {
        if self.truncated {
            return;
        }
        let mut room = self.limit - self.kept;
        let open = &mut self.open[stream as usize];
        if open.is_none() {
            if room < FRAME {
                self.truncated = true;
                return;
            }
            room -= FRAME;
            self.kept += FRAME;
        }
        let (_, line) = open.get_or_insert_with(|| (now, Vec::new()));
        self.truncated = text.len() as u64 > room;
        let text = &text[..text.len().min(room as usize)];
        self.kept += text.len() as u64;
        line.extend_from_slice(text);
    }

    fn close(&mut self, stream: Stream) {
        let Some((begun, line)) = self.open[stream as usize].take() else {
            return;
        };
        let line = String::from_utf8_lossy(&line);
        self.lines.push(format_line(begun, stream, &line));
    }

    /// Whether the text occurs in what was kept of the lines.
    pub(super) fn contain(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    /// The lines, with those that were not ended. `in_doubt` adds that some may be missing.
    pub(super) fn finish(mut self, in_doubt: bool, now: Timestamp) -> Vec<String> {
        self.close(Stream::Stdout);
        self.close(Stream::Stderr);
        if self.truncated {
            let text = texts::logs_truncated(self.limit);
            self.lines.push(format_line(now, Stream::Stderr, &text));
        }
        if in_doubt {
            let line = format_line(now, Stream::Stderr, texts::LOGS_IN_DOUBT);
            self.lines.push(line);
        }
        self.lines
    }
}

fn format_line(at: Timestamp, stream: Stream, text: &str) -> String {
    format!("{at:.9} {}: {text}", stream.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanoseconds: i128) -> Timestamp {
        Timestamp::from_nanosecond(nanoseconds).unwrap()
    }

    const SOME: i128 = 1_520_975_194_652_259_951;

    #[test]
    fn a_line_says_when_it_began_and_where_it_was_written() {
        let mut logs = Logs::new(1000);
        logs.push(Stream::Stdout, b"te", at(SOME));
        logs.push(Stream::Stderr, b"oops\n", at(SOME + 1));
        logs.push(Stream::Stdout, b"xt\nrest", at(SOME + 2));
        assert_eq!(
            logs.finish(false, at(0)),
            [
                "2018-03-13T21:06:34.652259952Z stderr: oops",
                "2018-03-13T21:06:34.652259951Z stdout: text",
                "2018-03-13T21:06:34.652259953Z stdout: rest",
            ]
        );
    }

    #[test]
    fn a_whole_second_has_nanoseconds_too() {
        let mut logs = Logs::new(100);
        logs.push(Stream::Stdout, b"x\n", at(0));
        let lines = logs.finish(false, at(0));
        assert_eq!(lines, ["1970-01-01T00:00:00.000000000Z stdout: x"]);
    }

    #[test]
    fn lines_beyond_the_limit_are_left_out_and_that_is_said() {
        // Two lines with their text, and one without.
        let mut logs = Logs::new(3 * FRAME + 6);
        for _ in 0..1000 {
            logs.push(Stream::Stdout, b"abc\n", at(0));
            logs.push(Stream::Stdout, b"\n", at(0));
        }
        let lines = logs.finish(false, at(0));
        assert_eq!(
            lines.iter().map(|line| &line[31..]).collect::<Vec<_>>(),
            [
                "stdout: abc",
                "stdout: ",
                "stdout: abc",
                "stderr: Logs were truncated because the total bytes size exceeds the limit of \
                 126 bytes."
            ]
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut logs = Logs::new(100);
        logs.push(Stream::Stdout, b"a\xffb\n", at(0));
        assert!(logs.contain("a\u{fffd}b"));
    }
}
