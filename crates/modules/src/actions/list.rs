//! `list`: entries of named lists, which filters ask and scripts may be given.
//!
//! The same entry put twice is one entry, so both actions may be repeated freely. It must
//! never reach the store but through the host.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use conche_core::span::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::{BuildContext, BuildError, config};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "list",
    summary: "Keeps named lists, such as of addresses that are blocked, whose entries may end.",
    actions: &[
        ActionSpec {
            name: "add",
            summary: "Puts an entry into a list, replacing the one of its key.",
            input: &config::schema::<Add>,
            output: &config::schema::<Added>,
            repeat: Repeat::Idempotent,
            on_uncertain: OnUncertain::Repeat,
        },
        ActionSpec {
            name: "remove",
            summary: "Takes an entry out of a list.",
            input: &config::schema::<Remove>,
            output: &config::schema::<Removed>,
            repeat: Repeat::Idempotent,
            on_uncertain: OnUncertain::Repeat,
        },
    ],
    config: &config::schema::<Config>,
    build: &build,
};

/// `list` has no settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

/// What `add` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    /// The list; it need not exist before.
    list: String,
    /// The entry's key, such as an address.
    key: String,
    /// What is kept under it, at most 1 KiB. Default: `true`.
    #[serde(default = "truth")]
    #[schemars(with = "Value")]
    value: Json,
    /// How long it counts, such as `1h`. Default: until it is removed.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    ttl: Option<Span>,
}

fn truth() -> Json {
    Json::from(&Value::Bool(true))
}

/// What `add` returns.
#[derive(Debug, Serialize, JsonSchema)]
struct Added {
    /// Always true.
    added: bool,
}

/// What `remove` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Remove {
    /// The list.
    list: String,
    /// The entry's key.
    key: String,
}

/// What `remove` returns.
#[derive(Debug, Serialize, JsonSchema)]
struct Removed {
    /// Whether there was such an entry; a repeat finds none.
    removed: bool,
}

struct List;

fn build(config: Value, _cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let Config {} = config::read("actions.list", config)?;
    Ok(Arc::new(List))
}

#[async_trait]
impl Action for List {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        match call.action.as_str() {
            "add" => {
                let add: Add = input(call)?;
                let ttl = add.ttl.map(|ttl| ttl.0);
                call.host
                    .list_add(&add.list, &add.key, add.value, ttl)
                    .await?;
                output(&Added { added: true })
            }
            "remove" => {
                let Remove { list, key } = input(call)?;
                let removed = call.host.list_remove(&list, &key).await?;
                output(&Removed { removed })
            }
            other => Err(unknown("list", other)),
        }
    }
}
