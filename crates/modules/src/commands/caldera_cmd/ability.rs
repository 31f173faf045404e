//! What is to be performed: a reference to an ability that Caldera has, or the definition of
//! one, as Caldera's API or as its `stockpile` files write it.

use ring::digest;
use serde_json::{Map, Value, json};

use crate::action::Error;
use crate::clients::request::uuid_of;

/// The longest reference.
const REFERENCE_MAX: usize = 128;

/// What a command asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Wanted {
    /// An ability by its identifier.
    Known(String),
    /// An ability to create first, with an identifier made of its content.
    Defined(Value),
}

impl Wanted {
    /// Reads a command's text.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let is_reference = text.len() <= REFERENCE_MAX
            && text
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
        if is_reference {
            return Ok(Self::Known(text.to_owned()));
        }
        let wrong = |flaw: &str| {
            Error::permanent(format!(
                "the command is neither an ability's identifier nor its definition: {flaw}"
            ))
        };
        let read: Result<Value, _> = serde_saphyr::from_str(text);
        let mut definition = match read.map_err(|error| wrong(&error.to_string()))? {
            // A file of `stockpile` is a list with one ability.
            Value::Array(mut list) if list.len() == 1 => list.remove(0),
            other => other,
        };
        let Some(ability) = definition.as_object_mut() else {
            return Err(wrong("it is no object"));
        };
        stockpile(ability);
        for name in ["name", "tactic", "technique_id", "technique_name"] {
            if ability.get(name).and_then(Value::as_str).is_none() {
                return Err(wrong(&format!("it has no `{name}`")));
            }
        }
        let executors = ability.get("executors").and_then(Value::as_array);
        if executors.is_none_or(Vec::is_empty) {
            return Err(wrong("it has no `executors`"));
        }
        // Its own identifier could be that of another ability, which would be changed.
        ability.remove("id");
        ability.remove("ability_id");
        let digest = digest::digest(&digest::SHA256, definition.to_string().as_bytes());
        let id = uuid_of(&format!("{digest:?}"));
        definition["ability_id"] = id.into();
        Ok(Self::Defined(definition))
    }
}

/// Turns what only `stockpile` files have into what the API knows.
fn stockpile(ability: &mut Map<String, Value>) {
    if let Some(Value::Object(mut technique)) = ability.remove("technique") {
        for (from, to) in [("attack_id", "technique_id"), ("name", "technique_name")] {
            if let Some(value) = technique.remove(from) {
                ability.entry(to).or_insert(value);
            }
        }
    }
    let Some(Value::Object(platforms)) = ability.remove("platforms") else {
        return;
    };
    let mut executors = Vec::new();
    for (platform, by_name) in platforms {
        let Value::Object(by_name) = by_name else {
            continue;
        };
        for (names, mut executor) in by_name {
            if let Some(Value::String(cleanup)) = executor.get("cleanup") {
                executor["cleanup"] = json!([cleanup]);
            }
            // One entry may be for several executors: `psh,pwsh`.
            for name in names.split(',') {
                let mut executor = executor.clone();
                if executor.is_object() {
                    executor["name"] = name.trim().into();
                    executor["platform"] = platform.as_str().into();
                    executors.push(executor);
                }
            }
        }
    }
    ability.insert("executors".to_owned(), executors.into());
}

/// The executor of an ability that an agent has.
pub(super) fn executor<'a>(ability: &'a Value, agent: &Value) -> Option<&'a Value> {
    let has = |name: &Value| {
        let executors = agent["executors"].as_array();
        executors.is_some_and(|executors| executors.contains(name))
    };
    let executors = ability["executors"].as_array()?;
    executors
        .iter()
        .find(|executor| executor["platform"] == agent["platform"] && has(&executor["name"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_and_both_kinds_of_definitions_are_read() {
        assert_eq!(
            Wanted::parse(" 36eecb80-ede3-442b-8774-956e906aff02\n").unwrap(),
            Wanted::Known("36eecb80-ede3-442b-8774-956e906aff02".to_owned())
        );
        let file = "- id: 1\n  name: who\n  tactic: t\n  technique:\n    attack_id: T1\n    name: tn\n  platforms:\n    linux:\n      sh:\n        command: id\n        cleanup: rm x\n    windows:\n      psh,pwsh:\n        command: whoami\n";
        let Wanted::Defined(from_file) = Wanted::parse(file).unwrap() else {
            panic!("no definition")
        };
        let executors = from_file["executors"].as_array().unwrap();
        let names: Vec<_> = executors.iter().map(|one| one["name"].clone()).collect();
        assert_eq!(names, ["sh", "psh", "pwsh"]);
        assert_eq!(executors[0]["cleanup"], json!(["rm x"]));
        assert_eq!(
            (&from_file["technique_id"], &from_file["technique_name"]),
            (&json!("T1"), &json!("tn"))
        );
        let api = json!({ "ability_id": "other", "name": "n", "tactic": "t", "technique_id": "T1",
            "technique_name": "tn", "executors": [{ "name": "sh", "platform": "linux", "command": "id" }] });
        let Wanted::Defined(ability) = Wanted::parse(&api.to_string()).unwrap() else {
            panic!("no definition")
        };
        assert_ne!(ability["ability_id"], "other");
        assert_eq!(
            Wanted::parse(&api.to_string()).unwrap(),
            Wanted::Defined(ability)
        );
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["a b", "{}", "[]", "name: n\ntactic: t", "a/b", "../x"] {
            assert!(Wanted::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_executor_is_one_that_the_agent_has() {
        let ability = json!({ "executors": [
            { "name": "psh", "platform": "windows" }, { "name": "proc", "platform": "linux" },
            { "name": "sh", "platform": "linux" } ] });
        let agent = json!({ "platform": "linux", "executors": ["sh"] });
        assert_eq!(
            executor(&ability, &agent),
            Some(&json!({ "name": "sh", "platform": "linux" }))
        );
        let mac = json!({ "platform": "darwin", "executors": ["sh"] });
        assert_eq!(executor(&ability, &mac), None);
    }
}
