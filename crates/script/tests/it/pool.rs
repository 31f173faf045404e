//! The parent's side: blame, quarantine, fairness, replacement, and workers
//! that lie.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use conche_script::{Config, Error, Evaluation, Limits, Sandbox, WorkerCommand};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::task::JoinSet;

use crate::rig::{SLOW, call, config, decide, failure, raw, until, verdict, within};

const LIMIT: Duration = Duration::from_millis(200);

fn end(pid: u32) {
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn three_lost_workers_lead_to_quarantine_until_the_window_is_over() {
    let now = Arc::new(Mutex::new(Instant::now()));
    let clock = Arc::clone(&now);
    let mut config = config();
    config.clock = Arc::new(move || *clock.lock().unwrap());
    let sandbox = Sandbox::start(config).await.unwrap();
    let hang = within(LIMIT, call("while (true) {}"));
    let script = hang.script.digest();
    for strike in 0..3 {
        assert!(sandbox.quarantined().is_empty(), "after {strike}");
        let error = failure(&sandbox, hang.clone()).await;
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
    }
    until(|| !sandbox.quarantined().is_empty()).await;
    let error = failure(&sandbox, hang.clone()).await;
    assert!(
        matches!(error, Error::Quarantined { script: found, strikes: 3, .. } if found == script)
    );
    assert_eq!(
        (
            sandbox.quarantined()[0].script,
            &*sandbox.quarantined()[0].name
        ),
        (script, "test")
    );
    assert_eq!(
        decide(&sandbox, call("nextAction = 'other'")).await,
        json!(["other", {}])
    );

    *now.lock().unwrap() += Duration::from_mins(10);
    assert!(sandbox.quarantined().is_empty());
    let error = failure(&sandbox, hang.clone()).await;
    assert!(matches!(error, Error::Timeout { .. }), "{error}");

    for _ in 0..2 {
        failure(&sandbox, hang.clone()).await;
    }
    until(|| !sandbox.quarantined().is_empty()).await;
    assert!(sandbox.release(script));
    assert!(matches!(
        failure(&sandbox, hang).await,
        Error::Timeout { .. }
    ));
}

#[tokio::test]
async fn a_worker_that_crashes_costs_its_call_only() {
    let sandbox = Arc::new(Sandbox::start(config()).await.unwrap());
    let worker = sandbox.stats().pids[0];
    let mut running = JoinSet::new();
    let shared = Arc::clone(&sandbox);
    running.spawn(async move { failure(&shared, within(SLOW, call("while (true) {}"))).await });
    // It computes, so its processor time grows.
    until(|| {
        let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap();
        stat.split(' ').nth(13).unwrap().parse::<u64>().unwrap() > 5
    })
    .await;
    kill(Pid::from_raw(worker as i32), Signal::SIGABRT).unwrap();
    let error = running.join_next().await.unwrap().unwrap();
    assert!(
        matches!(&error, Error::Crashed { reason } if reason == "SIGABRT"),
        "{error}"
    );
    assert_eq!(
        decide(&sandbox, call("nextAction = 'next'")).await,
        json!(["next", {}])
    );
    assert_ne!(sandbox.stats().pids[0], worker);
    assert_eq!((sandbox.stats().lost, sandbox.stats().started), (1, 2));
}

#[tokio::test]
async fn a_worker_that_dies_idle_is_nobodys_fault() {
    let sandbox = Sandbox::start(config()).await.unwrap();
    let worker = sandbox.stats().pids[0];
    end(worker);
    until(|| {
        let stat = std::fs::read_to_string(format!("/proc/{worker}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z "))
    })
    .await;
    assert_eq!(
        decide(&sandbox, call("nextAction = 'next'")).await,
        json!(["next", {}])
    );
    assert_eq!(sandbox.stats().lost, 0);
}

#[tokio::test]
async fn in_a_batch_only_the_hanging_call_is_blamed() {
    let sandbox = Arc::new(Sandbox::start(config()).await.unwrap());
    let source =
        "if (event.n === 40) { for (;;) 'x'.repeat(1e6).indexOf('y') } nextAction = 'n' + event.n";
    // Makes the script known as a quick one, so that calls are batched.
    for _ in 0..5 {
        decide(&sandbox, call(source)).await;
    }
    let mut calls = JoinSet::new();
    for n in 0..80 {
        let sandbox = Arc::clone(&sandbox);
        let event = raw(&json!({ "n": n }));
        let evaluation = within(
            Duration::from_secs(1),
            Evaluation {
                event,
                ..call(source)
            },
        );
        calls.spawn(async move { (n, sandbox.evaluate(evaluation).await) });
    }
    while let Some(call) = calls.join_next().await {
        match call.unwrap() {
            (40, result) => assert!(matches!(result, Err(Error::Timeout { .. }))),
            (n, result) => assert_eq!(verdict(&result.unwrap()), json!([format!("n{n}"), {}])),
        }
    }
    assert_eq!(sandbox.stats().lost, 1);
}

#[tokio::test]
async fn a_hanging_script_never_holds_the_last_worker() {
    let sandbox = Arc::new(
        Sandbox::start(Config {
            workers: 2,
            ..config()
        })
        .await
        .unwrap(),
    );
    let mut hanging = JoinSet::new();
    for _ in 0..20 {
        let sandbox = Arc::clone(&sandbox);
        hanging
            .spawn(async move { failure(&sandbox, within(SLOW, call("while (true) {}"))).await });
    }
    until(|| sandbox.stats().waiting == 19).await;
    for n in 0..50 {
        let event = raw(&json!({ "n": n }));
        let quick = Evaluation {
            event,
            ..call("nextAction = 'n' + event.n")
        };
        assert_eq!(decide(&sandbox, quick).await, json!([format!("n{n}"), {}]));
    }
    // All fifty were answered before the first hanging one was over.
    assert_eq!((sandbox.stats().lost, sandbox.stats().waiting), (0, 19));
}

#[tokio::test]
async fn quarantine_answers_the_calls_that_wait_already() {
    let sandbox = Arc::new(Sandbox::start(config()).await.unwrap());
    let mut hanging = JoinSet::new();
    for _ in 0..10 {
        let sandbox = Arc::clone(&sandbox);
        hanging
            .spawn(async move { failure(&sandbox, within(LIMIT, call("while (true) {}"))).await });
    }
    let errors = hanging.join_all().await;
    let timeouts = errors
        .iter()
        .filter(|error| matches!(error, Error::Timeout { .. }))
        .count();
    let refused = errors
        .iter()
        .filter(|error| matches!(error, Error::Quarantined { .. }))
        .count();
    assert_eq!((timeouts, refused), (3, 7));
    assert_eq!(sandbox.stats().waiting, 0);
}

#[tokio::test]
async fn a_full_queue_and_a_long_wait_are_refused() {
    let config = Config {
        queue: 2,
        wait: Duration::from_millis(300),
        ..config()
    };
    let sandbox = Arc::new(Sandbox::start(config).await.unwrap());
    let mut hanging = JoinSet::new();
    for waiting in 0..3 {
        let sandbox = Arc::clone(&sandbox);
        let hang = within(Duration::from_secs(3), call("while (true) {}"));
        hanging.spawn({
            let sandbox = Arc::clone(&sandbox);
            async move { failure(&sandbox, hang).await }
        });
        until(|| (sandbox.stats().busy, sandbox.stats().waiting) == (1, waiting)).await;
    }
    let error = failure(&sandbox, call("")).await;
    assert!(matches!(error, Error::Busy { waiting: 2 }), "{error}");
    let errors = hanging.join_all().await;
    let busy = errors
        .iter()
        .filter(|error| matches!(error, Error::Busy { .. }))
        .count();
    assert_eq!(busy, 2, "{errors:?}");
}

#[tokio::test]
async fn stopping_serves_what_waits_and_ends_the_workers() {
    let sandbox = Sandbox::start(Config {
        workers: 2,
        ..config()
    })
    .await
    .unwrap();
    let pids = sandbox.stats().pids;
    assert_eq!(
        decide(&sandbox, call("nextAction = 'a'")).await,
        json!(["a", {}])
    );
    tokio::time::timeout(SLOW, sandbox.stop(SLOW))
        .await
        .unwrap();
    for pid in pids {
        assert!(kill(Pid::from_raw(pid as i32), None).is_err(), "{pid}");
    }
}

#[tokio::test]
async fn a_missing_worker_program_is_said_at_the_start() {
    let config = Config {
        worker: WorkerCommand::program("/nowhere/worker"),
        ..config()
    };
    let error = Sandbox::start(config).await.err().unwrap();
    assert!(
        matches!(&error, Error::Unavailable { reason } if reason.contains("/nowhere/worker")),
        "{error}"
    );
    let config = Config {
        worker: shell("exit 3"),
        ..crate::rig::config()
    };
    let error = Sandbox::start(config).await.err().unwrap();
    assert!(error.to_string().contains("exit code 3"), "{error}");
}

#[tokio::test]
async fn calls_fail_fast_while_no_worker_can_be_started_and_recover() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("worker");
    let target = env!("CARGO_BIN_EXE_conche-script-worker");
    std::os::unix::fs::symlink(target, &link).unwrap();
    let worker = WorkerCommand::program(&link);
    let sandbox = Sandbox::start(Config { worker, ..config() }).await.unwrap();
    std::fs::remove_file(&link).unwrap();
    failure(&sandbox, within(LIMIT, call("while (true) {}"))).await;
    let mut error = failure(&sandbox, within(LIMIT, call("while (true) {}"))).await;
    while !matches!(error, Error::Unavailable { .. }) {
        error = failure(&sandbox, call("nextAction = 'x'")).await;
    }
    std::os::unix::fs::symlink(target, &link).unwrap();
    let recovered = tokio::time::timeout(SLOW, async {
        while decide(&sandbox, call("nextAction = 'back'")).await != json!(["back", {}]) {
            tokio::task::yield_now().await;
        }
    });
    recovered.await.unwrap();
}

/// A worker that is a shell script.
fn shell(script: &str) -> WorkerCommand {
    WorkerCommand {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
    }
}

/// Says "confined", waits for a request, then says `bytes` (octal escapes).
async fn liar(bytes: &str) -> Error {
    let script = format!(
        "printf '\\002\\000\\000\\000\\000\\000'; /usr/bin/head -c 1 >/dev/null; printf '{bytes}'; exec /bin/cat >/dev/null"
    );
    let mut config = Config {
        worker: shell(&script),
        ..config()
    };
    config.limits = Limits {
        time: SLOW,
        ..Limits::default()
    };
    let sandbox = Sandbox::start(config).await.unwrap();
    failure(&sandbox, call("nextAction = 'a'")).await
}

#[tokio::test]
async fn a_worker_that_lies_is_a_crash() {
    for (bytes, expected) in [
        // 4 GiB claimed.
        (r"\377\377\377\377", "longer than any answer"),
        (r"\003\000\000\000\377\377\377", "cannot be read"),
        // id 9; not retiring; stop without event; no logs; not truncated.
        (
            r"\006\000\000\000\011\000\000\000\000\000",
            "another question",
        ),
        // Next with action "a" and data "no".
        (
            r"\013\000\000\000\000\000\001\001a\002no\000\000\000",
            "a verdict that is none",
        ),
        // Next with action "a" and data "{]".
        (
            r"\013\000\000\000\000\000\001\001a\002{]\000\000\000",
            "not JSON",
        ),
        // A list of logs that claims 2^31 entries.
        (
            r"\011\000\000\000\000\000\000\000\200\200\200\200\010",
            "cannot be read",
        ),
        // A log level that does not exist.
        (
            r"\010\000\000\000\000\000\000\000\001\011\000\000",
            "log level",
        ),
        // The answer to a check.
        (
            r"\005\000\000\000\000\000\002\000\000",
            "another kind of question",
        ),
    ] {
        let error = liar(bytes).await;
        assert!(
            matches!(&error, Error::Crashed { reason } if reason.contains(expected)),
            "{bytes}: {error}"
        );
    }
}
