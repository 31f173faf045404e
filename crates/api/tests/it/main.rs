//! The API over real HTTP: an engine on a memory store behind the hardened listener.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may panic like tests themselves"
)]

mod access;
mod approvals;
mod audit;
mod bodies;
mod csf;
mod documents;
mod events;
mod lists;
mod playbooks;
mod reactions;
mod runs;
mod server;
mod soarca;
mod system;
mod tails;
mod tokens;
