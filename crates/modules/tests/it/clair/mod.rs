//! `Clair`, `klar` and registries, against a Clair that stores and a real registry.
//!
//! For each peer: away at the start, gone in between, started again, answering nonsense, slow,
//! with a certificate that is not trusted. The tests named after bugs of CSF are where a user
//! could meet them.

mod fake;
mod fake_scan;
mod klar;
mod queue;
mod registry;
mod source;

use self::fake_scan::sha256;
