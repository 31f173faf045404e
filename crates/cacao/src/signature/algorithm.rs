//! Which hashes and signature algorithms are done, and why the others are not.
//!
//! Names are compared as they are, case and all (§10.15). What is not in a table here is
//! never tried: an algorithm is what the document says and the table knows, not what happens
//! to verify.

use ring::{digest, signature};

use super::key::{Kind, PublicKey};
use super::p521;
use super::problem::Problem;

/// How a playbook is hashed before it is signed: names of the IANA registry of named
/// information hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Hash {
    /// `sha-256`.
    #[default]
    Sha256,
    /// `sha-384`.
    Sha384,
    /// `sha-512`.
    Sha512,
}

impl Hash {
    /// All that are done.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// As a signature names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// The digest of parts, one after the other.
    pub(super) fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        let mut context = digest::Context::new(algorithm);
        for part in parts {
            context.update(part);
        }
        context.finish().as_ref().to_vec()
    }

    pub(super) fn read(name: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|hash| hash.name() == name);
        found.ok_or_else(|| Problem::UnsupportedHash {
            hash_algorithm: name.to_owned(),
        })
    }
}

/// How a digest is signed: names of the vocabulary `signature-algorithm-type-ov`.
///
/// `Ed448` and the hash-based algorithms are not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256; the signature is r and s, 32 bytes each.
    Es256,
    /// ECDSA on P-384 with SHA-384; the signature is r and s, 48 bytes each.
    Es384,
    /// ECDSA on P-521 with SHA-512; the signature is r and s, 66 bytes each. By other
    /// arithmetic than the rest, which was not audited: see `p521.rs`.
    Es512,
    /// Ed25519.
    Ed25519,
}

impl Algorithm {
    /// All that are done.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ed25519,
    ];

    /// As a signature names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// The kind of key that it needs.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                Kind::Rsa
            }
            Self::Es256 => Kind::P256,
            Self::Es384 => Kind::P384,
            Self::Es512 => Kind::P521,
            Self::Ed25519 => Kind::Ed25519,
        }
    }

    pub(super) fn read(name: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| {
            let algorithm = name.to_owned();
            if matches!(name, "HS256" | "HS384" | "HS512") {
                Problem::SymmetricAlgorithm { algorithm }
            } else {
                Problem::UnsupportedAlgorithm { algorithm }
            }
        })
    }

    /// Whether a signature of a message is a key's. The key is of the right kind.
    pub(super) fn verifies(self, key: &PublicKey, message: &[u8], value: &[u8]) -> bool {
        let verification: &'static dyn signature::VerificationAlgorithm = match self {
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Es512 => return p521::verifies(key.point(), message, value),
            Self::Ed25519 => &signature::ED25519,
        };
        signature::UnparsedPublicKey::new(verification, key.point())
            .verify(message, value)
            .is_ok()
    }
}

/// Whether a signature is written in the words of CACAO Roaster, which are nobody else's:
/// `sha256` and `RSA-SHA256`, with the value in hexadecimal.
pub(super) fn roaster(hash_algorithm: &str, algorithm: &str) -> Option<Problem> {
    let theirs = algorithm.starts_with("RSA-SHA") || hash_algorithm == "sha256";
    theirs.then(|| Problem::RoasterDialect {
        hash_algorithm: hash_algorithm.to_owned(),
        algorithm: algorithm.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary;

    #[test]
    fn every_algorithm_has_a_name_of_the_vocabulary() {
        for algorithm in Algorithm::ALL {
            assert!(
                vocabulary::SIGNATURE_ALGORITHM
                    .words
                    .contains(&algorithm.name())
            );
            assert_eq!(Algorithm::read(algorithm.name()), Ok(algorithm));
        }
    }

    #[test]
    fn what_is_not_done_is_named_and_secrets_are_no_signatures() {
        let read = |name: &str| Algorithm::read(name).map_err(|problem| problem.code());
        for name in [
            "Ed448",
            "LMS_SHA256_M32_H5",
            "XMSS-SHA2_10_256",
            "none",
            "rs256",
        ] {
            assert_eq!(read(name), Err("unsupported_algorithm"), "{name}");
        }
        assert_eq!(read("HS256"), Err("symmetric_algorithm"));
        assert!(Hash::read("SHA-256").is_err());
    }
}
