//! A vuls server.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use conche_modules::Error;
use conche_runtime::tls::install_crypto_provider;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{expected, report};
use crate::running::soon;
use crate::support::{action, context, invoke};

type Heard = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// Answers so, and keeps what it was sent.
async fn server(status: StatusCode, body: String) -> (String, Heard) {
    let heard = Heard::default();
    let keep = heard.clone();
    let answer = async move |headers: HeaderMap, text: String| {
        keep.lock().unwrap().push((headers, text));
        (status, body)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/vuls", post(answer));
    #[allow(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/"), heard)
}

fn packages() -> Value {
    json!({
        "family": "debian", "release": "12", "kernel_release": "6.1.0-1-amd64",
        "list": "openssl,ii ,3.0.0,,openssl,3.0.0\n",
    })
}

async fn ask(url: &str, input: Value) -> Result<Value, Error> {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let vuls = action("vuls", json!({ "server": url }), &cx).unwrap();
    soon("an answer", invoke(&vuls, "scan_instance", input)).await
}

#[tokio::test]
async fn a_server_is_told_the_packages_and_its_report_returned() {
    install_crypto_provider();
    let (url, heard) = server(StatusCode::OK, json!([report()]).to_string()).await;
    let input = json!({ "host": "web1", "packages": packages() });
    assert_eq!(ask(&url, input).await.unwrap(), expected());
    let (headers, text) = heard.lock().unwrap().remove(0);
    assert_eq!(text, packages()["list"]);
    for (name, value) in [
        ("content-type", "text/plain"),
        ("x-vuls-os-family", "debian"),
        ("x-vuls-os-release", "12"),
        ("x-vuls-kernel-release", "6.1.0-1-amd64"),
        ("x-vuls-server-name", "web1"),
    ] {
        assert_eq!(headers[name], value);
    }
}

#[tokio::test]
async fn a_server_that_is_away_fails_or_talks_nonsense_is_told_apart() {
    install_crypto_provider();
    let input = json!({ "host": "web1", "packages": packages() });
    let away = ask("http://127.0.0.1:1", input.clone()).await.unwrap_err();
    assert!(matches!(away, Error::Retry { .. }), "{away}");
    for (status, body, is_retried) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "boom", true),
        (StatusCode::SERVICE_UNAVAILABLE, "", true),
        (
            StatusCode::BAD_REQUEST,
            "X-Vuls-OS-Family header is required",
            false,
        ),
        (StatusCode::OK, "<html>", false),
        (StatusCode::OK, "[]", false),
        (StatusCode::OK, r#"[{"serverName":"web1"}]"#, false),
    ] {
        let (url, _) = server(status, body.to_owned()).await;
        let failed = ask(&url, input.clone()).await.unwrap_err();
        assert_eq!(
            matches!(failed, Error::Retry { .. }),
            is_retried,
            "{failed}"
        );
    }
    let (url, heard) = server(StatusCode::OK, String::new()).await;
    let mut odd = input.clone();
    odd["packages"]["release"] = "12\r\nX: y".into();
    for input in [
        json!({ "host": "h" }),
        json!({ "host": "h", "user": "u", "packages": packages() }),
        odd,
    ] {
        let refused = ask(&url, input).await.unwrap_err();
        assert!(matches!(refused, Error::Permanent(_)), "{refused}");
    }
    assert!(heard.lock().unwrap().is_empty());
}
