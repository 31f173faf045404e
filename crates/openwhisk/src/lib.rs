//! Apache OpenWhisk from the outside: what its REST API speaks of ([`model`]), a
//! [`client`] of it, the `openwhisk` [`command`] of CACAO playbooks, and what describes functions
//! and puts them on a host ([`deploy`]).

pub mod client;
pub mod command;
pub mod deploy;
pub mod model;
