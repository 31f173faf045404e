//! The binary: server and client in one. This file is its table of contents.
//!
//! A script worker, and the launcher of functions, is this same program with one argument: that
//! is looked at before anything else happens, since their cages allow no runtime, thread or
//! logger. As the first process of a container it is there twice (see `init`).

mod bench;
mod certificates;
mod cli;
mod client;
mod config;
mod copies;
mod csf;
mod doctor;
mod failure;
mod folder;
mod init;
mod input;
mod k8s;
#[cfg(feature = "failpoints")]
mod kill;
mod ledger;
mod listeners;
mod logging;
mod metrics;
mod modules;
mod notify;
mod openwhisk;
mod output;
mod parts;
mod playbooks;
mod reaction_schema;
mod run;
mod sealing;
mod serve;
mod settings;
mod signals;
mod soarca_env;
mod story;
mod telemetry;
mod validate;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};
use conche_openwhisk_host::runtimes::{CAGE_ARGUMENT, cage_main};
use conche_script::{WORKER_ARGUMENT, worker_main};
use failure::Failure;
use tokio::runtime::Builder;

/// The released version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that this was built from, where the build knows it.
const COMMIT: Option<&str> = option_env!("CONCHE_COMMIT");

fn main() -> ExitCode {
    let is_first = |argument: &str| {
        std::env::args_os()
            .nth(1)
            .is_some_and(|first| first == argument)
    };
    if is_first(WORKER_ARGUMENT) {
        return worker_main();
    }
    if is_first(CAGE_ARGUMENT) {
        return cage_main(std::env::args_os().skip(1));
    }
    if let Some(code) = init::stand_in() {
        return code;
    }
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    #[cfg(feature = "failpoints")]
    kill::arm();
    conche_runtime::tls::install_crypto_provider();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(failure) => {
            if !matches!(failure, Failure::Unread) {
                // Where standard error is gone too there is nobody left to tell.
                writeln!(std::io::stderr(), "conche: {failure}").ok();
            }
            failure.code()
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    // A client waits for one answer at a time: it needs no threads.
    let mut runtime = match &command {
        Command::Serve(_) | Command::Run(_) | Command::Bench(_) | Command::Openwhisk(_) => {
            Builder::new_multi_thread()
        }
        _ => Builder::new_current_thread(),
    };
    runtime.enable_all().build()?.block_on(carry_out(command))
}

async fn carry_out(command: Command) -> Result<ExitCode, Failure> {
    let done = match command {
        Command::Serve(args) => return serve::serve(args).await,
        Command::Openwhisk(verb) => return openwhisk::run(verb).await,
        Command::Run(args) => run::run(args).await,
        Command::Validate(args) => validate::validate(args).await,
        Command::Fmt(args) => playbooks::fmt(args),
        Command::Graph(args) => playbooks::graph(args).map(|()| true),
        Command::Sign(args) => playbooks::sign(args).map(|()| true),
        Command::Verify(args) => playbooks::verify(args),
        Command::Playbooks(verb) => playbooks::run(verb).await,
        Command::Doctor(args) => doctor::doctor(args).await,
        Command::Backup(args) => copies::backup(args).map(|()| true),
        Command::Restore(args) => copies::restore(args).map(|()| true),
        Command::Import(verb) => client::import::run(verb).await,
        Command::Events(verb) => client::events::run(verb).await.map(|()| true),
        Command::Runs(verb) => client::runs::run(verb).await.map(|()| true),
        Command::Approvals(verb) => client::approvals::run(verb).await.map(|()| true),
        Command::Reactions(verb) => client::reactions::run(verb).await,
        Command::Lists(verb) => client::lists::run(verb).await,
        Command::Sources(verb) => client::sources::run(verb).await.map(|()| true),
        Command::Tokens(verb) => client::tokens::run(verb).await.map(|()| true),
        Command::Audit(verb) => client::audit::run(verb).await,
        Command::Modules(verb) => modules::run(verb).map(|()| true),
        Command::K8s(verb) => k8s::run(verb).map(|()| true),
        Command::Config(verb) => settings::config(verb).map(|()| true),
        Command::Schema(args) => settings::schema(args).map(|()| true),
        Command::Secrets(verb) => settings::secrets(verb),
        Command::Bench(args) => bench::bench(args).await,
        Command::Completions(args) => cli::completions(args).map(|()| true),
        Command::Version(args) => cli::version(args).map(|()| true),
    };
    done.map(|in_order| ExitCode::from(u8::from(!in_order) * failure::FAILED))
}
