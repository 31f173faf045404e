//! A stand-in for kube-apiserver: lists in pages, watches, patches and deletes over real
//! sockets, and fails in the ways that real ones do, when it is told to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::objects::{Address, Objects, Selectors, merge};

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// What goes wrong, until it is told otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Every answer is this page with status 200.
    pub(crate) nonsense: bool,
    /// Every answer has this status.
    pub(crate) status: Option<(u16, Option<u64>)>,
    /// Every answer is this.
    pub(crate) page: Option<(u16, String)>,
    /// Whatever would change something is answered so, and not done.
    pub(crate) changes: Option<(u16, String)>,
    /// A page of a list that has more objects is larger than a client holds.
    pub(crate) page_items: Option<usize>,
    /// So is one with the object of this name, also alone.
    pub(crate) giant: Option<&'static str>,
    /// No answer comes for so long.
    pub(crate) slow: Option<Duration>,
    /// Each watch breaks within the line after so many.
    pub(crate) half_after: Option<usize>,
    /// Watches say nothing, not even bookmarks.
    pub(crate) silent: bool,
    /// Requests that change something are done, and the connection breaks before the answer.
    pub(crate) mute: bool,
    /// Who may ask; everyone without.
    pub(crate) token: Option<String>,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// What outlives a restart.
pub(crate) struct Shared {
    objects: Mutex<Objects>,
    faults: Mutex<Faults>,
    seen: Mutex<Vec<Seen>>,
    changed: watch::Sender<u64>,
}

/// A server that is running; its connections break when it is dropped.
pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    running: Option<JoinHandle<()>>,
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let shared = Arc::new(Shared {
            objects: Mutex::default(),
            faults: Mutex::default(),
            seen: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let mut server = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            shared,
            tls,
            running: None,
        };
        server.up().await;
        server
    }

    /// Breaks every connection and listens no more.
    pub(crate) async fn down(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            drop(running.await);
        }
    }

    /// Listens again, where it did before.
    pub(crate) async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (shared, tls) = (self.shared.clone(), self.tls.clone());
        #[allow(
            clippy::disallowed_methods,
            reason = "this test owns the task and ends it"
        )]
        let running = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, tls.clone(), shared.clone()));
            }
        });
        self.running = Some(running);
    }

    /// Changes what is there; whoever watches learns of it.
    pub(crate) fn change<T>(&self, work: impl FnOnce(&mut Objects) -> T) -> T {
        let mut objects = self.shared.objects();
        let done = work(&mut objects);
        self.shared.changed.send_replace(objects.version);
        done
    }

    pub(crate) fn put(&self, path: &str, object: Value) -> Value {
        self.change(|objects| objects.put(Address::of(path).unwrap(), object))
    }

    pub(crate) fn remove(&self, path: &str) {
        self.change(|objects| objects.remove(&Address::of(path).unwrap()).unwrap());
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        let objects = self.shared.objects();
        objects.get(&Address::of(path).unwrap()).cloned()
    }

    pub(crate) fn fail(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap() = faults;
        // Whoever watches meets it.
        self.shared.changed.send_modify(|_| {});
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// A kubeconfig for it.
    pub(crate) fn kubeconfig(&self, dir: &Path, token: &str, authority: Option<&str>) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let authority = authority.map_or_else(String::new, |pem| {
            let file = dir.join("ca.pem");
            std::fs::write(&file, pem).unwrap();
            format!(", certificate-authority: {}", file.display())
        });
        let text = format!(
            "apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: '{scheme}://{}'{authority}}}}}]
users: [{{name: u, user: {{token: '{token}'}}}}]
",
            self.address
        );
        let file = dir.join("kubeconfig");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}

impl Shared {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap()
    }

    fn faults(&self) -> Faults {
        self.faults.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(request, shared.clone()));
    let builder = http1::Builder::new();
    // Connections break in these tests: that is no failure of the server's.
    match tls {
        None => drop(
            builder
                .serve_connection(TokioIo::new(stream), service)
                .await,
        ),
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                drop(
                    builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            }
        }
    }
}

fn whole(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn refusal(code: u16, reason: &str) -> Response<Body> {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": format!("refused: {reason}"), "reason": reason, "code": code });
    whole(code, status.to_string())
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Body>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map_err(std::io::Error::other)?
        .to_bytes();
    let text = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    shared.seen.lock().unwrap().push(Seen {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        content_type: text("content-type"),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let faults = shared.faults();
    if let Some(slow) = faults.slow {
        tokio::time::sleep(slow).await; // poll: the server that is slow
    }
    if let Some(token) = &faults.token
        && text("authorization") != format!("Bearer {token}")
    {
        return Ok(refusal(401, "Unauthorized"));
    }
    let told = faults.changes.filter(|_| head.method != Method::GET);
    if let Some((status, body)) = faults.page.or(told) {
        return Ok(whole(status, body));
    }
    if let Some((status, after)) = faults.status {
        let mut response = refusal(status, "AsTold");
        if let Some(after) = after {
            response.headers_mut().insert("retry-after", after.into());
        }
        return Ok(response);
    }
    if faults.nonsense {
        return Ok(whole(200, "<html>a proxy's page</html>\n"));
    }
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let ask = Ask {
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        content_type: text("content-type"),
        is_metadata: text("accept").contains("as=PartialObjectMetadataList"),
        query,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let response = ask.answer(&shared);
    if faults.mute && head.method != Method::GET {
        return Err(std::io::Error::other("the connection breaks"));
    }
    Ok(response)
}

struct Ask {
    method: Method,
    path: String,
    content_type: String,
    is_metadata: bool,
    query: Vec<(String, String)>,
    body: Value,
}

impl Ask {
    fn param(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| &**value)
    }

    fn selectors(&self) -> Selectors {
        let read = |name| self.param(name).map(Selectors::read).unwrap_or_default();
        Selectors {
            labels: read("labelSelector"),
            fields: read("fieldSelector"),
        }
    }

    fn answer(&self, shared: &Arc<Shared>) -> Response<Body> {
        if let Some(found) = discovery(&self.path) {
            return whole(200, found.to_string());
        }
        let Some(address) = Address::of(&self.path) else {
            return refusal(404, "NotFound");
        };
        if self.method == Method::GET && address.name.is_none() {
            return match self.param("watch") {
                Some(_) => self.watch(&address, shared),
                None => self.list(&address, shared),
            };
        }
        let asked = self.param("dryRun") == Some("All");
        let dry = asked || self.body["dryRun"][0] == "All";
        let mut objects = shared.objects();
        let done = self.act(&address, &mut objects, dry);
        shared.changed.send_replace(objects.version);
        done
    }

    fn list(&self, at: &Address, shared: &Shared) -> Response<Body> {
        let objects = shared.objects();
        let all = objects.list(at, &self.selectors());
        let limit: usize = self
            .param("limit")
            .map_or(500, |limit| limit.parse().unwrap());
        let from: usize = self
            .param("continue")
            .map_or(0, |token| token.parse().unwrap());
        let page = all.iter().skip(from).take(limit).map(|item| {
            // Items of a list do not say what they are.
            let mut item = (*item).clone();
            let members = item.as_object_mut().unwrap();
            members.remove("kind");
            members.remove("apiVersion");
            item
        });
        let page: Vec<_> = page.collect();
        let next = from + page.len();
        if !self.is_metadata && shared.faults().is_too_large(&page) {
            return too_large(limit);
        }
        let token = if next < all.len() {
            next.to_string()
        } else {
            String::new()
        };
        let list = json!({ "kind": "List", "apiVersion": at.api_version, "items": page,
            "metadata": { "resourceVersion": objects.version.to_string(), "continue": token } });
        whole(200, list.to_string())
    }

    fn watch(&self, at: &Address, shared: &Arc<Shared>) -> Response<Body> {
        let version = self
            .param("resourceVersion")
            .and_then(|text| text.parse().ok());
        let watching = Watching {
            shared: shared.clone(),
            changed: shared.changed.subscribe(),
            at: at.clone(),
            selectors: self.selectors(),
            version: version.unwrap_or_default(),
            sent: 0,
            breaking: false,
        };
        let lines = watching.lines().map(|line| line.map(Frame::data));
        Response::new(StreamBody::new(lines).boxed_unsync())
    }

    fn act(&self, at: &Address, objects: &mut Objects, dry: bool) -> Response<Body> {
        let created = at.name.is_none() || at.part.as_deref() == Some("eviction");
        let known = objects.get(at).cloned();
        let done = match (&self.method, known) {
            (&Method::GET, Some(object)) => object,
            (&Method::POST, Some(object)) if created => {
                let wanted = &self.body["deleteOptions"]["preconditions"]["uid"];
                if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
                    return refusal(409, "Conflict");
                }
                if !dry {
                    objects.remove(at);
                }
                object
            }
            (&Method::POST, None) if at.name.is_none() => {
                let name = self.body["metadata"]["name"].as_str().map(str::to_owned);
                let address = Address { name, ..at.clone() };
                if objects.get(&address).is_some() {
                    return refusal(409, "AlreadyExists");
                }
                if dry {
                    self.body.clone()
                } else {
                    objects.put(address, self.body.clone())
                }
            }
            (&Method::DELETE, Some(object)) => {
                let wanted = &self.body["preconditions"]["uid"];
                if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
                    return refusal(409, "Conflict");
                }
                if !dry {
                    objects.remove(at);
                }
                object
            }
            (&Method::PATCH, known) => {
                let applied = self.content_type == "application/apply-patch+yaml";
                if known.is_none() && !applied {
                    return refusal(404, "NotFound");
                }
                let mut object = known.unwrap_or_else(|| json!({}));
                let precondition = &self.body["metadata"]["uid"];
                if !precondition.is_null() && *precondition != object["metadata"]["uid"] {
                    return refusal(409, "Conflict");
                }
                merge(&mut object, &self.body);
                let address = Address {
                    part: None,
                    ..at.clone()
                };
                if dry {
                    object
                } else {
                    objects.put(address, object)
                }
            }
            _ => return refusal(404, "NotFound"),
        };
        whole(200, done.to_string())
    }
}

impl Faults {
    fn is_too_large(&self, page: &[Value]) -> bool {
        let is_giant = |item: &Value| item["metadata"]["name"].as_str() == self.giant;
        let has_giant = self.giant.is_some() && page.iter().any(is_giant);
        has_giant || self.page_items.is_some_and(|most| page.len() > most)
    }
}

/// More than 64 MiB; the largest page does not say so before, as the API server's do not.
fn too_large(limit: usize) -> Response<Body> {
    let is_silent = limit == 500;
    let blanks = vec![Bytes::from(vec![b' '; 1 << 20]); if is_silent { 65 } else { 1 }];
    let frames = stream::iter(blanks).map(|blanks| Ok(Frame::data(blanks)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    if !is_silent {
        let length = (65_usize << 20).into();
        response.headers_mut().insert("content-length", length);
    }
    response
}

fn discovery(path: &str) -> Option<Value> {
    let kinds: &[(&str, &str, bool)] = match path {
        "/apis/apps/v1" => &[
            ("deployments", "Deployment", true),
            ("deployments/scale", "Deployment", true),
            ("replicasets", "ReplicaSet", true),
        ],
        "/api/v1" => &[("nodes", "Node", false), ("secrets", "Secret", true)],
        _ => return None,
    };
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(name, kind, namespaced)| {
            json!({ "name": name, "kind": kind, "namespaced": namespaced })
        })
        .collect();
    Some(json!({ "kind": "APIResourceList", "resources": kinds }))
}

struct Watching {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    at: Address,
    selectors: Selectors,
    version: u64,
    sent: usize,
    breaking: bool,
}

impl Watching {
    fn lines(self) -> BoxStream<'static, Result<Bytes, std::io::Error>> {
        stream::unfold(Some(self), |watching| async { watching?.next().await }).boxed()
    }

    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Option<Self>)> {
        loop {
            let faults = self.shared.faults();
            let (since, version) = {
                let objects = self.shared.objects();
                let since = objects.since(self.version, &self.at, &self.selectors);
                (since, objects.version)
            };
            if self.breaking {
                return Some((Err(std::io::Error::other("broken")), None));
            }
            let Some(changes) = since else {
                let expired = json!({ "type": "ERROR", "object": { "kind": "Status",
                    "status": "Failure", "message": format!("too old resource version: {}", self.version),
                    "reason": "Expired", "code": 410 } });
                return Some((Ok(line(&expired)), None));
            };
            if let Some(change) = changes.first().filter(|_| !faults.silent) {
                let text = line(&json!({ "type": change.kind, "object": change.object }));
                if faults.half_after == Some(self.sent) {
                    self.breaking = true;
                    return Some((Ok(text.slice(..text.len() / 2)), Some(self)));
                }
                self.version = change.version;
                self.sent += 1;
                return Some((Ok(text), Some(self)));
            }
            let waited = tokio::time::timeout(Duration::from_millis(200), self.changed.changed());
            // poll: the bookmark that is sent when nothing happens
            match waited.await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) if faults.silent => {}
                Err(_) => {
                    self.version = version;
                    let bookmark = json!({ "type": "BOOKMARK", "object": { "kind": "Pod",
                        "apiVersion": "v1", "metadata": { "resourceVersion": version.to_string() } } });
                    return Some((Ok(line(&bookmark)), Some(self)));
                }
            }
        }
    }
}

fn line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}
