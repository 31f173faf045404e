//! The `webhook` source over real HTTP, behind the hardened listener, in front of an intake
//! that stores. One file for each topic.

mod cloudevents;
mod delivered;
mod let_in;
mod refused;
mod senders;
mod signed;

use std::net::SocketAddr;
use std::sync::Arc;

use conche_modules::BuildContext;
use conche_modules::sources::no_such_webhook;
use conche_runtime::egress::{Request, Response};
use conche_runtime::listener::{Auth, Listener, ListenerConfig};
use conche_runtime::supervisor::{Grace, Stage, Supervisor};
use http::Method;
use serde_json::{Value, json};

use crate::support::{FakeIntake, context, source};

/// Webhooks being served.
struct Served {
    address: SocketAddr,
    intake: Arc<FakeIntake>,
    supervisor: Supervisor,
    cx: BuildContext,
    folder: tempfile::TempDir,
}

impl Served {
    /// Mounts sources side by side, as the server does.
    async fn new(configs: &[Value]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets = [
            ("token", "hunter22-hunter22"),
            ("next", "hunter33-hunter33"),
            ("std", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ];
        let cx = context(folder.path(), &secrets);
        let intake = FakeIntake::new();
        let mut router = axum::Router::new().fallback(no_such_webhook);
        for config in configs {
            let built = source("webhook", config.clone(), &cx).unwrap();
            assert_eq!(built.paths(), [config["path"].as_str().unwrap()]);
            router = router.merge(built.routes(intake.clone()).unwrap());
        }
        let supervisor = Supervisor::new();
        let config = ListenerConfig {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            auth: Auth::None,
            ..ListenerConfig::default()
        };
        let listener = Listener::bind("webhooks", config).await.unwrap();
        let address = listener.local_addr();
        listener.serve(router, &supervisor.tasks(), Stage::Api);
        Self {
            address,
            intake,
            supervisor,
            cx,
            folder,
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let mut request = Request {
            body: body.to_owned().into(),
            ..Request::new(method, format!("http://{}{path}", self.address))
        };
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers.append(name, value.parse().unwrap());
        }
        self.cx.egress.request(request).await.unwrap()
    }

    /// Posts JSON.
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.send(Method::POST, path, &all, body).await
    }

    async fn stop(self) {
        self.supervisor.shutdown(Grace::default()).await;
    }
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// Status and problem code.
fn problem(response: &Response) -> (u16, String) {
    assert_eq!(
        response.headers["content-type"], "application/problem+json",
        "{response:?}"
    );
    let body = json_of(response);
    assert_eq!(body["status"], response.status.as_u16());
    (
        response.status.as_u16(),
        body["code"].as_str().unwrap().to_owned(),
    )
}

/// The header that most deliveries need.
const JSON: &str = "content-type: application/json";

fn simple() -> Value {
    json!({ "path": "/in", "event_type": "t", "auth": "none" })
}
