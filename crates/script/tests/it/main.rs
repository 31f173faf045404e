//! The sandbox from outside: real worker processes, real scripts.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod hostile;
mod isolation;
mod jq;
mod kubernetes;
mod lists;
mod pool;
mod probes;
mod rig;
mod semantics;
