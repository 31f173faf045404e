//! Playbooks to measure with: a start, an end, and the same step some times between them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use conche_cacao::Document;
use conche_core::playbook::Program;
use conche_modules::{BuildContext, actions};
use conche_runtime::clock::SystemClock;
use conche_runtime::egress::{Egress, EgressConfig};
use conche_runtime::secrets::Secrets;
use serde_json::{Map, Value, json};

use super::Error;
use crate::parts::Actions;

/// The step of a chain, and who carries it out.
pub(super) struct Link {
    command: Value,
    agent: Value,
}

impl Link {
    /// A request that changes nothing, to a service here.
    pub(super) fn request(to: SocketAddr) -> Self {
        Self {
            command: json!({"type": "http-api", "command": "GET / HTTP/1.1"}),
            agent: json!({
                "type": "http-api", "name": "loopback", "address": {"url": [format!("http://{to}")]},
            }),
        }
    }

    /// A question to a person.
    pub(super) fn question() -> Self {
        Self {
            command: json!({"type": "manual", "command": "Is it done?"}),
            agent: json!({"type": "individual", "name": "Ann"}),
        }
    }

    /// A command of a type that some module carries out.
    pub(super) fn command(kind: &str) -> Self {
        Self {
            command: json!({"type": kind, "command": "true"}),
            agent: json!({"type": "security-category", "name": "this", "category": ["server"]}),
        }
    }
}

/// A playbook of a start, an end and as many links between them.
pub(super) fn program(link: &Link, count: usize) -> Result<Program, Error> {
    let id =
        |kind: &str, number: usize| format!("{kind}--{number:08x}-0000-4000-8000-000000000000");
    let action = |number: usize| id("action", number + 3);
    let kind = link.agent["type"].as_str().unwrap_or_default();
    let (start, end, agent) = (id("start", 1), id("end", 2), id(kind, 3));
    let mut workflow = Map::new();
    workflow.insert(
        start.clone(),
        json!({"type": "start", "on_completion": action(0)}),
    );
    for number in 0..count {
        let next = if number + 1 == count {
            end.clone()
        } else {
            action(number + 1)
        };
        // A failure fails the run: nothing is counted that was not done.
        let step = json!({
            "type": "action", "agent": agent, "on_success": next, "commands": [link.command],
        });
        workflow.insert(action(number), step);
    }
    workflow.insert(end, json!({"type": "end"}));
    let document = json!({
        "type": "playbook", "spec_version": "cacao-2.0", "id": id("playbook", 0), "name": "Bench",
        "created_by": id("identity", 1),
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z",
        "workflow_start": start, "workflow": workflow,
        "agent_definitions": {agent: link.agent},
    });
    Program::new(&Document::of(document), &[]).map_err(|cause| Error::of("the playbook", cause))
}

/// A service that answers every request at once.
pub(super) fn service() -> Router {
    Router::new().route("/", get(|| async { "ok" }))
}

/// A client that may speak to loopback.
pub(super) fn egress() -> Result<Arc<Egress>, Error> {
    let config: EgressConfig = serde_json::from_value(json!({ "allow": ["127.0.0.0/8"] }))
        .map_err(|cause| Error::of("the client", cause))?;
    let egress = Egress::new(&config);
    egress
        .map(Arc::new)
        .map_err(|cause| Error::of("the client", cause))
}

/// The module for requests, with this client.
pub(super) fn http_api(egress: &Arc<Egress>) -> Result<Actions, Error> {
    let cx = BuildContext {
        decisions: Arc::default(),
        fins: Arc::default(),
        openwhisk: Arc::default(),
        data_dir: None,
        secrets: Arc::new(Secrets::load(BTreeMap::new())),
        egress: egress.clone(),
        clock: Arc::new(SystemClock),
        json: conche_core::json::Limits::default(),
    };
    let module = actions::ALL.iter().find(|module| module.name == "http-api");
    let module = module.ok_or_else(|| Error::of("http-api", "no such module"))?;
    let built = (module.build)(Value::Null, &cx);
    let built = built.map_err(|cause| Error::of("http-api", cause))?;
    Ok(BTreeMap::from([(
        module.name.to_owned(),
        (built, *module, 0),
    )]))
}
