//! What this crate promises, checked over real sockets on loopback.

#![allow(
    clippy::unwrap_used,
    reason = "the peers that the tests share have nobody to report to"
)]

mod egress;
mod guard;
mod listener;
mod peers;
mod secrets;
mod supervisor;
mod tls;
