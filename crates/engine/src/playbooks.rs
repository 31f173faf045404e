//! The playbooks at hand: from a folder (read-only through the API) or put through an interface.
//!
//! Every version stays, named by its identifier and time of modification. An identifier
//! belongs to the folder or to the API, never to both. What is taken has passed the checks and
//! can be lowered here; what later becomes of it (a playbook that it calls is removed, its
//! time is over) is told, and refused when it is to be run. Runs under way are not touched:
//! they follow the versions with which they began.

mod files;
mod folder;
mod known;
mod signed;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use conche_cacao::{Document, Finding, Playbook, Profile, Severity};
use conche_core::Timestamp;
use conche_core::playbook::{Program, ProgramError, Refusal, codes, runnable};
use conche_store::{Act, Change, PlaybookPut, PlaybookRow};

use crate::intake::Origin;
use crate::{Engine, Owner, PlaybookBegun, Start, StartError};

pub use folder::{LoadedPlaybooks, PlaybookFolder};
pub(crate) use known::Known;
pub use signed::incorrect_signatures;

/// A version of a playbook at hand.
#[derive(Debug, Clone)]
pub struct PlaybookInfo {
    /// As it was written, secrets that stand in it included.
    pub document: Arc<Document>,
    /// The typed view of it.
    pub playbook: Arc<Playbook>,
    /// Whose it is.
    pub owner: Owner,
    /// Who put it; none for one of the folder.
    pub by: Option<String>,
    /// Since when it is at hand.
    pub since: Timestamp,
    /// What the checks say of it under the profile `standard`.
    pub findings: Arc<[Finding]>,
    /// What keeps it from being run here.
    pub refusals: Arc<[Refusal]>,
}

impl PlaybookInfo {
    /// Why it may not be run at a time, though it could be: it is revoked, or not valid then.
    pub fn lapsed(&self, now: Timestamp) -> Option<String> {
        runnable(&self.playbook, now).err()
    }
}

/// A playbook to be taken.
#[derive(Debug, Clone)]
pub struct NewPlaybook {
    /// As it was written.
    pub document: Document,
    /// How strictly it is judged.
    pub profile: Profile,
    /// Whether it may take the place of another content of the same version.
    pub replace: bool,
    /// Who puts it.
    pub by: String,
}

/// What is wrong with a playbook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What the checks say of it.
    pub findings: Vec<Finding>,
    /// What keeps it from being run here.
    pub refusals: Vec<Refusal>,
}

impl Checked {
    /// Whether it would be taken by the API: it is sound, and may lack nothing but playbooks that
    /// it calls, which may come later.
    pub fn is_valid(&self) -> bool {
        let waits = |refusal: &Refusal| refusal.code == codes::PLAYBOOK_MISSING;
        self.refusals.iter().all(waits) && !self.errors().any(|_| true)
    }

    /// Whether it could be run as things are.
    pub(crate) fn is_runnable(&self) -> bool {
        self.refusals.is_empty() && !self.errors().any(|_| true)
    }

    fn errors(&self) -> impl Iterator<Item = &Finding> {
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        self.findings.iter().filter(is_error)
    }

    /// The first thing that is wrong, and how many more there are.
    fn first(&self) -> String {
        let said = |finding: &Finding| {
            let Finding {
                code,
                message,
                pointer,
                ..
            } = finding;
            format!("{code}: {message} ({pointer})")
        };
        let findings = self.errors().map(said);
        let refusals = self.refusals.iter().map(ToString::to_string);
        let mut all = findings.chain(refusals);
        let first = all.next().unwrap_or_default();
        match all.count() {
            0 => first,
            more => format!("{first}; and {more} more"),
        }
    }
}

/// Why a playbook was not taken, found, or run.
#[derive(Debug, thiserror::Error)]
pub enum PlaybookError {
    /// It does not pass the checks, or cannot be run here.
    #[error("{}", .0.first())]
    Refused(Checked),
    /// The identifier belongs to the folder.
    #[error("the playbook '{id}' comes from the file '{file}' and can only be changed there")]
    ReadOnly {
        /// The playbook.
        id: String,
        /// Its file.
        file: String,
    },
    /// A file has an identifier that belongs to the API.
    #[error(
        "the identifier '{0}' is taken by a playbook that was put through the API; delete that one first"
    )]
    Taken(String),
    /// A version has one content for good.
    #[error(
        "there is a playbook '{id}' of {modified} already, with another content: a change needs a new 'modified'"
    )]
    Exists {
        /// The playbook.
        id: String,
        /// The version.
        modified: String,
    },
    /// There is none, or not in this version.
    #[error("there is no playbook '{id}'{}", of(.version.as_ref()))]
    NotFound {
        /// As asked for.
        id: String,
        /// As asked for.
        version: Option<String>,
    },
    /// It is revoked or not valid now, or one that it calls is.
    #[error("{0}")]
    Lapsed(String),
    /// It was not started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] conche_store::Error),
}

impl PlaybookError {
    /// Whether the same may go well later.
    pub(crate) const fn is_transient(&self) -> bool {
        use conche_modules::Refusal;
        let start = match self {
            Self::Store(_) => return true,
            Self::Start(start) => start,
            _ => return false,
        };
        matches!(
            start,
            StartError::Store(_)
                | StartError::Intake(
                    Refusal::Busy { .. } | Refusal::Unavailable(_) | Refusal::Stopping
                )
        )
    }
}

impl From<ProgramError> for PlaybookError {
    fn from(error: ProgramError) -> Self {
        conche_store::Error::Corrupt {
            kind: "playbook",
            name: String::new(),
            message: error.to_string(),
        }
        .into()
    }
}

fn of(version: Option<&String>) -> String {
    version.map_or_else(String::new, |version| format!(" of {version}"))
}

impl Engine {
    /// Every version of every playbook at hand, by identifier, the latest of each first.
    pub async fn playbooks(&self) -> Vec<PlaybookInfo> {
        self.0.playbooks.lock().await.all().cloned().collect()
    }

    /// A version of a playbook; the latest, if none is asked for.
    pub async fn playbook(&self, id: &str, version: Option<&str>) -> Option<PlaybookInfo> {
        self.0.playbooks.lock().await.find(id, version).cloned()
    }

    /// What people call playbooks now, by identifier; those that are not at hand are left out.
    pub async fn playbook_names(&self, ids: &BTreeSet<&str>) -> BTreeMap<String, String> {
        if ids.is_empty() {
            return BTreeMap::new();
        }
        let known = self.0.playbooks.lock().await;
        let name = |id: &&str| {
            let info = known.find(id, None)?;
            Some(((*id).to_owned(), info.playbook.name.clone()))
        };
        ids.iter().filter_map(name).collect()
    }

    /// Takes a playbook: checked, stored, at hand when this returns. The act is recorded in the
    /// same transaction. Also whether it is new: the same content again changes nothing.
    pub async fn put_playbook_by(
        &self,
        new: NewPlaybook,
        act: Option<Act>,
    ) -> Result<(PlaybookInfo, bool), PlaybookError> {
        let mut known = self.0.playbooks.lock().await;
        let now = self.0.now();
        let read = known::read(new.document, Owner::Api, now).map_err(PlaybookError::Refused)?;
        let mut info = PlaybookInfo {
            by: Some(new.by),
            ..read
        };
        known.check_owner(&info.playbook.id, &Owner::Api)?;
        match known.find(&info.playbook.id, Some(&info.playbook.modified)) {
            Some(there) if there.document.text() == info.document.text() => {
                return Ok((there.clone(), false));
            }
            Some(_) if !new.replace => return Err(exists(&info)),
            Some(_) | None => {}
        }
        known.examine(&self.0, &mut info, new.profile)?;
        let put = PlaybookPut {
            row: row(&info),
            replace: new.replace,
        };
        let stored = match act {
            Some(act) => self.0.store.change(Change::PutPlaybook(put), act).await,
            None => self.0.store.put_playbook(put).await,
        };
        match stored {
            Err(conche_store::Error::Exists { .. }) => return Err(exists(&info)),
            other => other?,
        };
        known.insert(info.clone());
        known.settle(&self.0);
        // What it lacks beside the others is noted there.
        let (id, modified) = (&info.playbook.id, &info.playbook.modified);
        let settled = known.find(id, Some(modified)).cloned();
        Ok((settled.unwrap_or(info), true))
    }

    /// Removes every version of a playbook that was put. Runs under way go on.
    pub async fn delete_playbook_by(
        &self,
        id: &str,
        act: Option<Act>,
    ) -> Result<(), PlaybookError> {
        let mut known = self.0.playbooks.lock().await;
        known.check_owner(id, &Owner::Api)?;
        let stored = match act {
            Some(act) => {
                let delete = Change::DeletePlaybook(id.to_owned());
                self.0.store.change(delete, act).await?
            }
            None => self.0.store.delete_playbook(id).await?,
        };
        let was_known = known.remove(id);
        known.settle(&self.0);
        if stored || was_known {
            return Ok(());
        }
        let (id, version) = (id.to_owned(), None);
        Err(PlaybookError::NotFound { id, version })
    }

    /// All that is wrong with a playbook as if it were put; nothing is changed.
    pub async fn check_playbook(&self, document: Document, profile: Profile) -> Checked {
        let known = self.0.playbooks.lock().await;
        match known::read(document, Owner::Api, self.0.now()) {
            Ok(info) => known.check(&self.0, &info, profile),
            Err(checked) => checked,
        }
    }

    /// A playbook with all that it calls, the versions pinned as they are now.
    pub async fn program(&self, id: &str, version: Option<&str>) -> Result<Program, PlaybookError> {
        let known = self.0.playbooks.lock().await;
        let not_found = || PlaybookError::NotFound {
            id: id.to_owned(),
            version: version.map(str::to_owned),
        };
        let root = known.find(id, version).ok_or_else(not_found)?;
        known.sound_program(root, self.0.now())
    }

    /// Starts a run of a playbook that is not kept; those that it calls are looked for at hand.
    pub async fn run_document(
        &self,
        document: Document,
        start: Start,
    ) -> Result<PlaybookBegun, PlaybookError> {
        let now = self.0.now();
        let info = known::read(document, Owner::Api, now).map_err(PlaybookError::Refused)?;
        let program = self.0.playbooks.lock().await.sound_program(&info, now)?;
        self.run_program(&program, start).await
    }

    /// Starts a run of a playbook at hand, if it and all that it calls may be run now.
    pub async fn run_playbook(
        &self,
        id: &str,
        version: Option<&str>,
        start: Start,
    ) -> Result<PlaybookBegun, PlaybookError> {
        let program = self.program(id, version).await?;
        self.run_program(&program, start).await
    }

    async fn run_program(
        &self,
        program: &Program,
        start: Start,
    ) -> Result<PlaybookBegun, PlaybookError> {
        self.may_run(program)?;
        Ok(self.start_playbook(program, start).await?)
    }

    /// Starts a run that a run of ours causes; `key` names it.
    pub(crate) async fn run_caused(
        &self,
        origin: Origin<'_>,
        program: &Program,
        start: Start,
        key: Option<String>,
    ) -> Result<PlaybookBegun, PlaybookError> {
        self.may_run(program)?;
        Ok(self.0.start_program(origin, program, start, key).await?)
    }

    /// Whether a playbook and all that it calls may be run now.
    fn may_run(&self, program: &Program) -> Result<(), PlaybookError> {
        let now = self.0.now();
        for playbook in std::iter::once(program.root()).chain(program.callees()) {
            runnable(playbook, now).map_err(PlaybookError::Lapsed)?;
        }
        Ok(())
    }

    /// Takes up what was put in an earlier process.
    pub(crate) async fn load_stored_playbooks(&self) -> Result<(), conche_store::Error> {
        let mut known = self.0.playbooks.lock().await;
        for row in self.0.store.playbooks().await? {
            let (id, version) = (row.id.clone(), row.modified.clone());
            // One bad row must not keep the server from starting.
            match restore(row) {
                Ok(info) => known.insert(info),
                Err(error) => {
                    tracing::error!(
                        playbook = id,
                        version,
                        error,
                        "stored playbook is not at hand"
                    );
                }
            }
        }
        known.settle_all(&self.0);
        Ok(())
    }
}

fn exists(info: &PlaybookInfo) -> PlaybookError {
    PlaybookError::Exists {
        id: info.playbook.id.clone(),
        modified: info.playbook.modified.clone(),
    }
}

fn row(info: &PlaybookInfo) -> PlaybookRow {
    let written = || info.document.value().to_string();
    PlaybookRow {
        id: info.playbook.id.clone(),
        modified: info.playbook.modified.clone(),
        text: info.document.text().map_or_else(written, str::to_owned),
        owner: info.by.clone().unwrap_or_default(),
        put_at: info.since,
    }
}

fn restore(row: PlaybookRow) -> Result<PlaybookInfo, String> {
    let document = Document::parse(row.text.as_bytes()).map_err(|error| error.to_string())?;
    let read = known::read(document, Owner::Api, row.put_at);
    let info = read.map_err(|checked| checked.first())?;
    if (&info.playbook.id, &info.playbook.modified) != (&row.id, &row.modified) {
        return Err("its text is of another playbook or version".to_owned());
    }
    Ok(PlaybookInfo {
        by: Some(row.owner),
        ..info
    })
}
