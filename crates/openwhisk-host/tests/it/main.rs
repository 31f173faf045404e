//! The host from outside: one binary, a topic for each file.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod actions;
mod auth;
mod bindings;
mod harness;
mod info;
mod invoke;
mod mortal;
mod restart;
mod rules;
mod runtimes;
mod sequences;
mod store;
mod throttles;
