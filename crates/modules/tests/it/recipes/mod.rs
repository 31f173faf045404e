//! The shipped recipes against fakes that store: what goes over the wire, what a repeat does,
//! and what is told of it. One file for each topic, with the fakes of its services.

mod cases;
mod chat;
mod inputs;
mod silences;
mod tickets;
mod written;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use conche_modules::{Action, Error};
use conche_runtime::listener::{Auth, Listener, ListenerConfig};
use conche_runtime::supervisor::{Grace, Stage, Supervisor};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::support::{action, context};

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    method: String,
    uri: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

/// What all fakes have seen, and what they keep.
#[derive(Default)]
struct Kept {
    seen: Vec<Seen>,
    /// By what the service tells one from the other.
    things: Things,
}

type Things = BTreeMap<String, Value>;

type Shared = Arc<Mutex<Kept>>;

async fn serve(State(kept): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let seen = Seen {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let mut kept = kept.lock().unwrap();
    kept.seen.push(seen.clone());
    let answers = [
        chat::answer,
        tickets::answer,
        cases::answer,
        silences::answer,
    ];
    let answer = answers
        .iter()
        .find_map(|answer| answer(&mut kept.things, &seen));
    let (status, told) = answer.unwrap_or((404, json!({ "message": "Not Found" })));
    let status = StatusCode::from_u16(status).unwrap();
    match told {
        Value::String(text) => (status, text).into_response(),
        told => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (status, kind, told.to_string()).into_response()
        }
    }
}

/// The fakes behind one address.
struct Fakes {
    kept: Shared,
    url: String,
    supervisor: Supervisor,
    folder: tempfile::TempDir,
}

impl Fakes {
    async fn new() -> Self {
        let config = ListenerConfig {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            auth: Auth::None,
            ..ListenerConfig::default()
        };
        let listener = Listener::bind("fakes", config).await.unwrap();
        let (supervisor, kept) = (Supervisor::new(), Shared::default());
        let url = format!("http://{}", listener.local_addr());
        let router = Router::new().fallback(serve).with_state(kept.clone());
        listener.serve(router, &supervisor.tasks(), Stage::Api);
        Self {
            kept,
            url,
            supervisor,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A module with these settings; `URL` in them is the fakes'.
    fn module(&self, name: &str, settings: &Value) -> Arc<dyn Action> {
        let secrets = [
            ("key", "hunter22-hunter22".to_owned()),
            ("slack", format!("{}/hook/slack", self.url)),
            (
                "teams",
                format!("{}/hook/teams?sig=hunter22-hunter22", self.url),
            ),
        ];
        let secrets: Vec<(&str, &str)> = secrets
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let cx = context(self.folder.path(), &secrets);
        let text = settings.to_string().replace("URL", &self.url);
        let mut settings: Value = serde_json::from_str(&text).unwrap();
        settings["plain_http"] = true.into();
        action(name, settings, &cx).unwrap()
    }

    fn seen(&self) -> Vec<Seen> {
        self.kept.lock().unwrap().seen.clone()
    }

    fn last(&self) -> Seen {
        self.seen().pop().unwrap()
    }

    fn things(&self) -> usize {
        self.kept.lock().unwrap().things.len()
    }

    async fn stop(self) {
        let grace = Grace {
            per_stage: Duration::from_millis(100),
            total: Duration::from_secs(1),
        };
        self.supervisor.shutdown(grace).await;
    }
}

fn secret(name: &str) -> Value {
    json!({ "secret": name })
}

fn is_permanent(result: &Result<Value, Error>, text: &str) -> bool {
    matches!(result, Err(Error::Permanent(message)) if message.contains(text))
}
