//! Public keys and certificates, and the digests by which they are known.
//!
//! Nothing here trusts anything: a key that is read is only well-formed, of a kind that is
//! done, and long enough.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::digest;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Serialize, Serializer};
use thiserror::Error;
use x509_cert::der::asn1::UintRef;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::pkix::KeyUsage;
use x509_cert::spki::SubjectPublicKeyInfoRef;

pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(super) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(super) const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
pub(super) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// An RSA key with fewer bits can be broken.
const RSA_BITS_MIN: usize = 2048;

/// Why a key or certificate is not taken.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Error {
    /// Not standard base64.
    #[error("it is not standard base64")]
    NotBase64,
    /// No PEM section of the kind that is wanted.
    #[error("it holds no PEM section `{wanted}`")]
    NotPem {
        /// What its header should say.
        wanted: &'static str,
    },
    /// Not a public key.
    #[error("it is not the DER of a SubjectPublicKeyInfo: {why}")]
    NotAKey {
        /// In the reader's words.
        why: String,
    },
    /// Not a certificate.
    #[error("it is not the DER of an X.509 certificate: {why}")]
    NotACertificate {
        /// In the reader's words.
        why: String,
    },
    /// A key of a kind that is not done.
    #[error("keys of the kind {kind} are not done")]
    Unsupported {
        /// The object identifiers of the algorithm and its curve.
        kind: String,
    },
    /// A key that can be broken.
    #[error("an RSA key of {bits} bits is too short, {RSA_BITS_MIN} are needed")]
    Weak {
        /// Its length.
        bits: usize,
    },
    /// Not the SHA-256 digest of anything.
    #[error("`{text}` is not a SHA-256 digest in base64url or hexadecimal")]
    NotAFingerprint {
        /// What stands instead.
        text: String,
    },
}

/// The SHA-256 digest by which a key (of its SubjectPublicKeyInfo) or a certificate is known.
///
/// Written in base64url, as CACAO's `thumbprint`; read from that and from hexadecimal, with
/// or without colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(der: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        Self(bytes)
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let hex: String = text.chars().filter(|char| *char != ':').collect();
        let bytes = if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let pairs = (0..64).step_by(2);
            pairs
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok())
                .collect()
        } else {
            URL_SAFE_NO_PAD.decode(text).ok()
        };
        let exact = bytes.and_then(|bytes: Vec<u8>| bytes.try_into().ok());
        exact.map(Self).ok_or_else(|| Error::NotAFingerprint {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a key can be used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// A public key of a kind that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: Kind,
    spki: Vec<u8>,
    point: Vec<u8>,
}

impl PublicKey {
    /// Reads the DER of a SubjectPublicKeyInfo (RFC 5280).
    pub fn from_der(spki: &[u8]) -> Result<Self, Error> {
        let malformed = |error: x509_cert::der::Error| Error::NotAKey {
            why: error.to_string(),
        };
        let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(malformed)?;
        let (algorithm, curve) = (info.algorithm.oid, info.algorithm.parameters_oid().ok());
        let kind = match (algorithm, curve) {
            (RSA, None) => Kind::Rsa,
            (EC, Some(P256)) => Kind::P256,
            (EC, Some(P384)) => Kind::P384,
            (EC, Some(P521)) => Kind::P521,
            (ED25519, None) => Kind::Ed25519,
            (algorithm, curve) => {
                let curve = curve.map(|oid| format!(" with {oid}")).unwrap_or_default();
                let kind = format!("{algorithm}{curve}");
                return Err(Error::Unsupported { kind });
            }
        };
        let point = info.subject_public_key.as_bytes();
        let point = point.ok_or_else(|| Error::NotAKey {
            why: "it is not made of whole bytes".to_owned(),
        })?;
        if kind == Kind::Rsa {
            let bits = rsa_bits(point).map_err(malformed)?;
            if bits < RSA_BITS_MIN {
                return Err(Error::Weak { bits });
            }
        }
        Ok(Self {
            kind,
            spki: spki.to_vec(),
            point: point.to_vec(),
        })
    }

    /// Reads a PEM section `PUBLIC KEY`.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let der = rustls_pki_types::SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| {
            Error::NotPem {
                wanted: "PUBLIC KEY",
            }
        })?;
        Self::from_der(&der)
    }

    /// Reads what a signature calls `public_key`: the body of the PEM form.
    pub(super) fn from_base64(text: &str) -> Result<Self, Error> {
        Self::from_der(&from_base64(text)?)
    }

    /// The digest by which it is known.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.spki)
    }

    /// The DER of its SubjectPublicKeyInfo.
    pub fn der(&self) -> &[u8] {
        &self.spki
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The key alone, without what says of which kind it is.
    pub(super) fn point(&self) -> &[u8] {
        &self.point
    }
}

/// The length in bits of the modulus of an RSAPublicKey (RFC 8017, A.1.1).
fn rsa_bits(key: &[u8]) -> x509_cert::der::Result<usize> {
    let mut reader = SliceReader::new(key)?;
    reader.sequence(|inner| {
        let modulus = UintRef::decode(inner)?;
        UintRef::decode(inner)?;
        let first = modulus.as_bytes().first().copied().unwrap_or_default();
        Ok((modulus.as_bytes().len() * 8).saturating_sub(first.leading_zeros() as usize))
    })
}

/// A certificate that was read; whether it is trusted is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    spki: Vec<u8>,
    subject: String,
    may_sign: bool,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Certificate {
    /// Reads the DER of an X.509 certificate (RFC 5280).
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let malformed = |error: x509_cert::der::Error| Error::NotACertificate {
            why: error.to_string(),
        };
        let read = x509_cert::Certificate::from_der(der).map_err(malformed)?;
        let signed = read.tbs_certificate;
        let usage = signed.get::<KeyUsage>().map_err(malformed)?;
        let at = |time: x509_cert::time::Time| {
            let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
            Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
        };
        Ok(Self {
            der: CertificateDer::from(der.to_vec()),
            spki: signed.subject_public_key_info.to_der().map_err(malformed)?,
            subject: signed.subject.to_string(),
            may_sign: usage
                .is_none_or(|(_, usage)| usage.digital_signature() || usage.non_repudiation()),
            not_before: at(signed.validity.not_before),
            not_after: at(signed.validity.not_after),
        })
    }

    /// Reads all PEM sections `CERTIFICATE`, in their order; at least one.
    pub fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, Error> {
        const NONE: Error = Error::NotPem {
            wanted: "CERTIFICATE",
        };
        let sections = CertificateDer::pem_slice_iter(pem);
        let all = sections
            .map(|der| Self::from_der(&der.map_err(|_| NONE)?))
            .collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() { Err(NONE) } else { Ok(all) }
    }

    pub(super) fn from_base64(text: &str) -> Result<Self, Error> {
        Self::from_der(&from_base64(text)?)
    }

    /// The digest by which it is known: CACAO's `thumbprint`.
    pub fn thumbprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der)
    }

    /// Its key, if that is of a kind that is done.
    pub fn public_key(&self) -> Result<PublicKey, Error> {
        PublicKey::from_der(&self.spki)
    }

    /// Whose it is (RFC 4514).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// From when until when it is valid, both included.
    pub const fn validity(&self) -> (Timestamp, Timestamp) {
        (self.not_before, self.not_after)
    }

    pub(super) const fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whether its `keyUsage` lets its key sign; without one, it does.
    pub(super) const fn may_sign(&self) -> bool {
        self.may_sign
    }

    /// As `public_cert_chain` holds it.
    pub(super) fn to_base64(&self) -> String {
        STANDARD.encode(&self.der)
    }
}

/// Standard base64, as the body of a PEM section: line breaks mean nothing.
fn from_base64(text: &str) -> Result<Vec<u8>, Error> {
    let body: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(body).map_err(|_| Error::NotBase64)
}
