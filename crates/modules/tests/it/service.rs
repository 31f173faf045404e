//! HTTP services of the tests' own, on the hardened listener, plain or with a certificate.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use conche_runtime::listener::{Auth, ClientAuth, Listener, ListenerConfig, TlsConfig};
use conche_runtime::supervisor::{Grace, Stage, Supervisor};
use http::header;
use serde_json::{Map, Value, json};

/// A running service.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    supervisor: Supervisor,
}

impl Service {
    pub(crate) async fn start(routes: Router) -> Self {
        Self::serve(routes, None).await
    }

    /// With `cert.pem` and `key.pem` of a folder, issued for `localhost`.
    pub(crate) async fn start_tls(routes: Router, folder: &Path) -> Self {
        let tls = TlsConfig {
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
            client_ca: None,
            client_certificate: ClientAuth::default(),
        };
        Self::serve(routes, Some(tls)).await
    }

    async fn serve(routes: Router, tls: Option<TlsConfig>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let config = ListenerConfig {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            auth: Auth::None,
            tls,
            ..ListenerConfig::default()
        };
        let listener = Listener::bind("peer", config).await.unwrap();
        let supervisor = Supervisor::new();
        let address = listener.local_addr();
        listener.serve(routes, &supervisor.tasks(), Stage::Api);
        Self {
            address,
            scheme,
            supervisor,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        match self.scheme {
            "https" => format!("https://localhost:{}{path}", self.address.port()),
            _ => format!("http://{}{path}", self.address),
        }
    }

    pub(crate) async fn stop(self) {
        let grace = Grace {
            per_stage: Duration::from_millis(100),
            total: Duration::from_secs(1),
        };
        self.supervisor.shutdown(grace).await;
    }
}

/// Says what it was sent; the values of one header are joined by ` | `.
pub(crate) async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut headers: Map<String, Value> = Map::new();
    for name in parts.headers.keys() {
        let values = parts.headers.get_all(name).iter();
        let values: Vec<&str> = values.map(|value| value.to_str().unwrap()).collect();
        headers.insert(name.to_string(), values.join(" | ").into());
    }
    let told = json!({
        "method": parts.method.as_str(), "uri": parts.uri.to_string(), "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    (
        [(header::CONTENT_TYPE, "application/json")],
        told.to_string(),
    )
        .into_response()
}
