//! What commands do, write and leave, and what is known when they don't end well.

use std::time::{Duration, Instant};

use serde_json::json;

use super::logins::Asking;
use super::server::{Sshd, execute, permanent, step, uncertain};
use crate::running::{soon, until};
use crate::support::{action, call};

#[tokio::test]
async fn a_command_gives_both_outputs_and_its_exit_code() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let done = sshd.execute("echo out; echo err >&2; cat").await.unwrap();
    assert_eq!(
        done,
        json!({ "stdout": "out\n", "stderr": "err\n", "exit_code": 0 })
    );
    // Bytes that are no text arrive as they are.
    let mut input = step("", &sshd.target());
    input["command"] =
        json!({ "type": "ssh", "command_b64": "cHJpbnRmICdcMzc3J3wgb2QgLUFuIC10eDE=" });
    let done = execute(&sshd.config(), &sshd.context(), &input).await;
    assert_eq!(done.unwrap()["stdout"], " ff\n");
}

#[tokio::test]
async fn the_command_is_sent_as_it_is_written() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let done = sshd.execute("echo restart ssh ; echo ssh me@host x").await;
    assert_eq!(done.unwrap()["stdout"], "restart ssh\nssh me@host x\n");
    for (command, expected) in [(" \n", "no command"), ("id\0", "no command can have")] {
        let message = permanent(sshd.execute(command).await);
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn another_exit_code_than_0_is_a_failure_that_tells_what_was_written_without_secrets() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let cx = sshd.context_with(&[("token", "hunter22-hunter22")]);
    cx.secrets.get("token").unwrap();
    let command = "echo no hunter22-hunter22 here >&2; exit 3";
    let message = permanent(execute(&sshd.config(), &cx, &step(command, &sshd.target())).await);
    assert!(
        message.contains("exit code 3: no ***token*** here"),
        "{message}"
    );
    let done = execute(
        &sshd.config(),
        &cx,
        &step("echo hunter22-hunter22", &sshd.target()),
    )
    .await;
    assert_eq!(done.unwrap()["stdout"], "***token***\n");
}

#[tokio::test]
async fn a_command_that_a_signal_ended_is_in_doubt() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let message = uncertain(sshd.execute("kill -TERM $$").await);
    assert!(message.contains("ended by signal TERM"), "{message}");
}

#[tokio::test]
async fn output_beyond_the_limit_is_cut_and_said_so() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let mut config = sshd.config();
    config["max_output"] = "1KiB".into();
    let command = "head -c 5000000 /dev/zero | tr '\\0' x; echo e >&2";
    let done = execute(&config, &sshd.context(), &step(command, &sshd.target())).await;
    let done = done.unwrap();
    assert_eq!(done["stdout"], "x".repeat(1024));
    assert_eq!(
        (&done["stderr"], &done["truncated"]),
        (&json!("e\n"), &json!(true))
    );
}

#[tokio::test]
async fn a_command_that_leaves_something_running_still_ends() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let begun = Instant::now();
    let done = sshd.execute("sleep 60 & echo left").await.unwrap();
    assert_eq!(done["stdout"], "left\n");
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn a_command_whose_time_is_over_is_in_doubt() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let module = action("ssh", sshd.config(), &sshd.context()).unwrap();
    let mut late = call("execute", &step("sleep 20", &sshd.target()));
    late.timeout = Duration::from_secs(2);
    let begun = Instant::now();
    let result = module.invoke(&late).await;
    assert!(begun.elapsed() < late.timeout, "later than told");
    let message = uncertain(result.map(|output| output.read().unwrap()));
    assert!(message.contains("its time was over"), "{message}");
}

#[tokio::test]
async fn a_command_whose_time_is_over_is_killed() {
    let Some(server) = Asking::start("password").await else {
        return;
    };
    let module = action("ssh", server.config(), &server.context()).unwrap();
    let mut late = call("execute", &step("wait", &server.target("right")));
    late.timeout = Duration::from_secs(2);
    let result = module.invoke(&late).await;
    uncertain(result.map(|output| output.read().unwrap()));
    until("the signal to arrive", async || {
        server.output().contains("signal KILL")
    })
    .await;
}

#[tokio::test]
async fn a_host_that_dies_in_mid_command_leaves_it_in_doubt() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    // The shell's parent is the server's process for this connection.
    let work = sshd.execute("kill -KILL $PPID; sleep 20");
    let message = uncertain(soon("the loss to be seen", work).await);
    assert!(message.contains("the connection was lost"), "{message}");
}

#[tokio::test]
async fn a_host_that_runs_no_commands_is_a_plain_failure() {
    let Some(sshd) = Sshd::start("MaxSessions 0").await else {
        return;
    };
    let message = permanent(sshd.execute("id").await);
    assert!(message.contains("opened no channel"), "{message}");
}
