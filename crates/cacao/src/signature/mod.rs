//! Digital signatures of playbooks (§10.15): made, countersigned, verified, and trusted or not.
//!
//! What is signed is the lowercase hexadecimal digest, as ASCII, of the canonical playbook
//! with the one signature in it, without its value. That is how OASIS's own example is
//! signed; the wording of the specification alone would let one sign the digest itself.
//! A countersignature signs the signature that it is in, with its value.
//!
//! [`verify()`] answers four questions about each signature, all at once: is it the key's
//! (cryptography), is it of this playbook in this version (binding), is it in force (time),
//! does the [`Policy`] trust who signed (trust). Only if all four hold is it
//! [`Valid`](Status::Valid); a signature that is correct and by a stranger is
//! [`Untrusted`](Status::Untrusted).
//!
//! Nothing here reads a file, a clock or a socket: keys, certificates and the time come in as
//! arguments, and certificates that a signature only names are asked for in its
//! [`Verification`].
//!
//! ```
//! use conche_cacao::Document;
//! use conche_cacao::signature::{
//!     Algorithm, Policy, SigningKey, Statement, Status, Trusted, sign, verify,
//! };
//!
//! let playbook = Document::parse(br#"{
//!     "type": "playbook", "spec_version": "cacao-2.0", "name": "Block it",
//!     "id": "playbook--0f5a7b9e-6a3c-4e5f-9d3a-5b8a6c2f1e70",
//!     "modified": "2026-01-01T00:00:00.000Z"
//! }"#)?;
//!
//! // Whoever signs brings the key, the randomness, the time and the id of the signature.
//! let pem = include_bytes!("../../tests/it/keys/ed25519.pem");
//! let random = ring::rand::SystemRandom::new();
//! let key = SigningKey::from_pem(pem, Algorithm::Ed25519, &random)?;
//! let now = "2026-01-02T00:00:00Z".parse()?;
//! let id = "2d0a1b5c-4f6e-4a7b-8c9d-0e1f2a3b4c5d".parse()?;
//! let signed = sign(&playbook, &Statement::new(id, now, "ACME"), &key)?;
//!
//! // Whoever verifies brings the keys that it trusts.
//! let ours = Trusted::key(key.public_key().fingerprint());
//! let report = verify(&signed, &Policy::trusting([ours]), now)?;
//! assert!(report.accepted);
//!
//! // Without them, the signature is correct, and worth nothing.
//! let report = verify(&signed, &Policy::trusting([]), now)?;
//! assert!(!report.accepted);
//! assert_eq!(report.signatures[0].status, Status::Untrusted);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod algorithm;
mod canonical;
mod claim;
pub mod key;
mod p521;
mod policy;
mod problem;
pub mod sign;
mod statement;
mod verification;
pub mod verify;

pub use self::algorithm::{Algorithm, Hash};
pub use self::canonical::{NotCanonical, canonical};
pub use self::key::{Certificate, Fingerprint, PublicKey};
pub use self::policy::{Certificates, NotARoot, Policy, Trusted};
pub use self::problem::Problem;
pub use self::sign::{SigningKey, countersign, sign};
pub use self::statement::{KeyForm, Statement};
pub use self::verification::{Check, Report, Signer, Status, Verification};
pub use self::verify::{SIGNATURES_MAX, verify, verify_detached};
