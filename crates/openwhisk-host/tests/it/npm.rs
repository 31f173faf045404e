//! The npm client `openwhisk`, unmodified, against the host on a port: `npm/client.js` says what
//! is asked and expected. It is installed into `target/test-node` once; where that or Node is
//! missing this test says that it was skipped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use conche_openwhisk_host::Settings;
use conche_openwhisk_host::runtimes::{Ran, ResponseClass};
use conche_runtime::listener::{Auth, Listener, ListenerConfig};
use conche_runtime::supervisor::{Stage, Supervisor};
use serde_json::json;
use tokio::process::Command;

use crate::harness::World;

const VERSION: &str = "openwhisk@3.21.9";
/// As long as a slow registry may take, or the whole of the script.
const PATIENCE: Duration = Duration::from_mins(2);

/// The folder in which the client is, installing it where it is not; none where that can't be.
async fn client() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-node");
    let modules = folder.join("node_modules");
    if modules.join("openwhisk/package.json").exists() {
        return Some(modules);
    }
    std::fs::create_dir_all(&folder).ok()?;
    let install = Command::new("npm")
        .args([
            "install",
            "--prefix",
            ".",
            "--no-audit",
            "--no-fund",
            VERSION,
        ])
        .current_dir(&folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    let done = tokio::time::timeout(PATIENCE, install).await.ok()?.ok()?;
    done.success().then_some(modules)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_npm_client_finds_a_host_that_it_knows() {
    let Some(modules) = client().await else {
        eprintln!("skipped: the npm package {VERSION} cannot be installed");
        return;
    };
    let world = World::with(Settings::default()).await;
    world.runtimes.answer("fails", |_| {
        Ran::failure(ResponseClass::ApplicationError, "no")
    });
    world.runtimes.answer("logs", |_| Ran {
        logs: vec!["2026-01-05T10:00:00.000000000Z stdout: hello".to_owned()],
        ..Ran::success(json!({}))
    });
    let supervisor = Supervisor::new();
    let config = ListenerConfig {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        auth: Auth::Token,
        limits: Settings::default().listener_limits(),
        ..ListenerConfig::default()
    };
    let listener = Listener::bind("openwhisk", config).await.unwrap();
    let address = listener.local_addr();
    listener.serve(world.host.router(), &supervisor.tasks(), Stage::Api);
    let guest = world.guest();
    let script = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/npm/client.js"))
        .env("NODE_PATH", &modules)
        .env("HOST", format!("http://{address}"))
        .env("KEY", format!("{}:{}", guest.uuid, guest.key))
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, script).await;
    let output = output.expect("the script ends").expect("node starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{wrong}");
    assert!(said.ends_with("all is as expected\n"), "{said}");
}
