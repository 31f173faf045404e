//! The `schedule` source's loop, on a clock that the tests set.

use std::sync::Arc;

use conche_modules::{BuildContext, Source};
use conche_runtime::supervisor::Stop;
use serde_json::{Value, json};

use crate::support::{FakeIntake, Stored, TestClock, context, source};

fn schedule(config: Value, clock: &Arc<TestClock>) -> Arc<dyn Source> {
    let folder = tempfile::tempdir().unwrap();
    let cx = BuildContext {
        clock: clock.clone(),
        ..context(folder.path(), &[])
    };
    source("schedule", config, &cx).unwrap()
}

fn ids(stored: &Stored) -> Vec<&str> {
    stored
        .events
        .iter()
        .map(|(_, event)| event.id.as_deref().unwrap_or_default())
        .collect()
}

/// Runs the source until `work` is done.
async fn during<T>(
    source: &Arc<dyn Source>,
    intake: &Arc<FakeIntake>,
    work: impl Future<Output = T>,
) -> T {
    let stop = Stop::new();
    let running = source.run(intake.clone(), stop.clone());
    let working = async {
        let result = work.await;
        stop.request();
        result
    };
    let (ended, result) = tokio::join!(running, working);
    ended.unwrap();
    result
}

#[tokio::test(start_paused = true)]
async fn each_time_fires_once_with_its_own_id_and_moves_the_cursor() {
    let clock = TestClock::at("2026-01-01T10:00:01Z");
    let source = schedule(json!({ "every": "30s", "event_type": "t" }), &clock);
    let intake = FakeIntake::new();
    let stored = during(
        &source,
        &intake,
        intake.until(|stored| stored.events.len() == 3),
    )
    .await;
    assert_eq!(
        ids(&stored),
        [
            "2026-01-01T10:00:30Z",
            "2026-01-01T10:01:00Z",
            "2026-01-01T10:01:30Z"
        ]
    );
    assert_eq!(stored.cursors["s"], "2026-01-01T10:01:30Z");
    let event = &stored.events[0].1;
    assert_eq!(event.event_type, "t");
    let data: Value = event.data.read().unwrap();
    assert_eq!(
        (&data["scheduled_at"], &data["missed"]),
        (&json!("2026-01-01T10:00:30Z"), &json!(0))
    );
    assert!(
        data["fired_at"]
            .as_str()
            .unwrap()
            .starts_with("2026-01-01T10:00:30"),
        "{data}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_start_leaves_a_cursor_so_that_the_next_start_knows_what_was_missed() {
    let clock = TestClock::at("2026-01-01T10:00:00Z");
    let source = schedule(json!({ "cron": "0 * * * *" }), &clock);
    let intake = FakeIntake::new();
    during(
        &source,
        &intake,
        intake.until(|stored| stored.cursors.contains_key("s")),
    )
    .await;
    assert!(intake.stored().events.is_empty());
    clock.set("2026-01-01T13:30:00Z");
    let stored = during(
        &source,
        &intake,
        intake.until(|stored| !stored.events.is_empty()),
    )
    .await;
    assert_eq!(ids(&stored), ["2026-01-01T13:00:00Z"]);
    let data: Value = stored.events[0].1.data.read().unwrap();
    assert_eq!(data["missed"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_ahead_is_noticed_long_before_the_awaited_time() {
    let clock = TestClock::at("2026-01-01T10:00:00Z");
    let source = schedule(json!({ "cron": "0 12 * * *", "missed": "all" }), &clock);
    let intake = FakeIntake::new();
    let begun = tokio::time::Instant::now();
    let stored = during(&source, &intake, async {
        intake.until(|stored| stored.batches == 1).await;
        clock.set("2026-01-03T12:00:01Z");
        intake.until(|stored| stored.events.len() == 3).await
    })
    .await;
    assert_eq!(
        ids(&stored),
        [
            "2026-01-01T12:00:00Z",
            "2026-01-02T12:00:00Z",
            "2026-01-03T12:00:00Z"
        ]
    );
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    assert_eq!(stored.batches, 2, "all in one transaction");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_fires_nothing_twice() {
    let clock = TestClock::at("2026-01-01T10:00:00Z");
    let source = schedule(json!({ "every": "1m" }), &clock);
    let intake = FakeIntake::new();
    let stored = during(&source, &intake, async {
        intake.until(|stored| stored.events.len() == 2).await;
        clock.set("2026-01-01T10:00:30Z");
        intake.until(|stored| stored.events.len() == 3).await
    })
    .await;
    assert_eq!(
        ids(&stored),
        [
            "2026-01-01T10:01:00Z",
            "2026-01-01T10:02:00Z",
            "2026-01-01T10:03:00Z"
        ]
    );
    assert_eq!(stored.batches, 4, "nothing was even handed over twice");
}

#[tokio::test(start_paused = true)]
async fn a_time_that_was_not_stored_is_fired_by_the_restarted_source() {
    let clock = TestClock::at("2026-01-01T10:00:00Z");
    let source = schedule(json!({ "every": "1m" }), &clock);
    let intake = FakeIntake::new();
    during(
        &source,
        &intake,
        intake.until(|stored| stored.events.len() == 1),
    )
    .await;
    intake.refuse(Some(conche_modules::Refusal::Unavailable(
        "disk full".to_owned(),
    )));
    let failed = source.run(intake.clone(), Stop::new()).await;
    assert!(failed.unwrap_err().to_string().contains("disk full"));
    intake.refuse(None);
    let stored = during(
        &source,
        &intake,
        intake.until(|stored| stored.events.len() == 2),
    )
    .await;
    assert_eq!(
        ids(&stored),
        ["2026-01-01T10:01:00Z", "2026-01-01T10:02:00Z"]
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let table = [
        (json!({}), "exactly one"),
        (json!({ "every": "1m", "cron": "* * * * *" }), "exactly one"),
        (json!({ "every": "1m", "timezone": "UTC" }), "`timezone`"),
        (json!({ "every": "1ms" }), "at least 1s"),
        (json!({ "cron": "* * *" }), "not a cron pattern"),
        (json!({ "cron": "0 0 30 2 *" }), "never fires"),
        (
            json!({ "cron": "* * * * *", "timezone": "Paris" }),
            "no time zone `Paris`",
        ),
        (
            json!({ "cron": "* * * * *", "missed": "some" }),
            "unknown variant",
        ),
    ];
    for (config, expected) in table {
        let refused = source("schedule", config.clone(), &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{config}: {refused}");
    }
}
