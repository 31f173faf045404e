//! `conche playbooks export`: a playbook for other executors.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use conche_openwhisk::command::portable;

use super::read;
use crate::failure::Failure;
use crate::output;

/// Writes a playbook for others.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The playbook; `-` is standard input
    file: PathBuf,
    /// Give each openwhisk command an http-api command that any executor carries out, and keep
    /// ours as an extension of the step; signatures no longer hold then
    #[arg(long, required = true)]
    portable: bool,
}

/// Prints the playbook, and on standard error what to know about it.
pub(crate) fn export(args: &ExportArgs) -> Result<(), Failure> {
    let document = read(&args.file)?;
    let made = portable(document.value());
    let (made, notes) = made.map_err(|error| Failure::Failed(error.to_string()))?;
    for note in notes {
        writeln!(std::io::stderr(), "note: {}", output::quoted(&note)).ok();
    }
    output::json(&made)
}
