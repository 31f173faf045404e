//! `bash` with the real shell.

use std::time::{Duration, Instant};

use conche_modules::Error;
use nix::unistd::geteuid;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::running::until;
use crate::ssh::server::{permanent, uncertain, user};
use crate::support::{action, call, context, invoke};

fn step(script: &str) -> Value {
    json!({
        "command": { "type": "bash", "command": script },
        "agent": { "id": "conche--1", "type": "conche", "name": "conche" },
    })
}

/// Runs a script under these settings.
async fn run(mut config: Value, input: Value) -> Result<Value, Error> {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[("key", "hunter22-hunter22")]);
    if config.get("user").is_none() {
        config["user"] = user().into();
    }
    invoke(&action("bash", config, &cx).unwrap(), "execute", input).await
}

/// Runs a script that is allowed as it is.
async fn run_allowed(script: &str) -> Result<Value, Error> {
    run(json!({ "allow": [{ "text": script }] }), step(script)).await
}

#[tokio::test]
async fn a_script_runs_by_its_text_its_digest_or_a_pattern_for_the_whole_of_it() {
    let script = "echo out; echo err >&2";
    let digest = format!("{:x}", Sha256::digest(script));
    for allow in [
        json!({ "text": script }),
        json!({ "sha256": digest }),
        json!({ "sha256": digest.to_uppercase() }),
        json!({ "pattern": "echo [a-z]+; echo [a-z]+ >&2" }),
    ] {
        let done = run(json!({ "allow": [allow] }), step(script)).await;
        let expected = json!({ "stdout": "out\n", "stderr": "err\n", "exit_code": 0 });
        assert_eq!(done.unwrap(), expected, "{allow}");
    }
}

#[tokio::test]
async fn anything_else_is_refused_with_what_would_allow_it() {
    let script = "echo a; id";
    let digest = format!("{:x}", Sha256::digest(script));
    for allow in [
        json!([]),
        json!([{ "text": "echo a" }, { "text": "echo a; id\n" }]),
        json!([{ "pattern": "echo a" }, { "pattern": "id" }, { "pattern": "(?m)^echo a$" }]),
        json!([{ "pattern": "x|echo a" }]),
    ] {
        let message = permanent(run(json!({ "allow": allow }), step(script)).await);
        assert!(
            message.contains("not allowed here") && message.contains(&digest),
            "{message}"
        );
    }
    // Off without a section.
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let off = action("bash", Value::Null, &cx).unwrap();
    permanent(invoke(&off, "execute", step(script)).await);
}

#[tokio::test]
async fn an_agent_that_is_another_machine_is_not_confused_with_this_one() {
    let mut input = step("id");
    input["agent"]["address"] = json!({ "ipv4": ["127.0.0.1", "10.0.0.5"] });
    let config = json!({ "allow": [{ "text": "id" }] });
    let message = permanent(run(config.clone(), input.clone()).await);
    assert!(message.contains("it is another machine"), "{message}");
    input["agent"]["address"] = json!({ "ipv4": ["127.0.0.1"], "dname": ["localhost"] });
    run(config, input).await.unwrap();
}

#[tokio::test]
async fn nothing_of_our_environment_is_there_and_secrets_are_masked() {
    let script = "echo \"$HOME|$TOKEN|$PWD|$0\"; shopt -q login_shell && echo login; cat";
    let config = json!({
        "allow": [{ "text": script }], "cwd": "/usr", "env": { "TOKEN": { "secret": "key" } },
    });
    let done = run(config, step(script)).await.unwrap();
    assert_eq!(done["stdout"], "|***key***|/usr|/bin/bash\n");
}

#[tokio::test]
async fn a_failure_tells_the_code_and_a_signal_leaves_doubt() {
    let message = permanent(run_allowed("echo no luck >&2; exit 7").await);
    assert!(message.contains("exit code 7: no luck"), "{message}");
    let message = permanent(run_allowed("exit 1").await);
    assert!(
        message.contains("exit code 1: it wrote nothing"),
        "{message}"
    );
    let message = uncertain(run_allowed("kill -KILL $$").await);
    assert!(message.contains("signal 9"), "{message}");
}

#[tokio::test]
async fn output_is_cut_and_a_late_script_is_killed() {
    let script = "head -c 100000 /dev/zero | tr '\\0' x";
    let config = json!({ "allow": [{ "text": script }], "max_output": "1KiB" });
    let done = run(config, step(script)).await.unwrap();
    assert_eq!(
        (done["stdout"].as_str().unwrap().len(), &done["truncated"]),
        (1024, &json!(true))
    );
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("echo $$ > {}; sleep 600", pid.display());
    let config = json!({ "allow": [{ "text": script }], "user": user() });
    let module = action("bash", config, &context(folder.path(), &[])).unwrap();
    let mut late = call("execute", &step(&script));
    late.timeout = Duration::from_millis(500);
    let begun = Instant::now();
    let result = module.invoke(&late).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    uncertain(result.map(|output| output.read().unwrap()));
    let pid = std::fs::read_to_string(pid).unwrap();
    until("the script to be killed", async || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        stat.map_or(true, |stat| stat.contains(") Z "))
    })
    .await;
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    for (config, expected) in [
        (json!({ "allow": [{ "sha256": "abc" }] }), "is no SHA-256"),
        (json!({ "allow": [{ "pattern": "(" }] }), "can't be used"),
        (json!({ "allow": [{ "script": "x" }] }), "unknown variant"),
        (json!({ "cwd": "x" }), "must be an absolute path"),
        (
            json!({ "env": { "A": { "secret": "no" } } }),
            "no secret `no`",
        ),
        (json!({ "shell": "/bin/zsh" }), "unknown field `shell`"),
        (
            json!({ "allow": [{ "text": "x" }], "user": "no-such-user-here" }),
            "no user `no-such-user-here`",
        ),
    ] {
        let refused = action("bash", config, &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{refused}");
    }
    let unsaid = action("bash", json!({ "allow": [{ "text": "x" }] }), &cx);
    assert_eq!(unsaid.is_err(), geteuid().is_root());
}
