//! The JSON Schema of playbooks (draft 2020-12), made from the tables of [`crate::shape`].
//!
//! The official schemas forget the properties of each command, and cannot be satisfied where
//! they close objects; here each `type` brings its own properties, and what is not known is
//! refused only where CACAO is closed. A schema says what can be said of values by themselves:
//! that a playbook satisfies it does not mean that [`crate::Document::check`] finds nothing.

use serde_json::{Map, Value, json};

use crate::shape::{COMMAND, Family, Names, Object, PLAYBOOK, Shape};

/// The schema of a playbook.
///
/// ```
/// let schema = conche_cacao::schema::playbook();
/// assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
/// assert_eq!(schema["$defs"]["workflow-step-properties"]["required"], serde_json::json!(["type"]));
/// ```
pub fn playbook() -> Value {
    let mut schema = Schema::default();
    let top = schema.object(&PLAYBOOK);
    let mut root = Map::new();
    root.insert(
        "$schema".into(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    root.insert("title".into(), "OASIS CACAO 2.0 playbook".into());
    root.extend(top);
    root.insert("unevaluatedProperties".into(), false.into());
    schema.defs.sort_keys();
    root.insert("$defs".into(), Value::Object(schema.defs));
    Value::Object(root)
}

#[derive(Default)]
struct Schema {
    defs: Map<String, Value>,
}

impl Schema {
    /// The properties of a table, open: who refers to it closes it.
    fn object(&mut self, object: &'static Object) -> Map<String, Value> {
        let mut properties = Map::new();
        for property in object.properties {
            let mut schema = self.shape(&property.shape);
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".into(), property.about.into());
            }
            properties.insert(property.name.into(), schema);
        }
        let required: Vec<&str> = object
            .properties
            .iter()
            .filter(|property| property.required)
            .map(|property| property.name)
            .collect();
        let mut schema = Map::new();
        schema.insert("type".into(), "object".into());
        schema.insert("properties".into(), properties.into());
        if !required.is_empty() {
            schema.insert("required".into(), required.into());
        }
        schema
    }

    /// A reference to a closed object.
    fn refer(&mut self, object: &'static Object) -> Value {
        // Set aside first: a signature holds a signature.
        if !self.defs.contains_key(object.name) {
            self.defs.insert(object.name.into(), Value::Null);
            let mut schema = self.object(object);
            schema.insert("unevaluatedProperties".into(), false.into());
            self.defs.insert(object.name.into(), schema.into());
        }
        json!({"$ref": format!("#/$defs/{}", object.name)})
    }

    /// A reference to objects told apart by their `type`: each known type has its properties
    /// and no others, an unknown one may have any.
    fn family(&mut self, family: &'static Family) -> Value {
        if !self.defs.contains_key(family.name) {
            self.defs.insert(family.name.into(), Value::Null);
            let known: Vec<&str> = family.own.iter().map(|(kind, _)| *kind).collect();
            let mut rules: Vec<Value> = Vec::new();
            for (kind, own) in family.own {
                let mut then = self.object(own);
                then.extend(between(family, kind, own));
                rules.push(json!({
                    "if": {"required": ["type"], "properties": {"type": {"const": kind}}},
                    "then": then,
                }));
            }
            let mut open = self.object(family.common);
            open.insert("allOf".into(), rules.into());
            // `unevaluatedProperties` sees what its own schema looked at, so that what closes
            // the object refers to all of it once more.
            let name = format!("{}-properties", family.name);
            let refer = format!("#/$defs/{name}");
            let schema = json!({
                "$ref": refer,
                "if": {"required": ["type"], "properties": {"type": {"enum": known}}},
                "then": {"$ref": refer, "unevaluatedProperties": false},
            });
            self.defs.insert(name, open.into());
            self.defs.insert(family.name.into(), schema);
        }
        json!({"$ref": format!("#/$defs/{}", family.name)})
    }

    fn shape(&mut self, shape: &'static Shape) -> Value {
        match shape {
            Shape::Any => json!({}),
            Shape::Text => json!({"type": "string"}),
            Shape::Fixed(fixed) => json!({"const": fixed}),
            Shape::Word(words) if words.open => {
                json!({"anyOf": [{"enum": words.words}, {"type": "string"}]})
            }
            Shape::Word(words) => json!({"enum": words.words}),
            Shape::Identifier(kinds) => json!({"type": "string", "pattern": identifier(kinds)}),
            Shape::Timestamp => json!({"type": "string", "pattern": timestamp(r"(\.[0-9]+)?")}),
            Shape::Milliseconds => json!({"type": "string", "pattern": timestamp(r"\.[0-9]{3}")}),
            Shape::Base64 => json!({"type": "string", "contentEncoding": "base64"}),
            Shape::Bool => json!({"type": "boolean"}),
            Shape::Integer(least, most) => {
                json!({"type": "integer", "minimum": least, "maximum": most})
            }
            Shape::VariableValue => json!({"type": ["string", "null", "object"]}),
            Shape::Nullable(inner) => json!({"anyOf": [self.shape(inner), {"type": "null"}]}),
            Shape::List(least, of) => {
                json!({"type": "array", "minItems": least, "items": self.shape(of)})
            }
            Shape::Dictionary(names, least, of) => json!({
                "type": "object",
                "minProperties": least,
                "propertyNames": {"pattern": pattern(*names)},
                "additionalProperties": self.shape(of),
            }),
            Shape::Object(object) => self.refer(object),
            Shape::Typed(family) => self.family(family),
        }
    }
}

/// What the properties of a type have to do with each other.
fn between(family: &Family, kind: &str, own: &Object) -> Map<String, Value> {
    let has = |name: &str| own.properties.iter().any(|property| property.name == name);
    let one_of = |one: &str, other: &str| json!([{"required": [one]}, {"required": [other]}]);
    let mut rules = Map::new();
    if family.name == COMMAND.name && has("command") && has("command_b64") {
        rules.insert("oneOf".into(), one_of("command", "command_b64"));
    }
    if has("content") && has("content_b64") {
        rules.insert(
            "not".into(),
            json!({"required": ["content", "content_b64"]}),
        );
    }
    let next = |names: &[&str]| {
        let absent = names.iter().map(|name| ((*name).to_owned(), json!(false)));
        Value::Object(absent.collect())
    };
    match (family.name, kind) {
        ("workflow-step", "end") => {
            let none = next(&["on_completion", "on_success", "on_failure"]);
            rules.insert("allOf".into(), json!([{"properties": none}]));
        }
        ("workflow-step", "start") => {
            let only = next(&["on_success", "on_failure"]);
            rules.insert(
                "allOf".into(),
                json!([{"properties": only, "required": ["on_completion"]}]),
            );
        }
        ("workflow-step", _) => {
            let both = json!([
                {"required": ["on_completion"], "properties": next(&["on_success", "on_failure"])},
                {"required": ["on_success"], "properties": next(&["on_completion"])},
            ]);
            rules.insert("oneOf".into(), both);
        }
        _ => {}
    }
    rules
}

fn identifier(kinds: &[&str]) -> String {
    let kind = if kinds.is_empty() {
        "[a-z][a-z0-9-]+[a-z0-9]".to_owned()
    } else {
        format!("({})", kinds.join("|"))
    };
    format!(
        "^{kind}--[0-9a-fA-F]{{8}}-[0-9a-fA-F]{{4}}-[1-5][0-9a-fA-F]{{3}}-[89abAB][0-9a-fA-F]{{3}}-[0-9a-fA-F]{{12}}$"
    )
}

fn timestamp(decimals: &str) -> String {
    format!(
        "^[0-9]{{4}}-(0[1-9]|1[012])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60){decimals}Z$"
    )
}

fn pattern(names: Names) -> String {
    match names {
        Names::Keys => "^[a-zA-Z0-9_-]{0,250}$".to_owned(),
        Names::Identifiers => identifier(&[]),
        Names::Variables => "^__[a-zA-Z][a-zA-Z0-9_-]{0,245}__$".to_owned(),
        Names::Headers => r"^[a-zA-Z0-9!#$%&'*+.^_`|~-]+$".to_owned(),
        Names::Any => String::new(),
    }
}
