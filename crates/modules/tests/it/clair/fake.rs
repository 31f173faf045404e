//! A Clair that stores: notifications in pages, layers that it fetches itself, and what is
//! wrong with them. Its answers have the shapes of the captured ones and of Clair 4's
//! description; on request it fails in every way that a server can.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use conche_runtime::listener::{Auth, Listener, ListenerConfig, TlsConfig};
use conche_runtime::supervisor::{Grace, Stage, Supervisor};
use http::{HeaderMap, Method, StatusCode, header};
use ring::hmac;
use serde_json::{Value, json};

use super::fake_scan::Indexed;

/// A server that can be stopped and started again at its address.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    supervisor: Supervisor,
}

impl Served {
    pub(crate) async fn start(router: Router, port: u16, tls: Option<TlsConfig>) -> Self {
        let config = ListenerConfig {
            listen: Some(([127, 0, 0, 1], port).into()),
            auth: Auth::None,
            tls,
            ..ListenerConfig::default()
        };
        let listener = Listener::bind("fake", config).await.unwrap();
        let supervisor = Supervisor::new();
        let address = listener.local_addr();
        listener.serve(router, &supervisor.tasks(), Stage::Api);
        Self {
            address,
            supervisor,
        }
    }

    pub(crate) async fn stop(self) {
        let grace = Grace {
            per_stage: Duration::from_millis(50),
            total: Duration::from_secs(1),
        };
        self.supervisor.shutdown(grace).await;
    }
}

/// Which Clair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    V1,
    V3,
    V4,
}

/// How it fails once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// With a status and these words.
    Status(u16, &'static str),
    /// By closing in the middle of the answer.
    Half,
    /// By saying nothing.
    Silent,
}

/// What is affected, by side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notification {
    pub(crate) new: Vec<String>,
    pub(crate) old: Vec<String>,
}

#[derive(Default)]
pub(crate) struct State {
    notifications: BTreeMap<String, Notification>,
    pub(crate) deleted: Vec<String>,
    pub(crate) faults: VecDeque<Fault>,
    /// Method and path of each request, with its query.
    pub(crate) requests: Vec<String>,
    pub(super) indexed: Indexed,
    psk: Option<Vec<u8>>,
}

pub(crate) struct FakeClair {
    pub(crate) kind: Kind,
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) port: u16,
    served: Option<Served>,
    scheme: &'static str,
}

impl FakeClair {
    pub(crate) async fn start(kind: Kind) -> Self {
        let mut clair = Self::stopped(kind, 0);
        clair.up(None).await;
        clair
    }

    pub(crate) fn stopped(kind: Kind, port: u16) -> Self {
        Self {
            kind,
            state: Arc::default(),
            port,
            served: None,
            scheme: "http",
        }
    }

    pub(crate) async fn up(&mut self, tls: Option<TlsConfig>) {
        let (state, kind) = (self.state.clone(), self.kind);
        if tls.is_some() {
            self.scheme = "https";
        }
        let router = Router::new().fallback(move |request: Request| {
            let state = state.clone();
            async move { answer(kind, &state, request).await }
        });
        let served = Served::start(router, self.port, tls).await;
        self.port = served.address.port();
        self.served = Some(served);
    }

    pub(crate) async fn down(&mut self) {
        self.served.take().unwrap().stop().await;
    }

    /// Where its API begins.
    pub(crate) fn base(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// Where its notifications are.
    pub(crate) fn endpoint(&self) -> String {
        let path = match self.kind {
            Kind::V1 => "/v1/notifications",
            Kind::V3 => "/notifications",
            Kind::V4 => "/notifier/api/v1/notification",
        };
        self.base() + path
    }

    pub(crate) fn notify(&self, name: &str, notification: Notification) {
        let mut state = self.state.lock().unwrap();
        state.notifications.insert(name.to_owned(), notification);
    }

    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    pub(crate) fn protect(&self, key: &[u8]) {
        self.state.lock().unwrap().psk = Some(key.to_owned());
    }

    pub(crate) fn deleted(&self) -> Vec<String> {
        self.state.lock().unwrap().deleted.clone()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    /// What it says to the webhook.
    pub(crate) fn ping(&self, name: &str) -> String {
        match self.kind {
            Kind::V1 | Kind::V3 => json!({ "Notification": { "Name": name } }),
            Kind::V4 => json!({ "notification_id": name, "callback": format!("{}/{name}", self.endpoint()) }),
        }
        .to_string()
    }
}

/// One request of its API.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) path: Vec<&'a str>,
    pub(super) query: HashMap<String, String>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Value,
}

async fn answer(kind: Kind, state: &Arc<Mutex<State>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let fault = {
        let mut state = state.lock().unwrap();
        state
            .requests
            .push(format!("{} {}", parts.method, parts.uri));
        if let Some(key) = &state.psk
            && !is_signed(&parts.headers, key)
        {
            return error(kind, 401, "bad token");
        }
        state.faults.pop_front()
    };
    match fault {
        None => {}
        Some(Fault::Status(status, words)) => {
            return (StatusCode::from_u16(status).unwrap(), words).into_response();
        }
        Some(Fault::Half) => {
            let pieces = [
                Ok(bytes::Bytes::from("{\"notif")),
                Err(std::io::Error::other("cut")),
            ];
            return Body::from_stream(futures_util::stream::iter(pieces)).into_response();
        }
        Some(Fault::Silent) => return std::future::pending().await,
    }
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let asked = Asked {
        method: &parts.method,
        path: parts.uri.path().split('/').skip(1).collect(),
        query: query.into_owned().collect(),
        headers: &parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let is_notification = asked
        .path
        .iter()
        .any(|part| part.starts_with("notification"));
    if is_notification {
        notification(kind, &mut state.lock().unwrap(), &asked)
    } else {
        super::fake_scan::answer(kind, state, &asked).await
    }
}

/// An error in the words of the generation.
pub(super) fn error(kind: Kind, status: u16, message: &str) -> Response {
    let body = match kind {
        Kind::V1 => json!({ "Error": { "Message": message } }),
        Kind::V3 => json!({ "error": message, "code": if status == 404 { 5 } else { 13 } }),
        Kind::V4 => {
            json!({ "code": if status == 404 { "not-found" } else { "internal" }, "message": message })
        }
    };
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

fn notification(kind: Kind, state: &mut State, asked: &Asked<'_>) -> Response {
    let name = asked.path.last().unwrap();
    let Some(found) = state.notifications.get(*name).cloned() else {
        return error(kind, 404, "no such notification");
    };
    if *asked.method == Method::DELETE {
        state.notifications.remove(*name);
        state.deleted.push((*name).to_owned());
        return axum::Json(json!({})).into_response();
    }
    let size = asked.query.get(if kind == Kind::V4 {
        "page_size"
    } else {
        "limit"
    });
    let Some(size) = size
        .and_then(|size| size.parse::<usize>().ok())
        .filter(|size| *size > 0)
    else {
        return error(kind, 400, "a page's size is needed");
    };
    let from = |key: &str| {
        asked
            .query
            .get(key)
            .and_then(|token| token.trim_start_matches('p').parse().ok())
            .unwrap_or(0)
    };
    let body = match kind {
        Kind::V1 => v1(name, &found, from("page"), size),
        Kind::V3 => {
            let new = v3(&found.new, from("new_vulnerability_page"), size);
            let old = v3(&found.old, from("old_vulnerability_page"), size);
            json!({ "notification": { "name": name, "created": "1795311216", "notified": "", "deleted": "", "old": old, "new": new } })
        }
        Kind::V4 => v4(&found, from("next"), size),
    };
    axum::Json(body).into_response()
}

fn slice(all: &[String], from: usize, size: usize) -> (Vec<(usize, &String)>, Option<String>) {
    let end = all.len().min(from + size);
    let part = all.iter().enumerate().take(end).skip(from).collect();
    (part, (end < all.len()).then(|| format!("p{end}")))
}

fn v1(name: &str, found: &Notification, from: usize, size: usize) -> Value {
    let vulnerability = json!({ "Name": "CVE-2099-0001", "NamespaceName": "debian:12", "Description": "test",
        "Link": "https://x", "Severity": "High", "Metadata": { "NVD": { "CVSSv2": { "Score": 7.5 } } },
        "FixedIn": [{ "Name": "openssl", "NamespaceName": "debian:12", "VersionFormat": "dpkg", "Version": "3.0.9-1" }] });
    let mut inner = json!({ "Name": name, "Created": "1795311149", "Notified": "1795311151", "Limit": size, "Page": "x" });
    for (key, all) in [("New", &found.new), ("Old", &found.old)] {
        if all.is_empty() {
            continue;
        }
        let (part, next) = slice(all, from, size);
        let ordered: Vec<Value> = part
            .iter()
            .map(|(index, name)| json!({ "Index": index, "LayerName": name }))
            .collect();
        let names: Vec<&String> = part.iter().map(|(_, name)| *name).collect();
        inner[key] = json!({ "Vulnerability": vulnerability, "OrderedLayersIntroducingVulnerability": ordered, "LayersIntroducingVulnerability": names });
        if let Some(next) = next {
            inner["NextPage"] = next.into();
        }
    }
    json!({ "Notification": inner })
}

fn v3(all: &[String], from: usize, size: usize) -> Value {
    if all.is_empty() {
        return Value::Null;
    }
    let (part, next) = slice(all, from, size);
    let ancestries: Vec<Value> = part
        .iter()
        .map(|(index, name)| json!({ "index": index, "name": name }))
        .collect();
    json!({ "currentPage": format!("p{from}"), "nextPage": next.unwrap_or_default(), "limit": size,
        "vulnerability": { "name": "CVE-2099-0001", "namespaceName": "debian:12", "description": "test", "link": "https://x",
            "severity": "High", "metadata": "{\"NVD\":{\"CVSSv2\":{\"Score\":7.5}}}", "fixedBy": "", "affectedVersions": [] },
        "ancestries": ancestries })
}

fn v4(found: &Notification, from: usize, size: usize) -> Value {
    let entry = |reason: &str, manifest: &String| {
        json!({ "id": uuid::Uuid::now_v7(), "manifest": manifest, "reason": reason, "vulnerability": {
            "name": "CVE-2099-0001", "fixed_in_version": "3.0.9-1", "severity": "High", "description": "test", "links": "https://x",
            "package": { "id": "10", "name": "openssl", "version": "3.0.1-1" }, "distribution": { "did": "debian", "version_id": "12" }, "repo": {} } })
    };
    let added = found.new.iter().map(|manifest| entry("added", manifest));
    let all: Vec<Value> = added
        .chain(found.old.iter().map(|manifest| entry("removed", manifest)))
        .collect();
    let end = all.len().min(from + size);
    let mut page = json!({ "size": size });
    if end < all.len() {
        page["next"] = format!("p{end}").into();
    }
    json!({ "page": page, "notifications": all[from..end] })
}

/// Checks a token as Clair 4 does: HS256, a known issuer, valid now.
fn is_signed(headers: &HeaderMap, key: &[u8]) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let Some((signed, tag)) =
        token.and_then(|token| token.strip_prefix("Bearer ")?.rsplit_once('.'))
    else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = URL_SAFE_NO_PAD.decode(tag).unwrap();
    if hmac::verify(&key, signed.as_bytes(), &tag).is_err() {
        return false;
    }
    let parts: Vec<Value> = signed
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    let now = conche_core::Timestamp::now().as_second();
    let second = |name: &str| parts[1][name].as_i64().unwrap();
    parts[0]["alg"] == "HS256"
        && parts[1]["iss"] == "conche"
        && second("nbf") <= now
        && second("exp") >= now
        && second("exp") - now <= 60
}

/// A certificate of its own for this machine; its authority is the file.
pub(crate) fn certificate(folder: &Path) -> TlsConfig {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    serde_json::from_value(json!({ "certificate": certificate, "key": key })).unwrap()
}
