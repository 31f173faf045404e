//! A real registry (Debian's `docker-registry`), and a gate in front of it that asks for tokens
//! and sends layers elsewhere, as the large ones do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use conche_runtime::egress::{self, Egress, EgressConfig};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use serde_json::{Value, json};

use super::fake::Served;
use super::sha256;
use crate::peers::{Process, installed, listens, port, words};

/// `conche` and `hunter22`, by bcrypt.
const HTPASSWD: &str = "conche:$2y$04$C2IBTYPowywcPvp.gEtgNuRSjtOCUoMz0otoIb9oVyg.KjvEdvX3W\n";

/// `Basic` with the same.
const BASIC: &str = "Basic Y29uY2hlOmh1bnRlcjIy";

pub(super) struct Registry {
    folder: tempfile::TempDir,
    pub(super) port: u16,
    process: Option<Process>,
    authorization: Option<&'static str>,
}

/// An image that was pushed.
#[derive(Debug, Clone)]
pub(super) struct Pushed {
    pub(super) digest: String,
    pub(super) manifest: Vec<u8>,
}

/// A client that may call this machine.
pub(super) fn local() -> Egress {
    let config = EgressConfig {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        ..EgressConfig::default()
    };
    Egress::new(&config).unwrap()
}

impl Registry {
    /// Starts one; `None`, said aloud, where the package is not installed.
    pub(super) async fn start(protected: bool) -> Option<Self> {
        installed("docker-registry")?;
        let mut registry = Self {
            folder: tempfile::tempdir().unwrap(),
            port: port(),
            process: None,
            authorization: protected.then_some(BASIC),
        };
        registry.up().await;
        Some(registry)
    }

    pub(super) async fn up(&mut self) {
        let place = |name: &str| self.folder.path().join(name).display().to_string();
        let mut config = json!({
            "version": 0.1, "log": { "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": place("data") }, "maintenance": { "uploadpurging": { "enabled": false } } },
            "http": { "addr": format!("127.0.0.1:{}", self.port) },
        });
        if self.authorization.is_some() {
            std::fs::write(place("htpasswd"), HTPASSWD).unwrap();
            config["auth"] = json!({ "htpasswd": { "realm": "test", "path": place("htpasswd") } });
        }
        // JSON is YAML.
        std::fs::write(place("config.yml"), config.to_string()).unwrap();
        let program = words(&["docker-registry", "serve", &place("config.yml")]);
        self.process = Some(Process::start(self.folder.path(), &[], &program));
        listens(self.port).await;
    }

    pub(super) async fn down(&mut self) {
        self.process.take().unwrap().kill().await;
    }

    /// The host as images' names have it.
    pub(super) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    async fn send(
        &self,
        method: Method,
        url: String,
        kind: &str,
        body: Vec<u8>,
    ) -> egress::Response {
        let mut request = egress::Request {
            body: body.into(),
            ..egress::Request::new(method, url)
        };
        request
            .headers
            .insert(header::CONTENT_TYPE, kind.parse().unwrap());
        if let Some(authorization) = self.authorization {
            request
                .headers
                .insert(header::AUTHORIZATION, authorization.parse().unwrap());
        }
        let answer = local().request(request).await.unwrap();
        assert!(
            answer.status.is_success(),
            "{} {:?}",
            answer.status,
            answer.body
        );
        answer
    }

    async fn blob(&self, repository: &str, content: &str) -> Value {
        let digest = sha256(content.as_bytes());
        let url = format!("http://{}/v2/{repository}/blobs/uploads/", self.host());
        let begun = self
            .send(Method::POST, url, "application/octet-stream", Vec::new())
            .await;
        let location = begun.headers[header::LOCATION].to_str().unwrap();
        let url = format!("{location}&digest={digest}");
        self.send(
            Method::PUT,
            url,
            "application/octet-stream",
            content.as_bytes().to_vec(),
        )
        .await;
        json!({ "digest": digest, "size": content.len() })
    }

    pub(super) async fn manifest(
        &self,
        repository: &str,
        tag: &str,
        kind: &str,
        manifest: &Value,
    ) -> Pushed {
        let body = manifest.to_string().into_bytes();
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.host());
        self.send(Method::PUT, url, kind, body.clone()).await;
        Pushed {
            digest: sha256(&body),
            manifest: body,
        }
    }

    /// Pushes an image of these layers, as OCI or as Docker (schema 2) writes it.
    pub(super) async fn image(
        &self,
        repository: &str,
        tag: &str,
        docker: bool,
        layers: &[&str],
    ) -> Pushed {
        let (kind, config_kind, layer_kind) = if docker {
            (
                "application/vnd.docker.distribution.manifest.v2+json",
                "application/vnd.docker.container.image.v1+json",
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
            )
        } else {
            (
                "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.oci.image.config.v1+json",
                "application/vnd.oci.image.layer.v1.tar+gzip",
            )
        };
        let mut config = self
            .blob(repository, r#"{"architecture":"amd64","os":"linux"}"#)
            .await;
        config["mediaType"] = config_kind.into();
        let mut described = Vec::new();
        for layer in layers {
            let mut layer = self.blob(repository, layer).await;
            layer["mediaType"] = layer_kind.into();
            described.push(layer);
        }
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": described });
        self.manifest(repository, tag, kind, &manifest).await
    }

    /// Pushes a list of images for platforms.
    pub(super) async fn index(
        &self,
        repository: &str,
        tag: &str,
        images: &[(&str, &Pushed)],
    ) -> Pushed {
        let kind = "application/vnd.oci.image.index.v1+json";
        let images: Vec<Value> = images
            .iter()
            .map(|(architecture, image)| {
                json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.digest, "size": image.manifest.len(),
                    "platform": { "os": "linux", "architecture": architecture } })
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": images });
        self.manifest(repository, tag, kind, &index).await
    }
}

/// What the gate and its companions saw: `WHO METHOD PATH AUTHORIZATION`.
pub(super) type Seen = Arc<Mutex<Vec<String>>>;

/// A registry with a token server that sends layers to a store elsewhere; all three are of
/// different origins.
pub(super) struct Gate {
    pub(super) registry: Served,
    pub(super) tokens: Served,
    pub(super) store: Served,
    pub(super) seen: Seen,
}

pub(super) fn note(seen: &Seen, who: &str, request: &Request) {
    let shown = request.headers().get(header::AUTHORIZATION);
    let shown = shown.map_or("-", |value| value.to_str().unwrap());
    let line = format!("{who} {} {} {shown}", request.method(), request.uri());
    seen.lock().unwrap().push(line);
}

/// Passes a GET on to the registry behind, with these headers.
async fn pass(
    behind: SocketAddr,
    path: &str,
    headers: &HeaderMap,
    names: &[HeaderName],
) -> Response {
    let mut request = egress::Request::get(format!("http://{behind}{path}"));
    for name in names {
        if let Some(value) = headers.get(name) {
            request.headers.insert(name, value.clone());
        }
    }
    let answer = local().request(request).await.unwrap();
    let mut response = (answer.status, answer.body).into_response();
    for name in [
        header::CONTENT_TYPE,
        HeaderName::from_static("docker-content-digest"),
    ] {
        if let Some(value) = answer.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

impl Gate {
    /// In front of a registry that asks nobody who they are.
    pub(super) async fn start(behind: &Registry) -> Self {
        let behind: SocketAddr = behind.host().parse().unwrap();
        let seen = Seen::default();
        let log = seen.clone();
        let store = Router::new().fallback(move |request: Request| {
            note(&log, "store", &request);
            async move { pass(behind, request.uri().path(), request.headers(), &[]).await }
        });
        let store = Served::start(store, 0, None).await;
        let log = seen.clone();
        let tokens = Router::new().fallback(move |request: Request| {
            note(&log, "tokens", &request);
            let is_known = request
                .headers()
                .get(header::AUTHORIZATION)
                .is_some_and(|value| value == BASIC);
            async move {
                if is_known {
                    axum::Json(json!({ "access_token": "t0k3n", "expires_in": 60 })).into_response()
                } else {
                    StatusCode::UNAUTHORIZED.into_response()
                }
            }
        });
        let tokens = Served::start(tokens, 0, None).await;
        let challenge = format!(
            r#"Bearer scope="repository:team/app:pull,push",service="gate",realm="http://{}/token""#,
            tokens.address
        );
        let (log, elsewhere) = (seen.clone(), store.address);
        let registry = Router::new().fallback(move |request: Request| {
            note(&log, "registry", &request);
            let challenge = challenge.clone();
            async move {
                let path = request.uri().path().to_owned();
                if request
                    .headers()
                    .get(header::AUTHORIZATION)
                    .is_none_or(|value| value != "Bearer t0k3n")
                {
                    return (
                        StatusCode::UNAUTHORIZED,
                        [(header::WWW_AUTHENTICATE, challenge)],
                    )
                        .into_response();
                }
                if path.contains("/blobs/") {
                    let to = format!("http://{elsewhere}{path}?signature=s");
                    return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)])
                        .into_response();
                }
                pass(behind, &path, request.headers(), &[header::ACCEPT]).await
            }
        });
        Self {
            registry: Served::start(registry, 0, None).await,
            tokens,
            store,
            seen,
        }
    }
}
