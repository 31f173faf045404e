//! `exec` with real programs.

use std::path::Path;
use std::time::{Duration, Instant};

use conche_modules::Error;
use nix::unistd::{User, geteuid};
use serde_json::{Value, json};

use crate::support::{action, context, invoke};

/// The user that runs the tests.
fn user() -> String {
    User::from_uid(geteuid()).unwrap().unwrap().name
}

/// A shell script as a fixed argument, with slots behind it.
fn shell(script: &str, slots: &[Value]) -> Value {
    let mut args = vec![json!("-c"), json!(script), json!("sh")];
    args.extend_from_slice(slots);
    json!({ "program": "/bin/sh", "args": args, "user": user() })
}

/// Builds `exec` with one command `c` and runs it.
async fn run(command: &Value, input: Value) -> Result<Value, Error> {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[("key", "hunter22-hunter22")]);
    let exec = action("exec", json!({ "commands": { "c": command } }), &cx).unwrap();
    let mut whole = json!({ "command": "c" });
    whole
        .as_object_mut()
        .unwrap()
        .extend(input.as_object().unwrap().clone());
    invoke(&exec, "run", whole).await
}

const ECHO: &str = r#"for a; do printf '<%s>' "$a"; done"#;

#[tokio::test]
async fn a_value_is_one_argument_whatever_is_in_it() {
    let slots = [
        json!({ "slot": "a", "pattern": "(?s).*" }),
        json!("fixed $HOME"),
        json!({ "slot": "n", "pattern": "[0-9]+|-?true", "prefix": "--n=" }),
    ];
    let command = shell(ECHO, &slots);
    for value in ["", "a b", "$(id); `id` & | > x \" ' \\ *", "a\nb", "ä"] {
        let done = run(&command, json!({ "args": { "a": value, "n": 7 } }))
            .await
            .unwrap();
        assert_eq!(done["stdout"], format!("<{value}><fixed $HOME><--n=7>"));
        assert_eq!(
            (&done["exit_code"], &done["truncated"]),
            (&json!(0), &json!(false))
        );
    }
    // Behind a prefix nothing is taken for an option.
    let done = run(&command, json!({ "args": { "a": "x", "n": "-true" } }))
        .await
        .unwrap();
    assert_eq!(done["stdout"], "<x><fixed $HOME><--n=-true>");
}

#[tokio::test]
async fn a_value_that_does_not_match_or_looks_like_an_option_starts_nothing() {
    let slots = [
        json!({ "slot": "ip", "pattern": "[0-9.]+|[0-9a-f:]+" }),
        json!({ "slot": "dash", "pattern": "-?[a-z]+", "allow_dash": true }),
        json!({ "slot": "any", "pattern": "(?s).*" }),
    ];
    let command = shell(ECHO, &slots);
    let fine = json!({ "ip": "10.0.0.1", "dash": "-v", "any": "" });
    let done = run(&command, json!({ "args": fine })).await.unwrap();
    assert_eq!(done["stdout"], "<10.0.0.1><-v><>");
    let table = [
        ("ip", json!("10.0.0.1 ; id"), "does not match"),
        ("ip", json!("10.0.0.1\n"), "does not match"),
        ("ip", json!("x10.0.0.1"), "does not match"),
        ("ip", json!(""), "does not match"),
        ("ip", json!(["10.0.0.1"]), "is no text"),
        ("ip", json!(null), "is no text"),
        ("any", json!("-rf"), "must not begin with `-`"),
        ("any", json!("--"), "must not begin with `-`"),
        ("any", json!("a\u{0}b"), "no argument can have"),
        ("any", json!("x".repeat(32 * 1024 + 1)), "is longer than"),
        ("other", json!("x"), "no argument `other`"),
    ];
    for (name, value, expected) in table {
        let mut args = fine.clone();
        args[name] = value;
        let refused = run(&command, json!({ "args": args })).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Permanent(message) if message.contains(expected)),
            "{name} {refused}"
        );
    }
    let mut args = fine;
    args.as_object_mut().unwrap().remove("ip");
    let refused = run(&command, json!({ "args": args })).await.unwrap_err();
    assert!(refused.to_string().contains("`ip` is missing"), "{refused}");
    let unlisted = run(&command, json!({ "command": "/bin/sh" }))
        .await
        .unwrap_err();
    assert!(
        unlisted.to_string().contains("there is no command"),
        "{unlisted}"
    );
    let unasked = run(&shell("cat", &[]), json!({ "stdin": 1 }))
        .await
        .unwrap_err();
    assert!(
        unasked.to_string().contains("takes no `stdin`"),
        "{unasked}"
    );
}

#[tokio::test]
async fn the_environment_is_what_is_listed_and_secrets_are_masked() {
    let command = json!({
        "program": "/usr/bin/env", "user": user(), "env": { "LANG": "C", "KEY": { "secret": "key" } },
    });
    let done = run(&command, json!({})).await.unwrap();
    let mut lines: Vec<_> = done["stdout"].as_str().unwrap().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["KEY=***key***", "LANG=C"]);
    let command = json!({ "program": "/bin/pwd", "user": user(), "cwd": "/usr" });
    assert_eq!(run(&command, json!({})).await.unwrap()["stdout"], "/usr\n");
    let command = json!({ "program": "/bin/cat", "user": user(), "stdin": true });
    let done = run(&command, json!({ "stdin": { "a": [1.0, "x"] } }))
        .await
        .unwrap();
    assert_eq!(done["stdout"], r#"{"a":[1.0,"x"]}"#);
    assert_eq!(run(&command, json!({})).await.unwrap()["stdout"], "");
}

#[tokio::test]
async fn what_the_end_means_follows_the_exit_code() {
    let mut command = shell("echo out; echo why >&2; exit 3", &[]);
    let failed = run(&command, json!({})).await.unwrap_err();
    assert_eq!(
        failed,
        Error::Permanent("`c` ended with exit code 3: why".to_owned())
    );
    command["ok_codes"] = json!([0, 3]);
    let done = run(&command, json!({})).await.unwrap();
    let expected =
        json!({ "exit_code": 3, "stdout": "out\n", "stderr": "why\n", "truncated": false });
    assert_eq!(done, expected);
    let killed = run(&shell("kill -9 $$", &[]), json!({})).await.unwrap_err();
    assert_eq!(
        killed,
        Error::Uncertain("`c` was ended by signal 9".to_owned())
    );
    let absent = json!({ "program": "/nothing/here", "user": user() });
    let absent = run(&absent, json!({})).await.unwrap_err();
    assert!(matches!(absent, Error::Permanent(message) if message.contains("can't be started")));
}

#[tokio::test]
async fn output_is_kept_up_to_its_limit_and_never_blocks() {
    let mut command = shell(
        "head -c 3000000 /dev/zero | tr '\\0' x; head -c 100 /dev/zero | tr '\\0' y >&2",
        &[],
    );
    command["max_output"] = json!("1KiB");
    let done = run(&command, json!({})).await.unwrap();
    assert_eq!(done["stdout"], "x".repeat(1024));
    assert_eq!(done["stderr"], "y".repeat(100));
    assert_eq!(done["truncated"], true);
    // A secret across the limit is masked as a whole.
    let mut command = shell("printf 'xxxxxxxxxx%s' \"$KEY\"", &[]);
    command["max_output"] = json!("16B");
    command["env"] = json!({ "KEY": { "secret": "key" } });
    let done = run(&command, json!({})).await.unwrap();
    assert_eq!(done["stdout"], "xxxxxxxxxx***key");
}

/// Whether the process is there and does anything.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Waits for the file with a process id.
async fn pid_in(path: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if let Some(pid) = text.strip_suffix('\n') {
            return pid.to_owned();
        }
        assert!(Instant::now() < deadline, "no process began");
        tokio::time::sleep(Duration::from_millis(5)).await; // poll
    }
}

async fn until_gone(pid: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "{pid} goes on");
        tokio::time::sleep(Duration::from_millis(5)).await; // poll
    }
}

#[tokio::test]
async fn at_the_deadline_the_command_and_all_that_it_started_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", file.display());
    let mut command = shell(&script, &[]);
    command["timeout"] = json!("500ms");
    let killed = run(&command, json!({})).await.unwrap_err();
    assert!(
        matches!(killed, Error::Uncertain(message) if message.contains("was killed after 500ms"))
    );
    until_gone(&pid_in(&file).await).await;
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let command = shell(
        &format!("sleep 600 & echo $! > {}; wait", file.display()),
        &[],
    );
    let pid = tokio::select! {
        pid = pid_in(&file) => pid,
        ended = run(&command, json!({})) => panic!("{ended:?}"),
    };
    until_gone(&pid).await;
}

#[tokio::test]
async fn what_goes_on_in_the_background_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; echo done", file.display());
    let begun = Instant::now();
    let done = run(&shell(&script, &[]), json!({})).await.unwrap();
    assert_eq!(done["stdout"], "done\n");
    assert!(begun.elapsed() < Duration::from_secs(9));
    until_gone(&pid_in(&file).await).await;
}

#[test]
fn commands_that_make_no_sense_are_refused_and_without_any_there_is_no_module() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let off = action("exec", Value::Null, &cx).err().unwrap();
    assert!(off.message.contains("missing field `commands`"), "{off}");
    let table = [
        (json!({ "program": "sh" }), "must be an absolute path"),
        (
            json!({ "program": "/bin/sh", "cwd": "." }),
            "`cwd` must be an absolute path",
        ),
        (
            json!({ "program": "/bin/sh", "shell": true }),
            "unknown field `shell`",
        ),
        (
            json!({ "program": "/bin/sh", "args": [{ "slot": "a", "pattern": "(" }] }),
            "can't be used",
        ),
        (
            json!({ "program": "/bin/sh", "args": [{ "slot": "a", "pattern": "a)|(?:b" }] }),
            "can't be used",
        ),
        (
            json!({ "program": "/bin/sh", "args": [{ "slot": "a" }] }),
            "expected a text or",
        ),
        (
            json!({ "program": "/bin/sh", "args": [{ "slot": "a", "pattern": "a" }, { "slot": "a", "pattern": "b" }] }),
            "two slots `a`",
        ),
        (
            json!({ "program": "/bin/sh", "env": { "A=B": "x" } }),
            "name of a variable",
        ),
        (
            json!({ "program": "/bin/sh", "env": { "A": { "secret": "no" } } }),
            "no secret `no`",
        ),
        (
            json!({ "program": "/bin/sh", "user": "no-such-user-here" }),
            "no user `no-such-user-here`",
        ),
    ];
    for (mut command, expected) in table {
        if command.get("user").is_none() {
            command["user"] = user().into();
        }
        let refused = action("exec", json!({ "commands": { "c": command } }), &cx)
            .err()
            .unwrap();
        assert!(refused.message.contains(expected), "{refused}");
    }
    let unsaid = json!({ "commands": { "c": { "program": "/bin/sh" } } });
    let unsaid = action("exec", unsaid, &cx);
    assert_eq!(unsaid.is_err(), geteuid().is_root());
    let other = json!({ "commands": { "c": { "program": "/bin/sh", "user": "nobody" } } });
    assert_eq!(action("exec", other, &cx).is_ok(), geteuid().is_root());
}

#[tokio::test]
async fn root_runs_it_as_the_user_that_is_written() {
    if !geteuid().is_root() {
        // Nobody else can become another.
        return;
    }
    let command = json!({ "program": "/usr/bin/id", "user": "nobody" });
    let done = run(&command, json!({})).await.unwrap();
    let told = done["stdout"].as_str().unwrap();
    assert!(
        told.contains("uid=65534(nobody)") && !told.contains("root"),
        "{told}"
    );
}
