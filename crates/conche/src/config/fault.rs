//! What is wrong with a configuration, where, and what was probably meant.

use std::fmt;
use std::path::{Path, PathBuf};

use conche_api::words::{self, Unknown};

use super::place::{self, Key, Place};

/// A configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file can't be read.
    #[error("can't read the configuration {}: {source}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why the operating system refused.
        source: std::io::Error,
    },
    /// It can be read but not used.
    #[error("{}", faults(file.as_deref(), found))]
    Faults {
        /// The file; `None` where there is none.
        file: Option<PathBuf>,
        /// At least one.
        found: Vec<Fault>,
    },
}

impl Error {
    pub(super) fn new(file: Option<&Path>, found: Vec<Fault>) -> Self {
        Self::Faults {
            file: file.map(Path::to_owned),
            found,
        }
    }

    pub(super) fn one(file: Option<&Path>, fault: Fault) -> Self {
        Self::new(file, vec![fault])
    }
}

impl Error {
    /// The same in the words of what the configuration was translated from.
    pub(crate) fn named(self, names: impl Fn(&Place) -> Option<String>) -> Self {
        match self {
            Self::Faults { file, found } => {
                let found = found.into_iter().map(|fault| fault.named(&names));
                Self::Faults {
                    file,
                    found: found.collect(),
                }
            }
            read @ Self::Read { .. } => read,
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The key in question.
    place: Place,
    /// Its line and column, from 1, where it comes from a file.
    at: Option<(u64, u64)>,
    message: String,
    help: Option<String>,
    /// What its owner calls the key, where that is not what we call it.
    named: Option<String>,
}

impl Fault {
    /// A fault at a key; its line is found later, see [`Fault::locate`].
    pub(crate) fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            at: None,
            message: message.into(),
            help: None,
            named: None,
        }
    }

    /// An unknown word where one of `known` was expected.
    pub(crate) fn unknown<T: AsRef<str>>(
        place: Place,
        what: &str,
        word: &str,
        known: &[T],
    ) -> Self {
        let listed: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
        let help = match (closest(word, &listed), listed.is_empty()) {
            (Some(meant), _) => Some(format!("did you mean `{meant}`?")),
            (None, false) => Some(format!("there are: {}", listed.join(", "))),
            (None, true) => None,
        };
        let mut fault = Self::new(place, format!("unknown {what} `{word}`"));
        fault.help = help;
        fault
    }

    /// A fault in the words of a module or of serde. An unknown key in it is recognised, so
    /// that the fault is placed at that key and says what was meant.
    pub(crate) fn from_message(place: &Place, message: &str) -> Self {
        match words::unknown(message) {
            Some(Unknown { what, word, known }) if what == "key" => {
                Self::unknown(place.then(Key::named(word)), what, word, &known)
            }
            Some(Unknown { what, word, known }) => Self::unknown(place.clone(), what, word, &known),
            None => Self::new(place.clone(), words::plain(message)),
        }
    }

    /// The same in the words of a file that the configuration was translated from: `names` says
    /// how a place is called there.
    pub(crate) fn named(mut self, names: impl Fn(&Place) -> Option<String>) -> Self {
        self.named = names(&self.place).or(self.named);
        self
    }

    /// What is wrong, without the place.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What was probably meant.
    pub(crate) fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    pub(super) fn at(mut self, line: u64, column: u64) -> Self {
        self.at = Some((line, column));
        self
    }

    /// Finds the line and column of the key in `text`, or of the nearest one around it.
    pub(super) fn locate(&mut self, text: &str) {
        self.at = self.at.or_else(|| place::find(text, &self.place));
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.named {
            Some(named) => write!(f, "{named}: ")?,
            None if self.place.is_top() => {}
            None => write!(f, "{}: ", self.place)?,
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

/// One line for each, `FILE:LINE:COLUMN: KEY: what is wrong`.
fn faults(file: Option<&Path>, found: &[Fault]) -> String {
    let lines = found.iter().map(|fault| match (file, fault.at) {
        (Some(file), Some((line, column))) => {
            format!("{}:{line}:{column}: {fault}", file.display())
        }
        (Some(file), None) => format!("{}: {fault}", file.display()),
        (None, _) => fault.to_string(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The known word that was probably meant: one that a slip or two away, by the length.
pub(crate) fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&word, known), *known));
    let (distance, meant) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + word.len() / 4).then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_word_is_meant_only_where_it_is_close() {
        let known = ["listen", "auth", "limits"];
        assert_eq!(closest("lisen", &known), Some("listen"));
        assert_eq!(closest("LISTEN", &known), Some("listen"));
        assert_eq!(closest("port", &known), None);
        assert_eq!(closest("x", &[]), None);
    }

    #[test]
    fn an_unknown_key_in_a_message_of_serde_becomes_the_place() {
        let place = Place::top().then(Key::named("sources")).then(Key::Index(0));
        let fault = Fault::from_message(
            &place,
            "unknown field `pth`, expected one of `path`, `auth`",
        );
        assert_eq!(
            fault.to_string(),
            "sources[0].pth: unknown key `pth`; did you mean `path`?"
        );
        let other = Fault::from_message(&place, "`path` must begin with `/`");
        assert_eq!(other.to_string(), "sources[0]: `path` must begin with `/`");
    }
}
