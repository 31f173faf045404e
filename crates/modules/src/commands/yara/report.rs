//! What the program wrote, line by line: `RULE FILE` and, below it, `0xOFFSET:$NAME: DATA` for
//! each string that was found.
//!
//! A line counts only with a file's name that was given: names with line ends are never given,
//! and the program escapes line ends in data, so no file can make up a match.

use std::collections::HashMap;

use conche_runtime::secrets::Masker;
use schemars::JsonSchema;
use serde::Serialize;

/// More matches, or strings of one match, are not told.
const TOLD_MAX: usize = 1000;

/// More of the data of a string is not told.
const DATA_MAX: usize = 256;

/// What was found.
#[derive(Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(super) struct Report {
    /// Whether any rule matched any file.
    pub(super) matched: bool,
    /// Which rules matched which files.
    pub(super) matches: Vec<Match>,
    /// How many files were scanned.
    pub(super) files: usize,
    /// What was not scanned.
    pub(super) skipped: Vec<Skipped>,
    /// True where more was found than is told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) truncated: bool,
}

/// A rule that matched a file.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Match {
    /// The rule's name.
    pub(super) rule: String,
    /// The file.
    pub(super) file: String,
    /// The rule's strings in it.
    pub(super) strings: Vec<Found>,
}

/// A string of a rule in a file.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Found {
    /// The string's name in the rule, e.g. `$a`.
    pub(super) name: String,
    /// Where it begins, in bytes.
    pub(super) offset: u64,
    /// The bytes as the program shows them.
    pub(super) data: String,
}

/// A file that was not scanned.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Skipped {
    /// The file.
    pub(super) file: String,
    /// Why.
    pub(super) reason: String,
}

impl Report {
    /// Reads the program's lines; `names` tells what the files it was given are called.
    pub(super) fn read(text: &str, names: &HashMap<String, String>, masker: &Masker) -> Self {
        let mut report = Self {
            files: names.len(),
            ..Self::default()
        };
        for line in text.lines() {
            if let Some(string) = string(line, masker) {
                if let Some(last) = report.matches.last_mut() {
                    if last.strings.len() < TOLD_MAX {
                        last.strings.push(string);
                    } else {
                        report.truncated = true;
                    }
                }
            } else if let Some((rule, file)) = line.split_once(' ')
                && let Some(name) = names.get(file)
            {
                report.matched = true;
                if report.matches.len() == TOLD_MAX {
                    report.truncated = true;
                    break;
                }
                report.matches.push(Match {
                    rule: rule.to_owned(),
                    file: name.clone(),
                    strings: Vec::new(),
                });
            }
        }
        report
    }
}

/// `0x1f:$a: data`, or with a length behind the offset.
fn string(line: &str, masker: &Masker) -> Option<Found> {
    let (offset, rest) = line.strip_prefix("0x")?.split_once(':')?;
    let offset = u64::from_str_radix(offset, 16).ok()?;
    let rest = match rest.split_once(':') {
        Some((length, rest)) if length.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => rest,
    };
    let (name, data) = rest.split_once(':')?;
    let data = masker.mask(data.trim_start());
    Some(Found {
        name: name.to_owned(),
        offset,
        data: data.chars().take(DATA_MAX).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_programs_are_read_and_made_up_ones_are_not() {
        let names = [("/t/a b", "/q/a b"), ("/t/c", "c")];
        let names = names.map(|(path, name)| (path.to_owned(), name.to_owned()));
        let text = "evil /t/a b\n0x1f:$a: hel: lo\n0x2:3:$b: x\\x0Afake /t/c\nfake /etc/passwd\n\
                    error: x\nother /t/c\n";
        let report = Report::read(text, &names.into(), &Masker::default());
        let found = |name: &str, offset, data: &str| Found {
            name: name.to_owned(),
            offset,
            data: data.to_owned(),
        };
        let matches = [
            (
                "evil",
                "/q/a b",
                vec![
                    found("$a", 31, "hel: lo"),
                    found("$b", 2, "x\\x0Afake /t/c"),
                ],
            ),
            ("other", "c", Vec::new()),
        ];
        let matches = matches.map(|(rule, file, strings)| Match {
            rule: rule.to_owned(),
            file: file.to_owned(),
            strings,
        });
        assert!(report.matched && !report.truncated && report.files == 2);
        assert_eq!(report.matches, matches);
        let nothing = Report::read("", &HashMap::new(), &Masker::default());
        assert!(!nothing.matched && nothing.matches.is_empty());
    }
}
