//! What every outer crate needs once: supervised tasks with an ordered
//! shutdown, the hardened HTTP listener, the egress-checked HTTP client and
//! secrets.
//!
//! The rules that protect the process from the network live here so that no
//! other crate has to repeat them: a task starts only through [`supervisor`],
//! a port is opened only by [`listener`], an outward connection is checked by
//! [`egress`], and a credential is read only through [`secrets`].
//!
//! This crate must never know what an event, a run or a playbook is. It
//! depends on no other workspace crate.

pub mod clock;
pub mod egress;
pub mod listener;
pub mod process;
pub mod secrets;
pub mod supervisor;
pub mod tls;
pub mod units;
pub mod whereabouts;
