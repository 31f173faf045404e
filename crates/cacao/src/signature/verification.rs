//! What is known of a signature once it was verified: everything at once, so that nobody has
//! to correct one thing to learn of the next.

use serde::Serialize;

use super::key::{self, Fingerprint};
use super::problem::Problem;

/// One question about a signature, and its answer. What was not looked at does not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Whether the answer is yes.
    pub holds: bool,
    /// Why not. Empty also where the question could not be asked.
    pub problems: Vec<Problem>,
}

impl Check {
    /// The answer of a check that was made.
    pub(super) const fn made(problems: Vec<Problem>) -> Self {
        Self {
            holds: problems.is_empty(),
            problems,
        }
    }

    pub(super) fn fail(&mut self, problem: Problem) {
        self.holds = false;
        self.problems.push(problem);
    }
}

/// The one word for a signature: the first that fits, from the top. What is further down is
/// greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is not a signature of CACAO 2.0.
    Malformed,
    /// It is made in a way that is not done here.
    Unsupported,
    /// The certificates of its key have to be got first; see [`Verification::needs`].
    NeedsCertificates,
    /// Its key did not sign this.
    Incorrect,
    /// It is correct, and of another playbook or version.
    Unbound,
    /// It is correct, and revoked, replaced, not yet or no longer valid.
    NotInForce,
    /// It is correct, and nobody says that its signer is to be trusted.
    Untrusted,
    /// Cryptography, binding, time and trust hold.
    Valid,
}

/// Who holds the key of a signature, as far as the signature says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Signer {
    /// The digest of the public key.
    pub key: Fingerprint,
    /// The thumbprint of the certificate, if there is one.
    pub certificate: Option<Fingerprint>,
    /// The subject of the certificate. Who issued it chose it: trust is another question.
    pub subject: Option<String>,
}

/// What is known of one signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// Where the signature is in the document, as a JSON Pointer.
    pub pointer: String,
    /// The one word.
    pub status: Status,
    /// Its id.
    pub id: Option<String>,
    /// When this version of it was made, as it is written.
    pub modified: Option<String>,
    /// The name that the signer gives itself.
    pub signee: Option<String>,
    /// The name of the algorithm.
    pub algorithm: Option<String>,
    /// The name of the hash.
    pub hash_algorithm: Option<String>,
    /// Whose key it is, where the key could be read.
    pub signer: Option<Signer>,
    /// Whether it is correct only when the digest itself was signed instead of its
    /// hexadecimal form: see [`Policy::raw_digest`](super::Policy::raw_digest).
    pub non_standard: bool,
    /// Whether the key signed exactly this.
    pub cryptography: Check,
    /// Whether it is of this playbook in this version.
    pub binding: Check,
    /// Whether it is in force now.
    pub time: Check,
    /// Whether the policy trusts the signer.
    pub trust: Check,
    /// The signature of this signature. Not part of what this one signs.
    pub countersignature: Option<Box<Self>>,
}

impl Verification {
    /// What has to be got before this signature can be verified.
    pub fn needs(&self) -> impl Iterator<Item = &Problem> {
        self.cryptography.problems.iter().filter(|problem| {
            matches!(
                problem,
                Problem::NeedsCertificates { .. } | Problem::NeedsCertificate { .. }
            )
        })
    }

    /// All that is wrong, in the order in which it weighs.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let checks = [&self.cryptography, &self.binding, &self.time, &self.trust];
        checks.into_iter().flat_map(|check| &check.problems)
    }

    /// Whether the key signed exactly this, for this playbook in this version.
    pub(super) const fn is_sound(&self) -> bool {
        self.cryptography.holds && self.binding.holds
    }

    pub(super) fn settle(&mut self) {
        self.status = if !self.cryptography.holds {
            self.why_not()
        } else if !self.binding.holds {
            Status::Unbound
        } else if !self.time.holds {
            Status::NotInForce
        } else if self.trust.holds {
            Status::Valid
        } else {
            Status::Untrusted
        };
    }

    fn why_not(&self) -> Status {
        let of = |problem: &Problem| match problem {
            Problem::Incorrect => Status::Incorrect,
            Problem::NeedsCertificates { .. } | Problem::NeedsCertificate { .. } => {
                Status::NeedsCertificates
            }
            Problem::UnsupportedAlgorithm { .. }
            | Problem::SymmetricAlgorithm { .. }
            | Problem::UnsupportedHash { .. }
            | Problem::RoasterDialect { .. }
            | Problem::Key {
                error: key::Error::Unsupported { .. } | key::Error::Weak { .. },
                ..
            } => Status::Unsupported,
            _ => Status::Malformed,
        };
        let each = self.cryptography.problems.iter().map(of);
        each.min().unwrap_or(Status::Malformed)
    }
}

/// What is known of all signatures of a playbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Whether as many signers as the policy wants have signed validly.
    pub accepted: bool,
    /// How many different keys have made a valid signature. Countersignatures do not count.
    pub signers: usize,
    /// How many the policy wants.
    pub required: usize,
    /// Each signature, in the order of the document.
    pub signatures: Vec<Verification>,
}
