//! One operation of Caldera's for one call: found or created, filled with links, looked at
//! until they have ended.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::ability::{Wanted, executor};
use super::{Config, LinkDone};
use crate::action::{Call, Error};
use crate::clients::outcome::Promise;
use crate::clients::request::{sensitive, uuid_of};
use crate::command::Party;
use crate::commands::over_http::{Client, Server};

/// Where Caldera's API wants its key.
const KEY: HeaderName = HeaderName::from_static("key");

pub(super) struct Operation<'a> {
    /// Its identifier, made of the call's key.
    pub(super) id: String,
    name: String,
    client: &'a Client,
    obfuscator: &'a str,
    server: Server,
    key: Option<HeaderValue>,
    deadline: Instant,
}

impl<'a> Operation<'a> {
    pub(super) fn new(
        client: &'a Client,
        config: &'a Config,
        server: Server,
        (call, deadline): (&Call, Instant),
    ) -> Result<Self, Error> {
        let key = match &server.authentication {
            None => None,
            Some(authentication) => {
                let secret = client.secret(&server.receiver, authentication)?;
                let value = sensitive(secret.expose_secret());
                Some(value.ok_or_else(|| Error::permanent("the key can't be a header's value"))?)
            }
        };
        Ok(Self {
            id: uuid_of(call.key.as_str()),
            name: format!("conche {}", call.key.as_str()),
            client,
            obfuscator: &config.obfuscator,
            server,
            key,
            deadline,
        })
    }

    /// Creates what is not there yet: the ability, the operation, a link for each agent.
    pub(super) async fn begin(&self, text: &str, target: &Party) -> Result<(), Error> {
        let ability = self.ability(Wanted::parse(text)?).await?;
        let agents = self.agents(target).await?;
        let mut links = Vec::new();
        for agent in &agents {
            let executor = executor(&ability, agent).ok_or_else(|| {
                Error::permanent(format!(
                    "agent {} has no executor for the ability {}",
                    text_of(agent, "paw"),
                    text_of(&ability, "ability_id")
                ))
            })?;
            links.push((text_of(agent, "paw"), link(&ability, executor, agent)));
        }
        if self
            .get(&format!("/operations/{}", self.id))
            .await?
            .is_none()
        {
            self.create(&agents).await?;
        }
        let there = self.links().await?;
        for (paw, link) in links {
            if !there.iter().any(|link| text_of(link, "paw") == paw) {
                let path = format!("/operations/{}/potential-links", self.id);
                self.post(&path, &link).await?;
            }
        }
        Ok(())
    }

    /// Whether an earlier attempt came as far as to have an agent do something.
    pub(super) async fn has_links(&self) -> Result<bool, Error> {
        let found = self.get(&format!("/operations/{}", self.id)).await?;
        Ok(found.is_some() && !self.links().await?.is_empty())
    }

    /// What the agents did, once all of them are done.
    pub(super) async fn done(&self) -> Result<Option<Vec<LinkDone>>, Error> {
        let links = self.links().await?;
        if !links.iter().all(has_ended) {
            return Ok(None);
        }
        let mut done = Vec::new();
        for link in links {
            let id = text_of(&link, "id");
            let path = format!("/operations/{}/links/{id}/result", self.id);
            let result = self.get(&path).await?.unwrap_or_default();
            done.push(told(&link, &result));
        }
        Ok(Some(done))
    }

    /// Says that nothing more comes. Caldera's own end of it changes no result, so a failure
    /// to say so is none of the call's.
    pub(super) async fn close(&self) {
        let path = format!("/operations/{}", self.id);
        let body = json!({ "state": "finished" });
        self.send(Method::PATCH, &path, Some(&body)).await.ok();
    }

    async fn ability(&self, wanted: Wanted) -> Result<Value, Error> {
        match wanted {
            Wanted::Known(id) => {
                let found = self.get(&format!("/abilities/{id}")).await?;
                found.ok_or_else(|| Error::permanent(format!("Caldera has no ability `{id}`")))
            }
            Wanted::Defined(ability) => {
                let path = format!("/abilities/{}", text_of(&ability, "ability_id"));
                if self.get(&path).await?.is_none() {
                    self.post("/abilities", &ability).await?;
                }
                Ok(ability)
            }
        }
    }

    /// The trusted agents that the target names: by paw, else by group, else by host.
    async fn agents(&self, target: &Party) -> Result<Vec<Value>, Error> {
        let fields = ["paw", "group", "host", "platform", "executors", "trusted"];
        let query: Vec<String> = fields
            .iter()
            .map(|name| format!("include={name}"))
            .collect();
        let all = self.get(&format!("/agents?{}", query.join("&"))).await?;
        let all: Vec<Value> = match all {
            Some(Value::Array(all)) => all,
            _ => return Err(Error::permanent("Caldera's list of agents can't be read")),
        };
        let named = |name: &str| target.other.get(name).and_then(Value::as_str);
        let (fields, wanted): (&[&str], &str) = match (named("paw"), named("group")) {
            (Some(paw), _) => (&["paw"], paw),
            (None, Some(group)) => (&["group"], group),
            (None, None) => (&["paw", "group", "host"], &target.name),
        };
        for field in fields {
            let with = |agent: &&Value| agent[*field] == wanted;
            let found: Vec<Value> = all.iter().filter(with).cloned().collect();
            let trusted = |agent: &Value| agent["trusted"] != false;
            match found.iter().filter(|agent| trusted(agent)).count() {
                0 if found.is_empty() => {}
                0 => {
                    return Err(Error::permanent(format!(
                        "Caldera does not trust the agents of {field} `{wanted}`"
                    )));
                }
                _ => return Ok(found.into_iter().filter(trusted).collect()),
            }
        }
        Err(Error::permanent(format!(
            "Caldera has no agent whose {} is `{wanted}`",
            fields.join(" or ")
        )))
    }

    async fn create(&self, agents: &[Value]) -> Result<(), Error> {
        let group = text_of(agents.first().unwrap_or(&Value::Null), "group");
        let is_shared = agents.iter().all(|agent| text_of(agent, "group") == group);
        let body = json!({
            "id": self.id, "name": self.name, "state": "running", "autonomous": 1,
            "auto_close": false, "obfuscator": self.obfuscator,
            "group": if is_shared { group } else { "" },
        });
        self.post("/operations", &body).await
    }

    async fn links(&self) -> Result<Vec<Value>, Error> {
        let path = format!("/operations/{}/links", self.id);
        match self.get(&path).await? {
            Some(Value::Array(links)) => Ok(links),
            _ => Err(Error::permanent("Caldera's list of links can't be read")),
        }
    }

    /// What is at a path; none where Caldera says that there is nothing.
    async fn get(&self, path: &str) -> Result<Option<Value>, Error> {
        match self.send(Method::GET, path, None).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (_, body) => Ok(Some(body)),
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Result<(), Error> {
        match self.send(Method::POST, path, Some(body)).await? {
            (StatusCode::NOT_FOUND, _) => Err(Error::permanent(format!(
                "Caldera has no {path}: is it older than version 4?"
            ))),
            _ => Ok(()),
        }
    }

    /// Sends a request; 2xx and 404 are answers.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Error> {
        let url = self.server.base.join(&format!("/api/v2{path}"))?;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        let promise = Promise::of(&method);
        let mut request = self.client.request(method, &url, left);
        if let Some(body) = body {
            let kind = HeaderValue::from_static("application/json");
            request.headers.insert(header::CONTENT_TYPE, kind);
            request.body = body.to_string().into();
        }
        if let Some(key) = &self.key {
            request.headers.insert(KEY, key.clone());
        }
        match self.client.send(request).await {
            Ok(response) if response.status == StatusCode::NOT_FOUND => {
                Ok((response.status, Value::Null))
            }
            Ok(response) if response.status.is_success() => {
                let read = serde_json::from_slice(&response.body);
                let body = read.map_err(|error| {
                    Error::permanent(format!("Caldera's answer can't be read: {error}"))
                })?;
                Ok((response.status, body))
            }
            other => match self.client.judge(promise, other) {
                Err(error) => Err(error),
                Ok(_) => Err(Error::permanent("Caldera's answer can't be read")),
            },
        }
    }
}

fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// What an agent is to do.
fn link(ability: &Value, executor: &Value, agent: &Value) -> Value {
    let mut about = json!({});
    for name in [
        "ability_id",
        "name",
        "description",
        "tactic",
        "technique_id",
        "technique_name",
    ] {
        if let Some(text) = ability[name].as_str() {
            about[name] = text.into();
        }
    }
    json!({ "paw": agent["paw"], "executor": executor, "ability": about })
}

/// Whether a link has run, or never will.
fn has_ended(link: &Value) -> bool {
    let finish = text_of(link, "finish");
    let never = matches!(link["status"].as_i64(), Some(-5 | -4 | -2));
    never || !finish.is_empty()
}

/// A link with its result: base64 of a JSON object with `stdout`, `stderr` and `exit_code`, in
/// older versions of the output itself.
fn told(link: &Value, result: &Value) -> LinkDone {
    let bytes = STANDARD.decode(text_of(result, "result").trim());
    let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let parts: Option<Value> = serde_json::from_str(&text).ok();
    let parts = parts.filter(|parts| parts["stdout"].is_string());
    let part = |name: &str| parts.as_ref().map(|parts| text_of(parts, name).to_owned());
    let exit_code = parts.as_ref().and_then(|parts| match &parts["exit_code"] {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    });
    LinkDone {
        paw: text_of(link, "paw").to_owned(),
        host: text_of(link, "host").to_owned(),
        status: link["status"].as_i64().unwrap_or(1),
        output: part("stdout").unwrap_or(text),
        stderr: part("stderr").unwrap_or_default(),
        exit_code,
    }
}
