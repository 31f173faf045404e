//! The services of the example playbooks, all in one, which keeps what it is sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) authorization: String,
    pub(crate) body: Value,
}

/// All services of the examples in one. It keeps what it is sent.
pub(crate) struct Services {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Request>>>,
}

impl Services {
    /// Services that refuse every request whose path has this text.
    pub(crate) fn refusing(refused: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let seen = received.clone();
        // Ends with the process: nobody is there to connect any more.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                std::thread::spawn(move || serve(stream, refused, &seen));
            }
        });
        Self { url, received }
    }

    pub(crate) fn start() -> Self {
        Self::refusing("nothing has this in its path")
    }

    pub(crate) fn received(&self) -> Vec<Request> {
        self.received.lock().unwrap().clone()
    }

    /// The first lines of the requests, in their order.
    pub(crate) fn lines(&self) -> Vec<String> {
        let received = self.received();
        received.into_iter().map(|request| request.line).collect()
    }

    /// The one request of which the first line begins like this.
    pub(crate) fn one(&self, line: &str) -> Request {
        let mut found = self.received();
        found.retain(|request| request.line.starts_with(line));
        assert_eq!(found.len(), 1, "{line}: {:?}", self.received());
        found.remove(0)
    }
}

/// Reads one request, keeps and answers it. One that ends early is none.
fn serve(stream: TcpStream, refused: &str, seen: &Mutex<Vec<Request>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.strip_suffix(" HTTP/1.1\r\n")?.to_owned();
    let (mut authorization, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => value.clone_into(&mut authorization),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut seen = seen.lock().ok()?;
    let is_again = seen.iter().any(|request| request.line == line);
    let (status, answer) = if line.contains(refused) {
        ("403 Forbidden", json!({ "error": "no" }))
    } else {
        ("200 OK", answer(&line, is_again))
    };
    seen.push(Request {
        line,
        authorization,
        body,
    });
    drop(seen);
    let answer = answer.to_string();
    let length = answer.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let mut stream = reader.into_inner();
    stream.write_all(format!("{head}{answer}").as_bytes()).ok()
}

/// What the services say to a request.
fn answer(line: &str, is_again: bool) -> Value {
    let path = line.split(['?', ' ']).nth(1).unwrap_or_default();
    match path {
        "/v1/messages/m-1" => json!({
            "sender": "it@exarnple.com", "sender_domain": "exarnple.com",
            "subject": "Verify your account", "links": ["https://login-verify.example.net/x"],
        }),
        "/v1/rollouts" => json!({ "rollouts": [{ "name": "shop/web" }, { "name": "shop/api" }] }),
        "/v1/rollouts/pause" => json!({ "paused": ["shop/web", "shop/api"] }),
        "/v1/hosts/node-1/agent" => json!({ "state": "isolated" }),
        "/.well-known/openc2" => {
            json!({ "status": 200, "results": { "slpf": { "rule_number": 1234 } } })
        }
        "/v1/users/alice/sessions/end" => json!({ "left": if is_again { 0 } else { 7 } }),
        "/v1/workloads" => json!({ "workloads": [
            { "namespace": "shop", "name": "web" }, { "namespace": "shop", "name": "api" },
        ] }),
        "/v1/tickets" => json!({ "number": "SOC-17" }),
        _ => json!({}),
    }
}
