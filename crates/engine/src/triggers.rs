//! Which reactions an event triggers.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use conche_core::run::Declared;
use conche_core::storm::{Control, Controls, Gates, Gather, Key, Watch};
use conche_core::{Definition, Event, Timestamp};

use crate::filter::{EventView, Filter, FilterError, KeyExpression};
use crate::lists::Lists;

/// Reactions by event type. Replaced as a whole when one changes.
#[derive(Default)]
pub(crate) struct Triggers {
    by_type: HashMap<String, Vec<Arc<Trigger>>>,
    by_name: HashMap<String, Arc<Definition>>,
}

/// What an event triggers, and by name the reactions that could not tell.
#[derive(Default)]
pub(crate) struct Matches {
    pub(crate) found: Vec<Match>,
    pub(crate) faults: Vec<(String, Fault)>,
}

impl Matches {
    /// The reactions that have no run, since their filters failed. One whose storm control
    /// failed runs without.
    fn lost(&self) -> impl Iterator<Item = &str> {
        let found = move |name: &str| self.found.iter().any(|found| found.definition.name == name);
        let faults = self.faults.iter().map(|(name, _)| &**name);
        faults.filter(move |name| !found(name))
    }

    /// How many these are.
    pub(crate) fn unfiltered(&self) -> usize {
        self.lost().count()
    }

    /// The reactions that are triggered, or would be for all that is known.
    pub(crate) fn names(&self) -> Vec<String> {
        let found = self.found.iter().map(|found| &*found.definition.name);
        found.chain(self.lost()).map(str::to_owned).collect()
    }
}

/// A definition that an event triggers.
pub(crate) struct Match {
    pub(crate) definition: Arc<Definition>,
    /// What its run has to pass; `None` for none.
    pub(crate) gates: Option<Gates>,
    /// The variables that its run starts with, where it is a playbook's.
    pub(crate) scope: Option<Declared>,
}

/// Why a reaction could not tell what to do with an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It is not triggered.
    #[error("not triggered: {0}")]
    Filter(#[from] FilterError),
    /// It is triggered, and its storm control passed over.
    #[error("not under storm control: '{}.key': {message}", control.as_str())]
    Key {
        /// Whose key.
        control: Control,
        /// Why there is none.
        message: String,
    },
}

/// Filters of larger events are not evaluated where other events are taken in.
const INLINE_BYTES_MAX: usize = 16 * 1024;

/// One reaction's trigger.
pub(crate) struct Trigger {
    pub(crate) definition: Arc<Definition>,
    pub(crate) filter: Option<Filter>,
    pub(crate) storm: Storm,
}

/// A reaction's storm control, its keys compiled.
#[derive(Default)]
pub(crate) struct Storm {
    watches: Vec<(Watch, Option<KeyExpression>)>,
    gather: Option<(Gather, Option<KeyExpression>)>,
}

impl Storm {
    /// Compiles the keys.
    ///
    /// # Errors
    /// The control whose key is wrong, and how.
    pub(crate) fn compile(controls: Controls) -> Result<Self, (Control, String)> {
        let compile = |control: Control, key: Option<String>| {
            let compiled = key.map(|key| KeyExpression::compile(&key));
            compiled.transpose().map_err(|message| (control, message))
        };
        let mut storm = Self::default();
        for (watch, key) in controls.watches {
            let key = compile(watch.control(), key)?;
            storm.watches.push((watch, key));
        }
        if let Some((gather, key)) = controls.gather {
            let key = compile(gather.control(), key)?;
            storm.gather = Some((gather, key));
        }
        Ok(storm)
    }

    fn is_none(&self) -> bool {
        self.watches.is_empty() && self.gather.is_none()
    }

    fn reads_events(&self) -> bool {
        let gather = self.gather.iter().map(|(_, key)| key);
        let mut keys = self.watches.iter().map(|(_, key)| key).chain(gather);
        keys.any(Option::is_some)
    }

    /// The gates of an event.
    fn gates(&self, view: &mut View<'_>, keys_max: u32) -> Result<Gates, Fault> {
        let mut key = |control: Control, key: &Option<KeyExpression>| match key {
            None => Ok(Key::new("")),
            Some(key) => {
                let found = key.key(view.get());
                found.map_err(|message| Fault::Key { control, message })
            }
        };
        let mut watches = Vec::with_capacity(self.watches.len());
        for (watch, of) in &self.watches {
            watches.push((*watch, key(watch.control(), of)?));
        }
        let gather = match &self.gather {
            Some((gather, of)) => Some((*gather, key(gather.control(), of)?)),
            None => None,
        };
        Ok(Gates {
            watches,
            gather,
            keys_max,
        })
    }
}

/// What an event is looked at with.
#[derive(Clone)]
pub(crate) struct Around {
    /// Keys that a reaction may have under storm control.
    pub(crate) keys_max: u32,
    pub(crate) lists: Arc<Lists>,
    pub(crate) now: Timestamp,
}

/// An event as expressions see it: made once, and only if some expression wants it.
struct View<'a> {
    event: &'a Event,
    around: &'a Around,
    made: Option<EventView>,
}

impl View<'_> {
    fn get(&mut self) -> &EventView {
        let Around { lists, now, .. } = self.around;
        self.made
            .get_or_insert_with(|| EventView::new(self.event, lists, *now))
    }
}

impl Triggers {
    pub(crate) fn insert(
        &mut self,
        event_types: impl IntoIterator<Item = String>,
        trigger: &Arc<Trigger>,
    ) {
        let definition = trigger.definition.clone();
        self.by_name.insert(definition.name.clone(), definition);
        for event_type in event_types {
            self.by_type
                .entry(event_type)
                .or_default()
                .push(trigger.clone());
        }
    }

    /// The reaction of this name, triggered or not.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Definition>> {
        self.by_name.get(name).cloned()
    }

    /// How many reactions listen to a type, and what tells them and the lists that they decide
    /// by, as they are, from others. A filter names its lists when it is evaluated only, so one
    /// that asks any stands for all of them.
    pub(crate) fn audience(&self, event_type: &str, lists: &Lists, now: Timestamp) -> (usize, u64) {
        let triggers = self.by_type.get(event_type).map_or(&[][..], Vec::as_slice);
        let mut policy = DefaultHasher::new();
        for trigger in triggers {
            trigger.definition.name.hash(&mut policy);
            trigger.definition.digest.hash(&mut policy);
            for list in trigger.definition.lists() {
                lists.version(list, now).hash(&mut policy);
            }
            if trigger.filter.as_ref().is_some_and(Filter::asks_lists) {
                lists.version_of_all(now).hash(&mut policy);
            }
        }
        (triggers.len(), policy.finish())
    }

    /// Whether looking for matches may take long: a filter reads the whole of a large event,
    /// and may walk through a list of its sender.
    pub(crate) fn is_heavy_for(&self, event: &Event) -> bool {
        let reads =
            |trigger: &Arc<Trigger>| trigger.filter.is_some() || trigger.storm.reads_events();
        event.data.as_str().len() > INLINE_BYTES_MAX
            && self
                .by_type
                .get(&event.event_type)
                .is_some_and(|triggers| triggers.iter().any(reads))
    }

    /// What the event triggers.
    pub(crate) fn matching(&self, event: &Event, around: &Around) -> Matches {
        let mut matches = Matches::default();
        let keys_max = around.keys_max;
        let mut view = View {
            event,
            around,
            made: None,
        };
        for trigger in self.by_type.get(&event.event_type).into_iter().flatten() {
            let name = || trigger.definition.name.clone();
            let holds = match &trigger.filter {
                Some(filter) => filter.holds(view.get()),
                None => Ok(true),
            };
            match holds {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    matches.faults.push((name(), error.into()));
                    continue;
                }
            }
            let gates =
                (!trigger.storm.is_none()).then(|| trigger.storm.gates(&mut view, keys_max));
            let gates = gates.transpose().unwrap_or_else(|fault| {
                matches.faults.push((name(), fault));
                None
            });
            matches.found.push(Match {
                definition: trigger.definition.clone(),
                gates,
                scope: None,
            });
        }
        matches
    }
}

#[cfg(test)]
mod tests {
    use conche_core::{EventId, Json};
    use uuid::Uuid;

    use super::*;

    fn event(data: &serde_json::Value) -> Event {
        Event {
            event_id: EventId::new(Uuid::nil()),
            id: "1".to_owned(),
            source: "s".to_owned(),
            event_type: "t".to_owned(),
            subject: None,
            time: Timestamp::UNIX_EPOCH,
            data: Json::from(data),
            cause: None,
            depth: 0,
        }
    }

    #[test]
    fn only_large_events_with_a_filter_are_heavy() {
        let mut triggers = Triggers::default();
        let definition = Arc::new(Definition {
            digest: conche_core::Digest::of(b"d"),
            name: "r".to_owned(),
            start: "script".into(),
            steps: std::collections::BTreeMap::new(),
            limits: conche_core::definition::Limits::default(),
        });
        let mut insert = |event_type: &str, when: Option<&str>| {
            let filter = when.map(|when| Filter::compile(when).unwrap());
            let trigger = Arc::new(Trigger {
                definition: definition.clone(),
                filter,
                storm: Storm::default(),
            });
            triggers.insert([event_type.to_owned()], &trigger);
        };
        insert("t", None);
        insert("t", Some("event.data.all(x, x == 'x')"));
        insert("bare", None);
        let large = serde_json::json!(["x".repeat(20_000)]);
        assert!(triggers.is_heavy_for(&event(&large)));
        assert!(!triggers.is_heavy_for(&event(&serde_json::json!(["x"]))));
        for other in ["bare", "unknown"] {
            let event_type = other.to_owned();
            let other = Event {
                event_type,
                ..event(&large)
            };
            assert!(!triggers.is_heavy_for(&other));
        }
    }
}
