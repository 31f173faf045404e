//! The messages between us and a kernel, after Jupyter's messaging protocol 5 as its server
//! carries it over a WebSocket: JSON in text frames.
//!
//! A cell is done when the kernel has answered and is idle again, in whichever order the two
//! are told. Messages about anything else are passed over.

use conche_runtime::egress::Stream;
use conche_runtime::secrets::Masker;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::action::Error;
use crate::clients::outcome::quote;

/// The outputs of cells so far.
#[derive(Default)]
pub(super) struct Told {
    pub(super) outputs: Vec<Value>,
    pub(super) truncated: bool,
    bytes: usize,
}

impl Told {
    /// The last result, else what was written to standard output.
    pub(super) fn result(&self) -> Value {
        let mut results = self
            .outputs
            .iter()
            .rev()
            .filter_map(|output| output.get("data"));
        let Some(data) = results.next() else {
            let written = self
                .outputs
                .iter()
                .filter(|output| output["name"] == "stdout");
            let texts = written.filter_map(|output| output["text"].as_str());
            return texts.collect::<String>().into();
        };
        let json = data.get("application/json");
        let text = data.get("text/plain");
        json.or(text).cloned().unwrap_or_else(|| data.clone())
    }

    /// Keeps an output as far as there is room.
    fn add(&mut self, output: Value, most: usize) {
        let bytes = output.to_string().len();
        if self.truncated || self.bytes + bytes > most {
            self.truncated = true;
            return;
        }
        self.bytes += bytes;
        // A stream comes in pieces of any size.
        if let Some(last) = self.outputs.last_mut()
            && output["type"] == "stream"
            && ["cell", "type", "name"]
                .iter()
                .all(|key| last[*key] == output[*key])
            && let (Some(before), Some(more)) = (last["text"].as_str(), output["text"].as_str())
        {
            last["text"] = format!("{before}{more}").into();
            return;
        }
        self.outputs.push(output);
    }
}

pub(super) struct Channel {
    stream: WebSocketStream<Stream>,
    session: String,
    most: usize,
    masker: Masker,
    pub(super) told: Told,
}

impl Channel {
    /// Keeps so many bytes of outputs.
    pub(super) fn new(stream: WebSocketStream<Stream>, most: usize, masker: Masker) -> Self {
        Self {
            stream,
            session: Uuid::now_v7().to_string(),
            most,
            masker,
            told: Told::default(),
        }
    }

    /// Waits until the kernel answers.
    pub(super) async fn ready(&mut self) -> Result<(), Error> {
        let id = self.ask("kernel_info_request", json!({})).await;
        let id = id.map_err(Error::retry)?;
        loop {
            let message = self.next().await.map_err(Error::retry)?;
            if is_about(&message, &id) && message["header"]["msg_type"] == "kernel_info_reply" {
                return Ok(());
            }
        }
    }

    /// Executes a cell and keeps what it puts out. Its number is for people.
    pub(super) async fn execute(&mut self, cell: usize, code: &str) -> Result<(), Error> {
        let lost = |reason: String| Error::Uncertain(format!("cell {cell}: {reason}"));
        let content = json!({
            "code": code, "silent": false, "store_history": true, "user_expressions": {},
            "allow_stdin": false, "stop_on_error": true,
        });
        let id = self.ask("execute_request", content).await.map_err(lost)?;
        let (mut reply, mut idle) = (None, false);
        let reply = loop {
            if let (Some(reply), true) = (&reply, idle) {
                break Value::clone(reply);
            }
            let message = self.next().await.map_err(lost)?;
            let content = &message["content"];
            let state = content["execution_state"].as_str();
            if matches!(state, Some("dead" | "restarting")) {
                return Err(Error::permanent(format!("the kernel died in cell {cell}")));
            }
            if !is_about(&message, &id) {
                continue;
            }
            match message["header"]["msg_type"].as_str().unwrap_or_default() {
                "execute_reply" => reply = Some(content.clone()),
                "status" => idle |= state == Some("idle"),
                kind => self.keep(cell, kind, content),
            }
        };
        match reply["status"].as_str() {
            Some("ok") => Ok(()),
            _ => Err(Error::permanent(self.failure(cell, &reply))),
        }
    }

    fn failure(&self, cell: usize, reply: &Value) -> String {
        let part = |name: &str| reply[name].as_str().unwrap_or_default();
        let why = format!("{}: {}", part("ename"), part("evalue"));
        format!("cell {cell} failed: {}", quote(&why, &self.masker))
    }

    /// Keeps an output: texts and JSON, no pictures.
    fn keep(&mut self, cell: usize, kind: &str, content: &Value) {
        let mut output = match kind {
            "stream" => {
                json!({ "cell": cell, "type": kind, "name": content["name"], "text": content["text"] })
            }
            "execute_result" | "display_data" => {
                let data = content["data"].as_object().into_iter().flatten();
                let is_kept = |kind: &str| kind.starts_with("text/") || kind.ends_with("json");
                let data: Map<String, Value> = data
                    .filter(|(kind, _)| is_kept(kind))
                    .map(|(kind, value)| (kind.clone(), value.clone()))
                    .collect();
                json!({ "cell": cell, "type": kind, "data": data })
            }
            _ => return,
        };
        self.masker.mask_json(&mut output);
        self.told.add(output, self.most);
    }

    /// Sends a request to the kernel and gives its identifier.
    async fn ask(&mut self, kind: &str, content: Value) -> Result<String, String> {
        let id = Uuid::now_v7().to_string();
        let message = json!({
            "channel": "shell", "content": content, "metadata": {}, "parent_header": {}, "buffers": [],
            "header": { "msg_id": id, "msg_type": kind, "session": self.session, "username": "conche",
                "version": "5.3", "date": "" },
        });
        let sent = self.stream.send(Message::text(message.to_string())).await;
        sent.map_err(|error| format!("the connection to the kernel broke: {error}"))?;
        Ok(id)
    }

    /// The next message of the kernel's.
    async fn next(&mut self) -> Result<Value, String> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    let read = serde_json::from_str(text.as_str());
                    return read.map_err(|error| format!("a message can't be read: {error}"));
                }
                Some(Ok(Message::Close(_))) | None => {
                    return Err("the connection to the kernel was closed".to_owned());
                }
                // Pings are answered by the library.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return Err(format!("the connection to the kernel broke: {error}"));
                }
            }
        }
    }
}

/// Whether a message is about this request.
fn is_about(message: &Value, id: &str) -> bool {
    message["parent_header"]["msg_id"] == id
}
