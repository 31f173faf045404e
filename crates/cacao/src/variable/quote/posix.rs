//! Words of a POSIX shell (and of bash).
//!
//! The author's text is followed just far enough to know within which quotes a reference
//! stands. Where the shell's grammar is more than quotes (backticks, here-documents,
//! arithmetic, `$(…)` within double quotes), nothing that follows is filled in: a refusal can
//! be mended by its author, an injection cannot. Where quotes do not help, [`words`] knows it.

mod words;

use super::{Error, braced_name};
use words::Words;

/// Follows a script from left to right.
#[derive(Default)]
pub(in crate::variable) struct Reader {
    state: State,
    /// The character before, where it changes what follows.
    before: Before,
    words: Words,
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

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Before {
    /// A blank or an operator: a word may begin.
    #[default]
    Gap,
    Word,
    Backslash,
    /// A backslash at a line's end, which joins the lines before anything else is looked at.
    Continued,
    Dollar,
    /// The name behind a `$`.
    Name,
    /// `<` or `(`, which mean something else twice.
    Once(char),
}

impl Reader {
    pub(super) fn pass(&mut self, text: &str) {
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            if matches!(self.state, State::Lost(_)) {
                return self.words.unread(rest);
            }
            let mut length = char.len_utf8();
            if self.before == Before::Dollar
                && let Some(name) = braced_name(rest)
            {
                length = name;
                self.before = Before::Word;
                self.words.expansion(&rest[..name]);
            } else {
                self.step(char);
            }
            if let Some(place) = self.words.lost() {
                self.state = State::Lost(place);
            }
            rest = &rest[length..];
        }
    }

    /// The end of the script.
    pub(super) fn end(&mut self) {
        self.words.end();
    }

    /// The number of a reference that was written, and now proves to stand where its value could
    /// become code.
    pub(super) const fn fault(&self) -> Option<(usize, Error)> {
        self.words.fault()
    }

    fn step(&mut self, char: char) {
        let before = std::mem::replace(&mut self.before, Before::Word);
        match self.state {
            State::Lost(_) => {}
            State::Comment if char == '\n' => {
                self.state = State::Bare;
                self.before = Before::Gap;
                self.words.bare(char, false);
            }
            State::Comment => {}
            State::Single if char == '\'' => self.state = State::Bare,
            State::Single => self.words.quoted(char),
            State::Bare | State::Double if before == Before::Backslash => {
                if char == '\n' {
                    self.before = Before::Continued;
                } else {
                    self.words.quoted(char);
                }
            }
            State::Double => self.step_double(char, before),
            State::Bare => self.step_bare(char, before),
        }
    }

    fn step_double(&mut self, char: char, before: Before) {
        match char {
            '\\' if before == Before::Dollar => self.state = State::Lost("behind $\\"),
            '"' => self.state = State::Bare,
            '\\' => self.before = Before::Backslash,
            '$' => {
                self.before = Before::Dollar;
                self.words.expansion("$");
            }
            '`' => self.state = State::Lost("behind a backtick"),
            '(' | '{' | '[' if before == Before::Dollar => {
                self.state = State::Lost("behind an expansion within double quotes");
            }
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_'
                if matches!(before, Before::Dollar | Before::Name) =>
            {
                self.before = Before::Name;
                self.words.quoted(char);
            }
            _ => self.words.quoted(char),
        }
    }

    fn step_bare(&mut self, char: char, before: Before) {
        match char {
            '\'' if before == Before::Dollar => self.state = State::Lost("behind $'"),
            '{' | '[' if before == Before::Dollar => {
                self.state = State::Lost("behind an expansion with braces");
            }
            '\\' if matches!(before, Before::Dollar | Before::Once(_)) => {
                self.state = State::Lost("behind an operator and a backslash");
            }
            '#' if before == Before::Continued => {
                self.state = State::Lost("behind a # on a continued line");
            }
            '`' => self.state = State::Lost("behind a backtick"),
            '<' if before == Before::Once('<') => {
                self.state = State::Lost("behind a here-document");
            }
            '(' if before == Before::Once('(') => self.state = State::Lost("behind arithmetic"),
            '#' if matches!(before, Before::Gap | Before::Once(_)) => self.state = State::Comment,
            '\'' => {
                self.state = State::Single;
                self.words.mark();
            }
            '"' => {
                self.state = State::Double;
                self.words.mark();
            }
            '\\' => self.before = Before::Backslash,
            '$' => {
                self.before = Before::Dollar;
                self.words.expansion("$");
            }
            '<' | '(' => {
                self.before = Before::Once(char);
                self.words.bare(char, before == Before::Dollar);
            }
            ' ' | '\t' | '\n' | ';' | '&' | '|' | ')' | '>' => {
                self.before = Before::Gap;
                self.words.bare(char, false);
            }
            char => self.words.bare(char, false),
        }
    }

    /// A value as it is written here; `harmless` where it is none that could become code.
    pub(super) fn quote(&mut self, value: &str, harmless: bool) -> Result<String, Error> {
        if value.contains('\0') {
            return Err(Error::Nul);
        }
        match (self.state, self.before) {
            (State::Lost(place), _) => return Err(Error::Place(place)),
            (State::Comment, _) => return Err(Error::Place("in a comment")),
            (State::Bare | State::Double, Before::Backslash) => {
                return Err(Error::Place("behind a backslash"));
            }
            (State::Bare | State::Double, Before::Dollar) => {
                return Err(Error::Place("behind a $"));
            }
            (State::Double, Before::Name) => {
                return Err(Error::Place("behind the name of a variable"));
            }
            _ => {}
        }
        self.words.value(harmless)?;
        self.before = Before::Word;
        let within_single = || value.replace('\'', r"'\''");
        Ok(match self.state {
            State::Single => within_single(),
            State::Double => escaped(value),
            _ => format!("'{}'", within_single()),
        })
    }
}

/// With a backslash before what double quotes do not take away the meaning of.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for char in value.chars() {
        if matches!(char, '"' | '\\' | '$' | '`') {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}
