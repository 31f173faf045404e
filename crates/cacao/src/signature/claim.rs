//! Reads a signature object: what it claims, and every property that it gets wrong.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Hash, roaster};
use super::key::{self, Certificate, Fingerprint, PublicKey};
use super::policy::{Certificates, Identity};
use super::problem::Problem;
use crate::time;

const KEY_FORMS: [&str; 4] = ["public_key", "public_cert_chain", "cert_url", "thumbprint"];

/// A signature object, as it was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'v>(pub(super) &'v Map<String, Value>);

impl<'v> Claim<'v> {
    pub(super) fn text(self, property: &str) -> Option<&'v str> {
        self.0.get(property).and_then(Value::as_str)
    }

    pub(super) fn need(self, property: &'static str) -> Result<&'v str, Problem> {
        self.text(property).ok_or(Problem::Malformed {
            property,
            why: "it has to be text",
        })
    }

    /// A time that may be absent.
    pub(super) fn time(self, property: &'static str) -> Result<Option<Timestamp>, Problem> {
        let Some(value) = self.0.get(property) else {
            return Ok(None);
        };
        let text = value.as_str().unwrap_or_default();
        let (time, _) = time::read(text).map_err(|_| Problem::Malformed {
            property,
            why: "it has to be a time such as 2023-11-27T10:00:00.000Z",
        })?;
        Ok(Some(time))
    }

    pub(super) fn revoked(self) -> Result<bool, Problem> {
        match self.0.get("revoked") {
            None => Ok(false),
            Some(Value::Bool(revoked)) => Ok(*revoked),
            Some(_) => Err(Problem::Malformed {
                property: "revoked",
                why: "it has to be true or false",
            }),
        }
    }

    /// The object's own form: type, id, signee and times of its making.
    pub(super) fn form(self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.text("type") != Some("jss") {
            problems.push(Problem::Malformed {
                property: "type",
                why: "it has to be `jss`",
            });
        }
        problems.extend(self.need("id").err());
        problems.extend(self.need("signee").err());
        for property in ["created", "modified"] {
            match self.time(property) {
                Ok(Some(_)) => {}
                Ok(None) => problems.extend(self.need(property).err()),
                Err(problem) => problems.push(problem),
            }
        }
        problems
    }

    /// How the signature is made.
    pub(super) fn method(self) -> Result<(Hash, Algorithm), Vec<Problem>> {
        let (hash, algorithm) = match (self.need("hash_algorithm"), self.need("algorithm")) {
            (Ok(hash), Ok(algorithm)) => (hash, algorithm),
            (hash, algorithm) => {
                return Err(hash.err().into_iter().chain(algorithm.err()).collect());
            }
        };
        if let Some(problem) = roaster(hash, algorithm) {
            return Err(vec![problem]);
        }
        match (Hash::read(hash), Algorithm::read(algorithm)) {
            (Ok(hash), Ok(algorithm)) => Ok((hash, algorithm)),
            (hash, algorithm) => Err(hash.err().into_iter().chain(algorithm.err()).collect()),
        }
    }

    /// The bytes of the signature. There is one way only to write them: else a change of the
    /// last character could leave them as they are.
    pub(super) fn value(self) -> Result<Vec<u8>, Problem> {
        let text = self.need("value")?;
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| Problem::Malformed {
                property: "value",
                why: "it has to be base64url without padding",
            })
    }

    /// Whose key it is, by the one form of key that there is.
    pub(super) fn identity(self, certificates: &Certificates) -> Result<Identity, Problem> {
        let present = KEY_FORMS
            .into_iter()
            .filter(|form| self.0.contains_key(*form));
        let found: Vec<_> = present.collect();
        let [property] = found[..] else {
            return Err(Problem::KeyForms { found });
        };
        let broken = |error| Problem::Key { property, error };
        let chain = match property {
            "public_key" => {
                let key = PublicKey::from_base64(self.need(property)?).map_err(broken)?;
                return Ok(Identity {
                    key,
                    chain: Vec::new(),
                });
            }
            "public_cert_chain" => self.chain()?,
            "cert_url" => fetched(self.need(property)?, certificates)?,
            _ => known(self.need(property)?, certificates)?,
        };
        let leaf = chain.first().ok_or(Problem::Malformed {
            property,
            why: "there has to be a certificate",
        })?;
        let key = leaf.public_key().map_err(broken)?;
        Ok(Identity { key, chain })
    }

    fn chain(self) -> Result<Vec<Certificate>, Problem> {
        const MALFORMED: Problem = Problem::Malformed {
            property: "public_cert_chain",
            why: "it has to be a list of certificates, leaf first, each as base64",
        };
        let list = self.0.get("public_cert_chain").and_then(Value::as_array);
        let list = list.ok_or(MALFORMED)?.iter();
        list.map(|item| {
            Certificate::from_base64(item.as_str().ok_or(MALFORMED)?).map_err(|error| {
                Problem::Key {
                    property: "public_cert_chain",
                    error,
                }
            })
        })
        .collect()
    }
}

fn fetched(url: &str, certificates: &Certificates) -> Result<Vec<Certificate>, Problem> {
    if !url.starts_with("https://") {
        return Err(Problem::Malformed {
            property: "cert_url",
            why: "it has to begin with https://",
        });
    }
    let chain = certificates.fetched.get(url).cloned();
    chain.ok_or_else(|| Problem::NeedsCertificates {
        url: url.to_owned(),
    })
}

/// The certificate of a thumbprint, and all others that are known as those that may have
/// issued it.
fn known(thumbprint: &str, certificates: &Certificates) -> Result<Vec<Certificate>, Problem> {
    let broken = |error: key::Error| Problem::Key {
        property: "thumbprint",
        error,
    };
    let thumbprint: Fingerprint = thumbprint.parse().map_err(broken)?;
    let (mut chain, others): (Vec<_>, Vec<_>) = certificates
        .known
        .iter()
        .cloned()
        .partition(|one| one.thumbprint() == thumbprint);
    if chain.is_empty() {
        return Err(Problem::NeedsCertificate { thumbprint });
    }
    chain.extend(others);
    Ok(chain)
}
