//! The JSON Schema of the configuration file, with the settings of every module.

use conche_modules::{actions, sources};
use serde_json::{Map, Value, json};

use super::Authored;
use super::modules::CONCURRENCY;

/// The JSON Schema of the configuration file.
pub(crate) fn schema() -> Value {
    let mut schema = schemars::schema_for!(Authored).to_value();
    let mut hoisted = Map::new();
    let sources: Vec<Value> = sources::ALL
        .iter()
        .map(|module| source(module, &mut hoisted))
        .collect();
    let actions: Map<String, Value> = actions::ALL
        .iter()
        .map(|module| (module.name.to_owned(), action(module, &mut hoisted)))
        .collect();
    let properties = &mut schema["properties"];
    properties["sources"]["items"] = json!({ "oneOf": sources });
    properties["actions"]["properties"] = Value::Object(actions);
    properties["actions"]["additionalProperties"] = json!(false);
    if let Some(definitions) = schema["$defs"].as_object_mut() {
        definitions.append(&mut hoisted);
    }
    schema
}

fn source(module: &conche_modules::SourceModule, hoisted: &mut Map<String, Value>) -> Value {
    let mut schema = hoist(
        &format!("sources.{}", module.name),
        (module.config)(),
        hoisted,
    );
    schema["description"] = json!(module.summary);
    schema["properties"]["id"] =
        json!({ "type": "string", "description": "Names the source; unique." });
    schema["properties"]["module"] = json!({ "const": module.name });
    let mut required = vec![json!("id"), json!("module")];
    required.extend(schema["required"].as_array().cloned().unwrap_or_default());
    schema["required"] = Value::Array(required);
    schema
}

fn action(module: &conche_modules::ActionModule, hoisted: &mut Map<String, Value>) -> Value {
    let mut schema = hoist(
        &format!("actions.{}", module.name),
        (module.config)(),
        hoisted,
    );
    schema["description"] = json!(module.summary);
    schema["properties"][CONCURRENCY] = json!({
        "type": "integer",
        "minimum": 0,
        "description": "Invocations under way at once; 0 for no limit. Default: 0.",
    });
    schema
}

/// Moves a module's own definitions into the whole schema's, under names of their own.
fn hoist(prefix: &str, mut schema: Value, hoisted: &mut Map<String, Value>) -> Value {
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        members.remove("title");
    }
    rename(prefix, &mut schema);
    let definitions = schema.as_object_mut().and_then(|map| map.remove("$defs"));
    if let Some(Value::Object(definitions)) = definitions {
        let named = definitions
            .into_iter()
            .map(|(name, definition)| (format!("{prefix}.{name}"), definition));
        hoisted.extend(named);
    }
    schema
}

fn rename(prefix: &str, schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(target) if key == "$ref" => {
                        *target = target.replace("#/$defs/", &format!("#/$defs/{prefix}."));
                    }
                    other => rename(prefix, other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(prefix, item)),
        _ => {}
    }
}
