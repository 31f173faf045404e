//! The host from outside: one binary, a topic for each file.

mod actions;
mod auth;
mod bindings;
mod harness;
mod info;
mod invoke;
mod mortal;
mod restart;
mod rules;
mod sequences;
mod store;
mod throttles;
