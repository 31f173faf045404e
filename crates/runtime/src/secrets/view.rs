//! A text as its reader will see it: JSON's escapes or percent-encoding undone,
//! each byte with the place in the text that it came from.
//!
//! Any character may be escaped or not, so the spellings of a value can't be
//! listed; undoing all escapes at once costs one pass. What is no valid escape
//! stands for itself. Never fails and never grows beyond the text.

use std::ops::Range;

/// Bytes of a text with escapes undone.
pub(super) struct View {
    pub(super) bytes: Vec<u8>,
    /// For each byte, where in the text its character or escape begins.
    starts: Vec<usize>,
    length: usize,
}

impl View {
    /// Undoes `\n`, `\/`, `\u0041` and the like; none where there is nothing to undo.
    pub(super) fn of_json(text: &str) -> Option<Self> {
        text.contains('\\')
            .then(|| Self::new(text, '\\', json_escape))
    }

    /// Undoes `%41` and the like; none where there is nothing to undo.
    pub(super) fn of_percent(text: &str) -> Option<Self> {
        text.contains('%')
            .then(|| Self::new(text, '%', percent_escape))
    }

    /// `undo` is given the text from a mark on and says what the escape there
    /// means, and how long it is.
    fn new(text: &str, mark: char, undo: fn(&str) -> Option<(Meant, usize)>) -> Self {
        let mut view = Self {
            bytes: Vec::with_capacity(text.len()),
            starts: Vec::with_capacity(text.len()),
            length: text.len(),
        };
        let mut at = 0;
        while let Some(char) = text[at..].chars().next() {
            let undone = if char == mark {
                undo(&text[at..])
            } else {
                None
            };
            let length = match undone {
                Some((Meant::Byte(byte), length)) => {
                    view.push(&[byte], at);
                    length
                }
                Some((Meant::Char(meant), length)) => {
                    view.push(meant.encode_utf8(&mut [0; 4]).as_bytes(), at);
                    length
                }
                None => {
                    let length = char.len_utf8();
                    view.push(&text.as_bytes()[at..at + length], at);
                    length
                }
            };
            at += length;
        }
        view
    }

    fn push(&mut self, bytes: &[u8], start: usize) {
        self.bytes.extend_from_slice(bytes);
        self.starts.resize(self.bytes.len(), start);
    }

    /// The part of the text that a part of the bytes, not an empty one, came from.
    pub(super) fn origin(&self, part: Range<usize>) -> Range<usize> {
        let last = self.starts[part.end - 1];
        let after = self.starts[part.end..].iter().find(|&&start| start > last);
        self.starts[part.start]..after.copied().unwrap_or(self.length)
    }
}

/// What an escape stands for.
enum Meant {
    Byte(u8),
    Char(char),
}

fn json_escape(text: &str) -> Option<(Meant, usize)> {
    let byte = match *text.as_bytes().get(1)? {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        byte @ (b'"' | b'\\' | b'/') => byte,
        b'u' => {
            let high = code_unit(text)?;
            let low = text.get(6..).and_then(code_unit);
            let pair = low.and_then(|low| char::decode_utf16([high, low]).next()?.ok());
            return match pair {
                Some(char) if char.len_utf16() == 2 => Some((Meant::Char(char), 12)),
                _ => Some((Meant::Char(char::from_u32(high.into())?), 6)),
            };
        }
        _ => return None,
    };
    Some((Meant::Byte(byte), 2))
}

/// The number of a `\u0041` at the beginning of `text`.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    is_hex(digits).then(|| u16::from_str_radix(digits, 16).ok())?
}

fn percent_escape(text: &str) -> Option<(Meant, usize)> {
    let digits = text.get(1..3)?;
    let byte = is_hex(digits).then(|| u8::from_str_radix(digits, 16).ok())??;
    Some((Meant::Byte(byte), 3))
}

/// Other than the parsers of numbers, takes no sign.
fn is_hex(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_what_is_none_is_kept() {
        let table = [
            (r#"a\/\"\\\n\t"#, "a/\"\\\n\t"),
            (r"\u0068\u00FC\u00fc", "hüü"),
            (r"\ud83d\ude00\ud83d", "😀\\ud83d"),
            (r"\u+041\u00\x\", r"\u+041\u00\x\"),
            (r"\ü\u00ü0", r"\ü\u00ü0"),
        ];
        for (text, meant) in table {
            let view = View::of_json(text).unwrap();
            assert_eq!(String::from_utf8(view.bytes).unwrap(), meant, "{text}");
        }
        let view = View::of_percent("a%2F%2f%C3%bc%%4%zz%ü").unwrap();
        assert_eq!(view.bytes, "a//ü%%4%zz%ü".as_bytes());
    }

    #[test]
    fn every_byte_knows_where_it_came_from() {
        let text = r"ü\u00fc\ud83d\ude00x";
        let view = View::of_json(text).unwrap();
        assert_eq!(view.bytes, "üü😀x".as_bytes());
        assert_eq!(&text[view.origin(0..2)], "ü");
        assert_eq!(&text[view.origin(2..4)], r"\u00fc");
        assert_eq!(&text[view.origin(3..5)], r"\u00fc\ud83d\ude00");
        assert_eq!(&text[view.origin(4..9)], r"\ud83d\ude00x");
    }
}
