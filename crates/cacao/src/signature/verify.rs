//! Verifies the signatures of a document.
//!
//! A signature is valid only if four checks were made and hold: cryptography, binding, time
//! and trust. A check that was not made does not hold.

use jiff::Timestamp;
use serde_json::{Map, Value};
use thiserror::Error;

use super::canonical::{NotCanonical, Unsigned};
use super::claim::Claim;
use super::key::Certificate;
use super::policy::{Identity, Policy};
use super::problem::Problem;
use super::verification::{Check, Report, Signer, Status, Verification};
use crate::{Document, Pointer, time};

/// How many signatures of a document are looked at, those of signatures included: the whole
/// document is hashed for each.
pub const SIGNATURES_MAX: usize = 32;

/// Why a document's signatures cannot be looked at.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Error {
    /// The document is not a JSON object.
    #[error("the document is not an object")]
    NotAnObject,
    /// `signatures` is not a list.
    #[error("`signatures` is not a list")]
    NotAList,
    /// There are too many.
    #[error("there are {found} signatures; at most {SIGNATURES_MAX} are looked at")]
    TooMany {
        /// How many there are, those of signatures included.
        found: usize,
    },
}

/// Verifies all signatures that a document holds.
///
/// A document without signatures is not accepted. `now` is the time at which signatures and
/// certificates have to be valid: nothing proves when a signature was made. Whether the
/// playbook itself is revoked or out of its time is not asked here.
pub fn verify(document: &Document, policy: &Policy, now: Timestamp) -> Result<Report, Error> {
    let playbook = document.value().as_object().ok_or(Error::NotAnObject)?;
    let signatures = match playbook.get("signatures") {
        None => &[],
        Some(Value::Array(list)) => list.as_slice(),
        Some(_) => return Err(Error::NotAList),
    };
    report(playbook, signatures, policy, now)
}

/// Verifies signatures that are kept apart from their document; those in it are not looked at.
/// The pointers of the report are as if they stood in it.
pub fn verify_detached(
    document: &Document,
    signatures: &[Value],
    policy: &Policy,
    now: Timestamp,
) -> Result<Report, Error> {
    let playbook = document.value().as_object().ok_or(Error::NotAnObject)?;
    report(playbook, signatures, policy, now)
}

fn report(
    playbook: &Map<String, Value>,
    signatures: &[Value],
    policy: &Policy,
    now: Timestamp,
) -> Result<Report, Error> {
    within_limit(signatures)?;
    let examination = Examination {
        playbook,
        canonical: Unsigned::of(playbook),
        policy,
        now,
    };
    let top = Pointer::top().then("signatures");
    let each = signatures.iter().enumerate();
    let mut signatures: Vec<_> = each
        .map(|(index, signature)| examination.examine(signature, &[], &top.then(index)))
        .collect();
    supersede(&mut signatures);
    let valid = signatures.iter().filter(|one| one.status == Status::Valid);
    let mut keys: Vec<_> = valid
        .filter_map(|one| one.signer.as_ref().map(|signer| signer.key))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let required = policy.required.get();
    Ok(Report {
        accepted: keys.len() >= required,
        signers: keys.len(),
        required,
        signatures,
    })
}

/// Whether so many signatures are looked at.
pub(super) fn within_limit(signatures: &[Value]) -> Result<(), Error> {
    let found = signatures.iter().map(depth).sum();
    if found > SIGNATURES_MAX {
        return Err(Error::TooMany { found });
    }
    Ok(())
}

/// How many signatures a signature is, with that of it, and that of that.
fn depth(signature: &Value) -> usize {
    std::iter::successors(Some(signature), |one| one.get("signature")).count()
}

/// What all signatures of one document are examined with.
struct Examination<'a> {
    playbook: &'a Map<String, Value>,
    canonical: Result<Unsigned, NotCanonical>,
    policy: &'a Policy,
    now: Timestamp,
}

impl Examination<'_> {
    /// Examines a signature, and that of it. `outer` are the signatures that it signs.
    fn examine(
        &self,
        signature: &Value,
        outer: &[&Map<String, Value>],
        at: &Pointer,
    ) -> Verification {
        let mut known = unread(at);
        let Some(object) = signature.as_object() else {
            known.cryptography = Check::made(vec![Problem::NotAnObject]);
            return known;
        };
        let claim = Claim(object);
        let own = |property| claim.text(property).map(str::to_owned);
        known.id = own("id");
        known.modified = own("modified");
        known.signee = own("signee");
        known.algorithm = own("algorithm");
        known.hash_algorithm = own("hash_algorithm");

        let mut layers = outer.to_vec();
        layers.push(object);
        let identity = claim.identity(&self.policy.certificates);
        known.signer = identity.as_ref().ok().map(signer);
        match self.cryptography(&layers, &identity) {
            Ok(non_standard) => {
                known.non_standard = non_standard;
                known.cryptography = Check::made(Vec::new());
            }
            Err(problems) => known.cryptography = Check::made(problems),
        }
        known.binding = Check::made(self.binding(claim));
        known.time = Check::made(self.time(claim, identity.as_ref().ok()));
        if let Ok(identity) = &identity {
            let problems = self.policy.judge(identity, claim.text("signee"), self.now);
            known.trust = Check::made(problems);
        }
        if let Some(next) = object.get("signature") {
            let mut inner = self.examine(next, &layers, &at.then("signature"));
            if !known.is_sound() {
                inner.binding.fail(Problem::CountersignsNothing);
                inner.settle();
            }
            known.countersignature = Some(Box::new(inner));
        }
        if self.policy.countersigned && outer.is_empty() && !is_countersigned(&known) {
            known.trust.fail(Problem::NotCountersigned);
        }
        known.settle();
        known
    }

    /// Whether the key signed exactly this; says whether it did so in the way that is not
    /// standard.
    fn cryptography(
        &self,
        layers: &[&Map<String, Value>],
        identity: &Result<Identity, Problem>,
    ) -> Result<bool, Vec<Problem>> {
        let Some(claim) = layers.last().map(|object| Claim(object)) else {
            return Err(vec![Problem::NotAnObject]);
        };
        let mut problems = claim.form();
        let method = claim.method();
        // Who signs in another dialect also writes the value in its own way.
        let dialect = matches!(&method, Err(said) if said.iter().any(is_dialect));
        let value = claim.value();
        problems.extend(method.as_ref().err().into_iter().flatten().cloned());
        problems.extend(identity.as_ref().err().cloned());
        problems.extend(value.as_ref().err().filter(|_| !dialect).cloned());
        let (Ok((hash, algorithm)), Ok(identity), Ok(value)) = (method, identity, value) else {
            return Err(problems);
        };
        let kind = identity.key.kind();
        if kind != algorithm.kind() {
            problems.push(Problem::WrongKey {
                algorithm: algorithm.name(),
                kind: kind.to_string(),
            });
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let open = self.canonical.as_ref().map_err(Clone::clone);
        let message = open
            .and_then(|open| open.message(layers, hash))
            .map_err(|why| vec![Problem::NotCanonical(why)])?;
        let signed = |bytes: &[u8]| algorithm.verifies(&identity.key, bytes, &value);
        if signed(message.hex.as_bytes()) {
            Ok(false)
        } else if self.policy.raw_digest && signed(&message.digest) {
            Ok(true)
        } else {
            Err(vec![Problem::Incorrect])
        }
    }

    fn binding(&self, claim: Claim<'_>) -> Vec<Problem> {
        let own = |property: &str| {
            let text = self.playbook.get(property).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let (id, modified) = (own("id"), own("modified"));
        let playbook = claim.need("related_to").map(str::to_owned);
        let version = claim.need("related_version").map(str::to_owned);
        let problems = [
            match playbook {
                Ok(named) if named == id && !id.is_empty() => None,
                Ok(related_to) => Some(Problem::OtherPlaybook { related_to, id }),
                Err(problem) => Some(problem),
            },
            match version {
                Ok(named) if named == modified && !modified.is_empty() => None,
                Ok(related_version) => Some(Problem::OtherVersion {
                    related_version,
                    modified,
                }),
                Err(problem) => Some(problem),
            },
        ];
        problems.into_iter().flatten().collect()
    }

    fn time(&self, claim: Claim<'_>, identity: Option<&Identity>) -> Vec<Problem> {
        let said = |property| claim.text(property).unwrap_or_default().to_owned();
        let revoked = match claim.revoked() {
            Ok(revoked) => revoked.then_some(Problem::Revoked),
            Err(problem) => Some(problem),
        };
        let from = match claim.time("valid_from") {
            Ok(from) => from.filter(|from| self.now < *from).map(|_| {
                let valid_from = said("valid_from");
                Problem::NotYetValid { valid_from }
            }),
            Err(problem) => Some(problem),
        };
        let until = match claim.time("valid_until") {
            Ok(until) => until.filter(|until| self.now >= *until).map(|_| {
                let valid_until = said("valid_until");
                Problem::Expired { valid_until }
            }),
            Err(problem) => Some(problem),
        };
        let leaf = identity.and_then(|identity| identity.chain.first());
        let certificate = leaf.and_then(|leaf| {
            let (not_before, not_after) = leaf.validity();
            if self.now < not_before {
                let not_before = not_before.to_string();
                Some(Problem::CertificateNotYetValid { not_before })
            } else if self.now > not_after {
                let not_after = not_after.to_string();
                Some(Problem::CertificateExpired { not_after })
            } else {
                None
            }
        });
        let problems = [revoked, from, until, certificate];
        problems.into_iter().flatten().collect()
    }
}

fn is_dialect(problem: &Problem) -> bool {
    matches!(problem, Problem::RoasterDialect { .. })
}

/// Nothing was looked at, so nothing holds.
fn unread(at: &Pointer) -> Verification {
    Verification {
        pointer: at.to_string(),
        status: Status::Malformed,
        id: None,
        modified: None,
        signee: None,
        algorithm: None,
        hash_algorithm: None,
        signer: None,
        non_standard: false,
        cryptography: Check::default(),
        binding: Check::default(),
        time: Check::default(),
        trust: Check::default(),
        countersignature: None,
    }
}

fn signer(identity: &Identity) -> Signer {
    let leaf = identity.chain.first();
    Signer {
        key: identity.key.fingerprint(),
        certificate: leaf.map(Certificate::thumbprint),
        subject: leaf.map(|leaf| leaf.subject().to_owned()),
    }
}

/// Whether somebody else has validly countersigned.
fn is_countersigned(signature: &Verification) -> bool {
    let key = |one: &Verification| one.signer.as_ref().map(|signer| signer.key);
    let inner = signature.countersignature.as_deref();
    std::iter::successors(inner, |one| one.countersignature.as_deref())
        .any(|one| one.status == Status::Valid && key(one) != key(signature))
}

/// A signature gives way to a later version of it: of the same id, by the same key, and sound
/// itself, so that nobody but its maker can put it out of force.
fn supersede(signatures: &mut [Verification]) {
    let sound = signatures.iter().filter(|one| one.is_sound());
    let versions: Vec<_> = sound
        .map(|one| (one.id.clone(), one.signer.clone(), one.modified.clone()))
        .collect();
    for signature in signatures {
        let Some(own) = signature.modified.as_deref().and_then(instant) else {
            continue;
        };
        let same = versions.iter().filter(|(id, signer, _)| {
            let key = |signer: &Option<Signer>| signer.as_ref().map(|signer| signer.key);
            *id == signature.id && key(signer) == key(&signature.signer)
        });
        let later = same.filter_map(|(_, _, modified)| {
            let text = modified.clone()?;
            instant(&text).filter(|at| *at > own).map(|at| (at, text))
        });
        if let Some((_, modified)) = later.max() {
            signature.time.fail(Problem::Superseded { modified });
            signature.settle();
        }
    }
}

fn instant(text: &str) -> Option<Timestamp> {
    time::read(text).ok().map(|(at, _)| at)
}
