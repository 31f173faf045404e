//! `jupyter` and `kestrel` commands against a real Jupyter server with a real kernel of
//! Python's. The same kernel, installed under Kestrel's name, stands in for that of `kestrel`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conche_modules::{Action, Error};
use conche_runtime::egress::Request;
use serde_json::{Value, json};

use super::{oauth2, permanent};
use crate::peers::{Process, certificates, listens, port, python, skipped, words};
use crate::running::until;
use crate::support::{action, call, context, invoke};

const TOKEN: &str = "hunter22-hunter22";

/// A Jupyter server over HTTPS, in a folder of its own.
struct Jupyter {
    folder: tempfile::TempDir,
    port: u16,
    _process: Process,
}

/// Python with the packages that are needed; none, said aloud, where they are not installed.
fn jupyter_python() -> Option<PathBuf> {
    let python = python();
    let check = std::process::Command::new(&python)
        .args(["-c", "import jupyter_server, ipykernel"])
        .output();
    let has = check.is_ok_and(|output| output.status.success());
    if !has {
        skipped("jupyter-server and ipykernel are not installed (scripts/peers)");
    }
    has.then_some(python)
}

/// Installs the kernel of Python under these names.
fn install_kernels(folder: &Path, python: &Path, names: &[&str]) {
    for name in names {
        let place = folder.join("share/kernels").join(name);
        std::fs::create_dir_all(&place).unwrap();
        let argv = json!([
            python,
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}"
        ]);
        let spec = json!({ "argv": argv, "display_name": name, "language": "python" });
        std::fs::write(place.join("kernel.json"), spec.to_string()).unwrap();
    }
}

impl Jupyter {
    async fn start() -> Option<Self> {
        let python = std::path::absolute(jupyter_python()?).unwrap();
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        install_kernels(folder.path(), &python, &["python3", "kestrel"]);
        let port = port();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut program = vec![python.display().to_string()];
        program.extend(words(&[
            "-m",
            "jupyter_server",
            "--no-browser",
            "--allow-root",
        ]));
        program.extend([
            format!("--ServerApp.port={port}"),
            "--ServerApp.port_retries=0".to_owned(),
            "--ServerApp.ip=127.0.0.1".to_owned(),
            format!("--IdentityProvider.token={TOKEN}"),
            format!("--ServerApp.root_dir={}", folder.path().display()),
            format!("--ServerApp.certfile={}", path("cert.pem")),
            format!("--ServerApp.keyfile={}", path("key.pem")),
            "--KernelSpecManager.ensure_native_kernel=False".to_owned(),
        ]);
        let mut variables = vec![("JUPYTER_DATA_DIR", path("share"))];
        for name in [
            "HOME",
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_RUNTIME_DIR",
            "IPYTHONDIR",
        ] {
            variables.push((name, path("home")));
        }
        let process = Process::start(folder.path(), &variables, &program);
        listens(port).await;
        Some(Self {
            folder,
            port,
            _process: process,
        })
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    fn tls(&self, ca: &str) -> Value {
        json!({ "ca_file": self.folder.path().join(ca) })
    }

    fn module(&self, name: &str) -> Arc<dyn Action> {
        let cx = context(self.folder.path(), &[("token", TOKEN)]);
        let config = json!({ "url": self.url(), "token": { "secret": "token" }, "tls": self.tls("ca.pem"),
            "max_output": "4KiB" });
        action(name, config, &cx).unwrap()
    }

    /// The number of kernels that live.
    async fn kernels(&self) -> usize {
        let cx = context(self.folder.path(), &[]);
        let tls = serde_json::from_value(self.tls("ca.pem")).unwrap();
        let egress = cx.egress.with_tls(&tls).unwrap();
        let mut request = Request::get(format!("{}/api/kernels", self.url()));
        let shown = format!("token {TOKEN}").parse().unwrap();
        request.headers.insert(http::header::AUTHORIZATION, shown);
        let answer = egress.request(request).await.unwrap();
        let kernels: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
        kernels.len()
    }
}

fn input(kind: &str, text: &str) -> Value {
    let agent = json!({ "id": "http-api--1", "type": "soarca", "name": "notebooks" });
    json!({ "command": { "type": kind, "command": text }, "agent": agent })
}

fn notebook(cells: &[&str]) -> String {
    let cell = |(index, source): (usize, &&str)| {
        let tags = if index == 0 {
            json!(["parameters"])
        } else {
            json!([])
        };
        json!({ "cell_type": "code", "source": source, "metadata": { "tags": tags }, "outputs": [] })
    };
    let cells: Vec<Value> = cells.iter().enumerate().map(cell).collect();
    json!({ "nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells }).to_string()
}

#[tokio::test]
async fn a_notebook_is_executed_with_its_variables_and_leaves_no_kernel() {
    let Some(server) = Jupyter::start().await else {
        return;
    };
    let jupyter = server.module("jupyter");
    let mut asked = input(
        "jupyter",
        &notebook(&[
            "limit = 1\nhost = 'none'",
            "print('scanning', host)\nimport sys; print('warn', file=sys.stderr)",
            "from IPython.display import JSON, display\nseen = [host] * limit\ndisplay({'application/json': {'seen': seen}, 'text/plain': 'x', 'image/png': 'AA=='}, raw=True)",
        ]),
    );
    asked["variables"] = json!({
        "__limit__": { "type": "integer", "value": 3 },
        "__host__": { "type": "string", "value": "h'1\n" },
    });
    let done = invoke(&jupyter, "execute", asked).await.unwrap();
    assert_eq!(
        done["result"],
        json!({ "seen": ["h'1\n", "h'1\n", "h'1\n"] })
    );
    assert_eq!(done["cells"], 4);
    let outputs = done["outputs"].as_array().unwrap();
    assert!(
        outputs.contains(
            &json!({ "cell": 3, "type": "stream", "name": "stdout", "text": "scanning h'1\n\n" })
        ),
        "{done}"
    );
    assert!(
        outputs.iter().any(|output| output["name"] == "stderr"),
        "{done}"
    );
    assert!(!done.to_string().contains("image/png"), "{done}");
    assert_eq!(server.kernels().await, 0);

    // Too much is cut off, and a known secret is masked, whoever prints it.
    let long = format!("print('{TOKEN}')\nfor i in range(9): print('x' * 1000, flush=True)\n42");
    let done = invoke(
        &jupyter,
        "execute",
        input("jupyter", &notebook(&["1", &long])),
    )
    .await
    .unwrap();
    assert_eq!(done["truncated"], true);
    assert!(done.to_string().contains("***token***") && !done.to_string().contains("hunter22"));
    assert_eq!(server.kernels().await, 0);
}

#[tokio::test]
async fn a_cell_that_fails_hangs_or_kills_its_kernel_fails_the_command_and_leaves_no_kernel() {
    let Some(server) = Jupyter::start().await else {
        return;
    };
    let jupyter = server.module("jupyter");
    let ask = async |cells: &[&str]| {
        invoke(&jupyter, "execute", input("jupyter", &notebook(cells))).await
    };
    let text = permanent(ask(&["x = 1", "1 / 0", "open('made', 'w')"]).await);
    assert_eq!(text, "cell 2 failed: ZeroDivisionError: division by zero");
    let text = permanent(ask(&["x = 1", &format!("raise ValueError('{TOKEN}')")]).await);
    assert_eq!(text, "cell 2 failed: ValueError: ***token***");
    let text = permanent(ask(&["input('who')"]).await);
    assert!(text.contains("StdinNotImplementedError"), "{text}");
    assert!(
        !server.folder.path().join("made").exists(),
        "no cell after one that failed"
    );

    let marker = server.folder.path().join("interrupted");
    let hang = format!(
        "import threading\ntry:\n  threading.Event().wait(60)\nexcept KeyboardInterrupt:\n  open({:?}, 'w')",
        marker.display().to_string()
    );
    let mut hanging = call("execute", &input("jupyter", &notebook(&["x = 1", &hang])));
    hanging.timeout = Duration::from_secs(8);
    let result = jupyter.invoke(&hanging).await;
    assert!(
        matches!(&result, Err(Error::Permanent(text)) if text.contains("cell 2 was not done in time and was interrupted")),
        "{result:?}"
    );
    until("the cell to be interrupted", async || marker.exists()).await;
    assert_eq!(server.kernels().await, 0);

    let died = ask(&["import os; os._exit(1)"]).await;
    assert!(
        matches!(&died, Err(Error::Permanent(text)) if text.contains("died in cell 1")),
        "{died:?}"
    );
    assert_eq!(server.kernels().await, 0);
}

#[tokio::test]
async fn a_hunt_flow_is_executed_by_the_kernel_of_that_name() {
    let Some(server) = Jupyter::start().await else {
        return;
    };
    let kestrel = server.module("kestrel");
    let done = invoke(
        &kestrel,
        "execute",
        input("kestrel", "procs = ['a', 'b']\nlen(procs)"),
    )
    .await;
    let done = done.unwrap();
    assert_eq!((&done["result"], &done["cells"]), (&json!("2"), &json!(1)));
    let cx = context(server.folder.path(), &[("token", TOKEN)]);
    let other = json!({ "kernel": "no-such-kernel", "tls": server.tls("ca.pem") });
    let jupyter = action("kestrel", other, &cx).unwrap();
    // The agent's own address and credentials go before those of the configuration.
    let mut own = input("kestrel", "1");
    own["agent"]["address"] = json!({ "url": [server.url()] });
    own["agent"]["authentication"] = oauth2("token", "token");
    let refused = invoke(&jupyter, "execute", own.clone()).await;
    assert!(
        matches!(&refused, Err(Error::Permanent(text)) if text.contains("no-such-kernel")),
        "{refused:?}"
    );
    own["agent"]["authentication"] = Value::Null;
    let refused = permanent(invoke(&jupyter, "execute", own.clone()).await);
    assert!(
        refused.contains("403") || refused.contains("401"),
        "{refused}"
    );
    let wrong = json!({ "tls": server.tls("other.pem") });
    let jupyter = action("jupyter", wrong, &cx).unwrap();
    let refused = invoke(&jupyter, "execute", own).await;
    assert!(
        matches!(&refused, Err(Error::Retry { message, .. }) if message.contains("TLS")),
        "{refused:?}"
    );
}
