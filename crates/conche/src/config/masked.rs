//! A configuration without what must not be shown.

use serde_json::{Map, Value};

use super::Authored;

/// Settings of modules whose text is a value and not a name.
const SENSITIVE: [&str; 4] = ["password", "token", "api_key", "rabbit_url"];

impl Authored {
    /// The same without values that a module lets people write into the file itself, though
    /// they belong under `secrets:`.
    pub(crate) fn masked(mut self) -> Self {
        let sources = self.sources.iter_mut().flat_map(Map::iter_mut);
        for (key, value) in sources.chain(self.actions.iter_mut()) {
            mask(key, value);
        }
        self
    }
}

fn mask(key: &str, value: &mut Value) {
    match value {
        Value::String(text) if SENSITIVE.contains(&key) => "***".clone_into(text),
        Value::Object(members) => {
            members.iter_mut().for_each(|(key, value)| mask(key, value));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(key, item)),
        _ => {}
    }
}
