//! Everything that can be wrong with a signature, each thing with a word of its own.

use serde::ser::{Serialize, SerializeStruct, Serializer};
use thiserror::Error;

use super::canonical::NotCanonical;
use super::key::{self, Fingerprint};

/// One reason why a signature is not valid.
///
/// Serialised as `{"code", "message"}`; the codes are stable, the messages are for people.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The signature is not a JSON object.
    #[error("a signature is an object")]
    NotAnObject,
    /// A property is missing, or not what it should be.
    #[error("`{property}` is missing or malformed: {why}")]
    Malformed {
        /// Its name.
        property: &'static str,
        /// What it should be.
        why: &'static str,
    },
    /// There is no form of key, or more than one.
    #[error(
        "exactly one of public_key, public_cert_chain, cert_url and thumbprint says which key it is; here: {}",
        list(found)
    )]
    KeyForms {
        /// Those that there are.
        found: Vec<&'static str>,
    },
    /// The key or certificate is not taken.
    #[error("`{property}`: {error}")]
    Key {
        /// The form of the key.
        property: &'static str,
        /// What is wrong with it.
        error: key::Error,
    },
    /// An algorithm that is not done.
    #[error("signatures by {algorithm} are not verified here")]
    UnsupportedAlgorithm {
        /// As the signature names it.
        algorithm: String,
    },
    /// An algorithm whose key is a secret: who can verify could have signed.
    #[error("{algorithm} is symmetric: whoever can verify it could have made it")]
    SymmetricAlgorithm {
        /// As the signature names it.
        algorithm: String,
    },
    /// A hash that is not done.
    #[error("`{hash_algorithm}` is no hash that is done; there are sha-256, sha-384 and sha-512")]
    UnsupportedHash {
        /// As the signature names it.
        hash_algorithm: String,
    },
    /// Written by CACAO Roaster in its own words.
    #[error(
        "`{hash_algorithm}` with `{algorithm}` is how CACAO Roaster signs, in words and an encoding that CACAO 2.0 does not have: have it signed again by a tool that keeps to the standard"
    )]
    RoasterDialect {
        /// As the signature names it.
        hash_algorithm: String,
        /// As the signature names it.
        algorithm: String,
    },
    /// The certificates are elsewhere: fetch them, and verify again.
    #[error("the certificates at {url} are needed")]
    NeedsCertificates {
        /// Where they are.
        url: String,
    },
    /// Only the thumbprint of the certificate is known: find it, and verify again.
    #[error("the certificate with the thumbprint {thumbprint} is needed")]
    NeedsCertificate {
        /// Its thumbprint.
        thumbprint: Fingerprint,
    },
    /// The key cannot have made a signature by that algorithm.
    #[error("{algorithm} needs another kind of key than {kind}")]
    WrongKey {
        /// As the signature names it.
        algorithm: &'static str,
        /// The kind of the key.
        kind: String,
    },
    /// The playbook has no canonical form.
    #[error("the playbook cannot be signed: {0}")]
    NotCanonical(NotCanonical),
    /// The key did not sign this playbook with this signature.
    #[error("the signature is not the key's, or the playbook or the signature was changed")]
    Incorrect,

    /// Made for another playbook.
    #[error("it is of `{related_to}`, and this is `{id}`")]
    OtherPlaybook {
        /// The playbook that it names.
        related_to: String,
        /// The playbook's own id.
        id: String,
    },
    /// Made for another version of the playbook.
    #[error("it is of the version of {related_version}, and this is the version of {modified}")]
    OtherVersion {
        /// The version that it names.
        related_version: String,
        /// The playbook's own.
        modified: String,
    },
    /// A countersignature of a signature that is not correct, or of another playbook.
    #[error("what it countersigns is no correct signature of this playbook")]
    CountersignsNothing,

    /// Taken back by its maker.
    #[error("it is revoked")]
    Revoked,
    /// There is a later version of it.
    #[error("it was replaced at {modified}")]
    Superseded {
        /// The time of the later version.
        modified: String,
    },
    /// Not valid yet.
    #[error("it is valid from {valid_from} on")]
    NotYetValid {
        /// From when.
        valid_from: String,
    },
    /// Not valid any more.
    #[error("it was valid until {valid_until}")]
    Expired {
        /// Until when.
        valid_until: String,
    },
    /// The signer's certificate is not valid yet.
    #[error("its certificate is valid from {not_before} on")]
    CertificateNotYetValid {
        /// From when.
        not_before: String,
    },
    /// The signer's certificate is not valid any more.
    #[error("its certificate was valid until {not_after}")]
    CertificateExpired {
        /// Until when.
        not_after: String,
    },

    /// The policy trusts neither the key nor the certificate, and no root that it leads to.
    #[error("nothing that is trusted stands behind the key {key}")]
    UnknownSigner {
        /// The digest of the key.
        key: Fingerprint,
    },
    /// The certificate does not lead to a root that is trusted.
    #[error("the certificate does not lead to a trusted root: {why}")]
    UntrustedChain {
        /// In the words of who checked it.
        why: String,
    },
    /// The signer is trusted, but not under this name.
    #[error("the signer is not trusted as `{signee}`")]
    SigneeNotAllowed {
        /// The name.
        signee: String,
    },
    /// The policy wants a second signer.
    #[error("nobody else who is trusted has countersigned it")]
    NotCountersigned,
}

impl Problem {
    /// Its stable word.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::Malformed { .. } => "malformed",
            Self::KeyForms { .. } => "key_forms",
            Self::Key { error, .. } => match error {
                key::Error::Unsupported { .. } => "unsupported_key",
                key::Error::Weak { .. } => "weak_key",
                _ => "malformed_key",
            },
            Self::UnsupportedAlgorithm { .. } => "unsupported_algorithm",
            Self::SymmetricAlgorithm { .. } => "symmetric_algorithm",
            Self::UnsupportedHash { .. } => "unsupported_hash",
            Self::RoasterDialect { .. } => "roaster_dialect",
            Self::NeedsCertificates { .. } => "needs_certificates",
            Self::NeedsCertificate { .. } => "needs_certificate",
            Self::WrongKey { .. } => "wrong_key",
            Self::NotCanonical(_) => "not_canonical",
            Self::Incorrect => "incorrect",
            Self::OtherPlaybook { .. } => "other_playbook",
            Self::OtherVersion { .. } => "other_version",
            Self::CountersignsNothing => "countersigns_nothing",
            Self::Revoked => "revoked",
            Self::Superseded { .. } => "superseded",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Expired { .. } => "expired",
            Self::CertificateNotYetValid { .. } => "certificate_not_yet_valid",
            Self::CertificateExpired { .. } => "certificate_expired",
            Self::UnknownSigner { .. } => "unknown_signer",
            Self::UntrustedChain { .. } => "untrusted_chain",
            Self::SigneeNotAllowed { .. } => "signee_not_allowed",
            Self::NotCountersigned => "not_countersigned",
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Problem", 2)?;
        object.serialize_field("code", self.code())?;
        object.serialize_field("message", &self.to_string())?;
        object.end()
    }
}

fn list(found: &[&str]) -> String {
    if found.is_empty() {
        "none".to_owned()
    } else {
        found.join(", ")
    }
}
