//! The configured sources, and how each stands with what it reads from.

use axum::Json as Answer;
use axum::extract::State;
use conche_core::Timestamp;
use conche_engine::SourceState;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::NoQuery;
use crate::{Api, Shared};

/// The configured sources.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sources {
    /// In the order of their ids.
    sources: Vec<SourceOut>,
}

/// A configured source.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Source)]
pub(crate) struct SourceOut {
    /// Its id.
    id: String,
    /// Its module.
    module: String,
    /// Whether it reaches what it reads from; null where it has nothing to part from, such as a
    /// webhook or a schedule.
    connected: Option<bool>,
    /// Since when that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// What went wrong last, also where it is well again.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<LastError>,
}

/// What went wrong with a source.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SourceError)]
pub(crate) struct LastError {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What, at most 500 characters; no value of a secret is in it.
    message: String,
}

/// All of them.
pub(crate) fn all(api: &Api) -> impl Iterator<Item = SourceOut> {
    api.sources.iter().map(|(id, module)| {
        let state = api.engine.source_state(id);
        let (id, module) = (id.clone(), (*module).to_owned());
        match state {
            None => SourceOut {
                id,
                module,
                connected: None,
                since: None,
                last_error: None,
            },
            Some(SourceState {
                is_connected,
                since,
                last_error,
            }) => SourceOut {
                id,
                module,
                connected: Some(is_connected),
                since: Some(since),
                last_error: last_error.map(|(at, message)| LastError { at, message }),
            },
        }
    })
}

/// Those that do not reach what they read from.
pub(crate) fn away(api: &Api) -> Vec<SourceOut> {
    all(api)
        .filter(|source| source.connected == Some(false))
        .collect()
}

/// Lists the configured sources, with how they stand with what they read from.
#[utoipa::path(
    get, path = "/api/v1/sources", tag = "sources", operation_id = "list_sources",
    responses((status = 200, body = Sources, description = "The sources."))
)]
pub(crate) async fn list(State(api): State<Shared>, _: NoQuery) -> Answer<Sources> {
    Answer(Sources {
        sources: all(&api).collect(),
    })
}
