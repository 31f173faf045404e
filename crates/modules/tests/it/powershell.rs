//! `powershell` over a real SSH server, with a program that stands in for PowerShell: it decodes
//! what it is given as PowerShell does, and tells it back.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_modules::Error;
use serde_json::{Value, json};

use crate::ssh::server::{Sshd, permanent};
use crate::support::{action, invoke};

/// Says how it was called, and does what the script says in shell words.
const STAND_IN: &str = r#"#!/bin/sh
[ "$1 $2 $3 $4 $5" = "-NoProfile -NonInteractive -OutputFormat Text -EncodedCommand" ] || exit 99
script=$(printf %s "$6" | base64 -d | iconv -f UTF-16LE -t UTF-8)
printf 'got <%s>' "$script"
echo "a warning" >&2
case "$script" in *"exit 4"*) exit 4;; esac
"#;

struct Windows {
    sshd: Sshd,
    config: Value,
}

impl Windows {
    async fn start() -> Option<Self> {
        let sshd = Sshd::start("").await?;
        let program = sshd.path("power shell");
        std::fs::write(&program, STAND_IN).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = json!({ "program": program, "ssh": sshd.config() });
        Some(Self { sshd, config })
    }

    async fn execute(&self, command: Value) -> Result<Value, Error> {
        self.execute_on(command, self.sshd.target()).await
    }

    async fn execute_on(&self, mut command: Value, target: Value) -> Result<Value, Error> {
        command["type"] = "powershell".into();
        let agent = json!({ "id": "conche--1", "type": "conche", "name": "conche" });
        let input = json!({ "command": command, "agent": agent, "target": target });
        let module = action("powershell", self.config.clone(), &self.sshd.context());
        invoke(&module.unwrap(), "execute", input).await
    }
}

#[tokio::test]
async fn a_script_arrives_as_it_is_written_and_warnings_are_no_failure() {
    let Some(windows) = Windows::start().await else {
        return;
    };
    let script = "Get-Process | ? { $_.Name -eq \"ä'`$(id)\" } ; & echo %PATH%\r\n'x'";
    let done = windows.execute(json!({ "command": script })).await.unwrap();
    assert_eq!(
        done,
        json!({ "stdout": format!("got <{script}>"), "stderr": "a warning\n", "exit_code": 0 })
    );
    // PowerShell's own encoding of scripts.
    let units: Vec<u8> = script.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for command in [
        json!({ "command_b64": STANDARD.encode(&units) }),
        json!({ "command": String::from_utf8("id;".bytes().flat_map(|byte| [byte, 0]).collect()).unwrap() }),
    ] {
        let done = windows.execute(command).await.unwrap();
        let told = done["stdout"].as_str().unwrap();
        assert!(told.contains(script) || told == "got <id;>", "{told}");
    }
}

#[tokio::test]
async fn the_exit_code_decides() {
    let Some(windows) = Windows::start().await else {
        return;
    };
    let message = permanent(windows.execute(json!({ "command": "exit 4" })).await);
    assert!(message.contains("exit code 4: a warning"), "{message}");
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_before_anything_is_sent() {
    let Some(windows) = Windows::start().await else {
        return;
    };
    for (command, expected) in [
        (json!({}), "is missing"),
        (json!({ "command": " " }), "is empty"),
        (json!({ "command_b64": "%" }), "no base64"),
        (
            json!({ "command_b64": "//8A2A==" }),
            "neither UTF-8 nor UTF-16",
        ),
        (json!({ "command": "x".repeat(4000) }), "too long"),
    ] {
        let message = permanent(windows.execute(command).await);
        assert!(message.contains(expected), "{message}");
    }
    let mut winrm = windows.sshd.target();
    winrm["port"] = "5985".into();
    let by_url = json!({ "name": "w", "address": { "url": ["http://w.example.com/wsman"] } });
    for target in [winrm, by_url] {
        let message = permanent(windows.execute_on(json!({ "command": "x" }), target).await);
        assert!(
            message.contains("WinRM in clear, which is not spoken"),
            "{message}"
        );
    }
    let cx = windows.sshd.context();
    let config = json!({ "programs": { "w": "pwsh; id" } });
    let refused = action("powershell", config, &cx).err().unwrap();
    assert!(refused.message.contains("is no name or path"), "{refused}");
}

#[tokio::test]
async fn a_host_may_have_a_program_of_its_own() {
    let Some(mut windows) = Windows::start().await else {
        return;
    };
    let program = windows.config["program"].take();
    windows.config["program"] = "/nothing/here".into();
    permanent(windows.execute(json!({ "command": "x" })).await);
    windows.config["programs"] = json!({ "127.0.0.1": program });
    let done = windows.execute(json!({ "command": "x" })).await.unwrap();
    assert_eq!(done["stdout"], "got <x>");
}
