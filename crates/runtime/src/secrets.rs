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

mod grant;
mod mask;
mod playbooks;
mod seal;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use ring::rand::{SecureRandom as _, SystemRandom};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use self::seal::Seal;
pub use self::{
    grant::{Grant, Host, HostPattern},
    mask::{Masker, Own, SHORTEST_MASKED},
    playbooks::{PlaybookGrant, PlaybookGrants, Receiver, Refused},
    seal::SEAL_KEY_BYTES,
};

/// A credential is a line or a key file. A larger file is the wrong file.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A variable carries a credential of at most this: many runs may bring theirs.
const SEALED_BYTES_MAX: usize = 16 << 10;

/// By what name a value is masked that came by a variable.
const OF_A_VARIABLE: &str = "a variable of a playbook";

/// Where a secret's value is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// `{ env: NAME }`: an environment variable of the server.
    Env(String),
    /// `{ file: PATH }`: a file; one line end at its end is not part of the value.
    File(PathBuf),
}

/// As [`SecretRef`] is written. A text in its place is taken for the value of a secret: the
/// message about it must not repeat it.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Written {
    Env(String),
    File(PathBuf),
}

struct Expected;

impl Expected {
    const TEXT: &'static str = "must be `{ env: NAME }` or `{ file: PATH }`";
}

impl<'de> Visitor<'de> for Expected {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretRef, A::Error> {
        match Written::deserialize(MapAccessDeserializer::new(map)) {
            Ok(Written::Env(name)) => Ok(SecretRef::Env(name)),
            Ok(Written::File(path)) => Ok(SecretRef::File(path)),
            Err(wrong) if wrong.to_string().starts_with("invalid type: map") => {
                Err(A::Error::custom(Self::TEXT))
            }
            Err(wrong) => Err(wrong),
        }
    }

    fn visit_str<E: serde::de::Error>(self, _value: &str) -> Result<SecretRef, E> {
        Err(E::custom(Self::TEXT))
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Expected)
    }
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
    /// A playbook may not have it sent there.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A playbook would have it sent to nobody that can be named.
    #[error("nobody is named who would get the credentials")]
    NoReceiver,
    /// A value is longer than any credential.
    #[error("a value that is secret has more than {} KiB", SEALED_BYTES_MAX >> 10)]
    TooLong,
    /// A value cannot be sealed, so that it cannot be stored.
    #[error("a value that is secret cannot be sealed")]
    NotSealed,
    /// A sealed value was sealed by another key, for something else, or was changed.
    #[error(
        "a value that was sealed cannot be opened here: it was sealed by another key or for something else; start anew"
    )]
    NotOpened,
}

/// What a playbook may do with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForPlaybooks {
    /// Have it sent to those whom its grant lists.
    Granted,
    /// Nothing: it stands in no grant.
    NotGranted,
    /// Nothing: its value guards the program itself.
    Withheld,
    /// Nothing: it is not configured.
    Unknown,
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
    /// What playbooks may do with them.
    grants: RwLock<PlaybookGrants>,
    /// Seals what has to be stored; by a key of this process until another one is given.
    seal: RwLock<Option<Arc<Seal>>>,
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
            grants: RwLock::default(),
            seal: RwLock::default(),
            masker: Masker::default(),
        }
    }

    /// Keeps a value that a document of the user's holds itself, so that it is used like any
    /// other secret; it is masked for the runs that ask for it. Its name must hold a `/`, which no configured name does; a value
    /// that is held under the name already is replaced.
    pub fn hold(&self, name: &str, value: SecretString) {
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

    /// Says what playbooks may do with secrets, in the place of what was said before. Nothing is
    /// granted to begin with.
    pub fn grant_to_playbooks(&self, grants: PlaybookGrants) {
        *self.grants.write().unwrap_or_else(PoisonError::into_inner) = grants;
    }

    /// What a playbook may do with a name. One that is held is none that a playbook can name:
    /// its value is another playbook's.
    pub fn for_playbooks(&self, name: &str) -> ForPlaybooks {
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        if !self.references.contains_key(name) {
            ForPlaybooks::Unknown
        } else if self.is_withheld(name) {
            ForPlaybooks::Withheld
        } else if grants.secrets.contains_key(name) {
            ForPlaybooks::Granted
        } else {
            ForPlaybooks::NotGranted
        }
    }

    /// Reads a secret that a playbook names, to be sent to these receivers and nobody else: each
    /// of them must be allowed to get it.
    pub fn get_for_playbook(&self, name: &str, to: &[Receiver]) -> Result<SecretString, Error> {
        if self.is_held(name) {
            self.check_own(to)?;
            return self.get(name);
        }
        self.check_granted(name, to)?;
        self.get(name)
    }

    fn check_granted(&self, name: &str, to: &[Receiver]) -> Result<(), Error> {
        if !self.references.contains_key(name) {
            let name = name.to_owned();
            return Err(Error::Unknown { name });
        }
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        let is_ours = to == [Receiver::Configured];
        if self.is_withheld(name) && !is_ours {
            return Err(Refused::NotGranted(name.to_owned()).into());
        }
        let mut checked = to.iter().map(|one| grants.check(name, one));
        checked.next().ok_or(Error::NoReceiver)??;
        Ok(checked.collect::<Result<(), _>>()?)
    }

    /// Whether credentials that a playbook holds itself, or has from a variable, may be sent to
    /// these receivers.
    pub fn check_own(&self, to: &[Receiver]) -> Result<(), Error> {
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        let mut checked = to.iter().map(|one| grants.check_own(one));
        checked.next().ok_or(Error::NoReceiver)??;
        Ok(checked.collect::<Result<(), _>>()?)
    }

    /// Seals by this key from now on, so that what is stored can be opened by a later process
    /// that has it.
    pub fn seal_by(&self, key: &[u8; SEAL_KEY_BYTES]) {
        let seal = Seal::new(key).map(Arc::new);
        *self.seal.write().unwrap_or_else(PoisonError::into_inner) = seal;
    }

    /// A value as it may be stored. `context` says what it is for: it is opened for that only.
    pub fn seal(&self, context: &str, value: &str) -> Result<String, Error> {
        if value.len() > SEALED_BYTES_MAX {
            return Err(Error::TooLong);
        }
        let sealed = self.sealer()?.seal(context, value);
        sealed.ok_or(Error::NotSealed)
    }

    /// A text with the sealed values in it opened, which are masked for the run for which this
    /// task works from now on; none where there is none.
    pub fn open(&self, context: &str, text: &str) -> Result<Option<String>, Error> {
        if !seal::is_sealed(text) {
            return Ok(None);
        }
        let opened = self.sealer()?.open(context, text);
        let opened = opened.ok_or(Error::NotOpened)?;
        for value in &opened.values {
            self.learn_own(value);
        }
        Ok(Some(opened.whole.expose_secret().to_owned()))
    }

    /// Has a value that a variable of a playbook carried masked for the run for which this task
    /// works.
    pub fn learn_own(&self, value: &SecretString) {
        self.masker.learn_own(OF_A_VARIABLE, value);
    }

    /// Has the values masked for a run that are held under names that begin like this.
    pub fn learn_held(&self, own: &Own, begin: &str) {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let from = held.range(begin.to_owned()..);
        let these = from.take_while(|(name, _)| name.starts_with(begin));
        own.sync_scope(|| these.for_each(|(name, value)| self.masker.learn_own(name, value)));
    }

    fn sealer(&self) -> Result<Arc<Seal>, Error> {
        let mut seal = self.seal.write().unwrap_or_else(PoisonError::into_inner);
        if seal.is_none() {
            let mut key = [0; SEAL_KEY_BYTES];
            let filled = SystemRandom::new().fill(&mut key);
            filled.map_err(|_| Error::NotSealed)?;
            *seal = Seal::new(&key).map(Arc::new);
        }
        seal.clone().ok_or(Error::NotSealed)
    }

    fn is_withheld(&self, name: &str) -> bool {
        let withheld = self.withheld.read().unwrap_or_else(PoisonError::into_inner);
        withheld.contains(name)
    }

    fn is_held(&self, name: &str) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.contains_key(name)
    }

    /// Whether a name can be asked for, configured or held.
    pub fn knows(&self, name: &str) -> bool {
        self.references.contains_key(name) || self.is_held(name)
    }

    /// The configured names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.references.keys().map(String::as_str)
    }

    /// Reads a secret's present value and makes it known to the masker.
    pub fn get(&self, name: &str) -> Result<SecretString, Error> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = held.get(name) {
            self.masker.learn_own(name, value);
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
    /// read after it was taken, and those of the run for which this task works.
    pub fn masker(&self) -> Masker {
        self.masker.taken()
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
    fn playbooks_get_what_is_granted_and_nothing_that_guards_the_program() {
        let here = || SecretRef::Env("HOME".to_owned());
        let secrets = Secrets::load(BTreeMap::from([
            ("api".to_owned(), here()),
            ("fw".to_owned(), here()),
            ("mail".to_owned(), here()),
        ]));
        let grant = |hosts: &[&str]| PlaybookGrant {
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            ..PlaybookGrant::default()
        };
        let granted = ["api", "fw"].map(|name| (name.to_owned(), grant(&["*.example.com"])));
        secrets.withhold("api");
        secrets.grant_to_playbooks(PlaybookGrants {
            secrets: granted.into(),
            plain_http: Vec::new(),
        });
        secrets.hold("playbook/1/password", "hunter22".to_owned().into());
        for (name, expected) in [
            ("api", ForPlaybooks::Withheld),
            ("fw", ForPlaybooks::Granted),
            ("mail", ForPlaybooks::NotGranted),
            ("nobody", ForPlaybooks::Unknown),
            ("playbook/1/password", ForPlaybooks::Unknown),
        ] {
            assert_eq!(secrets.for_playbooks(name), expected, "{name}");
        }
        let to = |url: &str| [Receiver::Host(Host::of(&url.parse().unwrap()).unwrap())];
        let inside = to("https://fw.example.com/");
        let elsewhere = to("https://evil.example.net/");
        let in_clear = to("http://fw.example.com/");
        for (name, to, allowed) in [
            ("fw", &inside[..], true),
            ("fw", &elsewhere, false),
            ("fw", &in_clear, false),
            ("fw", &[], false),
            ("api", &inside, false),
            ("api", &[Receiver::Configured], true),
            ("mail", &inside, false),
            ("mail", &[Receiver::Configured], true),
            ("playbook/1/password", &elsewhere, true),
            ("playbook/1/password", &in_clear, false),
        ] {
            let got = secrets.get_for_playbook(name, to);
            assert_eq!(got.is_ok(), allowed, "{name} {to:?}");
        }
        assert!(secrets.get("api").is_ok(), "the program itself may have it");
    }
}
