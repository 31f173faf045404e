//! A CACAO playbook under examination.

use conche_cacao::check::{Surroundings, codes};
use conche_cacao::{Document, json};
use conche_core::Timestamp;
use serde_json::Value;

use super::{Finding, Measure, Severity};

/// Whether a text is meant to be a playbook. A document that is no JSON at all is one where it
/// says so.
pub(crate) fn is_meant(text: &str) -> bool {
    // A byte order mark makes it no JSON, and no other kind of document.
    let text = text.trim_start_matches('\u{feff}');
    match serde_json::from_str::<Value>(text) {
        Ok(value) => says_so(&value),
        Err(_) => {
            let says = [
                "\"cacao-",
                "\"type\":\"playbook\"",
                "\"type\": \"playbook\"",
            ];
            text.trim_start().starts_with('{') && says.iter().any(|says| text.contains(says))
        }
    }
}

/// Whether a value says that it is a playbook.
pub(crate) fn says_so(value: &Value) -> bool {
    value.get("spec_version").is_some() || value.get("type") == Some(&"playbook".into())
}

/// All that is to be said about a playbook.
pub(super) fn examine(file: &str, text: &str, measure: &Measure) -> Vec<Finding> {
    let document = match Document::parse(text.as_bytes()) {
        Ok(document) => document,
        Err(error) => return vec![unreadable(file, &error)],
    };
    let schemas = |id: &str, data: &Value| measure.schemas.compare(id, data);
    let around = Surroundings {
        now: Some(Timestamp::now()),
        extensions: Some(&schemas),
        commands: conche_modules::OWN_COMMANDS,
        examine: Some(&conche_modules::examine_command),
        ..Surroundings::default()
    };
    let found = document.check_within(measure.profile, &around).into_iter();
    found
        .map(|finding| Finding {
            file: file.to_owned(),
            code: finding.code,
            severity: match finding.severity {
                conche_cacao::Severity::Error => Severity::Error,
                conche_cacao::Severity::Warning => Severity::Warning,
            },
            pointer: finding.pointer,
            line: finding.place.map(|place| place.line as u64),
            column: finding.place.map(|place| place.column as u64),
            message: finding.message,
            help: Some(finding.help),
        })
        .collect()
}

fn unreadable(file: &str, error: &json::Error) -> Finding {
    let (pointer, line, column) = match error {
        json::Error::NotIJson {
            pointer,
            line,
            column,
            ..
        } => (
            pointer.to_string(),
            Some(*line as u64),
            Some(*column as u64),
        ),
        _ => (String::new(), None, None),
    };
    let message = match error {
        json::Error::NotIJson { message, .. } => message.clone(),
        other => other.to_string(),
    };
    Finding {
        file: file.to_owned(),
        code: codes::JSON.code,
        severity: Severity::Error,
        pointer,
        line,
        column,
        message,
        help: Some("a playbook is I-JSON (RFC 7493)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wants_to_be_a_playbook_is_one_even_where_it_is_no_json() {
        for text in [
            r#"{"type": "playbook"}"#,
            r#"{"spec_version": "cacao-2.0", "n": [}"#,
            r#"{"type":"playbook","n":1e999999999}"#,
            r#" {"type": "playbook", "name": "\ud800"}"#,
            "\u{feff}{\"type\": \"playbook\"}",
        ] {
            assert!(is_meant(text), "{text}");
        }
        for text in ["", "name: playbook", r#"{"name": "playbook", "n": 1e999}"#] {
            assert!(!is_meant(text), "{text}");
        }
    }
}
