//! Entries in words, one a line: the form of the golden files.

use std::collections::BTreeMap;

use conche_core::Timestamp;
use conche_core::run::{Entry, Outcome, Verdict};

use crate::shell::START;

pub(crate) const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "cancelled",
    }
}

pub(crate) fn since_start(at: Timestamp) -> String {
    format!("+{}s", at.duration_since(START).as_millis() as f64 / 1000.0)
}

/// An entry in words; keys get short names in the order in which they appear.
pub(crate) fn entry_text(entry: &Entry, names: &mut BTreeMap<String, usize>) -> String {
    let head = match entry.visit() {
        Some(visit) => format!("{visit:>3} {}", entry.name()),
        None => format!("    {}", entry.name()),
    };
    let again = |at: &Option<Timestamp>| {
        at.map_or_else(String::new, |at| format!(", again at {}", since_start(at)))
    };
    let because = |reason: &Option<String>| {
        let reason = reason.as_ref();
        reason.map_or_else(String::new, |reason| format!(": {reason}"))
    };
    let tail = match entry {
        Entry::Started(started) => started.name.clone(),
        Entry::Entered {
            step, path, from, ..
        } => {
            let around: Vec<String> = path
                .iter()
                .map(|turn| format!(" in {}/{}", turn.of, turn.index))
                .collect();
            let around = around.concat();
            let after = from.map_or_else(String::new, |from| format!(" after {from}"));
            format!("'{step}'{around}{after}")
        }
        Entry::Evaluated { verdict, .. } => match verdict {
            Verdict::Stop => "stop".to_owned(),
            Verdict::Next { action, data } => format!("next '{action}' {data}"),
        },
        Entry::Opened { turn, count, .. } => format!("{count} from {turn}"),
        Entry::Closed { error, .. } => error
            .as_ref()
            .map_or_else(String::new, |error| format!("failed: {}", error.message)),
        Entry::Delayed { until, .. } => format!("until {}", since_start(*until)),
        Entry::Elapsed { .. } => String::new(),
        Entry::Found { variables, .. } => format!("{:?}", variables.keys()),
        Entry::Asked { question, .. } => question.text.clone(),
        Entry::Answered { answer, by, .. } => format!("by {by}: {answer}"),
        Entry::Intended {
            attempt,
            key,
            action,
            input,
            ..
        } => {
            let next = names.len() + 1;
            let name = names.entry(key.as_str().to_owned()).or_insert(next);
            format!("#{attempt} {action} {input} key {name}")
        }
        Entry::Succeeded {
            attempt, output, ..
        } => format!("#{attempt} {output}"),
        Entry::Failed {
            attempt,
            error,
            retry_at,
            ..
        } => format!(
            "#{attempt} {:?}: {}{}",
            error.kind,
            error.message,
            again(retry_at)
        ),
        Entry::Interrupted {
            attempt,
            evidence,
            retry_at,
            ..
        } => format!("#{attempt} {evidence}{}", again(retry_at)),
        Entry::AttentionNeeded { reason, .. } => reason.clone(),
        Entry::Resumed { resolution, by, .. } => format!("by {by}: {resolution:?}"),
        Entry::Unpaused { by } => format!("by {by}"),
        Entry::Paused { by, reason } | Entry::CancelRequested { by, reason } => {
            format!("by {by}{}", because(reason))
        }
        Entry::Finished { outcome, reason } => format!("{}{}", word(*outcome), because(reason)),
        Entry::Restored { copied_at } => format!("from a copy of {copied_at}"),
        Entry::Reopened { by, .. } => format!("by {by}"),
    };
    format!("{head} {tail}")
}
