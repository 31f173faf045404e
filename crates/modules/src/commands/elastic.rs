//! `elastic`: one query to Elasticsearch, or to OpenSearch as far as it understands it.
//!
//! The command is the body of a search, or a request as Kibana's console shows it, or ES|QL.
//! It reads: what could change an index is refused before it is sent, so that a query may be
//! asked again whenever its answer is lost.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use http::{HeaderValue, Method, header};
use serde_json::{Value, json};

use super::over_http::{self, Base, Client, Config};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::actions::{input, unknown};
use crate::clients::outcome::{Answered, Promise};
use crate::command::{CommandInput, EXECUTE};
use crate::config as settings;
use crate::{BuildContext, BuildError};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "elastic",
    summary: "Carries out the `elastic` commands of playbooks: queries.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Asks a query.",
        input: &settings::schema::<CommandInput>,
        output: &settings::schema::<Answered>,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.elastic";

/// A search over all that the credentials may see; an answer of some shards only is an error.
const SEARCH: &str = "/_search?allow_partial_search_results=false";

/// What may be asked by POST: all of it reads, and takes its query as a body.
const READING: [&str; 9] = [
    "_analyze",
    "_count",
    "_eql/search",
    "_field_caps",
    "_mget",
    "_query",
    "_search",
    "_search/template",
    "_validate/query",
];

/// How ES|QL begins.
const SOURCES: [&str; 4] = ["FROM", "ROW", "SHOW", "TS"];

struct Elastic {
    client: Client,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    let client = Client::build(PLACE, config, cx)?;
    Ok(Arc::new(Elastic { client }))
}

impl Elastic {
    async fn ask(&self, call: &Call) -> Result<Output, Error> {
        if call.action != EXECUTE {
            return Err(unknown("elastic", &call.action));
        }
        let input: CommandInput = input(call)?;
        let query = Query::parse(over_http::text(&input.command)?)?;
        let url = Base::of(input.acted_on())?.join(&query.target)?;
        let mut request = self.client.request(query.method, &url, call.timeout);
        let kind = HeaderValue::from_static("application/json");
        request.headers.insert(header::ACCEPT, kind.clone());
        if !query.body.is_empty() {
            request.headers.insert(header::CONTENT_TYPE, kind);
        }
        request.headers.extend(over_http::headers(&input.command)?);
        request.body = query.body.into();
        let authentication = input.authentication();
        let to = over_http::receiver(&url)?;
        self.client
            .authorize(&mut request.headers, &to, authentication)?;
        let result = self.client.send(request).await;
        self.client.judge(Promise::Safe, result)
    }
}

#[async_trait]
impl Action for Elastic {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let result = self.ask(call).await;
        result.map_err(|error| self.client.masked(error))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Query {
    method: Method,
    target: String,
    body: String,
}

impl Query {
    fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.starts_with('{') {
            return Ok(Self {
                method: Method::POST,
                target: SEARCH.to_owned(),
                body: checked(text)?,
            });
        }
        let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [word @ ("GET" | "HEAD" | "POST"), target] = words[..] {
            return Self::console(word, target, rest.trim());
        }
        let first = words.first().copied().unwrap_or_default();
        if SOURCES.iter().any(|word| first.eq_ignore_ascii_case(word)) {
            return Ok(Self {
                method: Method::POST,
                target: "/_query".to_owned(),
                body: json!({ "query": text }).to_string(),
            });
        }
        Err(Error::permanent(
            "the command is none of: the JSON body of a search; `POST /index/_search` and a body; ES|QL that begins with FROM, ROW, SHOW or TS",
        ))
    }

    /// As Kibana's console has it: method and path in the first line, then the body.
    fn console(word: &str, target: &str, body: &str) -> Result<Self, Error> {
        let target = format!("/{}", target.trim_start_matches('/'));
        let path = target.split('?').next().unwrap_or_default();
        if word == "POST" && !is_read(path) {
            return Err(Error::permanent(format!(
                "`POST {path}` may change something: by POST there is {}",
                READING.join(", ")
            )));
        }
        Ok(Self {
            method: match word {
                "POST" => Method::POST,
                "HEAD" => Method::HEAD,
                _ => Method::GET,
            },
            body: if body.is_empty() {
                String::new()
            } else {
                checked(body)?
            },
            target,
        })
    }
}

/// Whether what follows the index, if one is named, only reads.
fn is_read(path: &str) -> bool {
    let path = path.trim_matches('/');
    let endpoint = match path.split_once('/') {
        Some((index, rest)) if !index.starts_with('_') || index == "_all" => rest,
        _ => path,
    };
    READING.contains(&endpoint)
}

fn checked(text: &str) -> Result<String, Error> {
    let read: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
    match read {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Error::permanent(format!("the query is no JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_in_each_of_its_three_forms() {
        let table = [
            (" {\"size\":1}\n", "POST", SEARCH, "{\"size\":1}"),
            (
                "POST /logs-*/_search?size=1\n{\"query\": {}}",
                "POST",
                "/logs-*/_search?size=1",
                "{\"query\": {}}",
            ),
            ("GET logs/_count", "GET", "/logs/_count", ""),
            ("GET _cat/indices?v", "GET", "/_cat/indices?v", ""),
            ("POST _all/_search\r\n{}", "POST", "/_all/_search", "{}"),
            (
                "POST /logs/_eql/search\n{}",
                "POST",
                "/logs/_eql/search",
                "{}",
            ),
            (
                "from logs-* | where a == \"b\"\n| limit 1",
                "POST",
                "/_query",
                r#"{"query":"from logs-* | where a == \"b\"\n| limit 1"}"#,
            ),
        ];
        for (text, method, target, body) in table {
            let query = Query::parse(text).unwrap();
            assert_eq!(
                (
                    query.method.as_str(),
                    query.target.as_str(),
                    query.body.as_str()
                ),
                (method, target, body),
                "{text}"
            );
        }
    }

    #[test]
    fn what_could_change_something_or_is_no_query_is_refused() {
        for text in [
            "{\"size\":",
            "DELETE /logs",
            "PUT /logs/_doc/1\n{}",
            "POST /logs/_doc\n{}",
            "POST /logs/_delete_by_query\n{}",
            "POST /_bulk\n{}",
            "POST /_search/scroll\n{}",
            "POST /_doc/_search/x\n{}",
            "POST /_update/_search\n{}",
            "POST /a/b/_search\n{}",
            "POST /logs/_search\nno json",
            "process.name: cmd.exe",
            "[]",
        ] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
    }
}
