//! What is compiled in: the two lists of `conche-modules`, as they are.

use axum::Json as Answer;
use conche_core::run::{OnUncertain, Repeat};
use conche_modules::{ActionModule, ActionSpec, SourceModule, actions, sources};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::extract::NoQuery;

/// Everything that sources and actions can be made of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Modules {
    /// By name.
    sources: Vec<SourceOut>,
    /// By name.
    actions: Vec<ModuleOut>,
}

/// A module that yields events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceModule)]
pub(crate) struct SourceOut {
    /// Its name in the configuration.
    name: &'static str,
    /// One sentence.
    summary: &'static str,
    /// Event types that it yields by itself; empty where the configuration names them.
    events: Vec<EventTypeOut>,
    /// JSON Schema of its configuration.
    config: Value,
}

/// An event type of a source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventType)]
pub(crate) struct EventTypeOut {
    /// The type.
    #[serde(rename = "type")]
    name: &'static str,
    /// One sentence.
    summary: &'static str,
}

/// A module that offers actions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ActionModule)]
pub(crate) struct ModuleOut {
    /// Its name in reactions and in the configuration.
    name: &'static str,
    /// One sentence.
    summary: &'static str,
    /// JSON Schema of its configuration.
    config: Value,
    /// What it offers.
    actions: Vec<ActionOut>,
}

/// An action.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Action)]
pub(crate) struct ActionOut {
    /// Its name within the module.
    name: &'static str,
    /// One sentence.
    summary: &'static str,
    /// JSON Schema of its input.
    input: Value,
    /// JSON Schema of its output.
    output: Value,
    /// What a repeat means: `idempotent`, `keyed`, `probe` or `unsafe`.
    #[schema(value_type = String)]
    repeat: Repeat,
    /// What is done when its effect is unknown: `repeat` or `attention`.
    #[schema(value_type = String)]
    on_uncertain: OnUncertain,
}

impl From<&SourceModule> for SourceOut {
    fn from(module: &SourceModule) -> Self {
        let event = |(name, summary): &(&'static str, &'static str)| EventTypeOut { name, summary };
        Self {
            name: module.name,
            summary: module.summary,
            events: module.events.iter().map(event).collect(),
            config: (module.config)(),
        }
    }
}

impl From<&ActionModule> for ModuleOut {
    fn from(module: &ActionModule) -> Self {
        Self {
            name: module.name,
            summary: module.summary,
            config: (module.config)(),
            actions: module.actions.iter().map(Into::into).collect(),
        }
    }
}

impl From<&ActionSpec> for ActionOut {
    fn from(spec: &ActionSpec) -> Self {
        Self {
            name: spec.name,
            summary: spec.summary,
            input: (spec.input)(),
            output: (spec.output)(),
            repeat: spec.repeat,
            on_uncertain: spec.on_uncertain,
        }
    }
}

/// Lists the modules that are compiled in, with the schemas of what they take and give.
#[utoipa::path(
    get, path = "/api/v1/modules", tag = "modules", operation_id = "list_modules",
    responses((status = 200, body = Modules, description = "The modules."))
)]
pub(crate) async fn list(_: NoQuery) -> Answer<Modules> {
    Answer(compiled_in())
}

/// What `GET /api/v1/modules` answers, for those who have this build at hand and no server.
pub fn document() -> Value {
    serde_json::to_value(compiled_in()).unwrap_or_default()
}

fn compiled_in() -> Modules {
    Modules {
        sources: sources::ALL.iter().map(|module| (*module).into()).collect(),
        actions: actions::ALL.iter().map(|module| (*module).into()).collect(),
    }
}
