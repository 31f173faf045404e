//! `elastic` commands against an index that holds documents and answers as Elasticsearch does.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use conche_modules::Action;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::{at, basic, oauth2, permanent};
use crate::service::Service;
use crate::support::{action, context, invoke};

/// The documents of `logs`, and what was asked.
#[derive(Default)]
struct Index {
    documents: Vec<Value>,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Index>>;

fn answer(status: u16, body: Value) -> Response {
    let kind = [(
        header::CONTENT_TYPE,
        "application/vnd.elasticsearch+json;compatible-with=8",
    )];
    (
        StatusCode::from_u16(status).unwrap(),
        kind,
        body.to_string(),
    )
        .into_response()
}

/// Knows `match_all`, and `term` of one field.
fn matches(query: &Value, document: &Value) -> bool {
    match query.get("term").and_then(Value::as_object) {
        Some(term) => term.iter().all(|(field, value)| &document[field] == value),
        None => true,
    }
}

async fn serve(
    State(index): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let shown = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap());
    let known = [
        "ApiKey hunter22-hunter22",
        "Basic ZWxhc3RpYzpodW50ZXIyMi1odW50ZXIyMg==",
    ];
    if !shown.is_some_and(|shown| known.contains(&shown)) {
        let error = json!({ "type": "security_exception", "reason": format!("unable to authenticate {shown:?}") });
        return answer(401, json!({ "error": error, "status": 401 }));
    }
    let mut index = index.lock().unwrap();
    index.asked.push(format!("{method} {uri}"));
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let found = |query: &Value| -> Vec<Value> {
        let found = index
            .documents
            .iter()
            .filter(|document| matches(query, document));
        found.cloned().collect()
    };
    match uri.path() {
        "/_search" | "/logs/_search" => {
            let found = found(&asked["query"]);
            let hits: Vec<Value> = found
                .iter()
                .map(|source| json!({ "_source": source }))
                .collect();
            let total = json!({ "value": hits.len(), "relation": "eq" });
            answer(
                200,
                json!({ "timed_out": false, "hits": { "total": total, "hits": hits } }),
            )
        }
        "/logs/_count" => answer(200, json!({ "count": found(&Value::Null).len() })),
        "/_query" => {
            let values: Vec<Value> = found(&Value::Null)
                .iter()
                .map(|one| json!([one["user"]]))
                .collect();
            let text = asked["query"].as_str().unwrap();
            if text.contains("logs") {
                answer(
                    200,
                    json!({ "columns": [{ "name": "user", "type": "keyword" }], "values": values }),
                )
            } else {
                answer(
                    400,
                    json!({ "error": { "type": "verification_exception", "reason": "Unknown index" } }),
                )
            }
        }
        _ => answer(
            404,
            json!({ "error": { "type": "index_not_found_exception" } }),
        ),
    }
}

async fn index() -> (Service, Shared) {
    let index = Shared::default();
    index.lock().unwrap().documents = vec![
        json!({ "user": "ann", "host": "h1" }),
        json!({ "user": "bob", "host": "h2" }),
        json!({ "user": "bob", "host": "h3" }),
    ];
    let routes = Router::new().fallback(any(serve)).with_state(index.clone());
    (Service::start(routes).await, index)
}

fn module(folder: &Path) -> Arc<dyn Action> {
    let cx = context(folder, &[("key", "hunter22-hunter22")]);
    action("elastic", Value::Null, &cx).unwrap()
}

fn query(text: &str) -> Value {
    json!({ "type": "elastic", "command": text })
}

#[tokio::test]
async fn a_query_is_asked_in_each_of_its_forms_and_its_hits_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (service, index) = index().await;
    let elastic = module(folder.path());
    let key = Some(oauth2("ApiKey", "key"));
    let ask = async |text: &str| {
        let told = invoke(&elastic, "execute", at(&service, query(text), key.clone())).await;
        told.unwrap()["json"].clone()
    };
    let bob = r#"{ "query": { "term": { "user": "bob" } } }"#;
    assert_eq!(ask(bob).await["hits"]["total"]["value"], 2);
    let told = ask(&format!("POST /logs/_search\n{bob}")).await;
    assert_eq!(told["hits"]["hits"][1]["_source"]["host"], "h3");
    assert_eq!(ask("GET logs/_count").await["count"], 3);
    let told = ask("FROM logs\n| KEEP user").await;
    assert_eq!(told["values"], json!([["ann"], ["bob"], ["bob"]]));
    assert_eq!(
        index.lock().unwrap().asked,
        [
            "POST /_search?allow_partial_search_results=false",
            "POST /logs/_search",
            "GET /logs/_count",
            "POST /_query"
        ]
    );
    let basic = Some(basic("http-basic", "elastic", "key"));
    let told = invoke(&elastic, "execute", at(&service, query("{}"), basic))
        .await
        .unwrap();
    assert_eq!(
        (
            &told["status"],
            told["json"]["hits"]["hits"].as_array().map(Vec::len)
        ),
        (&json!(200), Some(3))
    );
    service.stop().await;
}

#[tokio::test]
async fn what_elasticsearch_refuses_fails_with_its_reason_and_writing_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (service, index) = index().await;
    let elastic = module(folder.path());
    let key = Some(oauth2("ApiKey", "key"));
    let text = permanent(
        invoke(
            &elastic,
            "execute",
            at(&service, query("FROM nowhere"), key.clone()),
        )
        .await,
    );
    assert!(
        text.starts_with("answered 400") && text.contains("Unknown index"),
        "{text}"
    );
    let bearer = Some(oauth2("", "key"));
    let text = permanent(invoke(&elastic, "execute", at(&service, query("{}"), bearer)).await);
    assert!(
        text.contains("security_exception") && text.contains("***key***"),
        "{text}"
    );
    assert!(!text.contains("hunter22"), "{text}");
    let before = index.lock().unwrap().asked.len();
    for text in [
        "DELETE /logs",
        "POST /logs/_delete_by_query\n{}",
        "{\"query\":",
        "user: bob",
    ] {
        permanent(invoke(&elastic, "execute", at(&service, query(text), key.clone())).await);
    }
    assert_eq!(index.lock().unwrap().asked.len(), before);
    service.stop().await;
}
