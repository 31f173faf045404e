//! The binary from the outside: processes, files, sockets, exit codes.

mod alone;
mod serve;
mod server;
#[cfg(feature = "failpoints")]
mod torture;
mod verbs;
