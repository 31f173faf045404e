//! Reactions: a trigger, a script that decides, and named actions whose scripts decide further.
//!
//! Two forms of one model: CSF's JSON, key for key, and YAML with more to say. *Authored*
//! is what a person wrote; [`Reaction`] is it with script files read in, the form that is
//! digested, stored and run.

pub mod name;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::definition::Isolation;
use crate::id::Digest;
use crate::list;
use crate::run::{OnUncertain, Retry};
use crate::span::Span;
use crate::storm::{Controls, Debounce, Dedup, Group, Throttle};

/// A reaction as it is stored and run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reaction {
    /// Its key among all reactions.
    pub name: String,
    /// The event types that trigger it.
    pub events: BTreeSet<String>,
    /// A CEL expression over `event`; the reaction is triggered only where it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Suppresses repeats of what ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup: Option<Dedup>,
    /// Bounds how often it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// Runs once events have stopped coming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debounce: Option<Debounce>,
    /// Runs once for many events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Lists whose entries its scripts see, by name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lists: BTreeSet<String>,
    /// The script that decides first.
    pub script: String,
    /// Actions by the name that scripts know them by.
    #[serde(default)]
    pub actions: BTreeMap<String, Action>,
    /// Whether scripts may share a JavaScript context with earlier calls.
    #[serde(default)]
    pub isolation: Isolation,
    /// What one run may use, where it differs from the configuration.
    #[serde(default)]
    pub limits: Limits,
}

/// An action of a reaction, as stored and run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// The module that offers it.
    pub module: String,
    /// Its name within the module.
    pub action: String,
    /// Decides what follows; empty means that nothing does.
    #[serde(default)]
    pub script: String,
    /// How often and how soon a failed attempt is repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How long one attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What to do when it is unknown whether an attempt took effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_uncertain: Option<OnUncertain>,
}

/// What one run of a reaction may use. Each falls back to the configuration's `limits`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Time from start to end (`run_deadline`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// Steps, loops included (`steps_per_run`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Runs worked on at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// A reaction file as it was written, script files not yet read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authored {
    #[serde(deserialize_with = "checked_name")]
    name: String,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    when: Option<String>,
    #[serde(default)]
    dedup: Option<Dedup>,
    #[serde(default)]
    throttle: Option<Throttle>,
    #[serde(default)]
    debounce: Option<Debounce>,
    #[serde(default)]
    group: Option<Group>,
    #[serde(default)]
    lists: BTreeSet<String>,
    #[serde(default)]
    script: Option<String>,
    #[serde(default)]
    script_file: Option<String>,
    // CSF writes `"actions": null` where there are none.
    #[serde(default)]
    actions: Option<BTreeMap<String, AuthoredAction>>,
    #[serde(default)]
    isolation: Isolation,
    #[serde(default)]
    limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthoredAction {
    module: String,
    action: String,
    #[serde(default)]
    script: Option<String>,
    #[serde(default)]
    script_file: Option<String>,
    #[serde(default)]
    retry: Option<Retry>,
    #[serde(default)]
    timeout: Option<Span>,
    #[serde(default)]
    on_uncertain: Option<OnUncertain>,
}

/// The language of a reaction file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.json`
    Json,
    /// `.yaml`, `.yml`
    Yaml,
}

/// What is wrong with a reaction file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be read as a reaction.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
        /// What is wrong there.
        message: String,
    },
    /// It can be read but makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A script file cannot be read.
    #[error("script_file '{path}': {message}")]
    ScriptFile {
        /// As written.
        path: String,
        /// Why.
        message: String,
    },
}

impl Format {
    /// The format of a file by its extension; `None` for files that are not reactions.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

impl Authored {
    /// Reads the text of a reaction file.
    pub fn parse(text: &str, format: Format) -> Result<Self, Error> {
        match format {
            Format::Json => serde_json::from_str(text).map_err(|error| Error::Syntax {
                line: error.line() as u64,
                column: error.column() as u64,
                message: without_place(&error.to_string()),
            }),
            Format::Yaml => {
                let options = serde_saphyr::options! { with_snippet: false };
                serde_saphyr::from_str_with_options(text, options).map_err(|error| {
                    let place = error.location();
                    Error::Syntax {
                        line: place.map_or(1, |at| at.line()),
                        column: place.map_or(1, |at| at.column()),
                        message: without_place(&error.to_string()),
                    }
                })
            }
        }
    }

    /// Reads the script files with `read` (which gets each path as written) and checks that
    /// the whole makes sense.
    pub fn resolve(
        self,
        read: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Reaction, Error> {
        let invalid = |message: String| Err(Error::Invalid(message));
        let mut events: BTreeSet<String> = self.events.into_iter().collect();
        events.extend(self.event);
        if events.is_empty() || events.contains("") {
            return invalid(
                "name the event types that trigger it: 'event: TYPE' or 'events: [TYPE, …]'"
                    .to_owned(),
            );
        }
        let Some(script) = script_text(self.script, self.script_file, read)? else {
            return invalid("a reaction needs a 'script' or a 'script_file'".to_owned());
        };
        let mut actions = BTreeMap::new();
        for (key, action) in self.actions.unwrap_or_default() {
            if key.is_empty() {
                return invalid("an action has an empty name".to_owned());
            }
            let script = script_text(action.script, action.script_file, read)?.unwrap_or_default();
            check_retry(&key, action.retry)?;
            check_above_zero(&format!("action '{key}': 'timeout'"), action.timeout)?;
            actions.insert(
                key,
                Action {
                    module: action.module,
                    action: action.action,
                    script,
                    retry: action.retry,
                    timeout: action.timeout,
                    on_uncertain: action.on_uncertain,
                },
            );
        }
        Controls::new(
            self.dedup.as_ref(),
            self.throttle.as_ref(),
            self.debounce.as_ref(),
            self.group.as_ref(),
        )
        .map_err(|error| Error::Invalid(error.to_string()))?;
        check_lists(&self.lists)?;
        check_above_zero("'limits.deadline'", self.limits.deadline)?;
        if self.limits.steps == Some(0) {
            return invalid("'limits.steps' is at least 1".to_owned());
        }
        Ok(Reaction {
            name: self.name,
            events,
            when: self.when,
            dedup: self.dedup,
            throttle: self.throttle,
            debounce: self.debounce,
            group: self.group,
            lists: self.lists,
            script,
            actions,
            isolation: self.isolation,
            limits: self.limits,
        })
    }
}

/// Checked while it is read, so that the parser names the place.
fn checked_name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    name::check(&name).map_err(serde::de::Error::custom)?;
    Ok(name)
}

fn check_lists(lists: &BTreeSet<String>) -> Result<(), Error> {
    if lists.len() > list::READ_MAX {
        return Err(Error::Invalid(format!(
            "'lists' names {} lists; a reaction reads at most {}",
            lists.len(),
            list::READ_MAX
        )));
    }
    let wrong = |name: &String| {
        let error = list::check_name(name).err()?;
        Some(Error::Invalid(format!("'lists' names '{name}': {error}")))
    };
    lists.iter().find_map(wrong).map_or(Ok(()), Err)
}

fn check_retry(key: &str, retry: Option<Retry>) -> Result<(), Error> {
    match retry {
        Some(retry) if retry.attempts == 0 => Err(Error::Invalid(format!(
            "action '{key}': 'retry.attempts' counts the first attempt too, so it is at least 1"
        ))),
        Some(retry) if !(1.0..=100.0).contains(&retry.factor) => Err(Error::Invalid(format!(
            "action '{key}': 'retry.factor' is a number from 1 to 100"
        ))),
        _ => Ok(()),
    }
}

/// No attempt and no run ever gets anywhere in no time at all.
fn check_above_zero(what: &str, span: Option<Span>) -> Result<(), Error> {
    match span {
        Some(span) if span.0.is_zero() => {
            Err(Error::Invalid(format!("{what} is longer than nothing")))
        }
        _ => Ok(()),
    }
}

fn script_text(
    inline: Option<String>,
    file: Option<String>,
    read: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<Option<String>, Error> {
    match (inline, file) {
        (Some(_), Some(_)) => Err(Error::Invalid(
            "give either 'script' or 'script_file', not both".to_owned(),
        )),
        (Some(script), None) => Ok(Some(script)),
        (None, Some(path)) => match read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(message) => Err(Error::ScriptFile { path, message }),
        },
        (None, None) => Ok(None),
    }
}

/// Parsers end their messages with the place, which we give apart.
fn without_place(message: &str) -> String {
    let end = message.find(" at line ").unwrap_or(message.len());
    message[..end].trim().to_owned()
}

impl Reaction {
    /// The canonical text: what is stored, and what the digest is of.
    pub fn to_text(&self) -> String {
        // Maps are sorted and floats finite, so the same reaction always gives the same text.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the canonical text back.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// What keeps a storm of its events from becoming a storm of its runs.
    pub fn controls(&self) -> Controls {
        // Checked when it was read.
        Controls::new(
            self.dedup.as_ref(),
            self.throttle.as_ref(),
            self.debounce.as_ref(),
            self.group.as_ref(),
        )
        .unwrap_or_default()
    }

    /// Names this version.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_text().as_bytes())
    }
}

#[cfg(test)]
mod tests;
