//! The playbooks of the folder put at hand: exactly its files, but that one which cannot be
//! leaves its earlier version at hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use conche_cacao::{Document, Profile};

use super::known::{Known, read};
use super::{PlaybookError, PlaybookInfo};
use crate::{Engine, Inner, Owner};

/// Files by name, with the document of each.
pub(super) type Files = BTreeMap<String, Arc<Document>>;

/// Files that are not at hand, each with the reason and whether an earlier version of it is.
pub(super) type Refused = BTreeMap<String, (PlaybookError, bool)>;

impl Engine {
    /// Puts the playbooks of the folder at hand. They may call each other: what one calls may
    /// stand in a file that comes later.
    pub(super) async fn sync_playbooks(&self, files: &Files) -> Refused {
        let mut known = self.0.playbooks.lock().await;
        let (next, refused) = settled(&self.0, &known, files);
        for info in known.of_folder() {
            let still = next.find(&info.playbook.id, Some(&info.playbook.modified));
            if still.is_none() {
                tracing::info!(playbook = info.playbook.id, version = info.playbook.modified, owner = ?info.owner, "playbook left the folder");
            }
        }
        for info in next.of_folder() {
            let before = known.find(&info.playbook.id, Some(&info.playbook.modified));
            if before.is_none_or(|before| before.document != info.document) {
                tracing::info!(playbook = info.playbook.id, version = info.playbook.modified, owner = ?info.owner, "playbook at hand");
            }
        }
        known.replace(next);
        known.settle(&self.0);
        refused
    }

    /// How often the playbooks at hand were changed.
    pub(super) async fn playbook_changes(&self) -> u64 {
        self.0.playbooks.lock().await.changes()
    }
}

/// What would be at hand with these files.
fn settled(engine: &Inner, known: &Known, files: &Files) -> (Known, Refused) {
    let mut faults: BTreeMap<String, PlaybookError> = BTreeMap::new();
    loop {
        let mut next = known.without_folder();
        for (file, document) in files {
            let earlier = || known.of_file(file).cloned();
            let info = match faults.get(file) {
                Some(_) => earlier(),
                None => match place(engine, known, &next, file, document) {
                    Ok(info) => Some(info),
                    Err(error) => {
                        faults.insert(file.clone(), error);
                        earlier()
                    }
                },
            };
            // A version that another file has by now stays that file's.
            if let Some(info) = info
                && next
                    .find(&info.playbook.id, Some(&info.playbook.modified))
                    .is_none()
            {
                next.insert(info);
            }
        }
        let found = unfit(engine, known, &mut next, &faults);
        if found.is_empty() {
            let in_force = |file: &String| next.of_file(file).is_some();
            let with = |(file, error): (String, PlaybookError)| {
                let earlier = in_force(&file);
                (file, (error, earlier))
            };
            let refused = faults.into_iter().map(with).collect();
            return (next, refused);
        }
        // Each time round there is at least one file less to be placed.
        faults.extend(found);
    }
}

/// What a file holds, if its identifier and version are free.
fn place(
    engine: &Inner,
    known: &Known,
    next: &Known,
    file: &str,
    document: &Document,
) -> Result<PlaybookInfo, PlaybookError> {
    let owner = Owner::Folder(file.to_owned());
    if let Some(there) = known.of_file(file)
        && there.document.text() == document.text()
    {
        return Ok(there.clone());
    }
    let info = read(document.clone(), owner.clone(), engine.now());
    let info = info.map_err(PlaybookError::Refused)?;
    next.check_owner(&info.playbook.id, &owner)?;
    match next.find(&info.playbook.id, Some(&info.playbook.modified)) {
        Some(PlaybookInfo {
            owner: Owner::Folder(file),
            ..
        }) => Err(PlaybookError::ReadOnly {
            id: info.playbook.id.clone(),
            file: file.clone(),
        }),
        _ => Ok(info),
    }
}

/// The files whose playbooks are new and not valid beside the others.
fn unfit(
    engine: &Inner,
    known: &Known,
    next: &mut Known,
    faults: &BTreeMap<String, PlaybookError>,
) -> BTreeMap<String, PlaybookError> {
    let is_new = |info: &&PlaybookInfo| match &info.owner {
        Owner::Folder(file) => {
            let before = known.of_file(file);
            !faults.contains_key(file)
                && before.is_none_or(|before| before.document != info.document)
        }
        Owner::Api => false,
    };
    let all: Vec<PlaybookInfo> = next.of_folder().filter(is_new).cloned().collect();
    let mut unfit = BTreeMap::new();
    for mut info in all {
        let checked = next.check(engine, &info, Profile::Standard);
        let Owner::Folder(file) = info.owner.clone() else {
            continue;
        };
        if checked.is_runnable() {
            info.findings = checked.findings.into();
            next.insert(info);
        } else {
            unfit.insert(file, PlaybookError::Refused(checked));
        }
    }
    unfit
}
