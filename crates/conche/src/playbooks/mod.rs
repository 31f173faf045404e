//! CACAO playbooks on the command line: `fmt`, `graph`, `sign`, `verify` and `playbooks`. What
//! they say is said by `conche-cacao`; here is only what reads files and prints. The verbs that
//! ask a server are in `client::playbooks`.

mod compare;
mod draft;
mod export;
mod fmt;
mod graph;
mod sign;
pub(crate) mod summary;
mod verify;

use std::path::Path;

use clap::Subcommand;
use conche_cacao::{Document, json};
use ring::rand::{SecureRandom, SystemRandom};
use uuid::{Builder, Uuid};

pub(crate) use self::fmt::{FmtArgs, fmt};
pub(crate) use self::graph::{GraphArgs, graph};
pub(crate) use self::sign::{SignArgs, sign};
pub(crate) use self::verify::{VerifyArgs, verify};
use crate::client::playbooks as client;
use crate::failure::Failure;
use crate::{input, validate};

/// What to do with playbooks.
#[derive(Debug, Subcommand)]
pub(crate) enum Playbooks {
    /// Write a new playbook that validates, to begin with
    #[command(after_help = "Example:
  conche playbooks new --name 'Block an address' > block.json")]
    New(draft::NewArgs),
    /// Show what a playbook is and does
    Show(client::Show),
    /// Show what changed from one playbook to another, by what it means
    #[command(after_help = "Example:
  conche playbooks diff block.json block-2.json

Exit code 1 where they differ.")]
    Diff(compare::DiffArgs),
    /// Print the processing summary that is true of a playbook, or write it into the file
    #[command(after_help = "Example:
  conche playbooks summary block.json --write")]
    Summary(summary::SummaryArgs),
    /// Write a playbook so that other executors carry it out
    #[command(after_help = "Example:
  conche playbooks export enrich.json --portable > enrich-portable.json")]
    Export(export::ExportArgs),
    /// List the playbooks that a server has, and files that it refused
    List(client::List),
    /// Give a server a playbook, or a further version of one
    Put(client::Put),
    /// Take a playbook from a server, in every version
    Remove(client::Named),
    /// List the versions of a playbook that a server has
    Versions(client::Named),
    /// Have a server run a playbook
    Run(client::Run),
}

/// `conche playbooks`; whether all is in order.
pub(crate) async fn run(verb: Playbooks) -> Result<bool, Failure> {
    match verb {
        Playbooks::New(args) => draft::new(&args).map(|()| true),
        Playbooks::Show(args) => client::show(args).await,
        Playbooks::Diff(args) => compare::diff(&args),
        Playbooks::Summary(args) => summary::summary(&args).map(|()| true),
        Playbooks::Export(args) => export::export(&args).map(|()| true),
        Playbooks::List(args) => client::list(args).await,
        Playbooks::Put(args) => client::put(args).await,
        Playbooks::Remove(args) => client::remove(args).await,
        Playbooks::Versions(args) => client::versions(args).await,
        Playbooks::Run(args) => client::run(args).await,
    }
}

/// A UUID of version 4.
fn random_uuid() -> Result<Uuid, Failure> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Failure::Failed("this machine gives no randomness".to_owned()))?;
    Ok(Builder::from_random_bytes(bytes).into_uuid())
}

/// Reads a playbook, however wrong it is; what is none, or no I-JSON, is told with its place.
pub(crate) fn read(path: &Path) -> Result<Document, Failure> {
    let failed = |what: String| Failure::Failed(format!("{}{what}", path.display()));
    let text = input::text(path)?;
    let document = Document::parse(text.as_bytes()).map_err(|error| match error {
        json::Error::NotIJson { .. } => failed(format!(" is no I-JSON: {error}")),
        error => failed(format!(": {error}")),
    })?;
    if validate::says_playbook(document.value()) {
        return Ok(document);
    }
    let none = " is no playbook: it has neither the `type` playbook nor a `spec_version`";
    Err(failed(none.to_owned()))
}

/// Puts a whole file in the place of another, or prints it where that is standard input.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if path == Path::new("-") {
        return crate::output::line(text.trim_end());
    }
    let failed = |error| Failure::of(&format!("can't write {}", path.display()), error);
    // A link stays one: what it leads to is replaced.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let mut file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    if let Ok(before) = std::fs::metadata(path) {
        file.as_file()
            .set_permissions(before.permissions())
            .map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
