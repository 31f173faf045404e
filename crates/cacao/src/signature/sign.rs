//! Signs documents, and signs signatures.
//!
//! What is written verifies here and, for what the specification settles, elsewhere: the
//! document is signed as it was received, and what it already holds stays as it is.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Map, Value};
use thiserror::Error;
use x509_cert::der::asn1::{AnyRef, BitStringRef};
use x509_cert::der::{self, Encode};
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use super::algorithm::{Algorithm, Hash};
use super::canonical::{NotCanonical, Unsigned};
use super::key::{self, Kind, PublicKey};
use super::p521;
use super::policy::{Certificates, Policy};
use super::statement::Statement;
use super::verification::{Status, Verification};
use super::verify;
use crate::Document;

/// Why nothing was signed.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Error {
    /// No private key in PKCS#8.
    #[error(
        "there is no PEM section `PRIVATE KEY` (PKCS#8, not encrypted); `openssl pkcs8 -topk8 -nocrypt` makes one of other forms"
    )]
    NotPem,
    /// The private key is not one for the algorithm.
    #[error("the private key cannot be used with {algorithm}: {why}")]
    KeyRejected {
        /// The algorithm.
        algorithm: &'static str,
        /// In the words of who read it.
        why: String,
    },
    /// The certificate or its key is not taken.
    #[error("the certificate is not taken: {0}")]
    Certificate(#[from] key::Error),
    /// The certificate is of another key than the one that signs.
    #[error("the certificate of `{subject}` is not of the key that signs")]
    OtherKey {
        /// Whose certificate it is.
        subject: String,
    },
    /// There has to be a certificate.
    #[error("the chain of certificates is empty")]
    NoCertificate,
    /// A signature by that statement would never be valid.
    #[error("the statement is refused: {why}")]
    Statement {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The document has to have this to be signed.
    #[error("the document has no `{property}`, which a signature names")]
    Missing {
        /// The property.
        property: &'static str,
    },
    /// `signatures` cannot be added to.
    #[error(transparent)]
    Signatures(#[from] verify::Error),
    /// The document has no canonical form.
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
    /// No signature stands there.
    #[error("there is no signature number {index}")]
    NoSuchSignature {
        /// Counted from 0.
        index: usize,
    },
    /// Nobody should sign what does not hold.
    #[error("the signature at {pointer} is not correct ({status:?}): it is not countersigned")]
    Unsound {
        /// Where it stands.
        pointer: String,
        /// What it is.
        status: Status,
    },
    /// The source of randomness failed, or the key did.
    #[error("signing failed")]
    Failed,
}

/// A private key, the algorithm that it is used with, and the randomness that this takes.
pub struct SigningKey<'r> {
    algorithm: Algorithm,
    pair: Pair,
    public: PublicKey,
    random: &'r dyn SecureRandom,
}

enum Pair {
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    P521(p521::Pair),
    Ed25519(Ed25519KeyPair),
}

impl<'r> SigningKey<'r> {
    /// Reads a PEM section `PRIVATE KEY`: PKCS#8, not encrypted. RSA keys have 2048 to 4096
    /// bits.
    pub fn from_pem(
        pem: &[u8],
        algorithm: Algorithm,
        random: &'r dyn SecureRandom,
    ) -> Result<Self, Error> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| Error::NotPem)?;
        let der = der.secret_pkcs8_der();
        let rejected = |why: ring::error::KeyRejected| Error::KeyRejected {
            algorithm: algorithm.name(),
            why: why.to_string(),
        };
        let ecdsa = |curve| EcdsaKeyPair::from_pkcs8(curve, der, random).map(Pair::Ecdsa);
        let rsa = |padding: &'static dyn RsaEncoding| {
            RsaKeyPair::from_pkcs8(der).map(|pair| Pair::Rsa(Box::new(pair), padding))
        };
        let pair = match algorithm {
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::Ps384 => rsa(&signature::RSA_PSS_SHA384),
            Algorithm::Ps512 => rsa(&signature::RSA_PSS_SHA512),
            Algorithm::Es256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::Es512 => {
                let pair = p521::Pair::from_pkcs8(der).map_err(|why| Error::KeyRejected {
                    algorithm: algorithm.name(),
                    why,
                })?;
                Ok(Pair::P521(pair))
            }
            Algorithm::Ed25519 => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::Ed25519)
            }
        };
        let pair = pair.map_err(rejected)?;
        let public = pair.public(algorithm.kind())?;
        Ok(Self {
            algorithm,
            pair,
            public,
            random,
        })
    }

    /// Its public half.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_: ring::error::Unspecified| Error::Failed;
        match &self.pair {
            Pair::Rsa(pair, padding) => {
                let mut value = vec![0; pair.public().modulus_len()];
                pair.sign(*padding, self.random, message, &mut value)
                    .map_err(failed)?;
                Ok(value)
            }
            Pair::Ecdsa(pair) => {
                let value = pair.sign(self.random, message).map_err(failed)?;
                Ok(value.as_ref().to_vec())
            }
            Pair::P521(pair) => pair.sign(message, self.random).ok_or(Error::Failed),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey<'_> {
    /// Shows the public half only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("public", &self.public.fingerprint())
            .finish_non_exhaustive()
    }
}

impl Pair {
    /// The public half, as a SubjectPublicKeyInfo (RFC 3279, RFC 5480, RFC 8410).
    fn public(&self, kind: Kind) -> Result<PublicKey, key::Error> {
        let point = match self {
            Self::Rsa(pair, _) => KeyPair::public_key(&**pair).as_ref(),
            Self::Ecdsa(pair) => pair.public_key().as_ref(),
            Self::P521(pair) => pair.point(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
        };
        let (oid, parameters) = match kind {
            Kind::Rsa => (key::RSA, Some(AnyRef::NULL)),
            Kind::P256 => (key::EC, Some(AnyRef::from(&key::P256))),
            Kind::P384 => (key::EC, Some(AnyRef::from(&key::P384))),
            Kind::P521 => (key::EC, Some(AnyRef::from(&key::P521))),
            Kind::Ed25519 => (key::ED25519, None),
        };
        let written = |point| -> der::Result<Vec<u8>> {
            let algorithm = AlgorithmIdentifierRef { oid, parameters };
            let subject_public_key = BitStringRef::from_bytes(point)?;
            SubjectPublicKeyInfoRef {
                algorithm,
                subject_public_key,
            }
            .to_der()
        };
        let spki = written(point).map_err(|error| key::Error::NotAKey {
            why: error.to_string(),
        })?;
        PublicKey::from_der(&spki)
    }
}

/// Adds a signature to a document, after those that it has.
pub fn sign(
    document: &Document,
    statement: &Statement,
    key: &SigningKey<'_>,
) -> Result<Document, Error> {
    let mut playbook = object(document)?.clone();
    let mut signatures = match playbook.shift_remove("signatures") {
        None => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(verify::Error::NotAList.into()),
    };
    let signature = statement.object(&playbook, key)?;
    signatures.push(finish(&playbook, &[], signature, statement.hash, key)?);
    verify::within_limit(&signatures)?;
    playbook.insert("signatures".to_owned(), Value::Array(signatures));
    Ok(Document::of(Value::Object(playbook)))
}

/// Signs signature number `index` (from 0) of a document, with all signatures of it that
/// there are.
///
/// Fails if one of them is not correct: then it vouches for nothing. `certificates` are those
/// that they name and do not hold. Who is trusted, and whether the signatures are in force, is
/// for the caller to ask [`verify()`](super::verify()) before.
pub fn countersign(
    document: &Document,
    index: usize,
    statement: &Statement,
    key: &SigningKey<'_>,
    certificates: &Certificates,
) -> Result<Document, Error> {
    let mut policy = Policy::trusting([]);
    policy.certificates = certificates.clone();
    let report = verify::verify(document, &policy, statement.created)?;
    let signature = report.signatures.get(index);
    let signature = signature.ok_or(Error::NoSuchSignature { index })?;
    sound(signature)?;

    let mut playbook = object(document)?.clone();
    let Some(Value::Array(mut signatures)) = playbook.shift_remove("signatures") else {
        return Err(Error::NoSuchSignature { index });
    };
    let innermost = {
        let layers: Vec<_> = std::iter::successors(signatures[index].as_object(), |one| {
            one.get("signature").and_then(Value::as_object)
        })
        .collect();
        let own = statement.object(&playbook, key)?;
        finish(&playbook, &layers, own, statement.hash, key)?
    };
    let mut place = &mut signatures[index];
    while place.get("signature").is_some() {
        place = &mut place["signature"];
    }
    place["signature"] = innermost;
    verify::within_limit(&signatures)?;
    playbook.insert("signatures".to_owned(), Value::Array(signatures));
    Ok(Document::of(Value::Object(playbook)))
}

fn object(document: &Document) -> Result<&Map<String, Value>, Error> {
    let object = document.value().as_object();
    object.ok_or_else(|| verify::Error::NotAnObject.into())
}

/// Gives a signature its value. `outer` are the signatures that it signs.
fn finish(
    playbook: &Map<String, Value>,
    outer: &[&Map<String, Value>],
    mut signature: Map<String, Value>,
    hash: Hash,
    key: &SigningKey<'_>,
) -> Result<Value, Error> {
    let mut layers = outer.to_vec();
    layers.push(&signature);
    let message = Unsigned::of(playbook)?.message(&layers, hash)?;
    let value = key.sign(message.hex.as_bytes())?;
    let value = URL_SAFE_NO_PAD.encode(value);
    signature.insert("value".to_owned(), value.into());
    Ok(Value::Object(signature))
}

fn sound(signature: &Verification) -> Result<(), Error> {
    let all = std::iter::successors(Some(signature), |one| one.countersignature.as_deref());
    for one in all {
        if !one.is_sound() {
            return Err(Error::Unsound {
                pointer: one.pointer.clone(),
                status: one.status,
            });
        }
    }
    Ok(())
}
