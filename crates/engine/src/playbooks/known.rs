//! The playbooks at hand by identifier and version, and what each means beside the others.
//!
//! Nothing here is stored or waits: whoever changes it holds the one lock around it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use conche_cacao::check::{Known as IsKnown, Surroundings, codes};
use conche_cacao::model::Work;
use conche_cacao::{Document, Finding, Playbook, Pointer, Profile, Severity};
use conche_core::Timestamp;
use conche_core::playbook::codes::NOT_RUNNABLE;
use conche_core::playbook::{Program, ProgramError, Refusal};

use super::signed::incorrect_signatures;
use super::{Checked, PlaybookError, PlaybookInfo};
use crate::{Inner, Owner};

/// An identifier and a time of modification.
pub(super) type Version = (String, String);

/// The playbooks at hand.
#[derive(Default)]
pub(crate) struct Known {
    entries: BTreeMap<Version, PlaybookInfo>,
    changes: u64,
}

pub(super) fn version(playbook: &Playbook) -> Version {
    (playbook.id.clone(), playbook.modified.clone())
}

/// Reads a document; what it means beside others is not looked at yet.
pub(super) fn read(
    document: Document,
    owner: Owner,
    since: Timestamp,
) -> Result<PlaybookInfo, Checked> {
    match document.playbook() {
        Ok(playbook) => Ok(PlaybookInfo {
            document: Arc::new(document),
            playbook: Arc::new(playbook),
            owner,
            by: None,
            since,
            findings: [].into(),
            refusals: [].into(),
        }),
        Err(error) => {
            let mut findings = document.check(Profile::Standard);
            if findings
                .iter()
                .all(|found| found.severity != Severity::Error)
            {
                findings.push(unreadable(error.to_string()));
            }
            Err(Checked {
                findings,
                refusals: Vec::new(),
            })
        }
    }
}

fn unreadable(message: String) -> Finding {
    Finding {
        code: codes::JSON.code,
        severity: Severity::Error,
        pointer: String::new(),
        place: None,
        message,
        help: "see what the specification has for each property".to_owned(),
    }
}

/// The playbooks that a playbook calls, with the versions that it asks for.
fn calls(playbook: &Playbook) -> impl Iterator<Item = (&str, Option<&str>)> {
    playbook
        .workflow
        .iter()
        .filter_map(|(_, step)| match step.work() {
            Some(Work::PlaybookAction { playbook, version }) => Some((playbook, version)),
            _ => None,
        })
}

fn time(playbook: &Playbook) -> Option<Timestamp> {
    playbook.modified.parse().ok()
}

impl Known {
    /// Every version, by identifier, the latest of each first.
    pub(super) fn all(&self) -> impl Iterator<Item = &PlaybookInfo> {
        let mut all: Vec<&PlaybookInfo> = self.entries.values().collect();
        all.sort_by(|a, b| {
            let (a, b) = (&a.playbook, &b.playbook);
            a.id.cmp(&b.id).then_with(|| time(b).cmp(&time(a)))
        });
        all.into_iter()
    }

    /// How often it was changed: tells whether looking again is worth it.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// A version; the latest, if none is asked for.
    pub(super) fn find(&self, id: &str, version: Option<&str>) -> Option<&PlaybookInfo> {
        match version {
            Some(version) => self.entries.get(&(id.to_owned(), version.to_owned())),
            None => self.of(id).max_by_key(|info| time(&info.playbook)),
        }
    }

    fn of<'k>(&'k self, id: &str) -> impl Iterator<Item = &'k PlaybookInfo> {
        let from = (id.to_owned(), String::new());
        let id = id.to_owned();
        self.entries
            .range(from..)
            .take_while(move |((of, _), _)| *of == id)
            .map(|(_, info)| info)
    }

    pub(super) fn insert(&mut self, info: PlaybookInfo) {
        self.entries.insert(version(&info.playbook), info);
        self.changes += 1;
    }

    /// Removes every version. Whether there was one.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(of, _), _| of != id);
        self.changes += 1;
        self.entries.len() < before
    }

    /// Those of the folder.
    pub(super) fn of_folder(&self) -> impl Iterator<Item = &PlaybookInfo> {
        let is_of_folder = |info: &&PlaybookInfo| matches!(info.owner, Owner::Folder(_));
        self.entries.values().filter(is_of_folder)
    }

    /// That of a file of the folder.
    pub(super) fn of_file(&self, file: &str) -> Option<&PlaybookInfo> {
        self.of_folder()
            .find(|info| matches!(&info.owner, Owner::Folder(of) if of == file))
    }

    /// All but those of the folder.
    pub(super) fn without_folder(&self) -> Self {
        let others = self.entries.iter();
        let others = others.filter(|(_, info)| info.owner == Owner::Api);
        Self {
            entries: others
                .map(|(of, info)| (of.clone(), info.clone()))
                .collect(),
            changes: self.changes,
        }
    }

    /// Takes the place of what was at hand.
    pub(super) fn replace(&mut self, next: Self) {
        self.changes += 1;
        self.entries = next.entries;
    }

    /// Refuses a change by another than the owner.
    pub(super) fn check_owner(&self, id: &str, owner: &Owner) -> Result<(), PlaybookError> {
        match (self.of(id).map(|info| &info.owner).next(), owner) {
            (Some(Owner::Folder(file)), Owner::Api) => Err(PlaybookError::ReadOnly {
                id: id.to_owned(),
                file: file.clone(),
            }),
            (Some(Owner::Api), Owner::Folder(_)) => Err(PlaybookError::Taken(id.to_owned())),
            _ => Ok(()),
        }
    }

    /// A playbook with all that it calls, directly or through others, as far as they are at hand.
    pub(super) fn program(&self, root: &PlaybookInfo) -> Result<Program, ProgramError> {
        Ok(self.gathered(root)?.0)
    }

    /// The same with the documents of all that it calls, in the order of its callees.
    fn gathered(&self, root: &PlaybookInfo) -> Result<(Program, Vec<Document>), ProgramError> {
        let mut seen = BTreeSet::from([version(&root.playbook)]);
        let (mut callees, mut waiting) = (BTreeMap::new(), vec![root]);
        while let Some(caller) = waiting.pop() {
            for (id, asked) in calls(&caller.playbook) {
                let Some(callee) = self.find_beside(root, id, asked) else {
                    continue;
                };
                let of = version(&callee.playbook);
                if seen.insert(of.clone()) {
                    callees.insert(of, Document::clone(&callee.document));
                    waiting.push(callee);
                }
            }
        }
        let callees: Vec<Document> = callees.into_values().collect();
        Ok((Program::new(&root.document, &callees)?, callees))
    }

    /// The same, if what is signed in them is what is there.
    pub(super) fn sound_program(
        &self,
        root: &PlaybookInfo,
        now: Timestamp,
    ) -> Result<Program, PlaybookError> {
        let (program, documents) = self.gathered(root)?;
        let mut refusals = incorrect_signatures(&root.document, &root.playbook.id, now);
        for (playbook, document) in program.callees().iter().zip(&documents) {
            refusals.extend(incorrect_signatures(document, &playbook.id, now));
        }
        if refusals.is_empty() {
            return Ok(program);
        }
        Err(PlaybookError::Refused(Checked {
            findings: Vec::new(),
            refusals,
        }))
    }

    /// As [`Known::find`], where one more may be there that is not at hand yet.
    fn find_beside<'k>(
        &'k self,
        more: &'k PlaybookInfo,
        id: &str,
        asked: Option<&str>,
    ) -> Option<&'k PlaybookInfo> {
        let is_meant =
            more.playbook.id == id && asked.is_none_or(|asked| more.playbook.modified == asked);
        let found = self.find(id, asked);
        let more = is_meant.then_some(more);
        // Of two of one version the one that is to come counts: the last of equals.
        found
            .into_iter()
            .chain(more)
            .max_by_key(|info| time(&info.playbook))
    }

    /// All that is wrong with a playbook beside those at hand.
    pub(super) fn check(&self, engine: &Inner, info: &PlaybookInfo, profile: Profile) -> Checked {
        Checked {
            findings: self.findings(engine, info, profile),
            refusals: self.refusals(engine, info),
        }
    }

    /// Refuses a playbook that is not valid, else notes what is to be said of it.
    pub(super) fn examine(
        &self,
        engine: &Inner,
        info: &mut PlaybookInfo,
        profile: Profile,
    ) -> Result<(), PlaybookError> {
        let checked = self.check(engine, info, profile);
        if !checked.is_valid() {
            return Err(PlaybookError::Refused(checked));
        }
        info.findings = self.findings(engine, info, Profile::Standard).into();
        Ok(())
    }

    fn findings(&self, engine: &Inner, info: &PlaybookInfo, profile: Profile) -> Vec<Finding> {
        let look_up = |id: &str, asked: Option<&str>| {
            if self.find_beside(info, id, asked).is_some() {
                IsKnown::Yes
            } else if self.find_beside(info, id, None).is_some() {
                IsKnown::OtherVersion
            } else {
                IsKnown::No
            }
        };
        let around = Surroundings {
            now: Some(engine.now()),
            playbooks: Some(&look_up),
            commands: conche_modules::OWN_COMMANDS,
            examine: Some(&conche_modules::examine_command),
            ..Surroundings::default()
        };
        info.document.check_within(profile, &around)
    }

    fn refusals(&self, engine: &Inner, info: &PlaybookInfo) -> Vec<Refusal> {
        let mut signed = incorrect_signatures(&info.document, &info.playbook.id, engine.now());
        let others = self.lowering(engine, info);
        signed.extend(others);
        signed
    }

    /// What keeps a playbook from being made into steps here.
    fn lowering(&self, engine: &Inner, info: &PlaybookInfo) -> Vec<Refusal> {
        match self.program(info) {
            Ok(program) => engine.unfit(&program),
            Err(error) => vec![Refusal {
                playbook: info.playbook.id.clone(),
                code: NOT_RUNNABLE,
                pointer: Pointer::top(),
                message: error.to_string(),
            }],
        }
    }

    /// Notes of the playbooks that call others what became of them after a change.
    pub(super) fn settle(&mut self, engine: &Inner) {
        self.note(engine, |info| calls(&info.playbook).next().is_some());
    }

    /// Notes of every playbook what is to be said of it.
    pub(super) fn settle_all(&mut self, engine: &Inner) {
        self.note(engine, |_| true);
    }

    fn note(&mut self, engine: &Inner, is_due: impl Fn(&PlaybookInfo) -> bool) {
        let due = self.entries.values().filter(|info| is_due(info));
        let checked: Vec<(Version, Checked)> = due
            .map(|info| {
                let checked = self.check(engine, info, Profile::Standard);
                (version(&info.playbook), checked)
            })
            .collect();
        for (of, checked) in checked {
            if let Some(info) = self.entries.get_mut(&of) {
                info.findings = checked.findings.into();
                info.refusals = checked.refusals.into();
            }
        }
    }
}
