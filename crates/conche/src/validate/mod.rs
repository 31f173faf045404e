//! `conche validate`: whether reaction files and CACAO playbooks make sense, without any
//! server. A file is a playbook if its content says so.
//!
//! Scripts are checked in the sandbox that runs them. A finding names the key by JSON
//! Pointer and, where it can be told, its line and column in the file. What only fails once
//! a run comes to it (an unknown action) is a warning, as it is for the server.

mod extensions;
mod file;
mod filter;
mod playbook;
mod report;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use conche_cacao::Profile;
use conche_script::Sandbox;
use serde::Serialize;

use self::extensions::{Named, Schemas};
pub(crate) use self::playbook::{is_meant as is_playbook, says_so as says_playbook};
use crate::config::{self, Loaded};
use crate::failure::Failure;
use crate::output::{self, Form, OutputArgs};
use crate::parts;

/// Checks reaction files and playbooks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche validate reactions/*.yaml
  conche validate playbooks/ --profile strict
  conche validate reactions/ --config conche.yaml
  conche validate block.json -o sarif > findings.sarif
  conche validate block.json \\
    --extension-schema extension-definition--6bf46c69-7d2c-4f82-aeea-cbe226e87555=tickets.json

Forms of the output (-o): table, json, yaml, sarif (2.1.0), junit.
Exit code 1 where a file is invalid. docs/findings.md explains the findings of playbooks.")]
pub(crate) struct ValidateArgs {
    /// Reaction files, playbooks and folders of them; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How strictly playbooks are judged: lenient, standard or strict
    #[arg(long, default_value_t = Profile::Standard)]
    profile: Profile,
    /// The JSON Schema of an extension: the identifier of its definition and a file, or a folder
    /// with files `extension-definition--UUID.json`; may be repeated. None is ever fetched
    #[arg(long, value_name = "ID=FILE|FOLDER")]
    extension_schema: Vec<Named>,
    /// The configuration that they are for: its recipes are modules too [default: none]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// By what playbooks are judged.
struct Measure {
    profile: Profile,
    schemas: Schemas,
}

impl Measure {
    /// How a server judges them.
    fn standard() -> Result<Self, Failure> {
        Ok(Self {
            profile: Profile::Standard,
            schemas: Schemas::of(&[])?,
        })
    }
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
    let config = match &args.config {
        Some(file) => Loaded::load(Some(file), config::environment())?.config,
        None => Loaded::defaults().config,
    };
    let sandbox = parts::sandbox(&config).await?;
    let measure = Measure {
        profile: args.profile,
        schemas: Schemas::of(&args.extension_schema)?,
    };
    let files = files(&args.files)?;
    let mut findings = Vec::new();
    let mut texts = HashMap::new();
    for path in &files {
        let file = file::File::read(path);
        texts.insert(path.display().to_string(), file.text().to_owned());
        findings.append(&mut file.examine(&sandbox, &measure).await?);
    }
    let valid = !findings.iter().any(Finding::is_error);
    let report = Report { valid, findings };
    match args.output.output {
        Form::Table => output::text(&for_people(&report, &files, &texts))?,
        Form::Json => output::json(&report)?,
        Form::Yaml => output::yaml(&report)?,
        Form::Sarif => output::json(&report::sarif(&report.findings))?,
        Form::Junit => output::line(&report::junit(&report.findings, &files))?,
    }
    Ok(valid)
}

/// What is to be said about one file. Fails only where the sandbox does.
pub(crate) async fn examine(path: &Path, sandbox: &Sandbox) -> Result<Vec<Finding>, Failure> {
    let file = file::File::read(path);
    file.examine(sandbox, &Measure::standard()?).await
}

/// The files that are meant: those that are named, and those of folders that end as reactions
/// and playbooks do, in the order of their names.
pub(crate) fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut all = Vec::new();
    for path in named {
        if path.is_dir() {
            let before = all.len();
            let root = std::fs::canonicalize(path)
                .map_err(|error| Failure::of(&format!("can't read {}", path.display()), error))?;
            within(path, (&root, DEPTH_MAX), &mut all)?;
            if all.len() == before {
                let folder = path.display();
                return Err(Failure::Failed(format!(
                    "{folder} holds no .json, .yaml or .yml file"
                )));
            }
        } else {
            all.push(path.clone());
        }
    }
    Ok(all)
}

/// Folders within each other that are looked into.
const DEPTH_MAX: usize = 16;

fn within(
    folder: &Path,
    (root, depth): (&Path, usize),
    all: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    let failed = |error| Failure::of(&format!("can't read {}", folder.display()), error);
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    paths.sort();
    for path in paths {
        let ends = path
            .extension()
            .is_some_and(|end| end == "json" || end == "yaml" || end == "yml");
        // A link to a folder could lead back to one around it, and one to a file to what is none
        // of the folder's, whose lines would be shown.
        if path.is_symlink() {
            let inside = std::fs::canonicalize(&path).is_ok_and(|to| to.starts_with(root));
            if ends && !inside {
                let path = path.display();
                return Err(Failure::Failed(format!(
                    "{path} is a link that leads elsewhere; name it if it is meant"
                )));
            }
            if ends && path.is_file() {
                all.push(path);
            }
        } else if path.is_dir() {
            // What is not looked at must not pass for valid.
            let deeper = depth.checked_sub(1).ok_or_else(|| {
                let path = path.display();
                Failure::Failed(format!("{path} is more than {DEPTH_MAX} folders down"))
            })?;
            within(&path, (root, deeper), all)?;
        } else if ends && path.is_file() {
            all.push(path);
        }
    }
    Ok(())
}

/// Each file's findings and, below them, what becomes of it.
fn for_people(report: &Report, files: &[PathBuf], texts: &HashMap<String, String>) -> String {
    let by_file = by_file(&report.findings);
    let about = |file: &PathBuf| {
        let file = file.display().to_string();
        let found = by_file.get(file.as_str()).map_or(&[][..], Vec::as_slice);
        let verdict = match found {
            [] => "is fine",
            found if found.iter().any(|finding| finding.is_error()) => "cannot be taken",
            _ => "can be taken",
        };
        let text = texts.get(&file).map(String::as_str).unwrap_or_default();
        let text: Vec<&str> = text.lines().collect();
        let lines = found
            .iter()
            .map(|finding| finding.line() + "\n" + &finding.snippet(&text));
        let lines: String = lines.collect();
        format!("{lines}{} {verdict}\n", output::quoted(&file))
    };
    files.iter().map(about).collect()
}

/// The findings of each file.
fn by_file(findings: &[Finding]) -> HashMap<&str, Vec<&Finding>> {
    let mut by_file: HashMap<&str, Vec<&Finding>> = HashMap::new();
    for finding in findings {
        by_file.entry(&finding.file).or_default().push(finding);
    }
    by_file
}

/// The longest line that is shown, in characters.
const WIDTH_MAX: usize = 200;

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Finding {
    /// Whether the file is not taken for it.
    pub(crate) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// `FILE:LINE:COLUMN: error CODE: what is wrong; what to do`.
    pub(crate) fn line(&self) -> String {
        self.said(&output::coloured(self.severity.word()))
    }

    /// The same without colours.
    fn plain(&self) -> String {
        self.said(self.severity.word())
    }

    /// The line of the file that it is about, and a mark under the place.
    fn snippet(&self, text: &[&str]) -> String {
        let at = self.line.zip(self.column).and_then(|(line, column)| {
            let line = text.get(usize::try_from(line).ok()?.checked_sub(1)?)?;
            Some((line, usize::try_from(column).ok()?.saturating_sub(1)))
        });
        let Some((line, column)) = at.filter(|(line, _)| line.chars().count() <= WIDTH_MAX) else {
            return String::new();
        };
        let number = self.line.map(|line| line.to_string()).unwrap_or_default();
        let (line, gap) = (line.replace('\t', " "), " ".repeat(number.len()));
        format!("  {number} | {line}\n  {gap} | {}^\n", " ".repeat(column))
    }

    fn said(&self, severity: &str) -> String {
        let place = match (self.line, self.column) {
            (Some(line), Some(column)) => format!(":{line}:{column}"),
            _ => String::new(),
        };
        let help = self.help.iter().map(|help| format!("; {help}"));
        let help: String = help.collect();
        let (file, code) = (output::quoted(&self.file), self.code);
        let message = output::quoted(&format!("{}{help}", self.message));
        format!("{file}{place}: {severity} {code}: {message}")
    }
}
