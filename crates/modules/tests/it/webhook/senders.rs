//! Deliveries of well-known senders: of two real ones, and of captured payloads.

use conche_runtime::egress::Request;
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Served, json_of, problem};
use crate::peers::{Process, installed, listens, port, words};
use crate::running::until;

fn source(format: &str) -> Value {
    json!({ "path": "/in", "auth": { "bearer": { "secret": "token" } }, "format": format })
}

const TOKEN: (&str, &str) = ("authorization", "Bearer hunter22-hunter22");

/// `type subject` of what is stored, and the events' data.
fn told(served: &Served) -> Vec<(String, Value)> {
    let stored = served.intake.stored();
    let events = stored.events.iter().map(|(_, event)| {
        let subject = event.subject.clone().unwrap_or_default();
        let data = event.data.read().unwrap();
        (format!("{} {subject}", event.event_type), data)
    });
    events.collect()
}

#[tokio::test]
async fn a_registrys_layers_are_answered_202_and_are_no_events() {
    let served = Served::new(&[source("registry")]).await;
    let body = include_str!("../samples/senders/registry.json");
    let kind = "application/vnd.docker.distribution.events.v2+json";
    let headers = [TOKEN, ("content-type", kind)];
    let first = served.send(Method::POST, "/in", &headers, body).await;
    assert_eq!(first.status, 202);
    assert_eq!(json_of(&first)["events"].as_array().unwrap().len(), 1);
    let again = served.send(Method::POST, "/in", &headers, body).await;
    assert_eq!(json_of(&again)["events"][0]["duplicate"], true);
    let mut layers: Value = serde_json::from_str(body).unwrap();
    layers["events"].as_array_mut().unwrap().truncate(1);
    let layers = layers.to_string();
    let none = served.send(Method::POST, "/in", &headers, &layers).await;
    assert_eq!(
        (none.status.as_u16(), json_of(&none)),
        (202, json!({ "events": [] }))
    );
    let stored = told(&served);
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].0, "registry.push team/app");
    served.stop().await;
}

#[tokio::test]
async fn a_payload_of_another_kind_is_refused_and_nothing_of_it_is_stored() {
    let served = Served::new(&[source("alertmanager")]).await;
    let body = include_str!("../samples/senders/alertmanager.json");
    let mut broken: Value = serde_json::from_str(body).unwrap();
    broken["alerts"][1]["fingerprint"] = Value::Null;
    for body in [broken.to_string(), "{}".to_owned(), "[]".to_owned()] {
        let response = served.post("/in", &[TOKEN], &body).await;
        assert_eq!(problem(&response), (422, "payload-foreign".to_owned()));
    }
    assert!(served.intake.stored().events.is_empty());
    served.stop().await;
}

/// Starts a server in the folder of the webhooks, with its configuration in a file.
async fn start(
    served: &Served,
    program: &str,
    config: &str,
    arguments: &[&str],
    port: u16,
) -> Option<Process> {
    let program = installed(program)?;
    std::fs::write(served.folder.path().join("conf"), config).unwrap();
    let command = [&[program.to_str().unwrap()], arguments].concat();
    let process = Process::start(served.folder.path(), &[], &words(&command));
    listens(port).await;
    Some(process)
}

#[tokio::test]
async fn the_real_alertmanager_tells_of_an_alert_that_fires_and_is_over() {
    let served = Served::new(&[source("alertmanager")]).await;
    let config = format!(
        "route: {{ receiver: conche, group_wait: 0s, group_interval: 1s, repeat_interval: 1h, group_by: [alertname] }}\n\
         receivers:\n- name: conche\n  webhook_configs:\n  - url: http://{}/in\n    http_config: {{ authorization: {{ credentials: hunter22-hunter22 }} }}\n",
        served.address
    );
    let port = port();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let arguments = [
        "--config.file=conf",
        "--storage.path=data",
        "--cluster.listen-address=",
        &listen,
    ];
    let server = start(
        &served,
        "prometheus-alertmanager",
        &config,
        &arguments,
        port,
    )
    .await;
    let Some(_server) = server else {
        return;
    };
    let alert = |over: Option<&str>| {
        let mut alert = json!({
            "labels": { "alertname": "DiskFull", "instance": "web-1:9100", "severity": "critical" },
            "annotations": { "summary": "A disk is full" }, "startsAt": "2026-11-22T08:15:04.127Z",
        });
        if let Some(over) = over {
            alert["endsAt"] = over.into();
        }
        json!([alert]).to_string()
    };
    let post = async |body: String| {
        let mut request = Request {
            body: body.into(),
            ..Request::new(
                Method::POST,
                format!("http://127.0.0.1:{port}/api/v2/alerts"),
            )
        };
        let kind = http::HeaderValue::from_static("application/json");
        request.headers.insert("content-type", kind);
        served.cx.egress.request(request).await.unwrap().status
    };
    let has = |kind: &str| told(&served).iter().any(|(name, _)| name == kind);
    // Its API listens before it takes alerts.
    until("the alert to fire", async || {
        let taken = has("alertmanager.alert.firing DiskFull");
        if !taken {
            post(alert(None)).await;
        }
        taken
    })
    .await;
    assert_eq!(post(alert(Some("2026-11-22T08:20:00Z"))).await, 200);
    until("the alert to be over", async || {
        has("alertmanager.alert.resolved DiskFull")
    })
    .await;
    let stored = told(&served);
    assert_eq!(stored.len(), 2, "{stored:?}");
    let summary = &stored[0].1["summary"];
    assert_eq!(
        (
            &summary["severity"],
            &summary["instance"],
            &summary["summary"],
            &summary["receiver"]
        ),
        (
            &json!("critical"),
            &json!("web-1:9100"),
            &json!("A disk is full"),
            &json!("conche")
        )
    );
    served.stop().await;
}

/// Pushes an image of one small layer, as the distribution API has it; the manifest's digest.
async fn push(served: &Served, registry: &str) -> String {
    let digest = |bytes: &[u8]| {
        let hash = Sha256::digest(bytes);
        let hex: Vec<_> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{}", hex.concat())
    };
    let send = async |method: Method, url: String, kind: &'static str, body: &str| {
        let mut request = Request {
            body: body.to_owned().into(),
            ..Request::new(method, url)
        };
        let kind = http::HeaderValue::from_static(kind);
        request.headers.insert("content-type", kind);
        served.cx.egress.request(request).await.unwrap()
    };
    let bytes = "application/octet-stream";
    let (layer, config) = ("a layer", r#"{"architecture":"amd64","os":"linux"}"#);
    for blob in [layer, config] {
        let uploads = format!("{registry}/v2/team/app/blobs/uploads/");
        let begun = send(Method::POST, uploads, bytes, "").await;
        assert_eq!(begun.status, 202, "{begun:?}");
        let place = begun.headers["location"].to_str().unwrap();
        let place = format!("{place}&digest={}", digest(blob.as_bytes()));
        assert_eq!(send(Method::PUT, place, bytes, blob).await.status, 201);
    }
    let part = |kind: &str, blob: &str| {
        let kind = format!("application/vnd.oci.image.{kind}");
        json!({ "mediaType": kind, "size": blob.len(), "digest": digest(blob.as_bytes()) })
    };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": part("config.v1+json", config), "layers": [part("layer.v1.tar+gzip", layer)],
    });
    let manifest = manifest.to_string();
    let place = format!("{registry}/v2/team/app/manifests/1.0");
    let kind = "application/vnd.oci.image.manifest.v1+json";
    assert_eq!(send(Method::PUT, place, kind, &manifest).await.status, 201);
    digest(manifest.as_bytes())
}

#[tokio::test]
async fn the_real_registry_tells_of_a_pushed_image_and_not_of_its_layers() {
    let served = Served::new(&[source("registry")]).await;
    let port = port();
    let config = format!(
        "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: images }} }}\nhttp: {{ addr: '127.0.0.1:{port}' }}\n\
         notifications:\n  endpoints:\n  - name: conche\n    url: http://{}/in\n    headers: {{ Authorization: [Bearer hunter22-hunter22] }}\n    timeout: 5s\n    threshold: 3\n    backoff: 1s\n",
        served.address
    );
    let server = start(
        &served,
        "docker-registry",
        &config,
        &["serve", "conf"],
        port,
    )
    .await;
    let Some(_server) = server else {
        return;
    };
    let digest = push(&served, &format!("http://127.0.0.1:{port}")).await;
    until("the notification", async || !told(&served).is_empty()).await;
    let stored = told(&served);
    assert_eq!(stored.len(), 1, "{stored:?}");
    let (name, data) = &stored[0];
    assert_eq!(name, "registry.push team/app");
    let expected = json!([format!("127.0.0.1:{port}/team/app:1.0"), digest, "push"]);
    let summary = &data["summary"];
    assert_eq!(
        json!([summary["image"], summary["digest"], summary["action"]]),
        expected
    );
    served.stop().await;
}
