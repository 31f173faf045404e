//! The binary from the outside: processes, files, sockets, exit codes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod admission;
mod alone;
mod csf;
mod demo;
mod example_playbooks;
mod extension_schemas;
mod first;
mod fuzz_manifests;
mod fuzz_openwhisk;
mod fuzz_playbooks;
mod openwhisk;
mod openwhisk_deploy;
mod openwhisk_functions;
mod openwhisk_verbs;
mod pages;
mod playbooks;
mod recipes;
mod reload;
mod script_lists;
mod secrets;
mod senders;
mod serve;
mod served_playbooks;
mod server;
mod signed_playbooks;
mod soarca_triggers;
mod telemetry;
#[cfg(feature = "failpoints")]
mod torture;
mod unit;
mod verbs;
mod waiting;
