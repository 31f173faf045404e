//! A host with scripted runtimes, a clock that stands still, and two namespaces, called without
//! a network.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use conche_openwhisk_host::runtimes::Scripted;
use conche_openwhisk_host::store::{MemoryStore, Store, User};
use conche_openwhisk_host::{Host, Parts, Resumed, Settings};
use conche_runtime::clock::Clock;
use conche_runtime::supervisor::{Grace, Supervisor};
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// A clock that only a test moves.
#[derive(Debug)]
pub(crate) struct Watch(Mutex<Timestamp>);

impl Watch {
    pub(crate) fn advance(&self, span: Duration) {
        *self.0.lock().expect("no test panics with the clock") += span;
    }

    pub(crate) fn millis(&self) -> i64 {
        self.now().as_millisecond()
    }
}

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no test panics with the clock")
    }
}

/// A host and what it stands on.
pub(crate) struct World {
    pub(crate) host: Host,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) runtimes: Arc<Scripted>,
    pub(crate) watch: Arc<Watch>,
    router: Router,
    guest: User,
    other: User,
    supervisor: Supervisor,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.bytes)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("text"))
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    pub(crate) fn of(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self.json()
    }

    /// Whether it is a refusal with this status and text, in the form of the API.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, text: &str) {
        let body = self.of(status);
        assert_eq!(body["error"], text);
        let transaction = self.header("x-request-id").expect("every answer has one");
        assert_eq!(body["code"], transaction);
        assert_eq!(body.as_object().expect("an object").len(), 2, "{body}");
    }

    pub(crate) fn activation(&self) -> String {
        let id = self.header("x-openwhisk-activation-id");
        id.expect("the answer names its activation").to_owned()
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::over(Arc::new(MemoryStore::new()), settings).await.0
    }

    /// A host over a store that may hold something.
    pub(crate) async fn over(store: Arc<MemoryStore>, settings: Settings) -> (Self, Resumed) {
        let start = "2026-01-05T10:00:00Z".parse().expect("a time");
        let watch = Arc::new(Watch(Mutex::new(start)));
        let runtimes = Arc::new(Scripted::new());
        Self::made_of(store, runtimes, watch, settings).await
    }

    pub(crate) async fn made_of(
        store: Arc<MemoryStore>,
        runtimes: Arc<Scripted>,
        watch: Arc<Watch>,
        settings: Settings,
    ) -> (Self, Resumed) {
        let front = store.clone();
        Self::behind(front, store, (runtimes, watch), settings).await
    }

    /// A host that reaches its store through another.
    pub(crate) async fn behind(
        front: Arc<dyn Store>,
        store: Arc<MemoryStore>,
        (runtimes, watch): (Arc<Scripted>, Arc<Watch>),
        settings: Settings,
    ) -> (Self, Resumed) {
        let supervisor = Supervisor::new();
        let parts = Parts {
            store: front,
            runtimes: runtimes.clone(),
            clock: watch.clone(),
            tasks: supervisor.tasks(),
        };
        let host = Host::new(settings, parts).await.expect("a host");
        if !host.users().iter().any(|user| user.namespace == "other") {
            host.add_user("other").await.expect("a namespace");
        }
        let user = |namespace: &str| {
            let users = host.users();
            let found = users.iter().find(|user| user.namespace == namespace);
            User::clone(found.expect("the user"))
        };
        let (guest, other) = (user("guest"), user("other"));
        let resumed = host.start().await.expect("a start");
        let router = host.router();
        let world = Self {
            host,
            store,
            runtimes,
            watch,
            router,
            guest,
            other,
            supervisor,
        };
        (world, resumed)
    }

    /// Ends the process as far as the host can tell: its tasks are cut off. Gives what outlasts it.
    pub(crate) async fn kill(self) -> (Arc<MemoryStore>, Arc<Watch>) {
        let none = Duration::ZERO;
        let grace = Grace {
            per_stage: none,
            total: none,
        };
        self.supervisor.shutdown(grace).await;
        (self.store, self.watch)
    }

    pub(crate) fn guest(&self) -> &User {
        &self.guest
    }

    pub(crate) fn other(&self) -> &User {
        &self.other
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 100 << 20).await.expect("a body").to_vec();
        Reply {
            status: parts.status,
            headers: parts.headers,
            bytes,
        }
    }

    pub(crate) async fn as_user(
        &self,
        user: &User,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, basic(user));
        let body = match body {
            None => Body::empty(),
            Some(body) => {
                let text = body.to_string();
                request = request
                    .header(header::CONTENT_TYPE, "application/json")
                    .header(header::CONTENT_LENGTH, text.len());
                Body::from(text)
            }
        };
        self.send(request.body(body).expect("a request")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.as_user(&self.guest, Method::GET, &in_namespace(path), None)
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.as_user(&self.guest, Method::PUT, &in_namespace(path), Some(body))
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.as_user(&self.guest, Method::POST, &in_namespace(path), Some(body))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.as_user(&self.guest, Method::DELETE, &in_namespace(path), None)
            .await
    }

    /// Stores an action of the guest's whose code the scripted runtimes answer for.
    pub(crate) async fn action(&self, name: &str) {
        self.action_with(name, json!({})).await;
    }

    /// The same with more in the body of the PUT.
    pub(crate) async fn action_with(&self, name: &str, more: Value) {
        let mut body = code();
        let members = more.as_object().expect("an object").clone();
        body.as_object_mut().expect("an object").extend(members);
        self.put(&format!("actions/{name}?overwrite=true"), body)
            .await
            .of(200);
    }

    pub(crate) async fn sequence(&self, name: &str, components: &[&str]) {
        let exec = json!({ "kind": "sequence", "components": components });
        let body = json!({ "exec": exec });
        self.put(&format!("actions/{name}?overwrite=true"), body)
            .await
            .of(200);
    }

    /// Invokes and waits. Gives the activation of the answer.
    pub(crate) async fn run(&self, name: &str, arguments: Value) -> Value {
        let path = format!("actions/{name}?blocking=true");
        self.post(&path, arguments).await.json()
    }

    /// The stored activation, once it is there.
    pub(crate) async fn recorded(&self, id: &str) -> Value {
        until("the activation is recorded", async || {
            let reply = self.get(&format!("activations/{id}")).await;
            (reply.status == StatusCode::OK).then(|| reply.json())
        })
        .await
    }
}

/// The body of an action.
pub(crate) fn code() -> Value {
    json!({ "exec": { "kind": "nodejs:default", "code": "function main(a) { return a; }" } })
}

pub(crate) fn basic(user: &User) -> String {
    let pair = format!("{}:{}", user.uuid, user.key);
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

fn in_namespace(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/api/v1/namespaces/_/{path}")
    }
}

/// The value of an annotation.
pub(crate) fn annotation<'a>(document: &'a Value, key: &str) -> Option<&'a Value> {
    let all = document["annotations"].as_array()?;
    all.iter()
        .find(|one| one["key"] == key)
        .map(|one| &one["value"])
}

/// Asks again until there is an answer; only a defect makes it wait for long.
pub(crate) async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await; // poll
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"))
}
