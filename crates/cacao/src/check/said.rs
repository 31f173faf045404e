//! What the checks have said so far.

use super::limits::FINDINGS_MAX;
use super::{Check, Level, codes};
use crate::place::locate;
use crate::pointer::Pointer;
use crate::{Finding, Profile, Severity};

/// The longest message or advice, in characters. What a document holds may be quoted in it.
const LENGTH_MAX: usize = 600;

/// What the checks have said so far.
pub(super) struct Said {
    profile: Profile,
    all: Vec<Remark>,
    errors: usize,
    warnings: usize,
    /// Types of commands that are known beside those of the specification.
    commands: Vec<String>,
}

struct Remark {
    check: &'static Check,
    severity: Severity,
    at: Pointer,
    message: String,
    help: String,
}

impl Said {
    pub(super) fn new(profile: Profile, commands: &[&str]) -> Self {
        Self {
            profile,
            all: Vec::new(),
            errors: 0,
            warnings: 0,
            commands: commands.iter().map(|kind| (*kind).to_owned()).collect(),
        }
    }

    /// Whether a type of commands is known here that the specification does not have.
    pub(super) fn knows_command(&self, kind: &str) -> bool {
        self.commands.iter().any(|known| known == kind)
    }

    /// Whether what a check finds is still listed: what takes long to say need not be said
    /// otherwise.
    pub(super) fn lists(&self, check: &Check) -> bool {
        // Said once for each limit, and never to be missed.
        if *check == codes::LIMITS {
            return true;
        }
        match check.level(self.profile) {
            Level::Off => false,
            Level::Warning => self.warnings < FINDINGS_MAX,
            Level::Error => self.errors < FINDINGS_MAX,
        }
    }

    /// Says what is wrong somewhere, unless the profile does not care, and what to do.
    pub(super) fn say(
        &mut self,
        check: &'static Check,
        at: &Pointer,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let lists = self.lists(check);
        let severity = match check.level(self.profile) {
            Level::Off => return,
            Level::Warning => Severity::Warning,
            Level::Error => Severity::Error,
        };
        match severity {
            Severity::Warning => self.warnings += 1,
            Severity::Error => self.errors += 1,
        }
        if lists {
            self.all.push(Remark {
                check,
                severity,
                at: at.clone(),
                message: shown(&message.into()),
                help: shown(&help.into()),
            });
        }
    }

    /// The findings, in the order of the text.
    pub(super) fn into_findings(mut self, text: Option<&str>) -> Vec<Finding> {
        self.count_the_rest();
        let pointers: Vec<&Pointer> = self.all.iter().map(|remark| &remark.at).collect();
        let mut places = text.map_or_else(Vec::new, |text| locate(text, &pointers));
        places.resize(self.all.len(), None);
        let finding = |(remark, place): (&Remark, _)| Finding {
            code: remark.check.code,
            severity: remark.severity,
            pointer: remark.at.to_string(),
            place,
            message: remark.message.clone(),
            help: remark.help.clone(),
        };
        let mut findings: Vec<Finding> = self.all.iter().zip(places).map(finding).collect();
        findings.sort_by(|a, b| {
            (a.place, a.code, &a.pointer, &a.message)
                .cmp(&(b.place, b.code, &b.pointer, &b.message))
        });
        findings.dedup();
        findings
    }

    fn count_the_rest(&mut self) {
        let more = |count: usize| count.saturating_sub(FINDINGS_MAX);
        let (errors, warnings) = (more(self.errors), more(self.warnings));
        if errors + warnings > 0 {
            self.all.push(Remark {
                check: &codes::MORE,
                severity: Severity::Warning,
                at: Pointer::top(),
                message: format!(
                    "{errors} more errors and {warnings} more warnings are not listed"
                ),
                help: "correct those that are, and check again".to_owned(),
            });
        }
    }
}

/// A text on one line, without characters that a terminal or an editor would obey or hide,
/// and not longer than people read.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(LENGTH_MAX));
    for (number, char) in text.chars().enumerate() {
        if number == LENGTH_MAX {
            shown.push('…');
            break;
        }
        if crate::finding::is_hidden(char) {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    shown
}
