//! Names of reactions: what people read in lists, logs and paths.
//!
//! Letters of every script, spaces and signs are welcome, since CSF allows them. Refused is
//! what cannot be seen, turns the text around it, or would be read as a path.

use std::fmt;

/// Longest name in bytes.
pub const NAME_BYTES_MAX: usize = 200;

/// Why something is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing, or nothing but space.
    #[error("'name' is empty")]
    Empty,
    /// It means a folder in a path.
    #[error("'name' cannot be '{0}': that means a folder")]
    Folder(String),
    /// It is longer than [`NAME_BYTES_MAX`].
    #[error("'name' has {0} bytes; at most {NAME_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// It holds a character that names must not have.
    #[error("'name' holds {0}, which a name must not have")]
    Character(Refused),
}

/// A character that is refused, shown by its number, since most cannot be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub char);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.0 {
            '/' => return f.write_str("a '/'"),
            '\n' => "a line break",
            char if char.is_control() => "a control character",
            _ => "an invisible character",
        };
        write!(f, "{what} (U+{:04X})", u32::from(self.0))
    }
}

/// Refuses what is no name for a reaction.
pub fn check(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::Empty);
    }
    if matches!(name, "." | "..") {
        return Err(Error::Folder(name.to_owned()));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::TooLong(name.len()));
    }
    match name.chars().find(|char| is_refused(*char)) {
        Some(char) => Err(Error::Character(Refused(char))),
        None => Ok(()),
    }
}

/// Control characters, separators of lines, and format characters that are not seen or turn
/// the direction of what follows.
fn is_refused(char: char) -> bool {
    char == '/'
        || char.is_control()
        || matches!(char,
            '\u{AD}'
            | '\u{61C}'
            | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_script_are_taken() {
        for name in [
            "r",
            "Escalate & block: prod (v2)",
            "пример реакции",
            "أمن السحابة",
            "安全 事件",
            "é e\u{301} 🚨",
            "...",
            &"x".repeat(NAME_BYTES_MAX),
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_cannot_be_seen_or_mean_a_path_are_refused() {
        for name in ["", " ", "\u{3000}"] {
            assert_eq!(check(name), Err(Error::Empty));
        }
        for name in [".", ".."] {
            assert_eq!(check(name), Err(Error::Folder(name.to_owned())));
        }
        let long = "é".repeat(101);
        assert_eq!(check(&long), Err(Error::TooLong(202)));
        let ranges = [
            '\0'..='\u{1F}',
            '\u{7F}'..='\u{9F}',
            '\u{200B}'..='\u{200F}',
            '\u{2028}'..='\u{202E}',
            '\u{2066}'..='\u{2069}',
            '\u{FEFF}'..='\u{FEFF}',
            '/'..='/',
        ];
        for char in ranges.into_iter().flatten() {
            let refused = check(&format!("a{char}b"));
            assert_eq!(refused, Err(Error::Character(Refused(char))));
        }
    }

    #[test]
    fn the_message_shows_what_cannot_be_seen() {
        for (name, part) in [
            ("a\u{202E}b", "an invisible character (U+202E)"),
            ("a\nb", "a line break (U+000A)"),
            ("a\u{7}b", "a control character (U+0007)"),
            ("a/b", "a '/'"),
        ] {
            let message = check(name).unwrap_err().to_string();
            assert!(
                message.contains(part) && !message.contains(name),
                "{message}"
            );
        }
    }
}
