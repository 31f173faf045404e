//! What sources and actions share to speak to the same kind of peer.
//!
//! A client connects, speaks and tells what it learnt; it decides nothing about events or
//! runs, keeps nothing that must survive, and writes no log. Addresses come from the
//! configuration only, never from events or scripts, so they pass by the egress check; the
//! parts of HTTP requests and answers (`request`, `outcome`) know no addresses, and `ssh` and
//! `winrm`, whose addresses come from playbooks, ask the egress check for each.

pub(crate) mod amqp;
pub(crate) mod backoff;
pub(crate) mod clair;
pub(crate) mod kubernetes;
pub(crate) mod mqtt;
pub(crate) mod nats;
pub(crate) mod outcome;
pub(crate) mod registry;
pub(crate) mod request;
pub(crate) mod ssh;
pub(crate) mod winrm;
