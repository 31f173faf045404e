//! Who shares a process with whom, who waits, and what becomes of idle ones.

use std::collections::BTreeSet;
use std::future::ready;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::rig::{
    EXEC, NODE, is_alive, named, processes_of, returned, rig, rig_with, settings, settings_for,
    text, until, with,
};
use conche_openwhisk_host::runtimes::{Begin, OutOfRoom, Prewarm, Ran, Run, Runtimes as _};

/// Tells its process and how many calls it has had, after the time it is asked to take.
const COUNT: &str = "#!/bin/bash
while read -r line; do n=$((n + 1)); rest=${line#*'\"sleep\":'}
  sleep \"${rest%%\\}*}\" 2>/dev/null; echo \"{\\\"pid\\\":$$,\\\"n\\\":$n}\" >&3
done";

fn count() -> Run {
    with(json!({ "sleep": 0 }), text(EXEC, COUNT))
}

fn slow(seconds: f64) -> Run {
    with(json!({ "sleep": seconds }), text(EXEC, COUNT))
}

fn n(ran: Ran) -> u64 {
    returned(ran)["n"].as_u64().unwrap()
}

fn pid(ran: &Ran) -> u32 {
    u32::try_from(ran.result["pid"].as_u64().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_serves_one_revision_for_one_namespace_with_one_environment() {
    let rig = rig(EXEC).await.unwrap();
    assert_eq!(n(rig.run(count()).await), 1);
    let mut revised = count();
    revised.action.revision = "2".to_owned();
    assert_eq!(n(rig.run(revised).await), 1);
    let mut foreign = count();
    foreign.envelope.namespace = "other".to_owned();
    assert_eq!(n(rig.run(foreign).await), 1);
    let mut otherwise = count();
    otherwise.env.insert("A".to_owned(), "b".to_owned());
    assert_eq!(n(rig.run(otherwise).await), 1);
    assert_eq!(n(rig.run(count()).await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_the_same_time_have_a_process_each() {
    let rig = rig(EXEC).await.unwrap();
    let all = join_all((0..3).map(|_| rig.run(slow(0.3)))).await;
    let pids: BTreeSet<u32> = all.iter().map(pid).collect();
    assert_eq!(pids.len(), 3, "{all:?}");
    let again = rig.run(count()).await;
    assert!(pids.contains(&pid(&again)) && again.init.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_room_waits_and_is_told_for_how_long() {
    let mut settings = settings();
    settings.processes = 2;
    let rig = rig_with(EXEC, settings).await.unwrap();
    let (first, second) = tokio::join!(rig.run(slow(0.5)), rig.run(slow(0.0)));
    // No action holds the last process, so one of two waited for the other.
    let (early, late) = if first.wait < second.wait {
        (first, second)
    } else {
        (second, first)
    };
    assert!(
        early.init.is_some() && late.init.is_none(),
        "{early:?} {late:?}"
    );
    assert!(
        late.wait >= Duration::from_millis(400),
        "{early:?} {late:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_begins_when_there_is_a_process_for_it_and_not_before() {
    let mut settings = settings();
    settings.processes = 1;
    let rig = rig_with(EXEC, settings).await.unwrap();
    let seen = Mutex::new(Vec::new());
    let see = |what| seen.lock().unwrap().push(what);
    let begin = |what| -> Begin<'_> {
        Box::pin(async move {
            see(what);
            true
        })
    };
    let first = async {
        rig.run_after(slow(0.3), begin("the first begins"))
            .await
            .unwrap();
        see("the first is over");
    };
    let second = rig.run_after(named("other", count()), begin("the second begins"));
    let ((), second) = tokio::join!(first, second);
    assert_eq!(n(second.unwrap()), 1);
    let order = ["the first begins", "the first is over", "the second begins"];
    assert_eq!(*seen.lock().unwrap(), order);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_may_not_begin_does_nothing_and_leaves_its_room() {
    let mut settings = settings();
    settings.processes = 1;
    let rig = rig_with(EXEC, settings).await.unwrap();
    assert_eq!(rig.run_after(count(), Box::pin(ready(false))).await, None);
    assert_eq!(n(rig.run(count()).await), 1);
    assert_eq!(n(rig.run(count()).await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_holds_all_it_may_leaves_room_for_another() {
    let mut settings = settings();
    settings.processes = 2;
    let rig = rig_with(EXEC, settings).await.unwrap();
    let flood = join_all((0..5).map(|_| rig.run(slow(0.4))));
    let other = rig.run(named("other", count()));
    let (flood, other) = tokio::join!(flood, other);
    let longest = flood.iter().map(|ran| ran.wait).max().unwrap();
    assert!(other.wait < longest, "{:?} {longest:?}", other.wait);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_queue_and_actions_beyond_the_memory_are_refused() {
    let mut settings = settings();
    settings.processes = 1;
    settings.waiting = 1;
    settings.memory_mb = 300;
    let rig = rig_with(EXEC, settings).await.unwrap();
    let mut large = count();
    large.limits.memory_mb = 301;
    let refused = |ran: &Ran| {
        ran.result == json!({ "error": "Failed to provision resources to run the action." })
            && ran.class.status() == "whisk internal error"
    };
    assert!(refused(&rig.run(large).await));
    let all = join_all((0..3).map(|_| rig.run(slow(0.3)))).await;
    assert_eq!(all.iter().filter(|ran| refused(ran)).count(), 1, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_process_goes_for_an_action_that_has_none() {
    let mut settings = settings();
    settings.processes = 1;
    let rig = rig_with(EXEC, settings).await.unwrap();
    let first = rig.run(count()).await;
    let second = rig.run(named("other", count())).await;
    assert_eq!(n(second), 1);
    until("the end of the first", || !is_alive(pid(&first))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_work_is_stopped_then_ended() {
    let mut settings = settings();
    settings.pause = Duration::ZERO;
    settings.idle = Duration::from_secs(4);
    let rig = rig_with(EXEC, settings).await.unwrap();
    let first = pid(&rig.run(count()).await);
    let state = move || {
        let stat = std::fs::read_to_string(format!("/proc/{first}/stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next())
    };
    until("the pause", || state() == Some('T')).await;
    assert_eq!(n(rig.run(count()).await), 2, "it goes on where it stopped");
    until("the end", || !is_alive(first)).await;
    assert_eq!(rig.load().idle, 0);
    assert_eq!(n(rig.run(count()).await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_is_forgotten_has_no_process_left_or_kept() {
    let rig = rig(EXEC).await.unwrap();
    let idle = pid(&rig.run(count()).await);
    rig.forget(&count().action);
    until("the end of the idle one", || !is_alive(idle)).await;
    let busy = rig.run(slow(0.5));
    tokio::pin!(busy);
    tokio::select! {
        ran = &mut busy => panic!("too early: {ran:?}"),
        () = until("a process", || rig.users.is_none_or(|users| !processes_of(users).is_empty())) => {
            rig.forget(&count().action);
        }
    }
    let busy = busy.await;
    until("the end of the busy one", || !is_alive(pid(&busy))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_waits_for_any_more_is_ended() {
    let rig = rig(EXEC).await.unwrap();
    let first = pid(&rig.run(count()).await);
    let given_up = tokio::time::timeout(Duration::from_millis(300), rig.run(slow(600.0)));
    assert!(given_up.await.is_err());
    until("its end", || !is_alive(first)).await;
    assert_eq!(n(rig.run(count()).await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_has_died_between_calls_is_replaced() {
    let rig = rig(EXEC).await.unwrap();
    let first = pid(&rig.run(count()).await);
    let killed = nix::unistd::Pid::from_raw(first.cast_signed());
    nix::sys::signal::kill(killed, nix::sys::signal::Signal::SIGKILL).unwrap();
    until("its end", || !is_alive(first)).await;
    let ran = rig.run(count()).await;
    assert!(ran.init.is_some());
    assert_eq!(n(ran), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_dropped_leaves_nothing() {
    let rig = rig(EXEC).await.unwrap();
    let first = pid(&rig.run(count()).await);
    drop(rig);
    until("the end", || !is_alive(first)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_that_was_started_ahead_serves_a_call_and_is_replaced() {
    let Some(rig) = rig(NODE).await else { return };
    let wish = Prewarm {
        kind: NODE.to_owned(),
        memory_mb: 256,
        count: 1,
    };
    rig.prewarm(wish.clone()).unwrap();
    until("a process ahead", || rig.load().idle == 1).await;
    let mut run = text(NODE, "const main = () => ({ a: process.env.A })");
    run.env.insert("A".to_owned(), "b".to_owned());
    let ran = rig.run(run).await;
    assert!(ran.init.is_some(), "it had to learn its action");
    assert_eq!(returned(ran), json!({ "a": "b" }));
    until("another process ahead", || rig.load().idle == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_every_wish_for_processes_ahead_can_be_met() {
    let Some(rig) = rig(NODE).await else { return };
    let wish = |kind: &str, count| Prewarm {
        kind: kind.to_owned(),
        memory_mb: 256,
        count,
    };
    let refused = rig.prewarm(wish(EXEC, 1));
    assert_eq!(refused, Err(OutOfRoom::Kind(EXEC.to_owned())));
    let refused = rig.prewarm(wish(NODE, 4));
    assert_eq!(refused, Err(OutOfRoom::Processes { asked: 4, limit: 3 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_that_can_not_be_used_is_no_kind() {
    let mut settings = settings_for(NODE);
    settings.programs.node = vec!["/bin/false".into(), "/no/such/node".into()];
    assert!(rig_with(NODE, settings).await.is_none());
}
