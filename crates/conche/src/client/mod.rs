//! The client of a running server: each verb is one request to its native API.
//!
//! Answers are passed on as they come, so that `-o json` shows the API's own form. A
//! refusal is shown with its code. Redirects are not followed and proxies of the environment
//! not used: the token goes to the named server and nowhere else.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod events;
pub(crate) mod import;
pub(crate) mod lists;
pub(crate) mod playbooks;
pub(crate) mod reactions;
pub(crate) mod runs;
pub(crate) mod sources;
mod sse;
pub(crate) mod tokens;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url, redirect};
use serde_json::Value;

use crate::failure::Failure;
use crate::output::OutputArgs;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
/// The server sends a comment every 15 s where nothing happens.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// Bytes of an answer; the API's pages are far smaller.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Which server, and as whom; before or after the verb.
#[derive(Debug, Args)]
struct ServerArgs {
    /// The server's API
    #[arg(
        long,
        global = true,
        env = "CONCHE_SERVER",
        value_name = "URL",
        value_parser = server,
        default_value = "http://127.0.0.1:8888"
    )]
    server: Url,
    /// A file with the token to show [default: the variable CONCHE_TOKEN, where it is set]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Which server, as whom, and the form of what it answers: what every verb here takes.
#[derive(Debug, Args)]
pub(crate) struct Ask {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Ask {
    /// Shows what is at a path.
    async fn show<F>(&self, path: &[&str], table: F) -> Result<(), Failure>
    where
        F: FnOnce(&Value) -> String,
    {
        let answer = self.server.client()?.get(path, &[]).await?;
        self.output.print(&answer, table)
    }

    /// Lists a page of `noun`; `table` makes the text of its rows for people.
    async fn list<F>(
        &self,
        noun: &str,
        query: &[(&str, Option<String>)],
        table: F,
    ) -> Result<(), Failure>
    where
        F: FnOnce(&[Value]) -> String,
    {
        let client = self.server.client()?;
        let answer = client.get(&["api", "v1", noun], query).await?;
        self.output.print(&answer, |page| {
            let rows = page[noun].as_array().map_or(&[][..], Vec::as_slice);
            table(rows) + &next_page(page)
        })
    }

    /// Sends a body to a path and shows the answer.
    async fn send<F>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
        table: F,
    ) -> Result<(), Failure>
    where
        F: FnOnce(&Value) -> String,
    {
        let answer = self.server.client()?.send(method, path, body).await?;
        self.output.print(&answer, table)
    }
}

/// The URL of a server: where it is, not how one logs in there.
fn server(text: &str) -> Result<Url, String> {
    let example = "write it as http://127.0.0.1:8888";
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => Err(format!(
            "a server is reached by http or https, not by `{}`: {example}",
            url.scheme()
        )),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("a server is shown a token, not a name and password: see --token-file".to_owned())
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            Err(format!("nothing may follow its path: {example}"))
        }
        Ok(url) => Ok(url),
        Err(error) => Err(format!("{error}: {example}")),
    }
}

/// A server to ask.
struct Client {
    base: Url,
    http: reqwest::Client,
}

impl ServerArgs {
    /// Gets ready to ask; nothing is sent yet.
    fn client(&self) -> Result<Client, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        if let Some(token) = self.token()? {
            let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
            let mut value = value
                .map_err(|_| Failure::Usage("the token has characters that no token has".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("conche/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENCE_MAX)
            .build()
            .map_err(|error| Failure::of("can't make a client", chain(&error)))?;
        Ok(Client {
            base: self.server.clone(),
            http,
        })
    }

    fn token(&self) -> Result<Option<String>, Failure> {
        match &self.token_file {
            Some(path) => std::fs::read_to_string(path)
                .map(Some)
                .map_err(|error| Failure::of(&format!("can't read {}", path.display()), error)),
            None => Ok(std::env::var("CONCHE_TOKEN")
                .ok()
                .filter(|token| !token.is_empty())),
        }
    }
}

impl Client {
    /// Asks for what is at a path of these segments.
    async fn get(&self, path: &[&str], query: &[(&str, Option<String>)]) -> Result<Value, Failure> {
        let mut url = self.url(path)?;
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        self.ask(self.http.get(url)).await
    }

    /// Sends a request with a JSON body, or with none.
    async fn send(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let request = self.http.request(method, self.url(path)?);
        self.ask(match body {
            Some(body) => request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string()),
            None => request,
        })
        .await
    }

    /// Opens a live view.
    async fn stream(&self, path: &[&str]) -> Result<Response, Failure> {
        let sent = self.http.get(self.url(path)?).send().await;
        let response = sent.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.read(response).await.err().unwrap_or(Failure::Unread))
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let sent = request.timeout(ANSWER_WITHIN).send().await;
        let response = sent.map_err(|error| self.unreachable(&error))?;
        self.read(response).await
    }

    async fn read(&self, mut response: Response) -> Result<Value, Failure> {
        let status = response.status();
        let mut body = Vec::new();
        while let Some(part) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            body.extend_from_slice(&part);
            if body.len() > ANSWER_BYTES_MAX {
                let message = format!("the answer is larger than {ANSWER_BYTES_MAX} bytes");
                return Err(Failure::Failed(message));
            }
        }
        let value: Option<Value> = serde_json::from_slice(&body).ok();
        match value {
            Some(value) if status.is_success() => Ok(value),
            None if status.is_success() && body.is_empty() => Ok(Value::Null),
            Some(problem) if problem["detail"].is_string() => Err(refusal(&problem)),
            _ => Err(Failure::Failed(format!(
                "{} answers {status}, and not as a Conche server does",
                self.base
            ))),
        }
    }

    fn url(&self, path: &[&str]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::Usage(format!("`{}` is not the URL of a server", self.base)))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }

    /// A live view that breaks off says nothing about the runs in it.
    fn went_away(&self, why: &str) -> Failure {
        Failure::Failed(format!(
            "the server at {} went away while it was watched ({why}): its runs go on when it is back",
            self.base
        ))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::Failed(format!(
            "can't reach the server at {} ({}): is `conche serve` running there? `--server` or CONCHE_SERVER names another",
            self.base,
            chain(error)
        ))
    }
}

/// A problem in words: what, why, and the code under which it is explained.
fn refusal(problem: &Value) -> Failure {
    let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    let (code, mut detail) = (text("code"), text("detail"));
    if code == "unauthorized" {
        detail.push_str(": `--token-file` or CONCHE_TOKEN gives the token to show");
    }
    let all = faults(&problem["check"]);
    Failure::Failed(match problem["status"].as_u64() {
        Some(status) => format!("{detail} ({status} {code}){all}"),
        None => format!("{detail} ({code}){all}"),
    })
}

/// All that a check of a playbook found, one line each.
fn faults(check: &Value) -> String {
    let findings = check["findings"].as_array().into_iter().flatten();
    let errors = findings.filter(|finding| finding["severity"] == "error");
    let refusals = check["refusals"].as_array().into_iter().flatten();
    let line = |fault: &Value| {
        let text = |key: &str| fault[key].as_str().unwrap_or_default();
        let (code, pointer, message) = (text("code"), text("pointer"), text("message"));
        let fault = format!("{code} {pointer}: {message}");
        format!("\n  {}", fault.trim_start())
    };
    errors.chain(refusals).map(line).collect()
}

/// The innermost cause says what happened; what is around it only says to whom.
fn chain(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// How to see the older rows of a list, where there are some.
fn next_page(page: &Value) -> String {
    match page["next"].as_str() {
        Some(next) => format!("(there is more: --before {next})\n"),
        None => String::new(),
    }
}
