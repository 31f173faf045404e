//! A playbook together with those that it calls: what a run needs, and what is stored for it.
//!
//! The versions of called playbooks are pinned when a run is started, so that a run never
//! changes under way.

use std::collections::BTreeSet;

use conche_cacao::{Document, Playbook};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::exposed;
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
