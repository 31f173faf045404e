//! Who is trusted to sign. Cryptography says which key signed; this says whether that is
//! worth anything.
//!
//! A policy starts with trusting nobody. The name that a signer gives itself never makes it
//! trusted: it can only narrow the trust in a key.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use jiff::Timestamp;
use rustls_pki_types::{TrustAnchor, UnixTime};
use thiserror::Error;

use super::key::{Certificate, Fingerprint, PublicKey};
use super::problem::Problem;

/// `id-kp-…` (RFC 5280, RFC 9336): what a certificate may be for if it says what it is for.
const PURPOSES: [&[usize]; 4] = [
    &[1, 3, 6, 1, 5, 5, 7, 3, 36], // documentSigning
    &[1, 3, 6, 1, 5, 5, 7, 3, 3],  // codeSigning
    &[1, 3, 6, 1, 5, 5, 7, 3, 4],  // emailProtection
    &[2, 5, 29, 37, 0],            // anyExtendedKeyUsage
];

/// `documentSigning` again, as the content of its DER.
const DOCUMENT_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 36];

/// Not a root that certificates can lead to.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("`{subject}` cannot be a root: {why}")]
pub struct NotARoot {
    /// Whose certificate it is.
    pub subject: String,
    /// In the words of who read it.
    pub why: String,
}

/// What trust is given to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Anchor {
    Key(Fingerprint),
    Certificate(Fingerprint),
    Root(Box<TrustAnchor<'static>>),
}

/// A key, certificate or root that is trusted, and under which names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    anchor: Anchor,
    signees: Vec<String>,
}

impl Trusted {
    /// Trusts one key, however it is shown. Validity of certificates is still checked.
    pub const fn key(fingerprint: Fingerprint) -> Self {
        Self::by(Anchor::Key(fingerprint))
    }

    /// Trusts one certificate.
    pub const fn certificate(thumbprint: Fingerprint) -> Self {
        Self::by(Anchor::Certificate(thumbprint))
    }

    /// Trusts all whose certificates lead to a root: name the signees too, or choose a root
    /// that certifies nobody else. Certificates that are for something else than signing
    /// documents, code or mail are not taken. Revocation lists are not consulted.
    pub fn root(certificate: &Certificate) -> Result<Self, NotARoot> {
        let anchor = webpki::anchor_from_trusted_cert(certificate.der());
        let anchor = anchor.map_err(|error| NotARoot {
            subject: certificate.subject().to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self::by(Anchor::Root(Box::new(anchor.to_owned()))))
    }

    /// Only under these names (`signee`).
    pub fn only_as(mut self, signees: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.signees = signees.into_iter().map(Into::into).collect();
        self
    }

    const fn by(anchor: Anchor) -> Self {
        Self {
            anchor,
            signees: Vec::new(),
        }
    }

    fn takes(&self, signee: Option<&str>) -> bool {
        self.signees.is_empty()
            || signee.is_some_and(|signee| self.signees.iter().any(|one| one == signee))
    }
}

/// Certificates that signatures name and do not hold. Being here makes none of them trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificates {
    /// By thumbprint; intermediate ones may be among them.
    pub known: Vec<Certificate>,
    /// What was fetched from a `cert_url`, leaf first. Such a URL is the document's word:
    /// whoever fetches it decides which hosts may be asked.
    pub fetched: BTreeMap<String, Vec<Certificate>>,
}

/// What makes a signature valid and a playbook accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Who is trusted. Empty: nobody.
    pub trusted: Vec<Trusted>,
    /// How many different keys have to have signed.
    pub required: NonZeroUsize,
    /// Whether each signature needs a valid countersignature by another key.
    pub countersigned: bool,
    /// Whether a signature of the digest itself, rather than of its hexadecimal form, is
    /// taken too. Not standard; such a signature is marked as that.
    pub raw_digest: bool,
    /// Certificates that signatures name and do not hold.
    pub certificates: Certificates,
}

impl Policy {
    /// One signer, out of these.
    pub fn trusting(trusted: impl IntoIterator<Item = Trusted>) -> Self {
        Self {
            trusted: trusted.into_iter().collect(),
            required: NonZeroUsize::MIN,
            countersigned: false,
            raw_digest: false,
            certificates: Certificates::default(),
        }
    }

    /// Why a signer is not trusted.
    pub(super) fn judge(
        &self,
        identity: &Identity,
        signee: Option<&str>,
        now: Timestamp,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for trusted in &self.trusted {
            match identity.stands_on(&trusted.anchor, now) {
                Ok(true) if trusted.takes(signee) => return Vec::new(),
                Ok(true) => problems.push(Problem::SigneeNotAllowed {
                    signee: signee.unwrap_or_default().to_owned(),
                }),
                Ok(false) => {}
                Err(why) => problems.push(Problem::UntrustedChain { why }),
            }
        }
        if problems.is_empty() {
            let key = identity.key.fingerprint();
            problems.push(Problem::UnknownSigner { key });
        }
        problems.dedup();
        problems
    }
}

/// The key of a signature, and the certificates that vouch for it, leaf first.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) key: PublicKey,
    pub(super) chain: Vec<Certificate>,
}

impl Identity {
    /// Whether an anchor is behind it; fails where that is a root and the chain does not hold.
    fn stands_on(&self, anchor: &Anchor, now: Timestamp) -> Result<bool, String> {
        let leaf = self.chain.first();
        match anchor {
            Anchor::Key(key) => Ok(self.key.fingerprint() == *key),
            Anchor::Certificate(one) => Ok(leaf.is_some_and(|leaf| leaf.thumbprint() == *one)),
            Anchor::Root(root) => match leaf {
                Some(leaf) => leads_to(leaf, &self.chain[1..], root, now).map(|()| true),
                None => Ok(false),
            },
        }
    }
}

/// Checks that a certificate leads to a root, now, and that it may sign documents.
fn leads_to(
    leaf: &Certificate,
    others: &[Certificate],
    root: &TrustAnchor<'static>,
    now: Timestamp,
) -> Result<(), String> {
    if !leaf.may_sign() {
        return Err("its keyUsage is not for signatures".to_owned());
    }
    let intermediates: Vec<_> = others.iter().map(|other| other.der().clone()).collect();
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let read = webpki::EndEntityCert::try_from(leaf.der()).map_err(|error| error.to_string())?;
    read.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        std::slice::from_ref(root),
        &intermediates,
        time,
        ForDocuments,
        None,
        None,
    )
    .map(|_| ())
    .map_err(|error| error.to_string())
}

/// Takes certificates that do not say what they are for, or that are for signing.
struct ForDocuments;

impl webpki::ExtendedKeyUsageValidator for ForDocuments {
    fn validate(&self, purposes: webpki::KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        for purpose in purposes {
            let purpose = purpose?.to_decoded_oid();
            if PURPOSES.contains(&purpose.as_slice()) {
                return Ok(());
            }
            present.push(purpose);
        }
        if !present.is_empty() {
            let context = webpki::RequiredEkuNotFoundContext {
                required: webpki::KeyUsage::required(DOCUMENT_SIGNING),
                present,
            };
            return Err(webpki::Error::RequiredEkuNotFoundContext(context));
        }
        Ok(())
    }
}
