//! Whom to talk to and as whom, found where `wsk` finds it: what is given by hand comes before
//! the environment, that before the file, that before the defaults.
//!
//! | what | environment | file |
//! |---|---|---|
//! | host | `WHISK_APIHOST` | `APIHOST` |
//! | key | `WHISK_AUTH` | `AUTH` |
//! | version of the API | `WHISK_APIVERSION` | `APIVERSION` |
//! | namespace | | `NAMESPACE` |
//! | certificate and key to appear as | | `CERT`, `KEY` |
//!
//! The file is `~/.wskprops`, or what `WSK_CONFIG_FILE` names. One that is not there is empty.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::{Auth, AuthError, Client, Error, Http, HttpOptions};
use crate::model::{FullyQualifiedName, Name, NameError, check_namespace};

/// The only version of the API that there is.
const API_VERSION: &str = "v1";

/// What is given by hand, such as by flags of a command.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The host: a URL, or a name with or without a port.
    pub host: Option<String>,
    /// The credentials.
    pub auth: Option<Auth>,
    /// The namespace that names without one are in.
    pub namespace: Option<String>,
    /// A file with authorities to trust beside those of the system, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Trust every certificate.
    pub insecure: bool,
}

/// Whom to talk to and as whom.
#[derive(Debug, Clone)]
pub struct Properties {
    /// The host as it was written; none where nothing says it.
    pub host: Option<String>,
    /// The credentials.
    pub auth: Auth,
    /// The namespace that names without one are in; `_` is that of the key.
    pub namespace: Name,
    /// A file with authorities to trust beside those of the system, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Files with the certificate to appear as and its key, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Trust every certificate.
    pub insecure: bool,
}

/// Why no properties could be read. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key is none.
    #[error("the key of {place}: {source}")]
    Key {
        /// Where it is from.
        place: String,
        /// Why.
        source: AuthError,
    },
    /// The namespace is none.
    #[error("the namespace: {0}")]
    Namespace(#[from] NameError),
    /// Another version of the API.
    #[error("the API version `{0}` is not known: there is `{API_VERSION}`")]
    Version(String),
    /// Nothing says whom to talk to.
    #[error("no API host is set: give one, or set WHISK_APIHOST, or APIHOST in ~/.wskprops")]
    NoHost,
}

impl Properties {
    /// Reads them from the environment and the file of this process.
    ///
    /// # Errors
    /// [`PropertiesError`]
    pub fn load(given: Given) -> Result<Self, PropertiesError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let text = match file(&variable) {
            None => None,
            Some(path) => match std::fs::read_to_string(&path) {
                Ok(text) => Some(text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(source) => return Err(PropertiesError::File { path, source }),
            },
        };
        Self::of(given, &variable, text.as_deref())
    }

    /// Of an environment and the text of a file. Pure.
    ///
    /// # Errors
    /// [`PropertiesError`]
    pub fn of(
        given: Given,
        variable: &dyn Fn(&str) -> Option<String>,
        text: Option<&str>,
    ) -> Result<Self, PropertiesError> {
        let written = lines(text.unwrap_or_default());
        let in_file = |name: &str| written.get(name).map(|value| (*value).to_owned());
        let version = variable("WHISK_APIVERSION").or_else(|| in_file("APIVERSION"));
        if let Some(version) = version.filter(|version| version != API_VERSION) {
            return Err(PropertiesError::Version(version));
        }
        let auth = match given.auth {
            Some(auth) => auth,
            None => match (variable("WHISK_AUTH"), in_file("AUTH")) {
                (Some(key), _) => key_of("WHISK_AUTH", key)?,
                (None, Some(key)) => key_of("AUTH in the properties file", key)?,
                (None, None) => Auth::None,
            },
        };
        let namespace = match given.namespace.or_else(|| in_file("NAMESPACE")) {
            Some(namespace) => check_namespace(&namespace)?,
            None => Name::own_namespace(),
        };
        let host = given.host.or_else(|| variable("WHISK_APIHOST"));
        let identity = in_file("CERT").zip(in_file("KEY"));
        Ok(Self {
            host: host.or_else(|| in_file("APIHOST")),
            auth,
            namespace,
            ca_file: given.ca_file,
            identity: identity.map(|(certificate, key)| (certificate.into(), key.into())),
            insecure: given.insecure,
        })
    }

    /// A client with these.
    ///
    /// # Errors
    /// [`PropertiesError::NoHost`]; a file of certificates that can't be read; and what
    /// [`Client::with_transport`] refuses, as its text.
    pub fn client(&self) -> Result<Client, Error> {
        let invalid = |error: PropertiesError| Error::Invalid(error.to_string());
        let host = self
            .host
            .as_deref()
            .ok_or(PropertiesError::NoHost)
            .map_err(invalid)?;
        let identity_pem = match &self.identity {
            None => None,
            Some((certificate, key)) => {
                let mut pem = read(certificate).map_err(invalid)?;
                pem.push(b'\n');
                pem.extend(read(key).map_err(invalid)?);
                Some(pem)
            }
        };
        let options = HttpOptions {
            ca_pem: self
                .ca_file
                .as_deref()
                .map(read)
                .transpose()
                .map_err(invalid)?,
            identity_pem,
            insecure: self.insecure,
            connect_timeout: None,
        };
        Client::with_transport(host, &self.auth, Http::new(&options)?)
    }

    /// Reads a name: without a namespace it is in that of the properties.
    ///
    /// # Errors
    /// [`NameError`]
    pub fn name(&self, text: &str) -> Result<FullyQualifiedName, NameError> {
        Ok(FullyQualifiedName::parse(text)?.resolve(&self.namespace))
    }
}

fn file(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let named = variable("WSK_CONFIG_FILE").map(PathBuf::from);
    named.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".wskprops")))
}

fn read(path: &Path) -> Result<Vec<u8>, PropertiesError> {
    std::fs::read(path).map_err(|source| PropertiesError::File {
        path: path.to_owned(),
        source,
    })
}

fn key_of(place: &str, key: String) -> Result<Auth, PropertiesError> {
    Auth::parse_key(&SecretString::from(key)).map_err(|source| PropertiesError::Key {
        place: place.to_owned(),
        source,
    })
}

/// `NAME=value`, one on a line; what is no such line, or has no value, is passed over.
fn lines(text: &str) -> BTreeMap<&str, &str> {
    let pairs = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let pairs = pairs.filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.trim(), value.trim()));
    pairs.filter(|(_, value)| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const FILE: &str = "# made by wsk\nAPIHOST=file.example.com\nAUTH=fu:fk=\nNAMESPACE=team\n\nodd\nAPIVERSION=v1\nAPIGW_ACCESS_TOKEN=\n";

    fn is(auth: &Auth, user: &str, secret: &str) -> bool {
        matches!(auth, Auth::Basic { user: own, key } if own == user && key.expose_secret() == secret)
    }

    fn environment(name: &str) -> Option<String> {
        let value = match name {
            "WHISK_APIHOST" => "env.example.com",
            "WHISK_AUTH" => "eu:ek",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn what_is_given_comes_before_the_environment_before_the_file() {
        let nothing = |_: &str| None;
        let from_file = Properties::of(Given::default(), &nothing, Some(FILE)).unwrap();
        assert_eq!(from_file.host.as_deref(), Some("file.example.com"));
        assert!(is(&from_file.auth, "fu", "fk="));
        assert_eq!(from_file.name("p/a").unwrap().to_string(), "/team/p/a");
        assert_eq!(from_file.name("/other/a").unwrap().to_string(), "/other/a");
        let from_environment = Properties::of(Given::default(), &environment, Some(FILE)).unwrap();
        assert_eq!(from_environment.host.as_deref(), Some("env.example.com"));
        assert!(is(&from_environment.auth, "eu", "ek"));
        assert_eq!(from_environment.namespace.as_str(), "team");
        let given = Given {
            host: Some("http://127.0.0.1:3233".to_owned()),
            auth: Some(Auth::parse_key(&"gu:gk".into()).unwrap()),
            namespace: Some("mine".to_owned()),
            ..Given::default()
        };
        let by_hand = Properties::of(given, &environment, Some(FILE)).unwrap();
        assert_eq!(by_hand.host.as_deref(), Some("http://127.0.0.1:3233"));
        assert!(is(&by_hand.auth, "gu", "gk"));
        assert_eq!(by_hand.namespace.as_str(), "mine");
        let none = Properties::of(Given::default(), &nothing, None).unwrap();
        assert!(none.namespace.is_own_namespace());
        let error = none.client().unwrap_err().to_string();
        assert!(error.contains("WHISK_APIHOST"), "{error}");
    }

    #[test]
    fn the_file_is_that_of_the_user_unless_another_is_named() {
        let home = |name: &str| (name == "HOME").then(|| "/home/soc".to_owned());
        assert_eq!(file(&home), Some(PathBuf::from("/home/soc/.wskprops")));
        let named = |name: &str| Some(format!("/etc/{name}"));
        assert_eq!(file(&named), Some(PathBuf::from("/etc/WSK_CONFIG_FILE")));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        let with = |text: &str| Properties::of(Given::default(), &|_| None, Some(text));
        let error = with("AUTH=secretwithoutcolon").unwrap_err().to_string();
        assert!(
            error.contains("AUTH") && !error.contains("secretwithoutcolon"),
            "{error}"
        );
        assert!(matches!(
            with("APIVERSION=v2"),
            Err(PropertiesError::Version(_))
        ));
        assert!(matches!(
            with("NAMESPACE=a/b"),
            Err(PropertiesError::Namespace(_))
        ));
    }
}
