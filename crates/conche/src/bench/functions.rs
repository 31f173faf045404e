//! A stand for functions: the embedded OpenWhisk host over a store of its own, behind a listener
//! on loopback, and callers that keep one connection each.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_runtime::listener::Listener;
use conche_runtime::supervisor::{Grace, Stage, Supervisor};
use conche_store::RunStore as _;
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::Error;
use super::client::exchange;
use super::stand;
use super::statistics::Latencies;
use crate::config;

/// The kind that runs in processes; where Node is not there the host says so in its answer.
pub(crate) const NODE: &str = "nodejs:default";
/// The kind that needs nothing installed.
pub(crate) const SCRIPT: &str = "quickjs:1";
/// An action that does nothing.
const NOTHING: &str = "function main() { return {} }";
/// An answer that counts.
const GOOD: &[u8] = b"HTTP/1.1 20";
/// Where the entities of the caller's namespace stand.
const ENTITIES: &str = "/api/v1/namespaces/_";

/// The host and what it stands on.
pub(crate) struct Functions {
    address: SocketAddr,
    authorization: String,
    store: Arc<SqliteStore>,
    supervisor: Supervisor,
}

/// Somebody with one connection, who does one thing after another.
pub(crate) struct Caller {
    stream: TcpStream,
    head: String,
    buffer: Vec<u8>,
}

impl Functions {
    /// Starts the host over a new store in this folder.
    pub(crate) async fn start(dir: &Path) -> Result<Self, Error> {
        let failed = |cause: &dyn std::fmt::Display| Error::of("the host for functions", cause);
        let config = config::Host {
            listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
            ..config::Host::default()
        };
        let store = stand::open(SqliteConfig::new(dir)).await?;
        let supervisor = Supervisor::new();
        let tasks = supervisor.tasks();
        let listener = Listener::bind("functions", config.listener()).await;
        let listener = listener.map_err(|cause| failed(&cause))?;
        let address = listener.local_addr();
        let host = crate::openwhisk::start(&config, address, &store, dir, &tasks).await;
        let host = host.map_err(|cause| failed(&cause))?;
        let users = host.users();
        let user = users.iter().find(|user| user.namespace == "guest");
        let user = user.ok_or_else(|| failed(&"it has no user"))?;
        let authorization = STANDARD.encode(format!("{}:{}", user.uuid, user.key));
        listener.serve(host.router(), &tasks, Stage::Api);
        Ok(Self {
            address,
            authorization,
            store,
            supervisor,
        })
    }

    /// Somebody who calls.
    pub(crate) async fn caller(&self) -> Result<Caller, Error> {
        let connected = async {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = connected.await;
        Ok(Caller {
            stream: stream.map_err(|cause| Error::of("a connection", cause))?,
            head: format!(
                "Host: {}\r\nAuthorization: Basic {}\r\nContent-Type: application/json\r\n",
                self.address, self.authorization
            ),
            buffer: Vec::new(),
        })
    }

    /// Stops it in order.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.supervisor.shutdown(Grace::default()).await;
        let closed = self.store.close().await;
        closed.map_err(|cause| Error::of("the store", cause))
    }
}

impl Caller {
    /// Sends a request and gives what was answered.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<Value, Error> {
        let request = format!(
            "{method} {ENTITIES}/{path} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{body}",
            self.head,
            body.len()
        );
        let sent = exchange(&mut self.stream, request.as_bytes(), GOOD, &mut self.buffer);
        sent.await
            .map_err(|cause| Error::of(format!("{method} {path}"), cause))?;
        let head = self.buffer.windows(4).position(|end| end == b"\r\n\r\n");
        let body = &self.buffer[head.map_or(0, |head| head + 4)..];
        serde_json::from_slice(body).map_err(|cause| Error::of(format!("{method} {path}"), cause))
    }

    /// Makes an action that does nothing.
    pub(crate) async fn nothing(&mut self, name: &str, kind: &str) -> Result<(), Error> {
        let action = json!({ "exec": { "kind": kind, "code": NOTHING } });
        self.make("actions", name, &action).await
    }

    /// Makes an entity.
    pub(crate) async fn make(
        &mut self,
        collection: &str,
        name: &str,
        entity: &Value,
    ) -> Result<(), Error> {
        let path = format!("{collection}/{name}");
        self.send("PUT", &path, &entity.to_string()).await.map(drop)
    }

    /// Invokes an action that does nothing and waits for its result.
    pub(crate) async fn invoke(&mut self, action: &str) -> Result<(), Error> {
        let path = format!("actions/{action}?blocking=true&result=true");
        let result = self.send("POST", &path, "{}").await?;
        // An activation that goes on, or one that failed, is answered otherwise.
        if result == json!({}) {
            return Ok(());
        }
        Err(Error::of(format!("the action {action}"), result))
    }

    /// Invokes it again and again for a while.
    pub(crate) async fn keep(&mut self, action: &str, long: Duration) -> Result<Latencies, Error> {
        let (begin, mut all) = (Instant::now(), Latencies::new());
        while begin.elapsed() < long {
            let start = Instant::now();
            self.invoke(action).await?;
            all.record(start.elapsed());
        }
        Ok(all)
    }
}

/// Invokes an action for a while over so many connections at once; gives how long each took, and
/// how many there were in a second.
pub(crate) async fn crowd(
    functions: &Functions,
    action: &'static str,
    (callers, long): (usize, Duration),
) -> Result<(Latencies, f64), Error> {
    let mut under_way = tokio::task::JoinSet::new();
    let begin = Instant::now();
    for _ in 0..callers {
        let mut caller = functions.caller().await?;
        under_way.spawn(async move { caller.keep(action, long).await });
    }
    let mut all = Latencies::new();
    while let Some(one) = under_way.join_next().await {
        all.add(&one.map_err(|cause| Error::of("a caller", cause))??);
    }
    let rate = all.len() as f64 / begin.elapsed().as_secs_f64();
    Ok((all, rate))
}

/// The percentiles of what was measured last, in words.
pub(crate) fn words(all: Option<&Latencies>) -> String {
    let figure = super::statistics::figure;
    all.map_or_else(String::new, |all| {
        let (p50, p99) = (figure(all.ms(0.5)), figure(all.ms(0.99)));
        format!("p50 {p50} ms, p99 {p99} ms ({} samples)", all.len())
    })
}
