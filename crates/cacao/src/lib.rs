//! OASIS CACAO 2.0 security playbooks (Committee Specification 01, 27 November 2023).
//!
//! A [`Document`] is a playbook as it was written: nothing of it is lost, so that it can be
//! written again, and its signatures verified, as its author meant it. [`Playbook`] is the
//! typed view that a program works with. [`check`](Document::check) says everything that is
//! wrong with a document at once, each finding with a stable code and its place in the text.
//!
//! This crate is pure: it reads no file, no clock, no socket and no source of randomness.
//! What it needs of these comes in as arguments.

pub mod check;
pub mod condition;
pub mod document;
pub mod draw;
pub mod finding;
pub mod graph;
pub mod identifier;
pub mod json;
pub mod model;
pub mod place;
pub mod pointer;
pub mod profile;
pub mod schema;
pub mod shape;
pub mod signature;
pub mod time;
pub mod variable;
pub mod vocabulary;
mod write;

pub use document::Document;
pub use finding::{Finding, Severity};
pub use model::Playbook;
pub use pointer::Pointer;
pub use profile::Profile;
