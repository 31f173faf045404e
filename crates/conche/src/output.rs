//! Standard output: one value, as a table for people or as JSON or YAML for programs.
//!
//! A reader that went away, as `head` does, is no fault of the command. Control characters
//! in what others sent never reach a terminal: they could move its cursor or worse.

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// One JSON value.
    Json,
    /// One YAML document.
    Yaml,
    /// SARIF 2.1.0, for code scanning: findings only.
    #[value(hide = true)]
    Sarif,
    /// JUnit, for CI servers: findings only.
    #[value(hide = true)]
    Junit,
}

/// `-o`, before or after the verb.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArgs {
    /// The form of the output
    #[arg(
        long,
        short,
        global = true,
        value_name = "FORM",
        default_value = "table"
    )]
    pub(crate) output: Form,
}

impl OutputArgs {
    /// Prints a value; `table` makes the text for people.
    pub(crate) fn print<T, F>(self, value: &T, table: F) -> Result<(), Failure>
    where
        T: Serialize,
        F: FnOnce(&T) -> String,
    {
        match self.output {
            Form::Table => text(&table(value)),
            Form::Json => json(value),
            Form::Yaml => yaml(value),
            Form::Sarif | Form::Junit => Err(only_findings()),
        }
    }
}

/// What is no finding has no form for programs that read findings.
pub(crate) fn only_findings() -> Failure {
    Failure::Usage("SARIF and JUnit are for findings: `conche validate` writes them".to_owned())
}

/// Prints a value as JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), Failure> {
    let written = serde_json::to_string_pretty(value);
    line(&written.map_err(|error| Failure::of("can't write the answer as JSON", error))?)
}

/// Prints a value as YAML.
pub(crate) fn yaml<T: Serialize>(value: &T) -> Result<(), Failure> {
    let written = serde_saphyr::to_string(value);
    text(&written.map_err(|error| Failure::of("can't write the answer as YAML", error))?)
}

/// Writes a text that may have come from elsewhere.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    line(&harmless(text.trim_end()))
}

/// Writes one line as it is.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// A text without control characters, but for line ends and [`coloured`]'s colours.
fn harmless(text: &str) -> String {
    let colour = |rest: &str| COLOURS.iter().any(|code| rest.starts_with(code));
    text.char_indices()
        .map(|(at, char)| match char {
            '\n' => '\n',
            '\u{1b}' if colour(&text[at..]) => char,
            char if char.is_control() || turns(char) => '\u{fffd}',
            char => char,
        })
        .collect()
}

/// Whether a character breaks lines or turns the direction of writing, so that a text can look
/// like another.
fn turns(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What others wrote, on one line, with escapes for what would not be seen: they cannot add
/// lines to what is said about them.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() || turns(char) {
            quoted.extend(char.escape_unicode());
        } else {
            quoted.push(char);
        }
    }
    quoted
}

/// Rows of a list as columns under their headings. Each column is a heading and the JSON
/// Pointer of its value within a row.
pub(crate) fn table(rows: &[Value], columns: &[(&str, &str)]) -> String {
    let headings = columns.iter().map(|(heading, _)| (*heading).to_owned());
    let mut lines: Vec<Vec<String>> = vec![headings.collect()];
    lines.extend(rows.iter().map(|row| {
        let cells = columns.iter().map(|(_, pointer)| row.pointer(pointer));
        cells
            .map(|cell| cell.map_or_else(|| "-".to_owned(), plain))
            .collect()
    }));
    let width = |column: usize| {
        let cells = lines.iter().map(move |line| line[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A value in one line, texts without quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('\n', " "),
        Value::Null => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const PLAIN: &str = "\u{1b}[0m";
const COLOURS: [&str; 4] = [RED, GREEN, YELLOW, PLAIN];

/// A word that says how something went, in its colour where a person reads it.
pub(crate) fn coloured(word: &str) -> String {
    let colour = match word {
        "succeeded" => GREEN,
        "failed" | "error" => RED,
        "needs_attention" | "awaiting_answer" | "paused" | "uncertain" | "warning" => YELLOW,
        _ => return word.to_owned(),
    };
    if io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("{colour}{word}{PLAIN}")
    } else {
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = [
            serde_json::json!({ "name": "a", "owner": { "file": "x.yaml" } }),
            serde_json::json!({ "name": "longer", "events": ["e", "f"] }),
        ];
        let columns = [
            ("NAME", "/name"),
            ("FILE", "/owner/file"),
            ("EVENTS", "/events"),
        ];
        let expected = "NAME    FILE    EVENTS\na       x.yaml  -\nlonger  -       e, f\n";
        assert_eq!(table(&rows, &columns), expected);
    }

    #[test]
    fn what_others_sent_cannot_steer_a_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\nc"), "a\u{fffd}[2Jb\u{fffd}\nc");
        let word = format!("{RED}failed{PLAIN}");
        assert_eq!(harmless(&word), word);
    }
}
