//! What of a command's result document goes into which variables.
//!
//! CACAO names the variables that a step writes (`out_args`) and leaves open what is written
//! (oasis-tcs/cacao-2.0 issue 8; decision 0018). Here, in this order: a `result-mapping`
//! extension of the step says it; else a single `out_args` gets the primary result; else
//! members of the document's `variables` go to the variables of their names. SOARCA's names
//! are set beside, where they are declared and `out_args` does not leave them out.

use std::collections::BTreeMap;

use conche_cacao::variable::{Name, Scope, Variables};
use serde_json::{Value, json};

use crate::json::Json;

/// The step extension that says what of a result goes where.
pub const EXTENSION: &str = "extension-definition--1a061026-c0ae-49db-ba2e-5610d341a831";

/// The JSON Schema (draft 2020-12) of the step extension `result-mapping`. That a command and a
/// target of the numbers are there is only known in the step.
pub fn schema() -> Value {
    let part = json!({
        "type": "object",
        "properties": {
            "pointer": {
                "type": "string",
                "pattern": "^(/([^~/]|~[01])*)*$",
                "description": "A JSON Pointer (RFC 6901) into the result document.",
            },
            "jq": {
                "type": "string",
                "description": "A jq filter over the result document; what it yields first counts.",
            },
            "command": {
                "type": "integer",
                "minimum": 0,
                "description": "Of which command of the step, from 0; of all where it is absent.",
            },
            "target": {
                "type": "integer",
                "minimum": 0,
                "description": "Of which target of the step, from 0; of all where it is absent.",
            },
        },
        "additionalProperties": false,
        "oneOf": [{"required": ["pointer"]}, {"required": ["jq"]}],
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:conche:{EXTENSION}"),
        "title": "result-mapping: what of a command's result goes into which variables",
        "type": "object",
        "properties": {
            "type": {"const": "result-mapping"},
            "mapping": {
                "type": "object",
                "description": "Variables, and the part of the result that each gets.",
                "propertyNames": {"pattern": "^__[a-zA-Z0-9_-]+__$"},
                "additionalProperties": part,
            },
        },
        "required": ["mapping"],
        "additionalProperties": false,
    })
}

/// The type of a command, its primary result, and SOARCA's names for parts of the document.
type Parts = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// By type of command: the primary result, and SOARCA's names for parts of the document.
const PARTS: [Parts; 11] = [
    (
        "http-api",
        "/body",
        &[("__soarca_http_api_result__", "/body")],
    ),
    (
        "openc2-http",
        "/results",
        &[("__soarca_openc2_http_result__", "/body")],
    ),
    ("ssh", "/stdout", &[("__soarca_ssh_result__", "/stdout")]),
    ("bash", "/stdout", &[]),
    (
        "powershell",
        "/stdout",
        &[
            ("__soarca_powershell_result__", "/stdout"),
            ("__soarca_powershell_error__", "/stderr"),
        ],
    ),
    ("elastic", "/body", &[]),
    ("caldera-cmd", "/result", &[]),
    ("sigma", "/matched", &[]),
    ("yara", "/matched", &[]),
    ("jupyter", "/result", &[]),
    ("kestrel", "/result", &[]),
];

/// Variables that SOARCA sets without being asked, which a playbook may use undeclared.
pub(super) fn undeclared() -> impl Iterator<Item = &'static str> {
    PARTS
        .iter()
        .flat_map(|(_, _, names)| names.iter().map(|(name, _)| *name))
}

/// The part of a result document that a name of SOARCA's stands for; none where commands of
/// this type have no such part.
pub(super) fn soarca_part(kind: &str, name: &str) -> Option<&'static str> {
    let (_, _, names) = PARTS.iter().find(|(known, ..)| *known == kind)?;
    let found = names.iter().find(|(known, _)| *known == name);
    found.map(|(_, pointer)| *pointer)
}

/// What becomes of one command's result.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultMapping {
    /// The type of the command.
    kind: String,
    /// The variables that the step writes; empty where it does not say.
    out_args: Vec<Name>,
    /// Variables and the JSON Pointers of what they get; none where the step does not say, which
    /// is not the same as saying it of its other commands only.
    mapping: Option<Vec<(Name, String)>>,
}

impl ResultMapping {
    pub(super) const fn new(
        kind: String,
        out_args: Vec<Name>,
        mapping: Option<Vec<(Name, String)>>,
    ) -> Self {
        Self {
            kind,
            out_args,
            mapping,
        }
    }

    /// The variables that a result sets, as far as they are seen from where the command stands.
    ///
    /// # Errors
    /// Where the mapping names a part that the result does not have.
    pub fn variables(
        &self,
        result: &Json,
        scope: &Scope,
    ) -> Result<BTreeMap<String, Json>, String> {
        let document: Value = result.read().map_err(|error| error.to_string())?;
        let mut found = BTreeMap::new();
        for (name, pointer) in self.mapping.iter().flatten() {
            let part = document
                .pointer(pointer)
                .ok_or_else(|| format!("the result has nothing at `{pointer}` for `{name}`"))?;
            found.insert(name.to_string(), part.clone());
        }
        let parts = PARTS.iter().find(|(kind, ..)| *kind == self.kind);
        if let (Some((_, primary, _)), [only]) = (parts, self.out_args.as_slice())
            && self.mapping.is_none()
            && let Some(part) = document.pointer(primary)
        {
            found.insert(only.to_string(), captured(primary, part));
        }
        let soarca = parts.map_or(&[][..], |(_, _, names)| names);
        for (name, pointer) in soarca {
            if let Some(part) = document.pointer(pointer) {
                self.offer(&mut found, name, part);
            }
        }
        if let Some(Value::Object(named)) = document.get("variables") {
            for (name, value) in named {
                self.offer(&mut found, name, bare(value));
            }
        }
        let seen = |name: &String| scope.variable(name).is_some();
        let found = found.into_iter();
        Ok(found
            .filter(|(name, _)| seen(name) || self.asked_for(name))
            .map(|(name, value)| (name, Json::from(&value)))
            .collect())
    }

    /// Takes a value that was not asked for by a mapping, unless `out_args` leaves it out.
    fn offer(&self, found: &mut BTreeMap<String, Value>, name: &str, value: &Value) {
        let wanted =
            self.out_args.is_empty() || self.out_args.iter().any(|wanted| wanted.as_str() == name);
        if wanted && !found.contains_key(name) {
            found.insert(name.to_owned(), value.clone());
        }
    }

    fn asked_for(&self, name: &str) -> bool {
        let mapped = self.mapping.iter().flatten().map(|(name, _)| name);
        mapped
            .chain(&self.out_args)
            .any(|asked| asked.as_str() == name)
    }
}

/// What was printed, without the line breaks at its end: as a shell captures the output of a
/// command.
fn captured(pointer: &str, part: &Value) -> Value {
    match part {
        Value::String(text) if pointer == "/stdout" => text.trim_end_matches(['\r', '\n']).into(),
        other => other.clone(),
    }
}

/// The value of a variable: Fins give variables as CACAO declares them, others their values only.
fn bare(value: &Value) -> &Value {
    const DECLARED: [&str; 6] = [
        "type",
        "name",
        "description",
        "value",
        "constant",
        "external",
    ];
    match value {
        Value::Object(members)
            if members.get("type").is_some_and(Value::is_string)
                && members.keys().all(|name| DECLARED.contains(&name.as_str())) =>
        {
            members.get("value").unwrap_or(&Value::Null)
        }
        value => value,
    }
}
