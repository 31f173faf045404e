//! What the configuration sets for a recipe's module: the recipe's own settings, and a few
//! that every recipe has.

use std::collections::BTreeMap;
use std::sync::Arc;

use conche_runtime::egress::{ClientTls, Egress};
use conche_runtime::secrets::{self, Secrets};
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::model::Recipe;
use crate::config::{self as settings, SecretName};
use crate::{BuildContext, BuildError};

/// The settings that every recipe has.
pub(super) const OWN: [&str; 5] = [
    "timeout",
    "max_response",
    "plain_http",
    "tls",
    "concurrency",
];

/// Settings of every recipe.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Own {
    /// The longest time for one request. Default: `30s`.
    timeout: Span,
    /// The largest answer. Default: `256KiB`.
    max_response: Size,
    /// Whether requests, and the secrets in them, may go unencrypted, over `http`. Default: false.
    plain_http: bool,
    /// Whom to trust and as whom to appear. Default: as set under `egress:`.
    tls: Option<ClientTls>,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            timeout: Span::from_secs(30),
            max_response: Size::from_kib(256),
            plain_http: false,
            tls: None,
        }
    }
}

/// A setting's value, or where it is.
enum Set {
    Text(String),
    Secret(SecretName),
}

/// What was set.
pub(super) struct Settings {
    values: BTreeMap<String, Set>,
    pub(super) timeout: Span,
    pub(super) max_response: Size,
    pub(super) plain_http: bool,
    pub(super) egress: Arc<Egress>,
}

/// JSON Schema of a recipe's settings.
pub(super) fn schema(recipe: &Recipe) -> Value {
    let mut schema = settings::schema::<Own>();
    schema["title"] = recipe.name.as_str().into();
    schema["description"] = recipe.summary.as_str().into();
    for (name, setting) in &recipe.settings {
        let default = match (&setting.default, setting.required) {
            (Some(default), _) => format!(" Default: `{default}`."),
            (None, true) => String::new(),
            (None, false) => " Default: none.".to_owned(),
        };
        let description = format!("{}{default}", setting.description);
        schema["properties"][name] = if setting.secret {
            json!({
                "description": description, "type": "object", "required": ["secret"],
                "properties": { "secret": { "type": "string" } }, "additionalProperties": false,
            })
        } else {
            json!({ "description": description, "type": "string" })
        };
    }
    let required = recipe
        .settings
        .iter()
        .filter(|(_, setting)| setting.required);
    schema["required"] = required.map(|(name, _)| json!(name)).collect();
    schema
}

impl Settings {
    /// Reads what is configured. A module of which nothing is, is not there.
    pub(super) fn read(
        recipe: &Recipe,
        config: Value,
        cx: &BuildContext,
    ) -> Result<Self, BuildError> {
        let place = format!("actions.{}", recipe.name);
        let wrong = |message: String| settings::error(&place, message);
        let mut members = match config {
            Value::Object(members) => members,
            Value::Null => return Err(wrong("has no settings".to_owned())),
            _ => return Err(wrong("must be an object of settings".to_owned())),
        };
        let is_known =
            |name: &&String| recipe.settings.contains_key(*name) || OWN.contains(&name.as_str());
        if let Some(name) = members.keys().find(|name| !is_known(name)) {
            let known: Vec<&str> = recipe
                .settings
                .keys()
                .map(String::as_str)
                .chain(OWN)
                .collect();
            let known = known.join("`, `");
            return Err(wrong(format!(
                "unknown field `{name}`, expected one of `{known}`"
            )));
        }
        let mut values = BTreeMap::new();
        for (name, setting) in &recipe.settings {
            let value = members.remove(name).filter(|value| !value.is_null());
            let set = match (value, &setting.default) {
                (Some(value), _) if setting.secret => {
                    let name: SecretName = serde_json::from_value(value).map_err(|_| {
                        wrong(format!("`{name}` names a secret: `{{ secret: NAME }}`"))
                    })?;
                    name.check(&place, &cx.secrets)?;
                    Set::Secret(name)
                }
                (Some(Value::String(text)), _) if !text.is_empty() => Set::Text(text),
                (Some(_), _) => return Err(wrong(format!("`{name}` must be a text"))),
                (None, Some(default)) => Set::Text(default.clone()),
                (None, None) if setting.required => {
                    return Err(wrong(format!("missing field `{name}`")));
                }
                (None, None) => continue,
            };
            values.insert(name.clone(), set);
        }
        let own: Own = settings::read(&place, Value::Object(members))?;
        let egress = match &own.tls {
            None => cx.egress.clone(),
            Some(tls) => {
                let egress = cx.egress.with_tls(tls);
                Arc::new(egress.map_err(|error| wrong(error.to_string()))?)
            }
        };
        Ok(Self {
            values,
            timeout: own.timeout,
            max_response: own.max_response,
            plain_http: own.plain_http,
            egress,
        })
    }

    /// All values, those of secrets too: they must go into a request and nowhere else.
    pub(super) fn values(&self, secrets: &Secrets) -> Result<Map<String, Value>, secrets::Error> {
        let value = |(name, set): (&String, &Set)| {
            let text = match set {
                Set::Text(text) => text.clone(),
                Set::Secret(secret) => secrets.get(&secret.secret)?.expose_secret().to_owned(),
            };
            Ok((name.clone(), Value::String(text)))
        };
        self.values.iter().map(value).collect()
    }
}
