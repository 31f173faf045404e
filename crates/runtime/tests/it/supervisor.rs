//! Stop order, panics, stragglers, restarts; on paused time.

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use conche_runtime::supervisor::{
    Backoff, Cause, Grace, OnFailure, Stage, Stop, Straggler, Supervisor, ticker,
};
use tokio::{sync::mpsc, time::Instant};

const GRACE: Grace = Grace {
    per_stage: Duration::from_secs(5),
    total: Duration::from_secs(8),
};

async fn panics(message: &str) -> Result<(), Infallible> {
    tokio::task::yield_now().await;
    panic!("{message}")
}

#[tokio::test(start_paused = true)]
async fn stages_stop_one_after_the_other() {
    let supervisor = Supervisor::new();
    let tasks = supervisor.tasks();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for stage in Stage::ORDER.into_iter().rev() {
        let seen = Arc::clone(&seen);
        tasks.spawn(stage.to_string(), stage, OnFailure::Shutdown, move |stop| {
            let seen = Arc::clone(&seen);
            async move {
                stop.requested().await;
                // A later stage that was told to stop as well would come first.
                tokio::time::sleep(Duration::from_secs(1)).await; // paused clock
                seen.lock().unwrap().push(stage);
                Ok::<_, Infallible>(())
            }
        });
    }
    assert_eq!(tasks.alive(), 5);
    let report = supervisor.shutdown(GRACE).await;
    assert_eq!(*seen.lock().unwrap(), Stage::ORDER);
    assert_eq!(report.stopped, 5);
    assert_eq!(report.stragglers, []);
    assert_eq!(tasks.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_stop_is_aborted_and_named_within_the_bounds() {
    let supervisor = Supervisor::new();
    let tasks = supervisor.tasks();
    for stage in [Stage::Sources, Stage::Api, Stage::Store] {
        tasks.detach(format!("deaf {stage}"), stage, pending());
    }
    let began = Instant::now();
    let report = supervisor.shutdown(GRACE).await;
    let named: Vec<_> = [Stage::Sources, Stage::Api, Stage::Store]
        .map(|stage| Straggler {
            stage,
            task: format!("deaf {stage}"),
        })
        .into();
    assert_eq!(report.stragglers, named);
    assert_eq!(report.stopped, 0);
    assert_eq!(tasks.alive(), 0, "aborted tasks are gone");
    assert!(began.elapsed() < GRACE.total + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_that_tasks_failure_and_ends_the_process_only_if_asked() {
    let supervisor = Supervisor::new();
    let tasks = supervisor.tasks();
    tasks.detach("loud connection", Stage::Api, async {
        panic!("of a connection")
    });
    tasks.spawn("logged", Stage::Intake, OnFailure::Log, |_| {
        panics("of a task")
    });
    tasks.spawn("vital", Stage::Store, OnFailure::Shutdown, |_| async {
        tokio::time::sleep(Duration::from_secs(1)).await; // paused clock
        Err::<(), _>("the disk is gone")
    });
    let failure = supervisor.failed().await;
    assert_eq!(failure.task, "vital");
    assert_eq!(failure.stage, Stage::Store);
    assert_eq!(failure.cause, Cause::Error("the disk is gone".to_owned()));
    assert_eq!(supervisor.failed().await, failure, "it stays known");
    assert_eq!(tasks.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_vital_task_is_reported_with_its_message() {
    let supervisor = Supervisor::new();
    supervisor
        .tasks()
        .spawn("vital", Stage::Executor, OnFailure::Shutdown, |_| {
            panics("number 7")
        });
    let failure = supervisor.failed().await;
    assert_eq!(failure.cause, Cause::Panic("number 7".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn restarts_wait_longer_each_time_and_start_over_after_a_healthy_run() {
    let supervisor = Supervisor::new();
    let backoff = Backoff {
        first: Duration::from_secs(1),
        most: Duration::from_secs(4),
    };
    let (starts, mut seen) = mpsc::unbounded_channel();
    let mut runs = 0;
    supervisor.tasks().spawn(
        "flaky",
        Stage::Sources,
        OnFailure::Restart(backoff),
        move |_| {
            starts.send(Instant::now()).unwrap();
            runs += 1;
            let healthy = runs == 5;
            async move {
                if healthy {
                    tokio::time::sleep(Duration::from_secs(10)).await; // paused clock
                }
                Err::<(), _>("again")
            }
        },
    );
    let mut last = seen.recv().await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..6 {
        let start = seen.recv().await.unwrap();
        waits.push(start.duration_since(last).as_secs());
        last = start;
    }
    // 10 s of healthy run and 1 s of delay before the sixth start.
    assert_eq!(waits, [1, 2, 4, 4, 11, 2]);
    let report = supervisor.shutdown(GRACE).await;
    assert_eq!((report.stopped, report.stragglers.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_in_a_stage_that_is_stopped() {
    let supervisor = Supervisor::new();
    let tasks = supervisor.tasks();
    supervisor.shutdown(GRACE).await;
    let (sender, mut receiver) = mpsc::unbounded_channel::<()>();
    tasks.detach("late", Stage::Api, async move { sender.send(()).unwrap() });
    assert_eq!(receiver.recv().await, None, "the work was dropped, not run");
    assert_eq!(tasks.alive(), 0);
    assert!(tasks.stop(Stage::Api).is_requested());
}

#[tokio::test(start_paused = true)]
async fn a_ticker_ticks_at_once_and_by_its_period_until_it_is_stopped() {
    let stop = Stop::new();
    let began = Instant::now();
    let mut ticks = Vec::new();
    let asker = stop.clone();
    ticker(Duration::from_secs(10), &stop, || {
        ticks.push(began.elapsed().as_secs());
        if ticks.len() == 3 {
            asker.request();
        }
        async {}
    })
    .await;
    assert_eq!(ticks, [0, 10, 20]);
}
