//! `conche validate`: whether reaction files make sense, without any server.
//!
//! Scripts are checked in the sandbox that runs them. A finding names the key by JSON
//! Pointer and, where it can be told, its line and column in the file. What only fails once
//! a run comes to it (an unknown action) is a warning, as it is for the server.

use std::path::{Path, PathBuf};

use clap::Args;
use conche_core::reaction::{self, Authored, Format, Reaction};
use conche_engine::Filter;
use conche_modules::actions;
use conche_script::Sandbox;
use serde::Serialize;
use serde_json::Value;

use crate::config::{self, Key, Loaded, Place};
use crate::failure::Failure;
use crate::output::{self, OutputArgs};
use crate::{input, parts};

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
struct Finding {
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
        let mut file = File::new(path)?;
        file.check(&sandbox).await?;
        findings.append(&mut file.findings);
    }
    let valid = !findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    let report = Report { valid, findings };
    args.output
        .print(&report, |report| for_people(report, args.files.len()))?;
    Ok(valid)
}

fn for_people(report: &Report, files: usize) -> String {
    let what = if files == 1 { "the file" } else { "the files" };
    let can = if report.valid { "can" } else { "can not" };
    let found: String = report.findings.iter().map(Finding::line).collect();
    format!("{found}{what} {can} be taken\n")
}

impl Finding {
    /// `FILE:LINE:COLUMN: error CODE: what is wrong; what to do`.
    fn line(&self) -> String {
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
        format!("{file}{place}: {severity} {code}: {message}{help}\n")
    }
}

/// A file under examination.
struct File<'a> {
    path: &'a Path,
    text: String,
    findings: Vec<Finding>,
}

impl<'a> File<'a> {
    fn new(path: &'a Path) -> Result<Self, Failure> {
        Ok(Self {
            path,
            text: input::text(path)?,
            findings: Vec::new(),
        })
    }

    async fn check(&mut self, sandbox: &Sandbox) -> Result<(), Failure> {
        let Some(reaction) = self.read() else {
            return Ok(());
        };
        if let Some(when) = &reaction.when
            && let Err(error) = Filter::compile(when)
        {
            self.error("filter", Place::of(&["when"]), error.to_string());
        }
        self.check_script(sandbox, Place::top(), &reaction.script)
            .await?;
        for (name, action) in &reaction.actions {
            let place = Place::of(&["actions", name]);
            self.check_action(&place, action);
            self.check_script(sandbox, place, &action.script).await?;
        }
        Ok(())
    }

    /// The reaction, where the file holds one.
    fn read(&mut self) -> Option<Reaction> {
        let extension = self.path.extension().unwrap_or_default().to_string_lossy();
        // A file of another name is refused below.
        let format = Format::of_extension(&extension).unwrap_or(Format::Yaml);
        if let Err(reaction::Error::Syntax {
            line,
            column,
            message,
        }) = Authored::parse(&self.text, format)
        {
            let finding = self.error("syntax", Place::top(), message);
            (finding.line, finding.column) = (Some(line), Some(column));
            return None;
        }
        conche_engine::read_reaction(self.path)
            .map_err(|message| self.error("invalid", Place::top(), message))
            .ok()
    }

    fn check_action(&mut self, place: &Place, action: &reaction::Action) {
        let modules: Vec<&str> = actions::ALL.iter().map(|module| module.name).collect();
        let module = actions::ALL
            .iter()
            .find(|module| module.name == action.module);
        let (key, word, known) = match module {
            None => ("module", &action.module, modules),
            Some(module) => {
                let names: Vec<&str> = module.actions.iter().map(|spec| spec.name).collect();
                if names.contains(&&*action.action) {
                    return;
                }
                ("action", &action.action, names)
            }
        };
        let help = match config::closest(word, &known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are: {}", known.join(", ")),
        };
        let code = if key == "module" {
            "unknown_module"
        } else {
            "unknown_action"
        };
        let message = format!("unknown {key} `{word}`");
        let finding = self.error(code, place.then(Key::named(key)), message);
        finding.severity = Severity::Warning;
        finding.help = Some(help);
    }

    async fn check_script(
        &mut self,
        sandbox: &Sandbox,
        place: Place,
        source: &str,
    ) -> Result<(), Failure> {
        let (line, column, message) = match sandbox.check(source).await {
            Ok(()) => return Ok(()),
            Err(conche_script::Error::Script {
                message,
                line,
                column,
                ..
            }) => (line.unwrap_or(1), column.unwrap_or(1), message),
            Err(error) => return Err(Failure::of("can't check a script", error)),
        };
        let message = format!("{message} (line {line}, column {column} of the script)");
        let inline = place.then(Key::named("script"));
        let block = config::find(&self.text, &inline).and_then(|at| block_start(&self.text, at));
        if let Some((first_line, indent)) = block {
            let finding = self.error("script_syntax", inline, message);
            finding.line = Some(first_line + u64::from(line) - 1);
            finding.column = Some(indent + u64::from(column));
        } else if self.names_a_file(&place) {
            self.error(
                "script_syntax",
                place.then(Key::named("script_file")),
                message,
            );
        } else {
            self.error("script_syntax", inline, message);
        }
        Ok(())
    }

    fn names_a_file(&self, place: &Place) -> bool {
        let value: Result<Value, _> = serde_saphyr::from_str(&self.text);
        let pointer = place.then(Key::named("script_file")).pointer();
        value.is_ok_and(|value| value.pointer(&pointer).is_some())
    }

    /// Adds an error at a key.
    fn error(&mut self, code: &'static str, place: Place, message: String) -> &mut Finding {
        let at = config::find(&self.text, &place);
        self.findings.push(Finding {
            file: self.path.display().to_string(),
            code,
            severity: Severity::Error,
            pointer: place.pointer(),
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            message,
            help: None,
        });
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }
}

/// Where the text of a YAML block (`script: |`) begins: its first line, and the columns
/// before its first character. `None` for a value in any other style.
fn block_start(text: &str, (line, column): (u64, u64)) -> Option<(u64, u64)> {
    let index = usize::try_from(line).ok()?;
    let column = usize::try_from(column).ok()?;
    let mut lines = text.lines().skip(index - 1);
    let key: String = lines.next()?.chars().skip(column - 1).collect();
    let style = key.split_once(':')?.1.trim_start();
    if !style.starts_with(['|', '>']) {
        return None;
    }
    let first = lines.find(|line| !line.trim().is_empty())?;
    let indent = first.chars().take_while(|char| *char == ' ').count();
    Some((line + 1, indent as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_block_has_lines_of_its_own() {
        let text = "name: r\nscript: |\n\n  a\n  b\n";
        assert_eq!(block_start(text, (2, 1)), Some((3, 2)));
        assert_eq!(block_start("script: a b\n", (1, 1)), None);
        assert_eq!(block_start("script: |\n", (1, 1)), None);
    }
}
