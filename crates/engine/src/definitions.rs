//! Definitions by digest, as runs need them: lowered once, kept as long as there is room.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use conche_core::definition::lower;
use conche_core::playbook::Program;
use conche_core::reaction::Reaction;
use conche_core::{Definition, Digest};
use conche_store::DefinitionText;

use crate::Inner;

/// Kind of a stored reaction.
pub(crate) const REACTION: &str = "reaction";
/// Kind of a stored playbook, with those that it calls.
pub(crate) const PLAYBOOK: &str = "playbook";

/// Definitions kept in memory. A run under way holds its own besides.
const KEPT: usize = 1000;

#[derive(Default)]
pub(crate) struct Definitions(Mutex<HashMap<Digest, Arc<Definition>>>);

impl Definitions {
    pub(crate) fn put(&self, definition: Arc<Definition>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(definition.digest, definition);
    }

    fn get(&self, digest: Digest) -> Option<Arc<Definition>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&digest)
            .cloned()
    }
}

impl Inner {
    /// The definition of this digest, from memory or the store.
    pub(crate) async fn definition(
        &self,
        digest: Digest,
    ) -> Result<Arc<Definition>, conche_store::Error> {
        if let Some(definition) = self.definitions.get(digest) {
            return Ok(definition);
        }
        let text = self.store.definition(digest).await?;
        let definition = Arc::new(self.lower_text(&text)?);
        self.definitions.put(definition.clone());
        Ok(definition)
    }

    /// The variables of a run's definition whose values are sealed.
    pub(crate) async fn sealed(
        &self,
        digest: Digest,
    ) -> Result<BTreeSet<String>, conche_store::Error> {
        let text = self.store.definition(digest).await?;
        if text.kind != PLAYBOOK {
            return Ok(BTreeSet::new());
        }
        let program = Program::parse(&text.text);
        Ok(program.map(|program| program.sealed()).unwrap_or_default())
    }

    fn lower_text(&self, stored: &DefinitionText) -> Result<Definition, conche_store::Error> {
        let corrupt = |message: String| conche_store::Error::Corrupt {
            kind: "definition",
            name: stored.digest.to_string(),
            message,
        };
        if stored.kind == PLAYBOOK {
            let program =
                Program::parse(&stored.text).map_err(|error| corrupt(error.to_string()))?;
            let lowered = self.lowered(&program).map_err(|refusals| {
                let refusals: Vec<String> = refusals.iter().map(ToString::to_string).collect();
                corrupt(format!(
                    "it cannot be run any more: {}",
                    refusals.join("; ")
                ))
            })?;
            return Ok(lowered.definition);
        }
        if stored.kind != REACTION {
            return Err(corrupt(format!(
                "this program does not know the kind '{}'",
                stored.kind
            )));
        }
        let reaction =
            Reaction::from_text(&stored.text).map_err(|error| corrupt(error.to_string()))?;
        // A later version of this program may write the same reaction differently.
        Ok(Definition {
            digest: stored.digest,
            ..lower(&reaction, self, &self.defaults())
        })
    }
}
