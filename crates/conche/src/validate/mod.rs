//! `conche validate`: whether reaction files make sense, without any server.
//!
//! Scripts are checked in the sandbox that runs them. A finding names the key by JSON
//! Pointer and, where it can be told, its line and column in the file. What only fails once
//! a run comes to it (an unknown action) is a warning, as it is for the server.

mod file;
mod filter;

use std::path::{Path, PathBuf};

use clap::Args;
use conche_script::Sandbox;
use serde::Serialize;

use crate::config::Loaded;
use crate::failure::Failure;
use crate::output::{self, OutputArgs};
use crate::parts;

/// Checks reaction files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche validate reactions/*.yaml
  conche validate reactions/suspend-vm.yaml -o json

Exit code 1 where a file is invalid.")]
pub(crate) struct ValidateArgs {
    /// Reaction files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What was found in all files.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether no finding is an error.
    valid: bool,
    findings: Vec<Finding>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Severity {
    /// The file is not taken.
    Error,
    /// It is taken, but a run may fail.
    Warning,
}

/// One thing to know about a file.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    file: String,
    code: &'static str,
    severity: Severity,
    /// JSON Pointer of the key in question; empty for the whole.
    pointer: String,
    line: Option<u64>,
    column: Option<u64>,
    message: String,
    help: Option<String>,
}

/// Checks the files and prints what was found; whether all are valid.
pub(crate) async fn validate(args: ValidateArgs) -> Result<bool, Failure> {
    let config = Loaded::defaults().config;
    let sandbox = parts::sandbox(&config).await?;
    let mut findings = Vec::new();
    for path in &args.files {
        findings.append(&mut examine(path, &sandbox).await?);
    }
    let valid = !findings.iter().any(Finding::is_error);
    let report = Report { valid, findings };
    args.output
        .print(&report, |report| for_people(report, &args.files))?;
    Ok(valid)
}

/// What is to be said about one file. Fails only where the sandbox does.
pub(crate) async fn examine(path: &Path, sandbox: &Sandbox) -> Result<Vec<Finding>, Failure> {
    file::File::read(path).examine(sandbox).await
}

/// Each file's findings and, below them, what becomes of it.
fn for_people(report: &Report, files: &[PathBuf]) -> String {
    let about = |file: &PathBuf| {
        let file = file.display().to_string();
        let found: Vec<&Finding> = report
            .findings
            .iter()
            .filter(|it| it.file == file)
            .collect();
        let verdict = match &*found {
            [] => "is fine",
            found if found.iter().any(|finding| finding.is_error()) => "cannot be taken",
            _ => "can be taken",
        };
        let lines = found.into_iter().map(|finding| finding.line() + "\n");
        format!("{}{file} {verdict}\n", lines.collect::<String>())
    };
    files.iter().map(about).collect()
}

impl Finding {
    /// Whether the file is not taken for it.
    pub(crate) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// `FILE:LINE:COLUMN: error CODE: what is wrong; what to do`.
    pub(crate) fn line(&self) -> String {
        let place = match (self.line, self.column) {
            (Some(line), Some(column)) => format!(":{line}:{column}"),
            _ => String::new(),
        };
        let severity = output::coloured(match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        });
        let help = self.help.iter().map(|help| format!("; {help}"));
        let help: String = help.collect();
        let (file, code, message) = (&self.file, self.code, &self.message);
        format!("{file}{place}: {severity} {code}: {message}{help}")
    }
}
