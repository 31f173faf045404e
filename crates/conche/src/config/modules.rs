//! `sources:` and `actions:`. What a module may be told is the module's own matter; here
//! each entry is given to the module that it names.

use std::collections::BTreeMap;

use conche_modules::{ActionModule, SourceModule, actions, sources};
use serde_json::{Map, Value};

use super::fault::Fault;
use super::place::{Key, Place};

/// `sources:` as written.
pub(super) type Sources = Vec<Map<String, Value>>;
/// `actions:` as written.
pub(super) type Actions = BTreeMap<String, Value>;

/// Sources that nobody else may be: of events that runs of ours emit, and of those that come
/// through the API without naming one.
const RESERVED_IDS: [&str; 2] = ["conche", "api"];
/// Event types of ours begin so.
const RESERVED_TYPES: &str = "conche.";
/// Bytes of an id or an event type, as at the API.
const WORD_BYTES_MAX: usize = 256;

/// The key beside an action module's own settings.
pub(super) const CONCURRENCY: &str = "concurrency";

/// A configured source.
#[derive(Clone)]
pub(crate) struct SourceEntry {
    /// Its id, unique.
    pub(crate) id: String,
    /// Its module.
    pub(crate) module: &'static SourceModule,
    /// The module's settings.
    pub(crate) config: Value,
    index: usize,
}

impl SourceEntry {
    /// Where it stands in the configuration.
    pub(crate) fn place(&self) -> Place {
        Place::of(&["sources"]).then(Key::Index(self.index))
    }
}

impl std::fmt::Debug for SourceEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.id, self.module.name)
    }
}

/// An action module, configured or not.
#[derive(Clone)]
pub(crate) struct ActionEntry {
    /// The module.
    pub(crate) module: &'static ActionModule,
    /// Its settings; null where there are none.
    pub(crate) config: Value,
    /// Whether the configuration has a section for it.
    pub(crate) configured: bool,
    /// Invocations under way at once; 0 for no limit.
    pub(crate) concurrency: usize,
}

impl ActionEntry {
    /// Where it stands in the configuration.
    pub(crate) fn place(&self) -> Place {
        Place::of(&["actions", self.module.name])
    }
}

impl std::fmt::Debug for ActionEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.module.name)
    }
}

pub(super) fn sources(authored: Sources, faults: &mut Vec<Fault>) -> Vec<SourceEntry> {
    let mut entries: Vec<SourceEntry> = Vec::new();
    for (index, mut config) in authored.into_iter().enumerate() {
        let place = Place::of(&["sources"]).then(Key::Index(index));
        let mut text = |key: &str| match config.remove(key) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            Some(_) => Err(Fault::new(
                place.then(Key::named(key)),
                "must be a text that is not empty",
            )),
            None => Err(Fault::new(place.clone(), format!("missing key `{key}`"))),
        };
        let entry = text("id").and_then(|id| Ok((id, source_module(&place, &text("module")?)?)));
        let entry = entry.and_then(|(id, module)| {
            check_id(&place, &id)?;
            check_event_types(&place, &config)?;
            Ok((id, module))
        });
        match entry {
            Ok((id, _)) if entries.iter().any(|entry| entry.id == id) => faults.push(Fault::new(
                place.then(Key::named("id")),
                format!("there is another source `{id}`"),
            )),
            Ok((id, module)) => entries.push(SourceEntry {
                id,
                module,
                config: Value::Object(config),
                index,
            }),
            Err(fault) => faults.push(fault),
        }
    }
    entries
}

fn check_id(place: &Place, id: &str) -> Result<(), Fault> {
    let place = place.then(Key::named("id"));
    if RESERVED_IDS.contains(&id) {
        let message = format!("the id `{id}` is reserved: choose another");
        return Err(Fault::new(place, message));
    }
    check_word(place, id)
}

/// Every source that lets the configuration name event types does so by these keys.
fn check_event_types(place: &Place, config: &Map<String, Value>) -> Result<(), Fault> {
    let named = [&["event_type"][..], &["event_type_from", "prefix"]];
    for path in named {
        let mut place = place.clone();
        let mut value = None;
        for key in path {
            place = place.then(Key::named(key));
            value = value.map_or_else(|| config.get(*key), |outer: &Value| outer.get(*key));
        }
        let Some(text) = value.and_then(Value::as_str) else {
            continue;
        };
        if text.starts_with(RESERVED_TYPES) {
            let message = format!(
                "event types that begin with `{RESERVED_TYPES}` are emitted by Conche only"
            );
            return Err(Fault::new(place, message));
        }
        check_word(place, text)?;
    }
    Ok(())
}

fn check_word(place: Place, word: &str) -> Result<(), Fault> {
    if word.chars().any(char::is_control) {
        return Err(Fault::new(place, "must not hold a control character"));
    }
    if word.len() > WORD_BYTES_MAX {
        let message = format!("must not have more than {WORD_BYTES_MAX} bytes");
        return Err(Fault::new(place, message));
    }
    Ok(())
}

fn source_module(place: &Place, name: &str) -> Result<&'static SourceModule, Fault> {
    let known: Vec<&str> = sources::ALL.iter().map(|module| module.name).collect();
    let found = sources::ALL.iter().find(|module| module.name == name);
    found
        .copied()
        .ok_or_else(|| Fault::unknown(place.then(Key::named("module")), "module", name, &known))
}

pub(super) fn actions(mut authored: Actions, faults: &mut Vec<Fault>) -> Vec<ActionEntry> {
    let mut entries = Vec::new();
    for module in actions::ALL.iter() {
        let config = authored.remove(module.name);
        let configured = config.is_some();
        let mut config = config.unwrap_or_default();
        let concurrency = config
            .as_object_mut()
            .and_then(|map| map.remove(CONCURRENCY));
        let concurrency = match concurrency.map(|number| number.as_u64()) {
            None => 0,
            Some(Some(number)) => usize::try_from(number).unwrap_or(usize::MAX),
            Some(None) => {
                faults.push(Fault::new(
                    Place::of(&["actions", module.name, CONCURRENCY]),
                    "must be a whole number; 0 for no limit",
                ));
                0
            }
        };
        entries.push(ActionEntry {
            module,
            config,
            configured,
            concurrency,
        });
    }
    let known: Vec<&str> = actions::ALL.iter().map(|module| module.name).collect();
    for name in authored.keys() {
        let place = Place::of(&["actions", name]);
        faults.push(Fault::unknown(place, "action module", name, &known));
    }
    entries
}
