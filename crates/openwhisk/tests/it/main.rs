//! What users of this crate see, as one binary.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod client;
mod command;
mod fake;
mod models;
