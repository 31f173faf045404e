//! `caldera-cmd` commands against a server that keeps agents, abilities and operations as
//! Caldera's API does, and whose agents do at once what they are told, or stay away.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path as Place, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_modules::{Action, Error, Probed};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{at, oauth2, permanent};
use crate::service::Service;
use crate::support::{action, call, context, invoke};

#[derive(Default)]
struct Caldera {
    agents: Vec<Value>,
    abilities: BTreeMap<String, Value>,
    operations: BTreeMap<String, Operation>,
    /// The paws of agents that do not beacon.
    away: Vec<String>,
}

struct Operation {
    body: Value,
    links: Vec<Value>,
}

type Shared = Arc<Mutex<Caldera>>;

impl Caldera {
    /// What an agent reports of a command.
    fn perform(link: &Value) -> (i64, Value) {
        let command = link["executor"]["command"].as_str().unwrap();
        let status = i64::from(command.starts_with("false"));
        let stdout = if status == 0 {
            format!("did {command}")
        } else {
            String::new()
        };
        let stderr = if status == 0 {
            ""
        } else {
            "no hunter22-hunter22"
        };
        (
            status,
            json!({ "stdout": stdout, "stderr": stderr, "exit_code": status.to_string() }),
        )
    }

    fn links(&mut self, id: &str) -> Option<Vec<Value>> {
        let operation = self.operations.get_mut(id)?;
        for link in &mut operation.links {
            let is_away = self.away.iter().any(|paw| link["paw"] == *paw);
            if !is_away && link["finish"] == "" {
                link["status"] = Self::perform(link).0.into();
                link["finish"] = json!("2026-11-22T00:00:00Z");
            }
        }
        Some(operation.links.clone())
    }
}

fn found(value: Option<Value>) -> Response {
    let missing = || (StatusCode::NOT_FOUND, "{}").into_response();
    value.map_or_else(missing, |value| Json(value).into_response())
}

#[allow(clippy::too_many_lines, reason = "all routes of one API")]
fn routes(caldera: Shared) -> Router {
    type Server = State<Shared>;
    async fn agents(State(caldera): Server, headers: HeaderMap) -> Response {
        match headers.get("KEY").map(|key| key.to_str().unwrap()) {
            Some("hunter22-hunter22") => {
                Json(caldera.lock().unwrap().agents.clone()).into_response()
            }
            _ => (StatusCode::UNAUTHORIZED, "Unauthorized").into_response(),
        }
    }
    async fn ability(State(caldera): Server, Place(id): Place<String>) -> Response {
        found(caldera.lock().unwrap().abilities.get(&id).cloned())
    }
    async fn define(State(caldera): Server, Json(ability): Json<Value>) -> Response {
        let id = ability["ability_id"].as_str().unwrap().to_owned();
        caldera
            .lock()
            .unwrap()
            .abilities
            .insert(id, ability.clone());
        Json(ability).into_response()
    }
    async fn create(State(caldera): Server, Json(body): Json<Value>) -> Response {
        let id = body["id"].as_str().unwrap().to_owned();
        let mut caldera = caldera.lock().unwrap();
        if caldera.operations.contains_key(&id) {
            return (StatusCode::FORBIDDEN, "exists").into_response();
        }
        let links = Vec::new();
        caldera.operations.insert(
            id,
            Operation {
                body: body.clone(),
                links,
            },
        );
        Json(body).into_response()
    }
    async fn operation(State(caldera): Server, Place(id): Place<String>) -> Response {
        let caldera = caldera.lock().unwrap();
        found(
            caldera
                .operations
                .get(&id)
                .map(|operation| operation.body.clone()),
        )
    }
    async fn change(
        State(caldera): Server,
        Place(id): Place<String>,
        Json(body): Json<Value>,
    ) -> Response {
        let mut caldera = caldera.lock().unwrap();
        let operation = caldera.operations.get_mut(&id).unwrap();
        operation.body["state"] = body["state"].clone();
        Json(operation.body.clone()).into_response()
    }
    async fn links(State(caldera): Server, Place(id): Place<String>) -> Response {
        found(caldera.lock().unwrap().links(&id).map(Value::from))
    }
    async fn task(
        State(caldera): Server,
        Place(id): Place<String>,
        Json(mut link): Json<Value>,
    ) -> Response {
        let mut caldera = caldera.lock().unwrap();
        let operation = caldera.operations.get_mut(&id).unwrap();
        link["id"] = format!("link-{}", operation.links.len()).into();
        link["host"] = "host".into();
        link["status"] = json!(-3);
        link["finish"] = json!("");
        operation.links.push(link.clone());
        Json(link).into_response()
    }
    async fn result(
        State(caldera): Server,
        Place((id, link)): Place<(String, String)>,
    ) -> Response {
        let caldera = caldera.lock().unwrap();
        let links = &caldera.operations[&id].links;
        let link = links.iter().find(|one| one["id"] == link);
        found(link.map(|link| {
            let (_, report) = Caldera::perform(link);
            json!({ "link": link, "result": STANDARD.encode(report.to_string()) })
        }))
    }
    let api = Router::new()
        .route("/agents", get(agents))
        .route("/abilities", post(define))
        .route("/abilities/{id}", get(ability))
        .route("/operations", post(create))
        .route("/operations/{id}", get(operation).patch(change))
        .route("/operations/{id}/links", get(links))
        .route("/operations/{id}/potential-links", post(task))
        .route("/operations/{id}/links/{link}/result", get(result))
        .with_state(caldera);
    Router::new().nest("/api/v2", api)
}

async fn server() -> (Service, Shared) {
    let caldera = Shared::default();
    {
        let mut caldera = caldera.lock().unwrap();
        let agent = |paw: &str, group: &str, platform: &str, trusted: bool| {
            json!({ "paw": paw, "group": group, "host": format!("host-{paw}"), "platform": platform,
                "executors": ["sh"], "trusted": trusted })
        };
        caldera.agents = vec![
            agent("alpha", "red", "linux", true),
            agent("beta", "red", "linux", true),
            agent("gamma", "blue", "linux", true),
            agent("delta", "grey", "linux", false),
            agent("omega", "green", "windows", true),
        ];
        for (id, command) in [("whoami", "id -un"), ("failing", "false")] {
            let executor = json!({ "name": "sh", "platform": "linux", "command": command });
            let ability = json!({ "ability_id": id, "name": id, "tactic": "discovery", "technique_id": "T1033",
                "technique_name": "x", "executors": [executor] });
            caldera.abilities.insert(id.to_owned(), ability);
        }
    }
    (Service::start(routes(caldera.clone())).await, caldera)
}

fn module(folder: &Path, service: &Service) -> Arc<dyn Action> {
    let cx = context(folder, &[("key", "hunter22-hunter22")]);
    let config = json!({ "url": service.url(""), "api_key": { "secret": "key" }, "poll": "20ms" });
    action("caldera-cmd", config, &cx).unwrap()
}

/// The input for a command on what has this name in Caldera.
fn on(name: &str, command: &str) -> Value {
    let agent = json!({ "id": "s--1", "type": "security-category", "name": "caldera", "category": ["caldera"] });
    let target =
        json!({ "id": "s--2", "type": "security-category", "name": name, "category": ["sandcat"] });
    json!({ "command": { "type": "caldera-cmd", "command": command }, "agent": agent, "target": target })
}

#[tokio::test]
async fn an_ability_is_performed_by_the_agents_that_the_target_names_and_by_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (service, caldera) = server().await;
    let module = module(folder.path(), &service);
    let table: [(&str, &[&str]); 3] = [
        ("alpha", &["alpha"]),
        ("red", &["alpha", "beta"]),
        ("host-gamma", &["gamma"]),
    ];
    for (name, paws) in table {
        let done = invoke(&module, "execute", on(name, "whoami"))
            .await
            .unwrap();
        let links = done["links"].as_array().unwrap();
        let by: Vec<&str> = links
            .iter()
            .map(|link| link["paw"].as_str().unwrap())
            .collect();
        assert_eq!(
            (by.as_slice(), &done["status"]),
            (paws, &json!("finished")),
            "{name}"
        );
        assert_eq!(links[0]["output"], "did id -un");
        assert_eq!(
            (&links[0]["status"], &links[0]["exit_code"]),
            (&json!(0), &json!(0))
        );
        let caldera = caldera.lock().unwrap();
        let operation = &caldera.operations[done["operation"].as_str().unwrap()];
        assert_eq!(operation.body["state"], "finished");
        assert_eq!(operation.body["auto_close"], false);
    }
    let mut by_group = on("whatever", "whoami");
    by_group["target"]["group"] = json!("red");
    let done = invoke(&module, "execute", by_group).await.unwrap();
    assert_eq!(done["result"], "did id -un\ndid id -un");
    service.stop().await;
}

#[tokio::test]
async fn an_ability_that_the_playbook_defines_is_created_once_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let (service, caldera) = server().await;
    let module = module(folder.path(), &service);
    let definition = "- id: whoami\n  name: who\n  tactic: t\n  technique: { attack_id: T1, name: tn }\n  platforms: { linux: { sh: { command: uname -a } } }\n";
    for _ in 0..2 {
        let done = invoke(&module, "execute", on("alpha", definition))
            .await
            .unwrap();
        assert_eq!(done["result"], "did uname -a");
    }
    let caldera = caldera.lock().unwrap();
    assert_eq!(
        caldera.abilities.len(),
        3,
        "one more, and not in another's place"
    );
    assert_eq!(
        caldera.abilities["whoami"]["executors"][0]["command"],
        "id -un"
    );
}

#[tokio::test]
async fn what_can_not_be_done_or_was_not_done_fails_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (service, caldera) = server().await;
    let module = module(folder.path(), &service);
    let table = [
        (
            on("alpha", "failing"),
            "agent alpha on host: exit 1 no ***key***",
        ),
        (on("alpha", "unknown"), "no ability `unknown`"),
        (
            on("nobody", "whoami"),
            "no agent whose paw or group or host is `nobody`",
        ),
        (on("delta", "whoami"), "does not trust"),
        (on("omega", "whoami"), "has no executor"),
        (
            on("alpha", "what is this"),
            "neither an ability's identifier",
        ),
    ];
    for (input, expected) in table {
        let text = permanent(invoke(&module, "execute", input).await);
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(
        caldera.lock().unwrap().operations.len(),
        1,
        "only the one that ran"
    );
    // The configured key goes to the configured server only.
    let elsewhere = at(
        &service,
        json!({ "type": "caldera-cmd", "command": "whoami" }),
        None,
    );
    let mut own = elsewhere.clone();
    own["agent"]["address"] = own["target"]["address"].clone();
    own["target"]["name"] = json!("alpha");
    let text = permanent(invoke(&module, "execute", own.clone()).await);
    assert!(text.contains("answered 401"), "{text}");
    own["agent"]["authentication"] = oauth2("", "key");
    assert_eq!(
        invoke(&module, "execute", own).await.unwrap()["status"],
        "finished"
    );
    service.stop().await;
}

#[tokio::test]
async fn an_agent_that_stays_away_leaves_it_open_and_is_told_only_once_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (service, caldera) = server().await;
    let module = module(folder.path(), &service);
    let mut call = call("execute", &on("red", "whoami"));
    assert_eq!(module.probe(&call).await, Ok(Probed::NotHappened));
    caldera.lock().unwrap().away = vec!["beta".to_owned()];
    call.timeout = Duration::from_millis(900);
    let waited = module.invoke(&call).await;
    assert!(matches!(&waited, Err(Error::Uncertain(_))), "{waited:?}");
    call.timeout = Duration::from_secs(10);
    assert!(matches!(module.probe(&call).await, Ok(Probed::Unknown(_))));
    caldera.lock().unwrap().away.clear();
    let Ok(Probed::Happened(done)) = module.probe(&call).await else {
        panic!("the agents are done")
    };
    let repeated = module.invoke(&call).await.unwrap();
    assert_eq!(done, repeated);
    let caldera = caldera.lock().unwrap();
    let operations: Vec<&Operation> = caldera.operations.values().collect();
    assert_eq!((operations.len(), operations[0].links.len()), (1, 2));
}
