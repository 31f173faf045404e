//! What well-known senders post, read into events that a filter can ask: one file for each
//! sender, all of them in [`ALL`].
//!
//! An event's data is `{"summary": …, "raw": …}`: `raw` is the sender's text, letter by
//! letter, and `summary` the few values that reactions decide by, under the same names
//! whoever sent them. Members of a summary are always there: a text that the sender left out
//! is empty, a number is 0. What makes a payload one of a kind must be there, else the
//! delivery is refused as a whole; everything else may be missing or of another type, since
//! an alert must not be lost over a member that nobody asks for. All here is pure.

mod alertmanager;
mod falco;
mod github;
mod gitlab;
mod grype;
mod harbor;
mod loose;
mod registry;
mod severity;
#[cfg(test)]
mod tests;
mod trivy;
mod wazuh;

use conche_core::{Json, Timestamp};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::loose::Loose;
use super::config::FormatName;
use super::decode::{Reject, check_text};
use crate::intake::NewEvent;

/// The longest part of an event's type that a sender may choose.
const WORD_MAX: usize = 64;

/// Reads what one kind of sender posts.
pub(super) struct Decoder {
    /// Its name in the configuration.
    pub(super) name: &'static str,
    /// Which setting chooses it.
    pub(super) format: FormatName,
    /// Whether one delivery may hold several events, or none.
    pub(super) several: bool,
    read: Read,
}

type Read = fn(&Delivered<'_>) -> Result<Vec<Found>, Reject>;

/// Every decoder, in the order of their names.
pub(super) static ALL: &[&Decoder] = &[
    &alertmanager::ALERTS,
    &alertmanager::GROUPS,
    &falco::DECODER,
    &github::DECODER,
    &gitlab::DECODER,
    &grype::DECODER,
    &harbor::DECODER,
    &registry::IMAGES,
    &registry::ALL,
    &trivy::DECODER,
    &wazuh::DECODER,
];

/// The types of their events that most reactions are for; GitHub, GitLab and Harbor have more.
pub(super) const EVENTS: &[(&str, &str)] = &[
    ("alertmanager.alert.firing", "An alert fires."),
    ("alertmanager.alert.resolved", "An alert is over."),
    ("alertmanager.group.firing", "A group has alerts that fire."),
    (
        "alertmanager.group.resolved",
        "All alerts of a group are over.",
    ),
    ("falco.alert", "Falco saw what one of its rules is about."),
    (
        "github.code_scanning_alert.created",
        "Code scanning found something new.",
    ),
    (
        "github.dependabot_alert.created",
        "A dependency is known to be vulnerable.",
    ),
    (
        "github.repository_vulnerability_alert.create",
        "The same, as old servers tell it.",
    ),
    (
        "github.secret_scanning_alert.created",
        "A secret was found in a repository.",
    ),
    (
        "github.security_advisory.published",
        "GitHub published an advisory.",
    ),
    ("gitlab.pipeline.failed", "A pipeline failed."),
    (
        "gitlab.vulnerability.confirmed",
        "Somebody confirmed a vulnerability.",
    ),
    (
        "gitlab.vulnerability.detected",
        "A scanner found a vulnerability.",
    ),
    ("grype.report", "Grype's findings in one artifact."),
    ("harbor.artifact.pushed", "An image was pushed to Harbor."),
    ("harbor.quota.exceeded", "A project of Harbor's is full."),
    (
        "harbor.scan.completed",
        "Harbor's scanner has looked at an image.",
    ),
    (
        "harbor.scan.failed",
        "Harbor's scanner could not look at an image.",
    ),
    (
        "registry.delete",
        "An image or a layer was deleted from a registry.",
    ),
    (
        "registry.mount",
        "A layer was taken over from another repository.",
    ),
    ("registry.pull", "An image was pulled from a registry."),
    ("registry.push", "An image was pushed to a registry."),
    ("trivy.report", "Trivy's findings in one artifact."),
    ("wazuh.alert", "One of Wazuh's rules matched."),
];

/// One delivery.
struct Delivered<'a> {
    body: &'a Json,
    headers: &'a HeaderMap,
}

/// One event in it.
struct Found {
    /// The sender's own id; `None` where its payload has none.
    id: Option<String>,
    event_type: String,
    /// What it is about; left out of the event where it is no usable text.
    subject: String,
    /// As the sender writes it; left out of the event where it is no time.
    time: String,
    summary: Value,
    raw: Json,
}

#[derive(Serialize)]
struct Data<'a> {
    summary: &'a Value,
    raw: &'a Json,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Decoder {
    /// The one that the configuration names, where it names one.
    pub(super) fn of(format: &FormatName) -> Option<&'static Self> {
        let same = |decoder: &&&Self| {
            std::mem::discriminant(&decoder.format) == std::mem::discriminant(format)
        };
        ALL.iter().find(same).copied()
    }

    /// Reads one delivery. `usual_id` is the delivery's id by its headers, for events that
    /// have none of their own.
    pub(super) fn decode(
        &self,
        body: &Json,
        headers: &HeaderMap,
        usual_id: Option<&str>,
    ) -> Result<Vec<NewEvent>, Reject> {
        let found = (self.read)(&Delivered { body, headers })?;
        let events = found.into_iter().enumerate().map(|(index, found)| {
            let delivery = || match usual_id {
                Some(id) if self.several => Some(format!("{id}#{index}")),
                other => other.map(str::to_owned),
            };
            found.event(delivery)
        });
        events.collect()
    }
}

impl Found {
    fn event(self, delivery: impl FnOnce() -> Option<String>) -> Result<NewEvent, Reject> {
        if let Some(id) = &self.id {
            check_text(id).map_err(|flaw| Reject::Unusable {
                what: "id",
                place: "the payload".to_owned(),
                flaw,
            })?;
        }
        let data = Data {
            summary: &self.summary,
            raw: &self.raw,
        };
        Ok(NewEvent {
            id: self.id.or_else(delivery),
            event_type: self.event_type,
            subject: check_text(&self.subject).is_ok().then_some(self.subject),
            time: time(&self.time),
            data: Json::from_value(&data)?,
        })
    }
}

/// Reads an object as what it should be; `kind` is how a sender knows it.
fn read<'a, T: Deserialize<'a>>(kind: &'static str, json: &'a Json) -> Result<T, Reject> {
    if !json.is_object() {
        return Err(other(kind, "it is not an object"));
    }
    serde_json::from_str(json.as_str()).map_err(|error| other(kind, &flaw(&error)))
}

/// What is wrong, in words of ours only: what stands before the last `, expected` repeats
/// the sender's text.
fn flaw(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(", expected ") {
        Some(at) => text[at + 2..].to_owned(),
        None => text,
    }
}

fn other(kind: &'static str, flaw: &str) -> Reject {
    Reject::OtherKind {
        kind,
        flaw: flaw.to_owned(),
    }
}

/// A text of the sender's that may be part of an event's type: a lower-case word.
fn word(kind: &'static str, what: &str, text: &str) -> Result<String, Reject> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "_-".contains(char);
    if text.is_empty() || text.len() > WORD_MAX || !text.chars().all(plain) {
        return Err(other(kind, &format!("its {what} is no plain word")));
    }
    Ok(text.to_ascii_lowercase())
}

/// A time as senders write it: RFC 3339, with an offset without colon, or as GitLab's
/// `2016-08-12 15:23:28 UTC`.
fn time(text: &str) -> Option<Timestamp> {
    match text.strip_suffix(" UTC") {
        Some(text) => format!("{text}Z").parse().ok(),
        None => text.parse().ok(),
    }
}

/// The first of several texts that says anything.
fn first<const N: usize>(texts: [&Loose<String>; N]) -> String {
    let mut texts = texts.into_iter().map(|text| &text.0);
    texts
        .find(|text| !text.is_empty())
        .cloned()
        .unwrap_or_default()
}
