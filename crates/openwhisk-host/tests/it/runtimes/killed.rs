//! A host that is killed leaves no functions behind.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::rig::{NODE, is_alive, rig, text, until};
use conche_openwhisk_host::runtimes::Runtimes as _;

/// Set for the test below when it is the host that is to be killed.
const PLAYS_HOST: &str = "CONCHE_TEST_PLAYS_HOST";

/// Not a test by itself: the host of the next one, in a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn host_with_a_function_that_never_ends() {
    if std::env::var_os(PLAYS_HOST).is_none() {
        return;
    }
    let Some(rig) = rig(NODE).await else {
        return println!("no node");
    };
    let ready = "const main = () => ({ pid: process.pid })";
    let idle = rig.run(super::rig::named("idle", text(NODE, ready))).await;
    println!("idle {}", idle.result["pid"]);
    let busy = "function main() { require('child_process').spawn('sleep', ['600']); for (;;); }";
    let call = rig.run(text(NODE, busy));
    tokio::pin!(call);
    let grandchild = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.find(|&pid| parent(pid).and_then(parent) == Some(std::process::id()))
    };
    loop {
        tokio::select! {
            _ = &mut call => unreachable!("it never ends"),
            () = tokio::time::sleep(std::time::Duration::from_millis(5)) => {} // poll
        }
        if let Some(pid) = grandchild() {
            println!("busy {}", parent(pid).unwrap());
            println!("child {pid}");
            break;
        }
    }
    call.await;
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_leaves_no_functions_nor_what_they_have_started() {
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args([
            "runtimes::killed::host_with_a_function_that_never_ends",
            "--exact",
            "--nocapture",
        ])
        .env(PLAYS_HOST, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pids = Vec::new();
    for line in BufReader::new(host.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "no node" {
            host.wait().unwrap();
            return println!("skipped: no node");
        }
        if let Some((word @ ("idle" | "busy" | "child"), pid)) = line.split_once(' ') {
            pids.push(pid.parse::<u32>().unwrap());
            if word == "child" {
                break;
            }
        }
    }
    assert!(
        pids.len() == 3 && pids.iter().all(|&pid| is_alive(pid)),
        "{pids:?}"
    );
    host.kill().unwrap();
    host.wait().unwrap();
    until("the end of the functions", || {
        !pids.iter().any(|&pid| is_alive(pid))
    })
    .await;
}
