//! The client against a host: what it sends, and what it makes of each answer.

use std::time::Duration;

use conche_openwhisk::client::{
    Auth, Client, Error, Fired, Http, HttpOptions, InvokeOptions, Invoked, Poll, RunOptions,
    WebRequest,
};
use conche_openwhisk::model::{
    Action, ActionPut, ActivationId, ActivationQuery, EntityPath, Exec, FullyQualifiedName,
    ListQuery, Name, Package, Rule, RuleStatus, Trigger,
};
use futures_util::TryStreamExt as _;
use http::Method;
use serde_json::{Value, json};

use crate::fake::{Fake, ID, Reply, accepted, activation, error, not_found};

fn client(fake: &Fake) -> Client {
    let auth = Auth::parse_key(&"uuid:k3y".into()).unwrap();
    Client::new(&fake.url(), &auth).unwrap()
}

fn name(text: &str) -> FullyQualifiedName {
    FullyQualifiedName::parse(text).unwrap()
}

fn quick() -> RunOptions {
    let short = Duration::from_millis(5);
    RunOptions {
        most: Duration::from_secs(5),
        poll: Poll {
            interval: short,
            max_interval: short,
        },
        ..RunOptions::default()
    }
}

#[tokio::test]
async fn an_action_is_written_read_and_removed_where_it_belongs() {
    let fake = Fake::start(|asked| {
        let body = json!({ "namespace": "guest/p", "name": "a b", "version": "0.0.2",
            "publish": false, "exec": asked.body["exec"].clone(), "parameters": [],
            "annotations": [], "limits": {} });
        let mut body = body;
        if body["exec"].is_null() {
            body["exec"] = json!({ "kind": "nodejs:20", "binary": false });
        }
        Reply::Json(200, body, None)
    })
    .await;
    let client = client(&fake);
    let action = name("p/a b");
    let put = ActionPut {
        exec: Some(Exec::code("nodejs:default", "x")),
        ..ActionPut::default()
    };
    let written: Action = client.put::<Action>(&action, &put, true).await.unwrap();
    assert_eq!(written.version.as_str(), "0.0.2");
    client.get::<Action>(&action).await.unwrap();
    client.get_without_code(&action).await.unwrap();
    client.delete::<Action>(&action).await.unwrap();
    let asked = fake.asked();
    let targets: Vec<String> = asked
        .iter()
        .map(|one| format!("{} {}", one.method, one.target))
        .collect();
    let path = "/api/v1/namespaces/_/actions/p/a%20b";
    assert_eq!(
        targets,
        [
            format!("PUT {path}?overwrite=true"),
            format!("GET {path}"),
            format!("GET {path}?code=false"),
            format!("DELETE {path}"),
        ]
    );
    assert_eq!(
        asked[0].body,
        json!({ "exec": { "kind": "nodejs:default", "code": "x" } })
    );
    assert_eq!(asked[0].header("authorization"), Some("Basic dXVpZDprM3k="));
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn collections_are_read_page_by_page() {
    let fake = Fake::start(|asked| {
        let skip = asked
            .target
            .split("skip=")
            .nth(1)
            .and_then(|text| text.parse::<usize>().ok());
        let item = |at: usize| {
            json!({ "namespace": "guest", "name": format!("t{at}"),
            "version": "0.0.1", "publish": false, "annotations": [] })
        };
        let there = skip.unwrap_or(0)..(skip.unwrap_or(0) + 200).min(450);
        let body = if asked.target.contains("count") {
            json!({ "triggers": 450 })
        } else {
            there.map(item).collect()
        };
        Reply::Json(200, body, None)
    })
    .await;
    let client = client(&fake);
    let own = EntityPath::of(Name::own_namespace());
    let all: Vec<_> = client.all::<Trigger>(&own).try_collect().await.unwrap();
    assert_eq!((all.len(), all[449].name.as_str()), (450, "t449"));
    assert_eq!(fake.asked().len(), 3);
    assert_eq!(client.count::<Trigger>(&own).await.unwrap(), 450);
    let query = ListQuery {
        limit: Some(7),
        skip: None,
    };
    client.list::<Trigger>(&own, query).await.unwrap();
    assert_eq!(
        fake.asked()[4].target,
        "/api/v1/namespaces/_/triggers?limit=7"
    );
    let packaged = EntityPath {
        package: Some(Name::parse("p").unwrap()),
        ..own
    };
    assert!(matches!(
        client.list::<Rule>(&packaged, query).await,
        Err(Error::Invalid(_))
    ));
}

#[tokio::test]
async fn activations_are_asked_for_by_what_is_wanted() {
    let fake = Fake::start(|asked| {
        let full = activation("success", json!({ "x": 1 }));
        Reply::Json(
            200,
            match asked.line().as_str() {
                line if line.ends_with("/logs") => json!({ "logs": ["l"] }),
                line if line.ends_with("/result") => full["response"].clone(),
                line if line.ends_with(ID) => full,
                _ if asked.target.contains("count") => json!({ "activations": 3 }),
                _ => json!([full]),
            },
            None,
        )
    })
    .await;
    let client = client(&fake);
    let id = ActivationId::parse(ID).unwrap();
    assert!(client.activation(&id).await.unwrap().is_cold());
    assert_eq!(client.logs(&id).await.unwrap().logs, ["l"]);
    assert_eq!(
        client.result(&id).await.unwrap().result,
        Some(json!({ "x": 1 }))
    );
    let query = ActivationQuery {
        name: Some("p/a".to_owned()),
        since: Some(5),
        ..ActivationQuery::default()
    };
    assert_eq!(client.full_activations(&query).await.unwrap().len(), 1);
    assert_eq!(client.count_activations(&query).await.unwrap(), 3);
    let target = &fake.asked()[3].target;
    assert_eq!(
        target,
        "/api/v1/namespaces/_/activations?name=p%2Fa&since=5&docs=true"
    );
}

#[tokio::test]
async fn a_blocking_invocation_that_takes_too_long_is_asked_about() {
    let mut looks = 0;
    let fake = Fake::start(move |asked| match asked.method.as_str() {
        "POST" => accepted(),
        _ => {
            looks += 1;
            match looks {
                1 => not_found(),
                2 => Reply::Hangs,
                3 => error(503, "busy"),
                _ => Reply::Json(200, activation("success", json!({ "ok": true })), None),
            }
        }
    })
    .await;
    let options = RunOptions {
        request_id: Some("run-1".to_owned()),
        ..quick()
    };
    let done = client(&fake)
        .run(&name("a"), &json!({ "x": 1 }), &options)
        .await
        .unwrap();
    assert_eq!(done.response.result, Some(json!({ "ok": true })));
    let asked = fake.asked();
    assert_eq!(
        asked.len(),
        5,
        "it was invoked once and looked at four times"
    );
    assert_eq!(
        asked[0].target,
        "/api/v1/namespaces/_/actions/a?blocking=true&result=false&timeout=5000"
    );
    assert_eq!(
        (asked[0].header("x-request-id"), &asked[0].body),
        (Some("run-1"), &json!({ "x": 1 }))
    );
}

#[tokio::test]
async fn failures_are_told_apart_by_what_may_be_done_next() {
    type Is = fn(&Error) -> bool;
    let table: Vec<(fn() -> Reply, Is)> = vec![
        (
            || {
                Reply::Json(
                    502,
                    activation("application error", json!({ "error": "no" })),
                    None,
                )
            },
            |error| matches!(error, Error::Application(_)),
        ),
        (
            || {
                Reply::Json(
                    502,
                    activation("action developer error", json!({ "error": "no" })),
                    None,
                )
            },
            |error| matches!(error, Error::Developer(_)),
        ),
        (
            || {
                Reply::Json(
                    500,
                    activation("whisk internal error", json!({ "error": "no" })),
                    None,
                )
            },
            |error| matches!(error, Error::Internal(_)),
        ),
        (
            || error(500, "There was an internal server error."),
            |error| matches!(error, Error::Failed(_)),
        ),
        (
            || error(429, "Too many requests"),
            |error| matches!(error, Error::Throttled(_)),
        ),
        (
            || error(503, "busy"),
            |error| matches!(error, Error::Unavailable(_)),
        ),
        (
            || error(404, "The requested resource does not exist."),
            Error::is_not_found,
        ),
        (
            || error(401, "The supplied authentication is invalid"),
            |error| matches!(error, Error::Rejected(refusal) if refusal.transaction.as_deref() == Some("transaction1")),
        ),
        (
            || Reply::Text(502, "<html>".to_owned()),
            |error| matches!(error, Error::Lost { .. }),
        ),
        (|| Reply::Hangs, |error| matches!(error, Error::Lost { .. })),
        (
            || Reply::Text(200, "x".repeat(2000)),
            |error| matches!(error, Error::TooLarge { limit: 1000 }),
        ),
    ];
    for (row, (reply, is)) in table.into_iter().enumerate() {
        let fake = Fake::start(move |_| reply()).await;
        let client = client(&fake).max_response(1000);
        let error = client
            .run(&name("a"), &json!({}), &quick())
            .await
            .unwrap_err();
        assert!(is(&error), "row {row}: {error:?}");
        assert_eq!(fake.asked().len(), 1, "nothing is sent twice: row {row}");
        assert!(!format!("{error:?} {error} {client:?}").contains("k3y"));
    }
    let auth = Auth::None;
    // Nobody listens on this port: it was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client = Client::new(&format!("http://{free}"), &auth).unwrap();
    let error = client
        .run(&name("a"), &json!({}), &quick())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotSent(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_lost_and_names_the_activation_if_there_is_one() {
    let fake = Fake::start(|asked| match asked.method.as_str() {
        "POST" => accepted(),
        _ => not_found(),
    })
    .await;
    let options = RunOptions {
        most: Duration::from_millis(40),
        ..quick()
    };
    let error = client(&fake)
        .run(&name("a"), &json!({}), &options)
        .await
        .unwrap_err();
    let Error::Lost {
        activation: Some(id),
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(id.as_str(), ID);
}

#[tokio::test]
async fn a_list_as_result_is_read_from_its_activation() {
    let fake = Fake::start(|asked| match asked.method.as_str() {
        "POST" => Reply::Json(200, json!([1, 2]), Some(ID)),
        _ => Reply::Json(200, activation("success", json!([1, 2])), None),
    })
    .await;
    let done = client(&fake)
        .run(&name("a"), &json!({}), &quick())
        .await
        .unwrap();
    assert_eq!(done.response.result, Some(json!([1, 2])));
}

#[tokio::test]
async fn triggers_are_fired_and_rules_switched() {
    let fake = Fake::start(|asked| match asked.line().as_str() {
        "POST /api/v1/namespaces/_/triggers/quiet" => Reply::Json(204, Value::Null, None),
        "POST /api/v1/namespaces/_/rules/r" => Reply::Text(200, "OK".to_owned()),
        _ => accepted(),
    })
    .await;
    let client = client(&fake);
    let options = InvokeOptions {
        idempotency_key: Some("k".to_owned()),
        ..InvokeOptions::default()
    };
    let fired = client
        .fire(&name("loud"), &json!({ "x": 1 }), &options)
        .await
        .unwrap();
    assert_eq!(fired, Fired::Accepted(ActivationId::parse(ID).unwrap()));
    assert_eq!(fake.asked()[0].header("idempotency-key"), Some("k"));
    let quiet = client
        .fire(&name("quiet"), &json!({}), &options)
        .await
        .unwrap();
    assert_eq!(quiet, Fired::NoActiveRule);
    client
        .set_rule_status(&name("r"), RuleStatus::Inactive)
        .await
        .unwrap();
    assert_eq!(fake.asked()[2].body, json!({ "status": "inactive" }));
    let invoked = client
        .invoke(&name("a"), &json!({}), &options)
        .await
        .unwrap();
    assert_eq!(invoked, Invoked::Accepted(ActivationId::parse(ID).unwrap()));
    assert!(matches!(
        client.fire(&name("p/t"), &json!({}), &options).await,
        Err(Error::Invalid(_))
    ));
    assert!(matches!(
        client.invoke(&name("a"), &json!([1]), &options).await,
        Err(Error::Invalid(_))
    ));
    let reserved = InvokeOptions {
        request_id: Some("sid_x".to_owned()),
        ..options
    };
    assert!(matches!(
        client.invoke(&name("a"), &json!({}), &reserved).await,
        Err(Error::Invalid(_))
    ));
    assert_eq!(fake.asked().len(), 4, "what is invalid is not sent");
}

#[tokio::test]
async fn web_actions_and_public_pages_get_no_credentials() {
    let fake = Fake::start(|asked| match asked.line().as_str() {
        "GET /api/v1" => Reply::Json(200, json!({ "api_version": "1.0.0" }), None),
        "GET /" => Reply::Json(
            200,
            json!({ "api_paths": ["/api/v1"], "runtimes": {} }),
            None,
        ),
        "GET /api/v1/namespaces" => Reply::Json(200, json!(["guest"]), None),
        "GET /api/v1/namespaces/_/limits" => {
            Reply::Json(200, json!({ "firesPerMinute": 60 }), None)
        }
        _ => Reply::Text(418, "short and stout".to_owned()),
    })
    .await;
    let client = client(&fake);
    let mut request = WebRequest::new(Method::GET, name("/guest/a b"));
    request.extension = Some("json".to_owned());
    request.rest = "/x".to_owned();
    request.query.push(("q".to_owned(), "1&2".to_owned()));
    let answer = client.web(request.clone()).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (418, &b"short and stout"[..])
    );
    assert_eq!(
        fake.asked()[0].target,
        "/api/v1/web/guest/default/a%20b.json/x?q=1%262"
    );
    assert_eq!(client.info().await.unwrap().api_paths, ["/api/v1"]);
    assert_eq!(
        client.api_info().await.unwrap().api_version.as_deref(),
        Some("1.0.0")
    );
    assert!(
        fake.asked()
            .iter()
            .all(|asked| asked.header("authorization").is_none())
    );
    assert_eq!(client.namespaces().await.unwrap(), ["guest"]);
    let limits = client.limits(&Name::own_namespace()).await.unwrap();
    assert_eq!(limits.fires_per_minute, Some(60));
    assert!(fake.asked()[3].header("authorization").is_some());
    request.action = name("a");
    assert!(matches!(client.web(request).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_client_of_the_callers_and_other_certificates_can_be_used() {
    // A client of one's own needs a provider of TLS; the first of ours installs one.
    Http::new(&HttpOptions::default()).unwrap();
    let fake = Fake::start(|_| Reply::Json(200, json!(["guest"]), None)).await;
    let own = reqwest::Client::builder().no_proxy().build().unwrap();
    let client =
        Client::with_transport(&fake.url(), &Auth::Bearer("t0ken".into()), Http::with(own));
    client
        .unwrap()
        .timeout(Duration::from_secs(5))
        .namespaces()
        .await
        .unwrap();
    assert_eq!(
        fake.asked()[0].header("authorization"),
        Some("Bearer t0ken")
    );
    let options = HttpOptions {
        ca_pem: Some(b"no certificate".to_vec()),
        ..HttpOptions::default()
    };
    assert!(Http::new(&options).is_err());
    assert!(
        Http::new(&HttpOptions {
            insecure: true,
            ..HttpOptions::default()
        })
        .is_ok()
    );
}

#[tokio::test]
async fn a_package_is_removed_with_what_is_in_it_only_when_asked() {
    let fake = Fake::start(|asked| if asked.target.contains("force=true") { Reply::Json(
        200,
        json!({ "namespace": "guest", "name": "p", "version": "0.0.1" }),
        None,
    ) } else { error(
        409,
        "Package not empty (contains 1 entity). Set force param or delete package contents.",
    ) })
    .await;
    let client = client(&fake);
    let refused = client.delete::<Package>(&name("p")).await.unwrap_err();
    assert_eq!(refused.status(), Some(409));
    client.delete_package(&name("p")).await.unwrap();
}
