//! Strings of `PowerShell`.
//!
//! Follows the author's text as [`super::posix`] does. `PowerShell` takes the typographic
//! quotation marks for quotes as well, so that they are counted and doubled like them.

use super::{Error, braced_name};

/// Follows a script from left to right.
#[derive(Default)]
pub(in crate::variable) struct Reader {
    state: State,
    /// The character before; a gap at the beginning.
    before: Option<char>,
    /// Whether a backtick takes the meaning of the next character away.
    escaped: bool,
    /// Whether the character before belongs to the name behind a `$`.
    name: bool,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Bare,
    Single,
    Double,
    Comment,
    /// From here on it is not known within which quotes the text is.
    Lost(&'static str),
}

const fn is_single(char: char) -> bool {
    matches!(char, '\'' | '‘' | '’' | '‚' | '‛')
}

const fn is_double(char: char) -> bool {
    matches!(char, '"' | '“' | '”' | '„')
}

impl Reader {
    pub(super) fn pass(&mut self, text: &str) {
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            let mut length = char.len_utf8();
            if self.before == Some('$')
                && let Some(name) = braced_name(rest)
            {
                length = name;
                self.before = Some('}');
                self.name = false;
            } else {
                self.step(char);
            }
            rest = &rest[length..];
        }
    }

    fn step(&mut self, char: char) {
        let before = self.before.replace(char);
        let letter = char.is_alphanumeric() || matches!(char, '_' | ':' | '?');
        self.name = letter && (self.name || before == Some('$'));
        if std::mem::take(&mut self.escaped) {
            // What follows an escaped character is not changed by it.
            self.before = Some('x');
            return;
        }
        match self.state {
            State::Lost(_) => {}
            State::Comment => {
                if char == '\n' {
                    self.state = State::Bare;
                }
            }
            State::Single => {
                if is_single(char) {
                    self.state = State::Bare;
                }
            }
            State::Double => match char {
                '`' => self.escaped = true,
                '(' | '{' if before == Some('$') => {
                    self.state = State::Lost("behind an expansion within double quotes");
                }
                quote if is_double(quote) => self.state = State::Bare,
                _ => {}
            },
            State::Bare => self.step_bare(char, before),
        }
    }

    fn step_bare(&mut self, char: char, before: Option<char>) {
        let gap = before.is_none_or(|before| before.is_whitespace() || ";|&(){}".contains(before));
        match char {
            '`' => self.escaped = true,
            '{' if before == Some('$') => self.state = State::Lost("behind ${"),
            quote if before == Some('@') && (is_single(quote) || is_double(quote)) => {
                self.state = State::Lost("behind a here-string");
            }
            '#' if before == Some('<') => self.state = State::Lost("behind a block comment"),
            '%' if before == Some('-') => self.state = State::Lost("behind --%"),
            '#' if gap => self.state = State::Comment,
            // A comment or a part of a word, which depends on what kind of word it is.
            '#' => self.state = State::Lost("behind a # within a word"),
            quote if is_single(quote) => self.state = State::Single,
            quote if is_double(quote) => self.state = State::Double,
            _ => {}
        }
    }

    pub(super) fn quote(&mut self, value: &str) -> Result<String, Error> {
        if value.contains('\0') {
            return Err(Error::Nul);
        }
        match self.state {
            State::Lost(place) => return Err(Error::Place(place)),
            State::Comment => return Err(Error::Place("in a comment")),
            _ if self.escaped => return Err(Error::Place("behind a backtick")),
            State::Bare if matches!(self.before, Some('$' | '@')) => {
                return Err(Error::Place("behind a $ or @"));
            }
            State::Double if self.before == Some('$') => return Err(Error::Place("behind a $")),
            State::Double if self.name => {
                return Err(Error::Place("behind the name of a variable"));
            }
            _ => {}
        }
        self.before = Some('x');
        self.name = false;
        Ok(match self.state {
            State::Single => preceded(value, is_single, None),
            State::Double => preceded(
                value,
                |char| is_double(char) || "`$".contains(char),
                Some('`'),
            ),
            _ => format!("'{}'", preceded(value, is_single, None)),
        })
    }
}

/// A value with a mark before some characters; the character itself where no mark is named.
fn preceded(value: &str, of: impl Fn(char) -> bool, mark: Option<char>) -> String {
    let mut written = String::with_capacity(value.len());
    for char in value.chars() {
        if of(char) {
            written.push(mark.unwrap_or(char));
        }
        written.push(char);
    }
    written
}
