//! `ssh` with a real OpenSSH server, and with AsyncSSH for what asks for passwords.

mod commands;
mod hosts;
mod logins;
pub(crate) mod server;
