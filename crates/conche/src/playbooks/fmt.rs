//! `conche fmt`: playbooks in their usual order. The JSON value, and so every signature, stays
//! as it is.

use std::path::{Path, PathBuf};
use std::slice;

use clap::Args;

use super::{read, write};
use crate::failure::Failure;
use crate::{input, output, validate};

/// Writes playbooks in their usual order.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche fmt playbooks/*.json
  conche fmt --check playbooks/
  conche fmt - < block.json

Exit code 1 where --check finds a file that would change.")]
pub(crate) struct FmtArgs {
    /// Playbooks and folders of them; `-` is standard input, written to standard output
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Change nothing, and say which files would change
    #[arg(long)]
    check: bool,
}

/// `conche fmt`; whether nothing is left to change.
pub(crate) fn fmt(args: FmtArgs) -> Result<bool, Failure> {
    let mut in_order = true;
    for named in &args.files {
        for path in playbooks(named)? {
            in_order &= put_in_order(&path, args.check)?;
        }
    }
    Ok(in_order)
}

/// The file that is named, or the playbooks of the folder: what else is in it is left alone.
fn playbooks(named: &PathBuf) -> Result<Vec<PathBuf>, Failure> {
    if !named.is_dir() {
        return Ok(vec![named.clone()]);
    }
    let mut found = Vec::new();
    for path in validate::files(slice::from_ref(named))? {
        if validate::is_playbook(&input::text(&path)?) {
            found.push(path);
        }
    }
    Ok(found)
}

fn put_in_order(path: &Path, check: bool) -> Result<bool, Failure> {
    let document = read(path)?;
    let after = document.to_text();
    let changes = document.text() != Some(&*after);
    if check && changes {
        let path = output::quoted(&path.display().to_string());
        output::line(&format!("{path} would change"))?;
        return Ok(false);
    }
    if !check && (changes || path == Path::new("-")) {
        write(path, &after)?;
    }
    Ok(true)
}
