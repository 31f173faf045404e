//! The binary: server and client in one. This file is its table of contents.
//!
//! A script worker is this same program with one argument: that is looked at before
//! anything else happens, since the worker's cage allows no runtime, thread or logger.

mod cli;
mod config;
mod failure;
mod listeners;
mod logging;
mod metrics;
mod notify;
mod output;
mod parts;
mod serve;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};
use conche_script::{WORKER_ARGUMENT, worker_main};
use failure::Failure;

/// The released version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == WORKER_ARGUMENT)
    {
        return worker_main();
    }
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    conche_runtime::tls::install_crypto_provider();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(failure) => {
            // Where standard error is gone too there is nobody left to tell.
            writeln!(std::io::stderr(), "conche: {failure}").ok();
            failure.code()
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    let runtime = match &command {
        Command::Serve(_) => tokio::runtime::Builder::new_multi_thread(),
    }
    .enable_all()
    .build()?;
    runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::serve(args).await,
        }
    })
}
