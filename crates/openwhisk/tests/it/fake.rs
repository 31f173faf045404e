//! A host that answers as a test tells it to and keeps what it was asked, over real sockets.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// `METHOD /path`, without the query.
    pub(crate) fn line(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        format!("{} {path}", self.method)
    }
}

/// What is answered.
pub(crate) enum Reply {
    /// A status with a body, and the activation that a header names.
    Json(u16, Value, Option<&'static str>),
    /// Bytes that are no JSON, with a status.
    Text(u16, String),
    /// The connection is closed without an answer.
    Hangs,
}

type Answering = Box<dyn FnMut(&Asked) -> Reply + Send>;

/// A host on loopback, until it is dropped.
pub(crate) struct Fake {
    address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// Starts one that answers so, one request after the other.
    pub(crate) async fn start(answer: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let kept = asked.clone();
        let mut answer: Answering = Box::new(answer);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &kept, &mut answer).await.ok();
            }
        });
        Self {
            address,
            asked,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn serve(
    stream: TcpStream,
    kept: &Mutex<Vec<Asked>>,
    answer: &mut Answering,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (
        first.next().unwrap_or_default(),
        first.next().unwrap_or_default(),
    );
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let asked = Asked {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let reply = answer(&asked);
    kept.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(asked);
    let (status, kind, text, id) = match reply {
        Reply::Hangs => return Ok(()),
        Reply::Json(status, body, id) => (status, "application/json", body.to_string(), id),
        Reply::Text(status, text) => (status, "text/plain", text, None),
    };
    let id = id.map_or_else(String::new, |id| {
        format!("x-openwhisk-activation-id: {id}\r\n")
    });
    let text = if status == 204 { String::new() } else { text };
    let answer = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\nconnection: close\r\n{id}content-length: {}\r\n\r\n{text}",
        text.len()
    );
    stream.get_mut().write_all(answer.as_bytes()).await?;
    stream.get_mut().shutdown().await
}

/// An identifier of an activation.
pub(crate) const ID: &str = "44794bd6aab74415b4e42a308d880e5b";

/// An activation of a class, with a result.
pub(crate) fn activation(class: &str, result: Value) -> Value {
    json!({
        "namespace": "guest", "name": "a", "version": "0.0.1", "publish": false,
        "subject": "guest", "activationId": ID, "start": 100, "end": 130, "duration": 30,
        "response": { "status": class, "success": class == "success", "result": result },
        "logs": [],
        "annotations": [{ "key": "path", "value": "guest/a" }, { "key": "waitTime", "value": 7 },
            { "key": "initTime", "value": 20 }]
    })
}

/// An error of the API.
pub(crate) fn error(status: u16, text: &str) -> Reply {
    Reply::Json(
        status,
        json!({ "error": text, "code": "transaction1" }),
        None,
    )
}

/// What a host answers while an activation is not stored.
pub(crate) fn not_found() -> Reply {
    error(404, "The requested resource does not exist.")
}

/// 202 with the identifier.
pub(crate) fn accepted() -> Reply {
    Reply::Json(202, json!({ "activationId": ID }), Some(ID))
}
