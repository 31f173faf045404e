//! The host from outside: one binary, a topic for each file.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod actions;
mod activations;
mod alarms;
mod auth;
mod bindings;
mod conductors;
mod gateway;
mod harness;
mod info;
mod invoke;
mod mortal;
mod npm;
mod parameters;
mod projection;
mod restart;
mod rules;
mod runtimes;
mod sequences;
mod store;
mod throttles;
mod web;
