//! How a value is written into a text, so that it stays a value.
//!
//! What a playbook writes around a reference is its author's and is trusted; what a variable
//! holds may be anybody's. Each [`Quoting`] names the kind of text, and a value that cannot be
//! written there without becoming something else is refused.
//!
//! A text within a text is beyond this: what an author hands to `sh -c` within quotes is read a
//! second time by a shell that knows nothing of the quotes of the first. So is what a script does
//! with a variable of its own that it gave a value: bash calculates with `n` in `[[ $n -eq 1 ]]`.

mod posix;
mod powershell;

use std::borrow::Cow;

use thiserror::Error;

use super::Value;

/// The kind of text that values are written into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// Text for people: values are written as they are.
    Plain,
    /// JSON as text, with references within its strings.
    JsonString,
    /// A path of a URL, with references for a segment or part of one.
    PathSegment,
    /// A query of a URL, with references for a name or a value.
    QueryComponent,
    /// The value of a header field of HTTP or of a mail.
    HeaderValue,
    /// A command line or script for a POSIX shell. A value is always one word or part of one,
    /// also where the author has put it in quotes.
    PosixShell,
    /// A command or script for `PowerShell`. A value is always one string or part of one.
    PowerShell,
}

/// Why a value is not written where its reference stands.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum Error {
    /// A line break or another control character in a header field.
    #[error("it holds U+{:04X}, which no header field can", u32::from(*.0))]
    HeaderControl(char),
    /// A character that no word of a shell can hold.
    #[error("it holds U+0000, which no command can")]
    Nul,
    /// `.` and `..` lead elsewhere in a path, and an empty segment to what is above.
    #[error("as a part of a path, it would lead elsewhere")]
    Segment,
    /// A place in a script where no quoting is safe.
    #[error("it would stand {0}, where it could become code")]
    Place(&'static str),
    /// A word of a script that its command takes for more than text.
    #[error(
        "it would stand {0}, where text could become code: declare the variable as `integer`, `long`, `ipv4-addr` or `ipv6-addr`; or assign it to a variable of the script (`x=__x__:value`), check that (`case $x in (*[!0-9]*) exit 1; esac`), and use it here"
    )]
    Word(&'static str),
}

/// Writes values into one text, from left to right.
pub(super) enum Quoter {
    Simple(Quoting),
    Posix(Box<posix::Reader>),
    PowerShell(powershell::Reader),
}

impl Quoter {
    pub(super) fn new(quoting: Quoting) -> Self {
        match quoting {
            Quoting::PosixShell => Self::Posix(Box::default()),
            Quoting::PowerShell => Self::PowerShell(powershell::Reader::default()),
            simple => Self::Simple(simple),
        }
    }

    /// Goes past text of the author.
    pub(super) fn pass(&mut self, text: &str) {
        match self {
            Self::Simple(_) => {}
            Self::Posix(reader) => reader.pass(text),
            Self::PowerShell(reader) => reader.pass(text),
        }
    }

    /// The end of the text.
    pub(super) fn end(&mut self) {
        if let Self::Posix(reader) = self {
            reader.end();
        }
    }

    /// The number, from 0, of a reference that was written, where it now proves that it could
    /// become code.
    pub(super) const fn fault(&self) -> Option<(usize, Error)> {
        match self {
            Self::Posix(reader) => reader.fault(),
            _ => None,
        }
    }

    /// A value as it is written here, and how its text is.
    pub(super) fn quote<'v>(
        &mut self,
        typed: &Value,
        value: &'v str,
    ) -> Result<Cow<'v, str>, Error> {
        match self {
            Self::Posix(reader) => {
                // Nothing, or digits, letters of hexadecimal digits and `-./:`.
                let harmless =
                    matches!(typed, Value::Empty | Value::Integer(_) | Value::Address(_));
                reader.quote(value, harmless).map(Cow::Owned)
            }
            Self::PowerShell(reader) => reader.quote(value).map(Cow::Owned),
            Self::Simple(quoting) => simple(*quoting, value),
        }
    }
}

fn simple(quoting: Quoting, value: &str) -> Result<Cow<'_, str>, Error> {
    match quoting {
        Quoting::JsonString => {
            let quoted = serde_json::Value::from(value).to_string();
            Ok(Cow::Owned(quoted[1..quoted.len() - 1].to_owned()))
        }
        Quoting::PathSegment if matches!(value, "" | "." | "..") => Err(Error::Segment),
        Quoting::PathSegment | Quoting::QueryComponent => Ok(Cow::Owned(percent_encoded(value))),
        Quoting::HeaderValue => match value
            .chars()
            .find(|char| char.is_control() && *char != '\t')
        {
            Some(char) => Err(Error::HeaderControl(char)),
            None => Ok(Cow::Borrowed(value)),
        },
        // The shells have readers of their own.
        Quoting::Plain | Quoting::PosixShell | Quoting::PowerShell => Ok(Cow::Borrowed(value)),
    }
}

/// All but the unreserved characters (RFC 3986 §2.3) as `%xx`.
fn percent_encoded(value: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}

/// How many bytes a plain variable's name in braces takes, such as `{HOME}`: the one thing
/// behind a `$` that both shells read alike wherever it stands.
fn braced_name(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('{')?;
    let name = inner
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let length = name.count();
    (length > 0 && inner[length..].starts_with('}')).then_some(length + 2)
}
