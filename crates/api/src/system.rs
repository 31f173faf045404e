//! The server itself: whether it is up, which version it is.

use axum::Json as Answer;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shared;
use crate::extract::NoQuery;

/// Which program this is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VersionInfo {
    /// The released version.
    pub version: String,
    /// The commit that it was built from, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// The server is up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// Says that the process is up and answers, nothing more.
#[utoipa::path(get, path = "/healthz", tag = "system", operation_id = "healthz",
    responses((status = 200, body = Health, description = "The process is up.")))]
pub(crate) async fn healthz(_: NoQuery) -> Answer<Health> {
    Answer(Health { status: "ok" })
}

/// Says which version this is.
#[utoipa::path(get, path = "/version", tag = "system", operation_id = "version",
    responses((status = 200, body = VersionInfo, description = "The version.")))]
pub(crate) async fn version(State(api): State<Shared>, _: NoQuery) -> Answer<VersionInfo> {
    Answer(api.version.clone())
}
