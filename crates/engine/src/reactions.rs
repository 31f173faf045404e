//! The reactions in force: from a folder (read-only through the API) or put through the API.

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;

use conche_core::definition::lower;
use conche_core::place::{Key, Place};
use conche_core::reaction::Reaction;
use conche_core::{Digest, Timestamp};
use conche_store::{Act, Change, DefinitionText, ReactionRow};

use crate::definitions::REACTION;
use crate::filter::Filter;
use crate::triggers::{Storm, Trigger, Triggers};
use crate::{Engine, Inner};

/// Whose a reaction is: only its owner may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A file of the reactions folder, by its path within it.
    Folder(String),
    /// The API.
    Api,
}

/// A reaction in force.
#[derive(Debug, Clone)]
pub struct ReactionInfo {
    /// The reaction.
    pub reaction: Arc<Reaction>,
    /// Its version.
    pub digest: Digest,
    /// Whose it is.
    pub owner: Owner,
    /// Since when this version is in force.
    pub since: Timestamp,
    /// What will go wrong when a run comes to it, e.g. a module that is not there.
    pub warnings: Vec<String>,
}

/// Why a reaction was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReactionError {
    /// A script, the filter or the whole is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The name belongs to another owner.
    #[error("the reaction '{name}' comes from the file '{file}' and can only be changed there")]
    ReadOnly {
        /// The reaction.
        name: String,
        /// Its file.
        file: String,
    },
    /// There is none of this name.
    #[error("there is no reaction '{0}'")]
    NotFound(String),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] conche_store::Error),
}

/// What is wrong with a reaction that can be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The key that it is about.
    pub(crate) key: Place,
    /// Line and column within the script, where it is about one.
    pub(crate) at: Option<(u32, u32)>,
    /// What is wrong, for those who do not have the file before them.
    pub(crate) message: String,
}

impl From<Flaw> for ReactionError {
    fn from(flaw: Flaw) -> Self {
        Self::Invalid(flaw.message)
    }
}

/// Why a file's reaction is not in force.
pub(crate) enum FileRefusal {
    /// It is wrong in itself.
    Flaw(Flaw),
    /// It cannot be had beside what there is.
    Other(ReactionError),
}

/// What an examination of a reaction gave.
struct Examined {
    filter: Option<Filter>,
    storm: Storm,
    /// What will go wrong when a run comes to it.
    warnings: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Registry {
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    info: ReactionInfo,
    trigger: Arc<Trigger>,
}

impl Engine {
    /// Every reaction in force, by name.
    pub async fn reactions(&self) -> Vec<ReactionInfo> {
        self.0
            .reactions
            .lock()
            .await
            .entries
            .values()
            .map(|entry| entry.info.clone())
            .collect()
    }

    /// The reaction of this name.
    pub async fn reaction(&self, name: &str) -> Option<ReactionInfo> {
        self.0
            .reactions
            .lock()
            .await
            .entries
            .get(name)
            .map(|entry| entry.info.clone())
    }

    /// Takes a reaction through the API: checked, stored, in force when this returns.
    pub async fn put_reaction(&self, reaction: Reaction) -> Result<ReactionInfo, ReactionError> {
        self.put_reaction_by(reaction, None).await
    }

    /// As [`Engine::put_reaction`]; the act is recorded in the same transaction.
    pub async fn put_reaction_by(
        &self,
        reaction: Reaction,
        act: Option<Act>,
    ) -> Result<ReactionInfo, ReactionError> {
        let mut registry = self.0.reactions.lock().await;
        registry.check_owner(&reaction.name, &Owner::Api)?;
        let examined = self.0.examine(&reaction).await?;
        let entry = self.0.prepare(reaction, examined, Owner::Api).await?;
        let row = ReactionRow {
            name: entry.info.reaction.name.clone(),
            text: entry.info.reaction.to_text(),
            updated_at: self.0.now(),
        };
        match act {
            Some(act) => drop(self.0.store.change(Change::PutReaction(row), act).await?),
            None => self.0.store.put_reaction(row).await?,
        }
        let info = entry.info.clone();
        registry.entries.insert(info.reaction.name.clone(), entry);
        self.0.publish(&registry);
        Ok(info)
    }

    /// Removes a reaction that was put through the API. Runs under way go on.
    pub async fn delete_reaction(&self, name: &str) -> Result<(), ReactionError> {
        self.delete_reaction_by(name, None).await
    }

    /// As [`Engine::delete_reaction`]; the act is recorded in the same transaction.
    pub async fn delete_reaction_by(
        &self,
        name: &str,
        act: Option<Act>,
    ) -> Result<(), ReactionError> {
        let mut registry = self.0.reactions.lock().await;
        registry.check_owner(name, &Owner::Api)?;
        let stored = match act {
            Some(act) => {
                let delete = Change::DeleteReaction(name.to_owned());
                self.0.store.change(delete, act).await?
            }
            None => self.0.store.delete_reaction(name).await?,
        };
        let known = registry.entries.remove(name).is_some();
        self.0.publish(&registry);
        if stored || known {
            Ok(())
        } else {
            Err(ReactionError::NotFound(name.to_owned()))
        }
    }

    /// Checks a reaction as if it were put: scripts, filter, modules. Gives warnings.
    pub async fn check_reaction(&self, reaction: Reaction) -> Result<Vec<String>, ReactionError> {
        Ok(self.0.examine(&reaction).await?.warnings)
    }

    pub(crate) async fn load_stored_reactions(&self) -> Result<(), conche_store::Error> {
        let mut registry = self.0.reactions.lock().await;
        for row in self.0.store.reactions().await? {
            let prepared = match Reaction::from_text(&row.text) {
                Ok(reaction) => self
                    .0
                    .restore(reaction)
                    .await
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            // One bad row must not keep the server from starting.
            match prepared {
                Ok(entry) => drop(registry.entries.insert(row.name, entry)),
                Err(error) => tracing::error!(
                    reaction = row.name,
                    error,
                    "stored reaction is not in force"
                ),
            }
        }
        self.0.publish(&registry);
        Ok(())
    }

    /// Puts the reactions of the folder in force: exactly these, but that a file which cannot be
    /// leaves its earlier version in force. Gives those files, and whether there is an earlier version.
    pub(crate) async fn sync_folder(
        &self,
        files: BTreeMap<String, Reaction>,
    ) -> Vec<(String, FileRefusal, bool)> {
        let mut registry = self.0.reactions.lock().await;
        let mut faults: BTreeMap<&String, FileRefusal> = BTreeMap::new();
        for (file, reaction) in &files {
            if let Err(error) = registry.put_file(&self.0, file, reaction).await {
                faults.insert(file, error);
            }
        }
        registry
            .entries
            .retain(|name, entry| match &entry.info.owner {
                Owner::Api => true,
                Owner::Folder(file) => {
                    let stays = files
                        .get(file)
                        .is_some_and(|now| now.name == *name || faults.contains_key(file));
                    if !stays {
                        tracing::info!(reaction = name, file, "reaction left the folder");
                    }
                    stays
                }
            });
        self.0.publish(&registry);
        let in_force = |file: &String| {
            registry
                .entries
                .values()
                .any(|entry| entry.info.owner == Owner::Folder(file.clone()))
        };
        faults
            .into_iter()
            .map(|(file, error)| (file.clone(), error, in_force(file)))
            .collect()
    }
}

impl Registry {
    /// Puts one file's reaction in force, unless it already is.
    async fn put_file(
        &mut self,
        engine: &Inner,
        file: &str,
        reaction: &Reaction,
    ) -> Result<(), FileRefusal> {
        let owner = Owner::Folder(file.to_owned());
        let known = self.entries.get(&reaction.name).map(|entry| &entry.info);
        if known.is_some_and(|info| info.owner == owner && info.digest == reaction.digest()) {
            return Ok(());
        }
        self.check_owner(&reaction.name, &owner)
            .map_err(FileRefusal::Other)?;
        let examined = engine.examine(reaction).await.map_err(FileRefusal::Flaw)?;
        let entry = engine.prepare(reaction.clone(), examined, owner).await;
        let entry = entry.map_err(FileRefusal::Other)?;
        let info = &entry.info;
        tracing::info!(reaction = info.reaction.name, file, digest = %info.digest, "reaction in force");
        for warning in &info.warnings {
            tracing::warn!(
                reaction = info.reaction.name,
                file,
                warning,
                "reaction has a fault"
            );
        }
        self.entries.insert(info.reaction.name.clone(), entry);
        Ok(())
    }

    fn check_owner(&self, name: &str, owner: &Owner) -> Result<(), ReactionError> {
        match self.entries.get(name).map(|entry| &entry.info.owner) {
            Some(Owner::Folder(file)) if *owner != Owner::Folder(file.clone()) => {
                Err(ReactionError::ReadOnly {
                    name: name.to_owned(),
                    file: file.clone(),
                })
            }
            Some(Owner::Api) if *owner != Owner::Api => Err(ReactionError::Invalid(format!(
                "the name '{name}' is taken by a reaction that was put through the API; delete that one first"
            ))),
            _ => Ok(()),
        }
    }
}

impl Inner {
    /// A reaction that was put in an earlier process.
    async fn restore(&self, reaction: Reaction) -> Result<Entry, ReactionError> {
        let examined = self.examine(&reaction).await?;
        self.prepare(reaction, examined, Owner::Api).await
    }

    /// Stores the version of a reaction that was examined, so that runs can follow it.
    async fn prepare(
        &self,
        reaction: Reaction,
        examined: Examined,
        owner: Owner,
    ) -> Result<Entry, ReactionError> {
        let definition = Arc::new(lower(&reaction, self, &self.defaults()));
        let text = DefinitionText {
            digest: definition.digest,
            kind: REACTION.to_owned(),
            name: reaction.name.clone(),
            text: reaction.to_text(),
        };
        self.store.put_definition(text).await?;
        self.definitions.put(definition.clone());
        let info = ReactionInfo {
            digest: definition.digest,
            reaction: Arc::new(reaction),
            owner,
            since: self.now(),
            warnings: examined.warnings,
        };
        Ok(Entry {
            info,
            trigger: Arc::new(Trigger {
                definition,
                filter: examined.filter,
                storm: examined.storm,
            }),
        })
    }

    async fn examine(&self, reaction: &Reaction) -> Result<Examined, Flaw> {
        let filter = reaction.when.as_deref().map(Filter::compile).transpose();
        let filter = filter.map_err(|error| Flaw {
            key: Place::of(&["when"]),
            at: None,
            message: error.to_string(),
        })?;
        let storm = Storm::compile(reaction.controls()).map_err(|(control, message)| Flaw {
            key: Place::of(&[control.as_str(), "key"]),
            at: None,
            message: format!("'{}.key': {message}", control.as_str()),
        })?;
        let script = ("script".to_owned(), Place::top(), &reaction.script);
        let scripts = reaction.actions.iter().map(|(key, action)| {
            let what = format!("script of action '{key}'");
            (what, Place::of(&["actions", key]), &action.script)
        });
        for (what, around, script) in iter::once(script).chain(scripts) {
            if !script.is_empty()
                && let Err(fault) = self.evaluator.check(script).await
            {
                return Err(Flaw {
                    key: around.then(Key::named("script")),
                    at: fault.at,
                    message: format!("{what}: {fault}"),
                });
            }
        }
        let missing = reaction.actions.iter().filter_map(|(key, action)| {
            self.modules
                .missing(&action.module, &action.action)
                .map(|why| format!("action '{key}': {why}"))
        });
        Ok(Examined {
            filter,
            storm,
            warnings: missing.collect(),
        })
    }

    fn publish(&self, registry: &Registry) {
        let mut triggers = Triggers::default();
        for entry in registry.entries.values() {
            triggers.insert(entry.info.reaction.events.iter().cloned(), &entry.trigger);
        }
        self.triggers.store(Arc::new(triggers));
    }
}
