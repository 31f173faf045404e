//! `conche backup` and `conche restore`: copies of the store, by the files alone.
//!
//! Neither speaks to a server: a copy can be taken while one runs and also where none will
//! start any more.

use std::path::PathBuf;

use clap::Args;
use conche_core::Timestamp;
use conche_store::sqlite::{self, Copy};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::OutputArgs;
use crate::settings::ConfigArgs;

/// Takes a copy.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche backup --config conche.yaml /backup/conche-$(date +%F).db

A server may be running on the store meanwhile. The file is written under another name, checked
whole and then given its own; one that is there is never overwritten. It holds events and
results as they are: keep it as safe as the data folder. Secrets, reactions in files and the
configuration are not in it.")]
pub(crate) struct BackupArgs {
    /// The file to write
    #[arg(value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Puts a copy back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche restore --config conche.yaml /backup/conche-2026-11-22.db
  conche restore --cancel-unfinished /backup/conche-2026-11-22.db

The data folder must have no store: move the old one away first. What has happened since the
copy was taken is not in it. Runs that had not ended go on from where they were then, as after
the death of a process that may have done anything since: what can be repeated is repeated with
the same keys, what can be asked is asked, and where neither holds the run needs attention.
Answers and retries that no run had heeded yet are to be given again. With --cancel-unfinished
such runs are cancelled instead.")]
pub(crate) struct RestoreArgs {
    /// The file to read
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Cancel every run that had not ended when the copy was taken
    #[arg(long)]
    cancel_unfinished: bool,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `conche backup`.
pub(crate) fn backup(args: BackupArgs) -> Result<(), Failure> {
    let data_dir = args.config.load()?.config.data_dir;
    let copy = sqlite::backup(&data_dir, &args.to, Timestamp::now())
        .map_err(|error| Failure::of("no copy was taken", error))?;
    let file = args.to.display();
    args.output
        .print(&document(&copy), |_| format!("{file}: {}", told(&copy)))
}

/// `conche restore`.
pub(crate) fn restore(args: RestoreArgs) -> Result<(), Failure> {
    let data_dir = args.config.load()?.config.data_dir;
    let cancel = args.cancel_unfinished.then_some("conche restore");
    let copy = sqlite::restore(&args.from, &data_dir, cancel, Timestamp::now()).map_err(refused)?;
    let dir = data_dir.display();
    args.output.print(&document(&copy), |_| {
        let then = match (copy.unfinished, args.cancel_unfinished) {
            (0, _) => "",
            (_, true) => "; those will be cancelled as the server starts",
            (_, false) => "; those go on as the server starts",
        };
        format!("{dir}: {}{then}", told(&copy))
    })
}

fn refused(error: conche_store::Error) -> Failure {
    use conche_store::Error::{Exists, Locked};
    let help = match &error {
        Exists { .. } => ": a copy never replaces a store, so move the data folder away first",
        Locked(_) => ": stop the server first, and move the data folder away",
        _ => "",
    };
    Failure::Failed(format!("nothing was restored: {error}{help}"))
}

fn document(copy: &Copy) -> Value {
    json!({
        "bytes": copy.bytes,
        "format": copy.format,
        "events": copy.events,
        "runs": copy.runs,
        "unfinished": copy.unfinished,
    })
}

fn told(copy: &Copy) -> String {
    let Copy {
        bytes,
        events,
        runs,
        unfinished,
        ..
    } = copy;
    format!("{bytes} bytes, {events} events, {runs} runs, {unfinished} of them not ended")
}
