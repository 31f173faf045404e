//! The server itself: whether it is up and ready, what it counts, how its API is described.
//!
//! `/healthz`, `/version` and the pages of error codes are for anyone: they tell nothing about
//! this installation. `/readyz`, `/metrics` and `/openapi.json` need the right to read, so that
//! on a listener with tokens a probe or a scraper is given a token of its own.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use conche_runtime::supervisor::Stage;
use conche_store::Error as StoreError;
use http::header::{CONTENT_TYPE, HeaderName};
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::{Name, NoQuery};
use crate::problem::Problem;
use crate::sources::{self, SourceOut};
use crate::{Api, Shared, codes, openapi};

/// How long the store may take to say that it can be written.
const CHECK_WAIT: Duration = Duration::from_secs(5);

/// Which program this is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VersionInfo {
    /// The released version.
    pub version: String,
    /// The commit that it was built from, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// The server is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: &'static str,
}

const WELL: Answer<Health> = Answer(Health { status: "ok" });

/// The server can take work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Always `ok`.
    status: &'static str,
    /// Sources that do not reach what they read from; absent where all do. The server is ready
    /// all the same: to take it out of service would bring no broker back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources_away: Vec<SourceOut>,
}

type Text = ([(HeaderName, &'static str); 1], String);

const fn text(content_type: &'static str, text: String) -> Text {
    ([(CONTENT_TYPE, content_type)], text)
}

/// Says that the process is up and answers, nothing more.
#[utoipa::path(
    get, path = "/healthz", tag = "system", operation_id = "healthz",
    responses((status = 200, body = Health, description = "The process is up."))
)]
pub(crate) async fn healthz(_: NoQuery) -> Answer<Health> {
    WELL
}

/// Says whether the server can take work: its store can be written and its executor runs.
/// Sources that are away are named, and do not count.
#[utoipa::path(
    get, path = "/readyz", tag = "system", operation_id = "readyz",
    responses((status = 200, body = Readiness, description = "The server is ready."))
)]
pub(crate) async fn readyz(
    State(api): State<Shared>,
    _: NoQuery,
) -> Result<Answer<Readiness>, Problem> {
    let reasons = unready(&api).await;
    if reasons.is_empty() {
        return Ok(Answer(Readiness {
            status: "ok",
            sources_away: sources::away(&api),
        }));
    }
    Err(Problem::new(&codes::NOT_READY, reasons.join("; ")).retry_after(CHECK_WAIT))
}

async fn unready(api: &Api) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    match tokio::time::timeout(CHECK_WAIT, api.engine.store().check()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            reasons.push(match error {
                StoreError::Full(_) => "store: the store cannot be written, it has no space left",
                _ => "store: the store cannot be written",
            });
        }
        Err(_) => reasons.push("store: the store does not answer"),
    }
    if api.tasks.stop(Stage::Sources).is_requested() {
        reasons.push("server: the server is stopping");
    }
    if api.tasks.alive_in(Stage::Executor) == 0 {
        reasons.push("executor: the executor is not running");
    }
    reasons
}

/// Says which version this is.
#[utoipa::path(
    get, path = "/version", tag = "system", operation_id = "version",
    responses((status = 200, body = VersionInfo, description = "The version."))
)]
pub(crate) async fn version(State(api): State<Shared>, _: NoQuery) -> Answer<VersionInfo> {
    Answer(api.version.clone())
}

/// Gives every metric in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", tag = "system", operation_id = "metrics",
    responses((status = 200, content_type = "text/plain", body = String, description = "The metrics."))
)]
pub(crate) async fn metrics(State(api): State<Shared>, _: NoQuery) -> Result<Text, Problem> {
    let metrics = crate::metrics::text(&api).await?;
    Ok(text("text/plain; version=0.0.4; charset=utf-8", metrics))
}

/// Gives this description.
#[utoipa::path(
    get, path = "/openapi.json", tag = "system", operation_id = "openapi",
    responses((status = 200, body = Object, description = "The OpenAPI document."))
)]
pub(crate) async fn openapi(_: NoQuery) -> Answer<utoipa::openapi::OpenApi> {
    Answer(openapi::document())
}

/// Explains an error code: what happened and what to do.
#[utoipa::path(
    get, path = "/errors/{code}", tag = "system", operation_id = "explain_error",
    params(("code" = String, Path, description = "The code of a problem.")),
    responses((status = 200, content_type = "text/markdown", body = String, description = "The page."))
)]
pub(crate) async fn error_page(Name(code): Name, _: NoQuery) -> Result<Text, Problem> {
    let Some(found) = codes::find(&code) else {
        let detail = format!("there is no error code '{code}'");
        return Err(Problem::new(&codes::NOT_FOUND, detail));
    };
    Ok(text("text/markdown; charset=utf-8", found.page.to_owned()))
}
