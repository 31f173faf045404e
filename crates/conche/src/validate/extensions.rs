//! The schemas of extensions that are at hand: those of our own extensions, and those that a
//! person names. What a definition's `schema` says is never fetched, nor is what a schema refers
//! to: whether a playbook is valid must not depend on a network, and must tell nobody that it
//! was looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use conche_cacao::Pointer;
use conche_cacao::check::{FINDINGS_MAX, Mismatch};
use conche_cacao::identifier::Identifier;
use conche_core::playbook::{RESULT_MAPPING, result_mapping_schema};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::failure::Failure;
use crate::input;

/// Where a schema is: `ID=FILE`, or a folder with files that are named by their identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    File(String, PathBuf),
    Folder(PathBuf),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((id, file)) if is_definition(id) => Ok(Self::File(id.to_owned(), file.into())),
            _ if Path::new(text).is_dir() => Ok(Self::Folder(text.into())),
            _ => Err("write extension-definition--UUID=FILE, or name a folder".to_owned()),
        }
    }
}

fn is_definition(id: &str) -> bool {
    Identifier::parse(id).is_ok_and(|id| id.kind == "extension-definition")
}

/// Schemas by the identifiers of their definitions.
pub(super) struct Schemas(BTreeMap<String, Validator>);

impl Schemas {
    /// Our own, and those that are named, which come before our own.
    pub(super) fn of(named: &[Named]) -> Result<Self, Failure> {
        let own = compiled(&result_mapping_schema())
            .map_err(|error| Failure::of("the schema of result-mapping", error))?;
        let mut schemas = Self([(RESULT_MAPPING.to_owned(), own)].into());
        for named in named {
            match named {
                Named::File(id, file) => schemas.add(id, file)?,
                Named::Folder(folder) => schemas.add_all(folder)?,
            }
        }
        Ok(schemas)
    }

    fn add(&mut self, id: &str, file: &Path) -> Result<(), Failure> {
        let schema = compiled(&input::json(file)?)
            .map_err(|error| Failure::of(&format!("{} is no schema", file.display()), error))?;
        self.0.insert(id.to_owned(), schema);
        Ok(())
    }

    /// Those of the files of a folder that are called `extension-definition--UUID.json`.
    fn add_all(&mut self, folder: &Path) -> Result<(), Failure> {
        let failed = |error| Failure::of(&format!("can't read {}", folder.display()), error);
        let mut found = false;
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let id = name.and_then(|name| name.strip_suffix(".json"));
            if let Some(id) = id.filter(|id| is_definition(id)) {
                self.add(id, &path)?;
                found = true;
            }
        }
        if found {
            return Ok(());
        }
        let folder = folder.display();
        Err(Failure::Failed(format!(
            "{folder} holds no file extension-definition--UUID.json"
        )))
    }

    /// What the schema of this identifier does not allow in what stands in an extension.
    pub(super) fn compare(&self, id: &str, data: &Value) -> Vec<Mismatch> {
        let Some(schema) = self.0.get(id) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        if id == RESULT_MAPPING {
            found = filters(data);
        }
        let errors = schema.iter_errors(data).take(FINDINGS_MAX + 1);
        let mismatches = errors.map(|error| Mismatch {
            at: Pointer::leading(error.instance_path().as_str(), data).unwrap_or_default(),
            // Without the value, which may be long, and secret.
            message: error.masked_with("this").to_string(),
            help: format!("see {} in the schema", error.schema_path()),
        });
        found.extend(mismatches);
        found
    }
}

/// The filters of a result mapping that are none.
fn filters(data: &Value) -> Vec<Mismatch> {
    let mapping = data.get("mapping").and_then(Value::as_object);
    let parts = mapping.into_iter().flatten();
    let flaw = |(name, part): (&String, &Value)| {
        let filter = part.get("jq").and_then(Value::as_str)?;
        let message = conche_script::jq_flaw(filter)?;
        Some(Mismatch {
            at: Pointer::top()
                .then("mapping")
                .then(name.as_str())
                .then("jq"),
            message,
            help: "a run would fail after the command was carried out: mend the filter".to_owned(),
        })
    };
    parts.filter_map(flaw).take(FINDINGS_MAX + 1).collect()
}

/// Patterns are matched in linear time; nothing is fetched.
fn compiled(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_schema_refers_to_elsewhere_is_not_fetched() {
        let error = compiled(&json!({"$ref": "https://soc.example/tickets.json"}));
        let error = error.expect_err("it is not at hand");
        assert!(
            error.contains("https://soc.example/tickets.json"),
            "{error}"
        );
        assert!(compiled(&json!({"$ref": "file:///etc/passwd"})).is_err());
        assert!(compiled(&json!({"$ref": "#/$defs/a", "$defs": {"a": {}}})).is_ok());
    }

    #[test]
    fn a_mapping_by_what_is_no_jq_filter_is_told_with_its_place() {
        let schemas = Schemas::of(&[]).expect("our own");
        let mapping =
            |jq: &str| json!({"type": "result-mapping", "mapping": {"__x__": {"jq": jq}}});
        for filter in [".[", "foo"] {
            let found = schemas.compare(RESULT_MAPPING, &mapping(filter));
            let places: Vec<String> = found.iter().map(|one| one.at.to_string()).collect();
            assert_eq!(places, ["/mapping/__x__/jq"], "{filter}");
        }
        assert_eq!(schemas.compare(RESULT_MAPPING, &mapping(".a[0]")), []);
    }

    #[test]
    fn a_schema_is_named_by_an_identifier_and_a_file_or_by_a_folder() {
        let id = RESULT_MAPPING;
        let named = Named::from_str(&format!("{id}=a=b.json"));
        assert_eq!(named, Ok(Named::File(id.to_owned(), "a=b.json".into())));
        assert_eq!(Named::from_str("."), Ok(Named::Folder(".".into())));
        for wrong in ["", "tickets=a.json", "playbook--x=a.json", "no/such/folder"] {
            assert!(Named::from_str(wrong).is_err(), "{wrong}");
        }
    }
}
