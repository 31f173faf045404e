//! vuls as a container: with a stand-in of the Docker Engine API that keeps what it was asked,
//! and with a real engine where `/var/run/docker.sock` or `CONCHE_TEST_DOCKER` is one.

use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, RemoveImageOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker, body_full};
use conche_modules::Error;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::{asked, expected, report};
use crate::peers::skipped;
use crate::running::soon;
use crate::support::{action, call, context, invoke};

/// How the stand-in behaves, and what it was asked.
#[derive(Default)]
struct Engine {
    has_image: bool,
    exit_code: i64,
    never_ends: bool,
    left_over: Value,
    asked: Vec<String>,
    /// The bodies of what made containers.
    made: Vec<Value>,
    /// The configuration that the last container was given.
    configuration: String,
}

type Shared = Arc<Mutex<Engine>>;

fn archive(path: &str, text: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o755);
    let added = builder.append_data(&mut header, path, text.as_bytes());
    added.unwrap();
    builder.into_inner().unwrap()
}

fn file_in(bytes: &[u8], path: &str) -> String {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(Result::unwrap);
    let mut found = entries
        .into_iter()
        .find(|entry| entry.path().unwrap() == Path::new(path));
    let mut text = String::new();
    let file = found.as_mut().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

async fn answer(State(engine): State<Shared>, method: Method, uri: Uri, body: Bytes) -> Response {
    let path = uri.path().to_owned();
    let path = match path[1..].split_once('/') {
        Some((version, rest)) if version.starts_with("v1.") => format!("/{rest}"),
        _ => path,
    };
    let path = path.replace("/c1", "");
    let (never_ends, is_wait) = {
        let mut engine = engine.lock().unwrap();
        engine.asked.push(format!("{method} {path}"));
        (engine.never_ends, path.ends_with("/wait"))
    };
    if never_ends && is_wait {
        std::future::pending::<()>().await;
    }
    let mut engine = engine.lock().unwrap();
    let json = |status: u16, value: Value| {
        let status = StatusCode::from_u16(status).unwrap();
        (status, axum::Json(value)).into_response()
    };
    match (method.as_str(), &*path) {
        ("GET", "/version") => json(200, json!({ "ApiVersion": "1.41", "Version": "20.10.24" })),
        ("GET", "/containers/json") => json(200, engine.left_over.clone()),
        ("POST", "/images/create") => {
            engine.has_image = true;
            json(200, json!({ "status": "pulled" }))
        }
        ("POST", "/containers/create") if !engine.has_image => {
            json(404, json!({ "message": "No such image: vuls/vuls:latest" }))
        }
        ("POST", "/containers/create") => {
            engine.made.push(serde_json::from_slice(&body).unwrap());
            json(201, json!({ "Id": "c1", "Warnings": [] }))
        }
        ("PUT", "/containers/archive") => {
            engine.configuration = file_in(&body, "conche/config.toml");
            StatusCode::OK.into_response()
        }
        ("POST", "/containers/wait") => json(200, json!({ "StatusCode": engine.exit_code })),
        ("GET", "/containers/archive") => archive(
            "results/2026-01-02T03-04-05+0000/server.json",
            &report().to_string(),
        )
        .into_response(),
        ("GET", "/containers/logs") => {
            let mut frame = b"\x02\0\0\0\0\0\0\x08".to_vec();
            frame.extend(b"no route");
            frame.into_response()
        }
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

struct Site {
    folder: tempfile::TempDir,
    engine: Shared,
}

impl Site {
    fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let engine = Arc::new(Mutex::new(engine));
        let router = Router::new().fallback(answer).with_state(engine.clone());
        #[allow(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { folder, engine }
    }

    fn config(&self) -> Value {
        json!({
            "docker_endpoint": format!("unix://{}", self.folder.path().join("socket").display()),
            "image": "vuls/vuls", "db_path": "/srv/db", "logs_path": "/srv/logs",
            "ssh_key_path": "/srv/key", "known_hosts_path": "/srv/known",
        })
    }

    async fn scan(&self, timeout: Duration) -> Result<Value, Error> {
        let cx = context(self.folder.path(), &[]);
        let vuls = action("vuls", self.config(), &cx).unwrap();
        let mut call = call("scan_instance", &asked());
        call.timeout = timeout;
        let scanned = soon("the scan", vuls.invoke(&call)).await;
        scanned.map(|output| output.read().unwrap())
    }

    fn asked(&self) -> Vec<String> {
        self.engine.lock().unwrap().asked.clone()
    }
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn csf_bug_15_the_image_is_pulled_each_container_removed_and_the_report_made() {
    let site = Site::new(Engine {
        left_over: json!([
            { "Id": "old", "Labels": { "conche.vuls.until": "1000" } },
            { "Id": "busy", "Labels": { "conche.vuls.until": "99999999999" } },
        ]),
        ..Engine::default()
    });
    assert_eq!(site.scan(LONG).await.unwrap(), expected());
    let expected = [
        "GET /version",
        "GET /containers/json",
        "DELETE /containers/old",
        "POST /containers/create",
        "POST /images/create",
        "POST /containers/create",
        "PUT /containers/archive",
        "POST /containers/start",
        "POST /containers/wait",
        "GET /containers/archive",
        "DELETE /containers",
        "POST /containers/create",
        "PUT /containers/archive",
        "POST /containers/start",
        "POST /containers/wait",
        "GET /containers/archive",
        "DELETE /containers",
    ];
    assert_eq!(site.asked(), expected);
    let engine = site.engine.lock().unwrap();
    let [scan, report] = &engine.made[..] else {
        panic!("{:?}", engine.made)
    };
    assert_eq!(
        (&scan["Cmd"][0], &report["Cmd"][0]),
        (&json!("scan"), &json!("report"))
    );
    assert_eq!(scan["Image"], "vuls/vuls:latest");
    let binds = json!([
        "/srv/db:/vuls",
        "/srv/logs:/var/log/vuls",
        "/srv/key:/root/.ssh/id_rsa:ro",
        "/srv/known:/root/.ssh/known_hosts:ro",
    ]);
    assert_eq!(scan["HostConfig"]["Binds"], binds);
    assert!(scan["Labels"]["conche.vuls.until"].is_string());
    let configuration: Value = toml::from_str(&engine.configuration).unwrap();
    let server = &configuration["servers"]["server"];
    assert_eq!(
        (&server["port"], &server["scanMode"]),
        (&json!("2222"), &json!(["deep"]))
    );
}

#[tokio::test]
async fn a_container_that_fails_or_never_ends_is_removed_and_told() {
    for (exit_code, never_ends, timeout, is_retried, expected) in [
        (1, false, LONG, true, "exit code 1: no route"),
        (2, false, LONG, false, "exit code 2"),
        (0, true, Duration::from_secs(3), true, "are over"),
    ] {
        let site = Site::new(Engine {
            has_image: true,
            exit_code,
            never_ends,
            left_over: json!([]),
            ..Engine::default()
        });
        let failed = site.scan(timeout).await.unwrap_err();
        assert_eq!(
            matches!(failed, Error::Retry { .. }),
            is_retried,
            "{failed}"
        );
        assert!(failed.to_string().contains(expected), "{failed}");
        assert_eq!(site.asked().last().unwrap(), "DELETE /containers");
    }
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "docker_endpoint": format!("unix://{}/none", folder.path().display()) });
    let vuls = action("vuls", config, &context(folder.path(), &[])).unwrap();
    let failed = invoke(&vuls, "scan_instance", asked()).await.unwrap_err();
    assert!(matches!(failed, Error::Retry { .. }), "{failed}");
}

/// The image that the test makes and removes.
const IMAGE: &str = "conche-test-vuls:1";

/// An image of busybox and a stand-in of vuls.
async fn import(docker: &Docker) -> Option<()> {
    let busybox = std::fs::read("/bin/busybox").ok()?;
    let script = format!(
        "for word; do case $word in -results-dir=*) results=${{word#-results-dir=}} ;; esac; done\n\
         day=$results/2026-01-02T03-04-05+0000\n\
         case $1 in scan) /busybox mkdir -p $day; echo packages > $day/server.json ;;\n\
         report) read packages < $day/server.json && echo '{}' > $day/server.json ;; esac\n",
        report()
    );
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in [("busybox", &busybox[..]), ("vuls", script.as_bytes())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, name, bytes).unwrap();
    }
    let root = body_full(builder.into_inner().unwrap().into());
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo("conche-test-vuls")
        .tag("1")
        .changes(vec![
            "ENTRYPOINT [\"/busybox\",\"sh\",\"/vuls\"]".to_owned(),
        ]);
    let mut importing = docker.create_image(Some(options.build()), Some(root), None);
    while let Some(progress) = importing.next().await {
        progress.unwrap();
    }
    Some(())
}

#[tokio::test]
async fn with_a_real_engine_an_instance_is_scanned_and_no_container_left() {
    let endpoint = std::env::var("CONCHE_TEST_DOCKER")
        .unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let docker = match Docker::connect_with_unix(&endpoint, 60, API_DEFAULT_VERSION) {
        Ok(docker) => docker.negotiate_version().await.ok(),
        Err(_) => None,
    };
    let Some(docker) = docker else {
        return skipped("there is no Docker engine");
    };
    if import(&docker).await.is_none() {
        return skipped("busybox is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "docker_endpoint": endpoint, "image": IMAGE });
    let vuls = action("vuls", config, &context(folder.path(), &[])).unwrap();
    let mut call = call("scan_instance", &asked());
    call.timeout = Duration::from_mins(1);
    let scanned: Value = vuls.invoke(&call).await.unwrap().read().unwrap();
    assert_eq!(scanned["report"], report());
    let made = std::collections::HashMap::from([("ancestor", vec![IMAGE])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&made);
    let left = docker.list_containers(Some(options.build())).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    let none = None::<RemoveImageOptions>;
    docker.remove_image(IMAGE, none, None).await.unwrap();
}
