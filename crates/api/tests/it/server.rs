//! A served API and a client for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use conche_api::soarca::{self, Origins, SoarcaState};
use conche_api::{ApiState, Authorizer, Role, VersionInfo, new_token, render, router};
use conche_core::RunId;
use conche_core::run::Status;
use conche_engine::{Config, Engine, Folder, Parts, PlaybookFolder, Safety};
use conche_modules::{Action, ActionModule, BuildContext, Intake};
use conche_runtime::clock::Clock as _;
use conche_runtime::egress::{Egress, EgressConfig};
use conche_runtime::listener::{Auth, Listener, ListenerConfig};
use conche_runtime::secrets::Secrets;
use conche_runtime::supervisor::{Stage, Supervisor, Tasks};
use conche_store::memory::MemoryStore;
use conche_store::{Change, Store, TokenRow};
use conche_testkit::actions::TEST_MODULE;
use conche_testkit::{BASH_MODULE, ScriptedEvaluator, SimClock, TestActions, until};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A body limit that tests can reach.
pub(crate) const BODY_BYTES: usize = 64 * 1024;

/// A served API.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) actions: TestActions,
    pub(crate) clock: Arc<SimClock>,
    /// The way in for sources.
    pub(crate) intake: Arc<dyn Intake>,
    pub(crate) supervisor: Supervisor,
    /// The same routes without a listener, for what depends on who reads when.
    pub(crate) router: Router,
    address: SocketAddr,
    client: Client<HttpConnector, Body>,
}

/// An answer read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default()
    }

    /// The code of the problem, whose form is checked.
    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let body = self.json();
        let code = body["code"].as_str().unwrap().to_owned();
        assert_eq!(body["status"], self.status.as_u16(), "{body}");
        assert_eq!(body["type"], format!("/errors/{code}"), "{body}");
        assert!(!body["title"].as_str().unwrap().is_empty(), "{body}");
        assert!(!body["detail"].as_str().unwrap().is_empty(), "{body}");
        code
    }

    /// Checks that it is a 200 without a body.
    pub(crate) fn ok_empty(self) {
        assert_eq!((self.status.as_u16(), &*self.text), (200, ""));
    }

    /// Checks the status and gives the JSON body.
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }
}

/// What a server is made of, where a test wants it otherwise.
pub(crate) struct Wanted {
    pub(crate) auth: Authorizer,
    pub(crate) listener: Auth,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) folder: Option<std::path::PathBuf>,
    pub(crate) playbooks: Option<std::path::PathBuf>,
    pub(crate) config: Config,
    /// SOARCA's API instead of the native one, for pages of these origins.
    pub(crate) soarca: Option<Vec<String>>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            auth: Authorizer::Open,
            listener: Auth::LoopbackOpen,
            store: Arc::new(MemoryStore::new()),
            folder: None,
            playbooks: None,
            config: Config::default(),
            soarca: None,
        }
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Wanted::default()).await
    }

    pub(crate) async fn with(wanted: Wanted) -> Self {
        let supervisor = Supervisor::new();
        let tasks = supervisor.tasks();
        let actions = TestActions::default();
        let clock = Arc::new(SimClock::default());
        let parts = parts(&wanted, &actions, &clock, tasks.clone());
        let engine = Engine::start(parts).await.unwrap();
        let folder = match &wanted.folder {
            Some(dir) => Some(Folder::watch(&engine, dir).await.unwrap()),
            None => None,
        };
        let playbooks = match &wanted.playbooks {
            Some(dir) => Some(PlaybookFolder::watch(&engine, dir).await.unwrap()),
            None => None,
        };
        let intake = engine.intake();
        let extra = prometheus::Registry::new();
        let counter = prometheus::IntCounter::new("extra_total", "Of another part.").unwrap();
        extra.register(Box::new(counter)).unwrap();
        let state = ApiState {
            sources: [
                ("configured".to_owned(), "amqp"),
                ("hook".to_owned(), "webhook"),
            ]
            .into(),
            engine: engine.clone(),
            folder,
            playbooks,
            version: VersionInfo {
                version: "1.2.3".to_owned(),
                commit: None,
            },
            auth: wanted.auth,
            tasks: tasks.clone(),
            json: conche_core::json::Limits {
                bytes: BODY_BYTES,
                depth: 64,
            },
            metrics: vec![extra],
        };
        let config = ListenerConfig {
            listen: Some(([127, 0, 0, 1], 0).into()),
            auth: wanted.listener,
            origins: wanted.soarca.clone().unwrap_or_default(),
            forms_from_programs: wanted.soarca.is_some(),
            ..ListenerConfig::default()
        };
        let listener = Listener::bind("api", config).await.unwrap().render(render);
        let address = listener.local_addr();
        let router = match wanted.soarca {
            None => router(state),
            Some(origins) => soarca::router(SoarcaState {
                api: state,
                origins: Origins::new(origins),
                fins: Arc::default(),
            }),
        };
        listener.serve(router.clone(), &tasks, Stage::Api);
        Self {
            engine,
            store: wanted.store,
            actions,
            clock,
            intake,
            supervisor,
            router,
            address,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Stores a token past the API, changed as the test wants it, and gives its value.
    pub(crate) async fn token(
        &self,
        name: &str,
        role: Role,
        change: impl FnOnce(&mut TokenRow),
    ) -> String {
        let now = SimClock::default().now();
        let (mut row, value) = new_token(name, role, None, "test", now).unwrap();
        change(&mut row);
        let act = conche_store::contract::ledger::act(name, 0);
        let stored = self.store.change(Change::PutToken(row), act).await;
        assert_eq!(stored, Ok(true));
        value
    }

    /// Sends a request with a token and a JSON body, or none.
    pub(crate) async fn as_bearer(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
        ];
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.call(method, path, &headers, body).await
    }

    /// Sends a request; headers as pairs.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> http::Response<hyper::body::Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(30), self.client.request(request));
        answer.await.expect("an answer comes").unwrap()
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let (head, body) = self.open(method, path, headers, body).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, body).await
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.call(method, path, &json, body.to_string()).await
    }

    /// Puts a reaction to the event type `e` that invokes `test.ACTION` once.
    pub(crate) async fn react(&self, action: &str) {
        let body = serde_json::json!({
            "name": "r", "event": "e", "script": "log looking\nnext act {\"n\": 1}",
            "actions": {"act": {"module": "test", "action": action, "script": ""}},
        });
        self.put("/api/v1/reactions/r", body).await.ok(201);
    }

    /// Hands in an event of the type `e` and gives its id.
    pub(crate) async fn event(&self) -> String {
        let body = serde_json::json!({"type": "e", "data": {"n": 1}});
        let answer = self.post("/api/v1/events", body).await.ok(202);
        answer["event_id"].as_str().unwrap().to_owned()
    }

    /// Hands in an event and waits until its run has this status.
    pub(crate) async fn run_that_is(&self, status: Status) -> RunId {
        let event = self.event().await;
        let shown = self.get(&format!("/api/v1/events/{event}")).await.ok(200);
        let run: RunId = shown["runs"][0]["run_id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        self.wait_for(run, status).await;
        run
    }

    /// Waits until a run has this status.
    pub(crate) async fn wait_for(&self, run: RunId, status: Status) {
        until(&format!("{run} to be {status}"), || async move {
            let row = self.store.run(run).await.ok()?;
            (row.summary.status == status).then_some(())
        })
        .await;
    }
}

fn parts(wanted: &Wanted, actions: &TestActions, clock: &Arc<SimClock>, tasks: Tasks) -> Parts {
    let clock = clock.clone();
    let module: Arc<dyn Action> = Arc::new(actions.clone());
    let mut modules = BTreeMap::from([
        ("bash".to_owned(), (module.clone(), &BASH_MODULE, 0)),
        ("test".to_owned(), (module, &TEST_MODULE, 0)),
    ]);
    let context = BuildContext {
        decisions: Arc::default(),
        fins: Arc::default(),
        openwhisk: Arc::default(),
        data_dir: None,
        secrets: Arc::new(Secrets::load(BTreeMap::new())),
        egress: Arc::new(Egress::new(&EgressConfig::default()).unwrap()),
        clock: clock.clone(),
        json: conche_core::json::Limits::default(),
    };
    for listed in ["dummy", "emit"] {
        let found = conche_modules::actions::ALL
            .iter()
            .find(|module| module.name == listed);
        let listed: &'static ActionModule = found.unwrap();
        let built = (listed.build)(Value::Null, &context).unwrap();
        modules.insert(listed.name.to_owned(), (built, listed, 0));
    }
    Parts {
        store: wanted.store.clone(),
        evaluator: Arc::new(ScriptedEvaluator),
        actions: modules,
        clock,
        tasks,
        secrets: Arc::new(Secrets::default()),
        config: wanted.config,
        safety: Safety::default(),
    }
}
