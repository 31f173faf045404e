//! What the crate promises, as its users see it.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod attacks;
mod examples;
mod faults;
mod pages;
mod pictures;
mod required;
mod roundtrip;
mod schema;
mod shell;
mod signature;
