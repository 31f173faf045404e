//! Secrets by name: where a value comes from, reading it when it is needed,
//! and masking it wherever text leaves the process.
//!
//! A value is read at each use, so that a rotated file counts at once. It is
//! handed out as a [`SecretString`], which prints nothing and is wiped when
//! dropped. Every value ever handed out is known to the [`Masker`] from then
//! on.
//!
//! A value must never reach an event, the journal, a log line, an error or a
//! script: those carry the name. There is no way to write a value into the
//! configuration file itself.

mod mask;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

pub use self::mask::{Masker, SHORTEST_MASKED};

/// A credential is a line or a key file. A larger file is the wrong file.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Where a secret's value is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// `{ env: NAME }`: an environment variable of the server.
    Env(String),
    /// `{ file: PATH }`: a file; one line end at its end is not part of the value.
    File(PathBuf),
}

/// A secret can't be given. No variant holds any part of a value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is not under `secrets:` in the configuration.
    #[error("there is no secret `{name}`: add it under `secrets:`")]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The environment variable is not set.
    #[error("secret `{name}`: the environment variable {variable} is not set")]
    NotSet {
        /// The secret's name.
        name: String,
        /// The variable named in the configuration.
        variable: String,
    },
    /// The file can't be read.
    #[error("secret `{name}`: can't read {}: {source}", path.display())]
    Read {
        /// The secret's name.
        name: String,
        /// The file named in the configuration.
        path: PathBuf,
        /// Why the operating system refused.
        source: std::io::Error,
    },
    /// The value is empty or blank, is not UTF-8 or is larger than 64 KiB.
    #[error("secret `{name}`: the value {reason}")]
    Unusable {
        /// The secret's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What [`Secrets::check`] found for one secret.
#[derive(Debug)]
pub struct Check {
    /// The secret's name.
    pub name: String,
    /// Whether its value can be read.
    pub result: Result<(), Error>,
    /// What works but should be changed, such as a file that others can read.
    pub warnings: Vec<String>,
}

/// All configured secrets, by name.
#[derive(Debug, Default)]
pub struct Secrets {
    references: BTreeMap<String, SecretRef>,
    /// Values that stand in a document of the user's, such as a password in a playbook.
    held: RwLock<BTreeMap<String, SecretString>>,
    /// Names that nobody but the program itself may ask for.
    withheld: RwLock<BTreeSet<String>>,
    masker: Masker,
}

impl Secrets {
    /// Takes the `secrets:` section. Values are read by [`get`](Self::get) and
    /// [`check`](Self::check) only.
    pub fn load(references: BTreeMap<String, SecretRef>) -> Self {
        Self {
            references,
            held: RwLock::default(),
            withheld: RwLock::default(),
            masker: Masker::default(),
        }
    }

    /// Keeps a value that a document of the user's holds itself, so that it is used and masked
    /// like any other secret. Its name must hold a `/`, which no configured name does; a value
    /// that is held under the name already is replaced.
    pub fn hold(&self, name: &str, value: SecretString) {
        self.masker.learn(name, &value);
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.insert(name.to_owned(), value);
    }

    /// Keeps a name from playbooks: its value guards the program itself.
    pub fn withhold(&self, name: &str) {
        let mut withheld = self
            .withheld
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        withheld.insert(name.to_owned());
    }

    /// Whether a playbook may name it.
    pub fn is_for_playbooks(&self, name: &str) -> bool {
        let withheld = self.withheld.read().unwrap_or_else(PoisonError::into_inner);
        self.knows(name) && !withheld.contains(name)
    }

    /// Whether a name can be asked for, configured or held.
    pub fn knows(&self, name: &str) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        self.references.contains_key(name) || held.contains_key(name)
    }

    /// The configured names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.references.keys().map(String::as_str)
    }

    /// Reads a secret's present value and makes it known to the masker.
    pub fn get(&self, name: &str) -> Result<SecretString, Error> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = held.get(name) {
            return Ok(value.clone());
        }
        drop(held);
        let reference = self.references.get(name).ok_or_else(|| Error::Unknown {
            name: name.to_owned(),
        })?;
        let value = match reference {
            SecretRef::Env(variable) => read_variable(name, variable)?,
            SecretRef::File(path) => read_file(name, path)?,
        };
        if value.expose_secret().trim().is_empty() {
            return Err(unusable(name, "is empty or blank"));
        }
        self.masker.learn(name, &value);
        Ok(value)
    }

    /// Reads every secret and says for each whether that worked. Afterwards
    /// the masker knows all values that could be read.
    pub fn check(&self) -> Vec<Check> {
        self.references
            .iter()
            .map(|(name, reference)| {
                let value = self.get(name);
                let mut warnings = Vec::new();
                if value
                    .as_ref()
                    .is_ok_and(|value| value.expose_secret().len() < SHORTEST_MASKED)
                {
                    warnings.push(format!(
                        "the value has fewer than {SHORTEST_MASKED} bytes and can't be masked in texts"
                    ));
                }
                if let SecretRef::File(path) = reference {
                    warnings.extend(open_to_others(path));
                }
                Check {
                    name: name.clone(),
                    result: value.map(drop),
                    warnings,
                }
            })
            .collect()
    }

    /// Replaces known values in text. The handle also masks values that are
    /// read after it was taken.
    pub fn masker(&self) -> Masker {
        self.masker.clone()
    }
}

fn unusable(name: &str, reason: &'static str) -> Error {
    Error::Unusable {
        name: name.to_owned(),
        reason,
    }
}

fn read_variable(name: &str, variable: &str) -> Result<SecretString, Error> {
    match std::env::var(variable) {
        Ok(value) => Ok(value.into()),
        Err(std::env::VarError::NotPresent) => Err(Error::NotSet {
            name: name.to_owned(),
            variable: variable.to_owned(),
        }),
        Err(std::env::VarError::NotUnicode(_)) => Err(unusable(name, "is not UTF-8")),
    }
}

fn read_file(name: &str, path: &Path) -> Result<SecretString, Error> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|source| Error::Read {
        name: name.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unusable(name, "is larger than 64 KiB"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| unusable(name, "is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text.into())
}

/// A warning where anyone but the owner and the group may read `path`.
fn open_to_others(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o007 != 0).then(|| {
        format!(
            "{} is open to every user of this machine (mode {:03o}): run chmod o= on it",
            path.display(),
            mode & 0o777
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_guards_the_program_is_not_for_playbooks() {
        let here = || SecretRef::Env("HOME".to_owned());
        let secrets = Secrets::load(BTreeMap::from([
            ("api".to_owned(), here()),
            ("mail".to_owned(), here()),
        ]));
        secrets.withhold("api");
        assert!(!secrets.is_for_playbooks("api") && secrets.is_for_playbooks("mail"));
        assert!(!secrets.is_for_playbooks("nobody"));
        assert!(secrets.get("api").is_ok(), "the program itself may have it");
        secrets.hold("playbook/1/password", "hunter22".to_owned().into());
        assert!(secrets.is_for_playbooks("playbook/1/password"));
    }
}
