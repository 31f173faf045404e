//! Where playbooks' credentials are not sent, by every command that is carried out over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::response::Redirect;
use axum::routing::any;
use conche_modules::{BuildContext, Error};
use conche_runtime::secrets::{PlaybookGrant, PlaybookGrants};
use http::HeaderMap;
use serde_json::{Value, json};

use super::{at, basic, input, oauth2, permanent};
use crate::service::{Service, echo};
use crate::support::{action, context, invoke};

/// A service that counts what it gets.
async fn counted() -> (Service, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let routes = Router::new().fallback(move || {
        seen.fetch_add(1, Ordering::SeqCst);
        async { "{}" }
    });
    (Service::start(routes).await, count)
}

/// What playbooks may do with `password`.
fn grant(cx: &BuildContext, hosts: &[&str]) {
    let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
    let grant = PlaybookGrant {
        hosts,
        ..PlaybookGrant::default()
    };
    cx.secrets.grant_to_playbooks(PlaybookGrants {
        secrets: [("password".to_owned(), grant)].into(),
        plain_http: Vec::new(),
    });
}

/// A command of each type.
fn commands() -> [(&'static str, Value); 6] {
    let command = |kind, text: &str| (kind, json!({ "type": kind, "command": text }));
    let mut openc2 = command("openc2-http", "POST /openc2 HTTP/1.1");
    openc2.1["content"] = json!("{\"action\":\"query\",\"target\":{\"features\":[]}}");
    [
        command("http-api", "GET / HTTP/1.1"),
        openc2,
        command("elastic", "GET /logs/_count"),
        command("caldera-cmd", "36eecb80-ede3-442b-8774-956e906aff02"),
        command("jupyter", "print(1)"),
        command("kestrel", "x = GET process"),
    ]
}

#[tokio::test]
async fn a_secret_that_is_not_for_the_host_is_not_sent_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[("password", "hunter22-hunter22")]);
    let (service, count) = counted().await;
    for (kind, command) in commands() {
        let module = action(kind, Value::Null, &cx).unwrap();
        let mut refusals = Vec::new();
        for hosts in [&["api.example.com"][..], &["127.0.0.2", "127.0.0.1:1"], &[]] {
            grant(&cx, hosts);
            let asked = at(&service, command.clone(), Some(oauth2("", "password")));
            refusals.push(permanent(invoke(&module, "execute", asked).await));
        }
        cx.secrets.grant_to_playbooks(PlaybookGrants::default());
        let asked = at(&service, command, Some(oauth2("", "password")));
        refusals.push(permanent(invoke(&module, "execute", asked).await));
        let all = refusals.join("\n");
        assert_eq!(
            all.matches("is not for 127.0.0.1").count(),
            3,
            "{kind}: {all}"
        );
        assert!(
            all.contains("playbooks may not use the secret"),
            "{kind}: {all}"
        );
        assert!(!all.contains("hunter22"), "{kind}: {all}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "something was sent");
    service.stop().await;
}

#[tokio::test]
async fn credentials_go_in_clear_to_this_machine_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[("password", "hunter22-hunter22")]);
    grant(&cx, &["*"]);
    let own = json!({ "id": "a--1", "type": "oauth2", "token": { "secret": "", "value": "opensesame-7" } });
    let address = json!({ "url": ["http://service.example.com"] });
    for (kind, command) in commands() {
        let module = action(kind, Value::Null, &cx).unwrap();
        for authentication in [oauth2("", "password"), own.clone()] {
            let asked = input(address.clone(), command.clone(), Some(authentication));
            let message = permanent(invoke(&module, "execute", asked).await);
            assert!(message.contains("in clear"), "{kind}: {message}");
        }
    }
    let service = Service::start(Router::new().fallback(echo)).await;
    let module = action("http-api", Value::Null, &cx).unwrap();
    for authentication in [basic("user-auth", "soc", "password"), own] {
        let command = json!({ "type": "http-api", "command": "GET / HTTP/1.1" });
        let told = invoke(&module, "read", at(&service, command, Some(authentication))).await;
        assert!(told.unwrap()["json"]["headers"]["authorization"].is_string());
    }
    service.stop().await;
}

#[tokio::test]
async fn a_redirect_carries_no_credentials_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[("password", "hunter22-hunter22")]);
    let (elsewhere, count) = counted().await;
    let to = elsewhere.url("/thief");
    let shown = move |headers: HeaderMap| async move {
        assert!(headers.contains_key("authorization"));
        Redirect::temporary(&to)
    };
    let service = Service::start(Router::new().fallback(any(shown))).await;
    for kind in ["http-api", "elastic"] {
        let module = action(kind, Value::Null, &cx).unwrap();
        let text = ["GET / HTTP/1.1", "GET /_cat/indices"][usize::from(kind == "elastic")];
        let command = json!({ "type": kind, "command": text });
        let asked = at(&service, command, Some(oauth2("", "password")));
        let told = invoke(&module, "execute", asked).await;
        assert!(matches!(told, Err(Error::Permanent(_))), "{kind}: {told:?}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "the redirect was followed");
    elsewhere.stop().await;
    service.stop().await;
}
