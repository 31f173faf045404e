//! What this crate promises, checked over real sockets on loopback.

mod egress;
mod guard;
mod listener;
mod peers;
mod secrets;
mod supervisor;
mod tls;
