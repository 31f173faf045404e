//! The pure heart of Conche: its nouns and the state machine that every run follows.
//!
//! A run is a journal of [`run::Entry`] values. Folding the journal gives the
//! [`run::RunState`]; [`run::decide`] looks at the state and says which
//! [`run::Effect`] comes next. The shell around this crate (`conche-engine`)
//! records each intent, performs it and records what came of it.
//!
//! This crate never reads a clock, a file, a socket or a source of randomness:
//! `now` and new ids come in as arguments. Nothing in it is `async`.

pub mod csf;
pub mod definition;
pub mod event;
pub mod id;
pub mod json;
pub mod list;
pub mod place;
pub mod playbook;
pub mod reaction;
pub mod run;
pub mod span;
pub mod storm;
pub mod words;

pub use definition::Definition;
pub use event::Event;
pub use id::{Digest, EventId, RunId, StepId};
pub use jiff::Timestamp;
pub use json::Json;
