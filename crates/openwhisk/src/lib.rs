//! Apache OpenWhisk from the outside: what its REST API speaks of ([`model`]), a
//! [`client`] of it,
//! and the `openwhisk` [`command`] of CACAO playbooks.

pub mod client;
pub mod command;
pub mod model;
