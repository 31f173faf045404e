//! `/status`.

use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use serde::Serialize;

use super::Here;
use super::answer::Good;

#[derive(Serialize)]
struct Status {
    version: String,
    runtime: &'static str,
    mode: &'static str,
    time: String,
    uptime: Uptime,
}

#[derive(Serialize)]
struct Uptime {
    since: String,
    milliseconds: i64,
}

/// `GET /status`
pub(super) async fn status(State(soarca): Here) -> impl IntoResponse {
    let now = soarca.api.engine.clock().now();
    Good(Status {
        version: soarca.api.version.version.clone(),
        runtime: std::env::consts::OS,
        mode: "production",
        time: now.to_string(),
        uptime: Uptime {
            since: soarca.since.to_string(),
            milliseconds: now.as_millisecond() - soarca.since.as_millisecond(),
        },
    })
}

/// `GET /status/ping`: the body is looked at by SOARCA-GUI.
pub(super) async fn ping() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain")], "pong")
}

/// `GET /status/fins`
pub(super) async fn fins(State(soarca): Here) -> impl IntoResponse {
    Good(soarca.fins.list())
}
