//! A reaction as CSF's REST API and database have it: one event, three texts, a map.
//!
//! Reading is as loose as Go's `encoding/json` was: keys in any case, unknown ones passed
//! over, absent ones empty. What makes no sense is refused, where CSF took everything.
//! Source: CSF `storage/storage.go` (`Reaction`, `ReactionAction`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::reaction::{Authored, Error, Format, Reaction};

/// CSF's `Reaction`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsfReaction {
    /// The actions by their keys. Go writes null where there are none.
    #[serde(default)]
    pub actions: Option<BTreeMap<String, CsfAction>>,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The event that triggers it.
    #[serde(default)]
    pub event: String,
    /// The script that decides first.
    #[serde(default)]
    pub script: String,
}

/// CSF's `ReactionAction`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsfAction {
    /// The script after the action.
    #[serde(default)]
    pub script: String,
    /// The action.
    #[serde(default)]
    pub action: String,
    /// Its module.
    #[serde(default)]
    pub module: String,
}

/// The name under which a reaction is kept whose own name another event's has already. CSF let
/// them share it; here a name is a key, and CSF's clients still know this one by its own.
#[must_use]
pub fn beside(name: &str, event: &str) -> String {
    format!("{name} ({event})")
}

impl CsfReaction {
    /// Reads CSF's JSON.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let value = serde_json::from_str::<Value>(text).map_err(|error| Error::Syntax {
            line: error.line() as u64,
            column: error.column() as u64,
            message: error.to_string(),
        })?;
        Self::from_value(value)
    }

    /// The same, parsed already.
    pub fn from_value(value: Value) -> Result<Self, Error> {
        if !value.is_object() {
            return Err(Error::Invalid("a reaction is a JSON object".to_owned()));
        }
        let mut value = with_known_keys(value, &["actions", "name", "event", "script"]);
        if let Some(Value::Object(actions)) = value.get_mut("actions") {
            for action in actions.values_mut() {
                *action = with_known_keys(action.take(), &["script", "action", "module"]);
            }
        }
        serde_json::from_value(value).map_err(|error| Error::Invalid(error.to_string()))
    }

    /// What `reaction` is to CSF under one of its events. What CSF has no word for (filters,
    /// retries, limits) is not shown.
    pub fn of(reaction: &Reaction, event: &str) -> Self {
        let actions = reaction.actions.iter().map(|(key, action)| {
            let action = CsfAction {
                script: action.script.clone(),
                action: action.action.clone(),
                module: action.module.clone(),
            };
            (key.clone(), action)
        });
        let actions: BTreeMap<_, _> = actions.collect();
        Self {
            actions: (!actions.is_empty()).then_some(actions),
            name: reaction.name.clone(),
            event: event.to_owned(),
            script: reaction.script.clone(),
        }
    }

    /// The reaction, checked as one in a file is.
    pub fn reaction(&self) -> Result<Reaction, Error> {
        let text =
            serde_json::to_string(self).map_err(|error| Error::Invalid(error.to_string()))?;
        let no_files = |_: &str| Err("there are no script files here".to_owned());
        Authored::parse(&text, Format::Json)?.resolve(&mut { no_files })
    }
}

/// The members that are known, by their names in small letters; null counts as absent.
fn with_known_keys(value: Value, known: &[&str]) -> Value {
    let Value::Object(members) = value else {
        return value;
    };
    let members = members.into_iter().filter_map(|(key, value)| {
        let name = known.iter().find(|name| name.eq_ignore_ascii_case(&key))?;
        (!value.is_null()).then(|| ((*name).to_owned(), value))
    });
    Value::Object(members.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"actions":{"m":{"script":"","action":"send_mail","module":"mail"}},"name":"n","event":"new_pod","script":"nextAction='m'"}"#;

    #[test]
    fn what_is_read_is_written_back_byte_for_byte() {
        let read = CsfReaction::parse(TEXT).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), TEXT);
        assert_eq!(CsfReaction::of(&read.reaction().unwrap(), "new_pod"), read);
        let bare = CsfReaction::parse(r#"{"name":"n","event":"e"}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&bare).unwrap(),
            r#"{"actions":null,"name":"n","event":"e","script":""}"#
        );
        assert_eq!(CsfReaction::of(&bare.reaction().unwrap(), "e"), bare);
    }

    #[test]
    fn keys_are_read_as_go_reads_them() {
        let loose = TEXT
            .replace("\"name\"", "\"Name\"")
            .replace("\"module\"", "\"extra\":{},\"MODULE\"");
        assert_eq!(CsfReaction::parse(&loose), CsfReaction::parse(TEXT));
    }

    #[test]
    fn what_csf_took_and_could_never_run_is_refused() {
        for (text, expected) in [
            ("{", "EOF"),
            ("[]", "a JSON object"),
            (r#"{"name":1}"#, "invalid type"),
            (r#"{"name":"","event":"e"}"#, "name"),
            (r#"{"name":"n"}"#, "event"),
        ] {
            let refused = CsfReaction::parse(text).and_then(|read| read.reaction());
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }
}
