//! A playbook together with those that it calls: what a run needs, and what is stored for it.
//!
//! The versions of called playbooks are pinned when a run is started, so that a run never
//! changes under way.

use std::collections::BTreeSet;

use conche_cacao::model::Work;
use conche_cacao::pointer::Key;
use conche_cacao::{Document, Playbook, Pointer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Refusal, codes, exposed};
use crate::id::Digest;

/// A playbook and those that it calls, directly or through others.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    text: String,
    digest: Digest,
    root: Playbook,
    callees: Vec<Playbook>,
}

/// A text that holds no program.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not written as one.
    #[error("not a stored playbook: {0}")]
    Form(#[from] serde_json::Error),
    /// One of its documents is none.
    #[error(transparent)]
    Document(#[from] conche_cacao::json::Error),
    /// One of its documents is no playbook.
    #[error(transparent)]
    Playbook(#[from] conche_cacao::model::NotAPlaybook),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    playbook: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    callees: Vec<Box<RawValue>>,
}

impl Program {
    /// Brings documents together. The callees must be all that are called; one that is missing
    /// is refused when the program is lowered.
    pub fn new(root: &Document, callees: &[Document]) -> Result<Self, ProgramError> {
        let stored = Stored {
            playbook: raw(root)?,
            callees: callees.iter().map(raw).collect::<Result<_, _>>()?,
        };
        Self::parse(&serde_json::to_string(&stored)?)
    }

    /// Reads what [`text`](Self::text) gave.
    pub fn parse(text: &str) -> Result<Self, ProgramError> {
        let stored: Stored = serde_json::from_str(text)?;
        let read = |raw: &RawValue| -> Result<Playbook, ProgramError> {
            Ok(Document::parse(raw.get().as_bytes())?.playbook()?)
        };
        Ok(Self {
            digest: Digest::of(text.as_bytes()),
            root: read(&stored.playbook)?,
            callees: stored
                .callees
                .iter()
                .map(|raw| read(raw))
                .collect::<Result<_, _>>()?,
            text: text.to_owned(),
        })
    }

    /// The text that is stored.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Names this program.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The playbook that is run.
    pub const fn root(&self) -> &Playbook {
        &self.root
    }

    /// The playbooks that are called.
    pub fn callees(&self) -> &[Playbook] {
        &self.callees
    }

    /// The callees that are called, directly or through others; others may stand beside them.
    pub fn called(&self) -> Vec<&Playbook> {
        let mut found: Vec<&Playbook> = Vec::new();
        let mut waiting = vec![&self.root];
        while let Some(playbook) = waiting.pop() {
            for (_, id, version) in calls(playbook) {
                let Some(callee) = self.callee(id, version) else {
                    continue;
                };
                if !found.contains(&callee) && *callee != self.root {
                    found.push(callee);
                    waiting.push(callee);
                }
            }
        }
        found
    }

    /// The playbooks that call each other in a circle, named one after the other, at the step that
    /// closes it. One that calls itself is not meant: that is a finding of its own (CACAO041).
    pub fn cycle(&self) -> Option<Refusal> {
        let mut open = vec![(&self.root, calls(&self.root))];
        let mut done: BTreeSet<(&str, &str)> = BTreeSet::new();
        while let Some((playbook, calls_left)) = open.last_mut() {
            let playbook = *playbook;
            let Some((step, id, version)) = calls_left.pop() else {
                done.insert((playbook.id.as_str(), playbook.modified.as_str()));
                open.pop();
                continue;
            };
            let Some(callee) = self.callee(id, version).filter(|one| one.id != playbook.id) else {
                continue;
            };
            let mut names = open.iter();
            if let Some(first) = names.position(|(one, _)| std::ptr::eq(*one, callee)) {
                let ids = open[first..].iter().map(|(one, _)| one.id.as_str());
                let ids: Vec<&str> = ids.chain([callee.id.as_str()]).collect();
                return Some(Refusal {
                    playbook: playbook.id.clone(),
                    code: codes::CALLS_IN_A_CIRCLE,
                    pointer: Pointer::of(["workflow", step, "playbook_id"].map(Key::from)),
                    message: format!(
                        "playbooks call each other in a circle: {}",
                        ids.join(" calls ")
                    ),
                });
            }
            if !done.contains(&(callee.id.as_str(), callee.modified.as_str())) {
                open.push((callee, calls(callee)));
            }
        }
        None
    }

    /// The variables that feed credentials: what they are given is to be sealed before it is
    /// stored.
    pub fn sealed(&self) -> BTreeSet<String> {
        exposed::sealed(std::iter::once(&self.root).chain(&self.callees))
    }

    /// The callee of this identifier and version: the latest, if none is asked for.
    pub fn callee(&self, id: &str, version: Option<&str>) -> Option<&Playbook> {
        let of_id = self
            .callees
            .iter()
            .chain([&self.root])
            .filter(|playbook| playbook.id == id);
        match version {
            Some(version) => of_id.into_iter().find(|playbook| {
                playbook.modified == version || is_same(&playbook.modified, version)
            }),
            None => of_id.max_by(|a, b| time(a).cmp(&time(b))),
        }
    }
}

/// The steps of a playbook that call others, with the identifiers and versions of these.
fn calls(playbook: &Playbook) -> Vec<(&str, &str, Option<&str>)> {
    let steps = playbook.workflow.iter();
    let calls = steps.filter_map(|(id, step)| match step.work() {
        Some(Work::PlaybookAction { playbook, version }) => Some((id, playbook, version)),
        _ => None,
    });
    calls.collect()
}

fn time(playbook: &Playbook) -> Option<jiff::Timestamp> {
    playbook.modified.parse().ok()
}

/// Whether two texts are the same time, written in two ways.
fn is_same(a: &str, b: &str) -> bool {
    let read = |text: &str| text.parse::<jiff::Timestamp>().ok();
    read(a).is_some_and(|a| read(b) == Some(a))
}

fn raw(document: &Document) -> Result<Box<RawValue>, serde_json::Error> {
    match document.text() {
        Some(text) => RawValue::from_string(text.trim().to_owned()),
        None => serde_json::value::to_raw_value(document.value()),
    }
}
