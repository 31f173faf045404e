//! `conche fmt`: playbooks in their usual order. The JSON value, and so every signature, stays
//! as it is.

use std::path::PathBuf;

use clap::Args;

use super::{read, write};
use crate::failure::Failure;
use crate::output;

/// Writes playbooks in their usual order.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche fmt playbooks/*.json
  conche fmt --check playbooks/*.json
  conche fmt - < block.json

Exit code 1 where --check finds a file that would change.")]
pub(crate) struct FmtArgs {
    /// Playbooks; `-` is standard input, written to standard output
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Change nothing, and say which files would change
    #[arg(long)]
    check: bool,
}

/// `conche fmt`; whether nothing is left to change.
pub(crate) fn fmt(args: FmtArgs) -> Result<bool, Failure> {
    let mut in_order = true;
    for path in &args.files {
        let standard_input = path.as_os_str() == "-";
        let document = read(path)?;
        let after = document.to_text();
        let changes = document.text() != Some(&*after);
        if args.check && changes {
            in_order = false;
            let path = output::quoted(&path.display().to_string());
            output::line(&format!("{path} would change"))?;
        } else if !args.check && (standard_input || changes) {
            write(path, &after)?;
        }
    }
    Ok(in_order)
}
