//! What a signature says beside its value.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::algorithm::Hash;
use super::key::Certificate;
use super::sign::{Error, SigningKey};

/// How a signature shows its key. Certificates are of the key that signs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeyForm {
    /// The key itself.
    #[default]
    PublicKey,
    /// Its certificates, leaf first.
    Chain(Vec<Certificate>),
    /// Where its certificates are; the leaf of them.
    Url(String, Certificate),
    /// The thumbprint of its certificate.
    Thumbprint(Certificate),
}

/// What a signature says beside its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its id is `jss--` and this: a random UUID (v4).
    pub id: Uuid,
    /// When it is made; written in milliseconds.
    pub created: Timestamp,
    /// Who signs, in words.
    pub signee: String,
    /// The identity that signs, such as `identity--…`.
    pub created_by: Option<String>,
    /// From when on it is valid.
    pub valid_from: Option<Timestamp>,
    /// Until when it is valid.
    pub valid_until: Option<Timestamp>,
    /// How the document is hashed.
    pub hash: Hash,
    /// How the key is shown.
    pub key: KeyForm,
}

impl Statement {
    /// A statement that is valid without end, with SHA-256 and the key itself.
    pub fn new(id: Uuid, created: Timestamp, signee: impl Into<String>) -> Self {
        Self {
            id,
            created,
            signee: signee.into(),
            created_by: None,
            valid_from: None,
            valid_until: None,
            hash: Hash::default(),
            key: KeyForm::default(),
        }
    }

    /// The signature object without its value.
    pub(super) fn object(
        &self,
        playbook: &Map<String, Value>,
        key: &SigningKey<'_>,
    ) -> Result<Map<String, Value>, Error> {
        let of = |property: &'static str| {
            let text = playbook.get(property).and_then(Value::as_str);
            text.map(str::to_owned).ok_or(Error::Missing { property })
        };
        self.sensible()?;
        let (form, shown) = self.shown(key)?;
        let created = written(self.created);
        let members = [
            ("type", Some("jss".to_owned())),
            ("id", Some(format!("jss--{}", self.id))),
            ("created_by", self.created_by.clone()),
            ("created", Some(created.clone())),
            ("modified", Some(created)),
            ("signee", Some(self.signee.clone())),
            ("valid_from", self.valid_from.map(written)),
            ("valid_until", self.valid_until.map(written)),
            ("related_to", Some(of("id")?)),
            ("related_version", Some(of("modified")?)),
            ("hash_algorithm", Some(self.hash.name().to_owned())),
            ("algorithm", Some(key.algorithm().name().to_owned())),
        ];
        let members = members.into_iter().filter_map(|(name, text)| {
            let text = text?;
            Some((name.to_owned(), Value::String(text)))
        });
        let mut object: Map<String, Value> = members.collect();
        object.insert(form.to_owned(), shown);
        Ok(object)
    }

    fn sensible(&self) -> Result<(), Error> {
        let ends = |from: Timestamp| self.valid_until.is_some_and(|until| until <= from);
        let why = match &self.key {
            _ if self.id.get_version_num() != 4 => "its id is not a UUID of version 4",
            _ if self.valid_from.is_some_and(ends) => "it ends before it begins",
            KeyForm::Url(url, _) if !url.starts_with("https://") => {
                "its cert_url does not begin with https://"
            }
            _ => return Ok(()),
        };
        Err(Error::Statement { why })
    }

    fn shown(&self, key: &SigningKey<'_>) -> Result<(&'static str, Value), Error> {
        let of_key = |leaf: &Certificate| {
            if leaf.public_key()? == *key.public_key() {
                return Ok(());
            }
            let subject = leaf.subject().to_owned();
            Err(Error::OtherKey { subject })
        };
        Ok(match &self.key {
            KeyForm::PublicKey => ("public_key", STANDARD.encode(key.public_key().der()).into()),
            KeyForm::Chain(chain) => {
                of_key(chain.first().ok_or(Error::NoCertificate)?)?;
                let chain: Vec<_> = chain.iter().map(Certificate::to_base64).collect();
                ("public_cert_chain", chain.into())
            }
            KeyForm::Url(url, leaf) => {
                of_key(leaf)?;
                ("cert_url", url.as_str().into())
            }
            KeyForm::Thumbprint(leaf) => {
                of_key(leaf)?;
                ("thumbprint", leaf.thumbprint().to_string().into())
            }
        })
    }
}

fn written(time: Timestamp) -> String {
    format!("{time:.3}")
}
