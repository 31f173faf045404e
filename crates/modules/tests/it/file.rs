//! `file`: what is written into a folder becomes events, each exactly once.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use conche_modules::{Refusal, Source};
use serde_json::{Value, json};

use crate::running::{Log, Running, data, soon, stored, until};
use crate::support::{FakeIntake, context, source};

fn files(folder: &Path, pattern: &str, more: Value) -> Arc<dyn Source> {
    let mut config = json!({
        "path": folder.join(pattern), "every": "20ms", "settle": "200ms", "event_type": "line",
    });
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    source("file", config, &context(folder, &[])).unwrap()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path);
    file.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
}

/// `{"n":N}` for each of a range.
fn numbers(range: std::ops::Range<u32>) -> Vec<Value> {
    range.map(|n| json!({ "n": n })).collect()
}

fn lines(range: std::ops::Range<u32>) -> String {
    let all = numbers(range);
    all.iter().fold(String::new(), |text, line| {
        text + &line.to_string()
            + "
"
    })
}

#[tokio::test]
async fn lines_are_followed_over_a_restart_a_rename_and_a_truncation() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    let source = files(folder.path(), "app.log", json!({}));
    let intake = FakeIntake::new();
    append(&log, &lines(0..300));
    append(&log, r#"{"n":300"#);
    let running = Running::start(&source, &intake);
    assert_eq!(data(&stored(&intake, 300).await), numbers(0..300));
    append(&log, "}\n");
    stored(&intake, 301).await;
    running.stop().await;

    // Written, rotated by rename and written again while nobody looks.
    append(&log, &lines(301..303));
    std::fs::rename(&log, folder.path().join("app.log.1")).unwrap();
    append(&log, &lines(303..305));
    let running = Running::start(&source, &intake);
    stored(&intake, 305).await;

    // What is written to the old file after that is read too, also when it is deleted at once.
    append(&folder.path().join("app.log.1"), &lines(305..306));
    std::fs::remove_file(folder.path().join("app.log.1")).unwrap();
    stored(&intake, 306).await;

    // Copied and truncated: the same lines again are new lines.
    std::fs::write(&log, "").unwrap();
    let begun_anew = |cursor: &String| cursor.contains(r#""offset":0"#);
    let truncated = intake.until(|stored| stored.cursors.get("s").is_some_and(begun_anew));
    soon("the truncation to be seen", truncated).await;
    append(&log, &lines(303..306));
    let all = stored(&intake, 309).await;
    running.stop().await;
    let mut found = data(&all);
    assert_eq!(found.split_off(306), numbers(303..306));
    found.sort_by_key(|line| line["n"].as_u64());
    assert_eq!(found, numbers(0..306));
    assert_eq!(all.events[0].1.subject.as_deref(), Some("app.log"));
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_while_the_intake_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    let source = files(folder.path(), "*.log", json!({}));
    let intake = FakeIntake::new();
    intake.refuse(Some(Refusal::Unavailable("the disk is full".to_owned())));
    append(&log, &lines(0..5));
    let running = Running::start(&source, &intake);
    append(&log, &lines(5..9));
    running.stop().await;
    assert_eq!(intake.stored().cursors.len(), 0);
    let running = Running::start(&source, &intake);
    intake.refuse(None);
    let all = stored(&intake, 9).await;
    running.stop().await;
    assert_eq!(data(&all), numbers(0..9));
}

#[tokio::test]
async fn lines_that_cannot_be_read_do_not_hold_up_the_next_ones() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.ndjson");
    let more = json!({ "event_bytes": "64B", "invalid_event_type": "line.invalid" });
    let source = files(folder.path(), "*.ndjson", more);
    let intake = FakeIntake::new();
    append(
        &log,
        &format!("no json\n{}\n{}", "x".repeat(5000), lines(0..1)),
    );
    let running = Running::start(&source, &intake);
    let all = stored(&intake, 2).await;
    running.stop().await;
    assert_eq!(all.events[0].1.event_type, "line.invalid");
    assert_eq!(data(&all)[0]["raw_base64"], "bm8ganNvbg==");
    assert_eq!(data(&all)[1], json!({ "n": 0 }));
}

#[tokio::test]
async fn a_whole_json_file_is_one_event_and_is_then_moved() {
    let folder = tempfile::tempdir().unwrap();
    let (inbox, done) = (folder.path().join("in"), folder.path().join("done"));
    for path in [&inbox, &done] {
        std::fs::create_dir(path).unwrap();
    }
    let more = json!({ "on_done": "move", "move_to": done });
    let source = files(&inbox, "*.json", more);
    let intake = FakeIntake::new();
    intake.refuse(Some(Refusal::Unavailable("not now".to_owned())));
    std::fs::write(inbox.join("a.json"), "{\n \"n\": 1\n}").unwrap();
    let running = Running::start(&source, &intake);
    running.stop().await;
    assert!(inbox.join("a.json").exists(), "moved before it was stored");

    intake.refuse(None);
    let running = Running::start(&source, &intake);
    stored(&intake, 1).await;
    until("the move", async || done.join("a.json").exists()).await;
    // A half-written file is waited for, one that stays bad stays, others go on.
    append(&inbox.join("b.json"), "[1,");
    std::fs::write(inbox.join("c.json"), "bad").unwrap();
    std::fs::write(inbox.join("a.json"), "2").unwrap();
    stored(&intake, 2).await;
    append(&inbox.join("b.json"), "2]");
    let all = stored(&intake, 3).await;
    until("all moves", async || {
        std::fs::read_dir(&inbox).unwrap().count() == 1
    })
    .await;
    running.stop().await;
    assert_eq!(data(&all), [json!({ "n": 1 }), json!(2), json!([1, 2])]);
    assert!(inbox.join("c.json").exists());
    assert_eq!(std::fs::read_dir(&done).unwrap().count(), 3);
}

#[tokio::test]
async fn a_file_whose_event_is_refused_stays_and_is_told_by_name_once() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("in");
    std::fs::create_dir(&inbox).unwrap();
    let refused = [
        (
            "big.json",
            format!(r#"{{"id":"b","x":"{}"}}"#, "x".repeat(5000)),
        ),
        ("deep.json", "[".repeat(100) + &"]".repeat(100)),
        ("long.json", format!(r#"{{"id":"{}"}}"#, "i".repeat(3000))),
        ("none.json", r#"{"a":1}"#.to_owned()),
    ];
    for (name, text) in &refused {
        std::fs::write(inbox.join(name), text).unwrap();
    }
    std::fs::write(inbox.join("tab\tname.json"), r#"{"id":"t"}"#).unwrap();
    let more = json!({ "on_done": "delete", "id_from": "/id", "event_bytes": "4KiB" });
    let source = files(&inbox, "*.json", more);
    let intake = FakeIntake::new();
    let log = Log::new();
    for round in 1..3 {
        std::fs::write(inbox.join("good.json"), format!(r#"{{"id":"{round}"}}"#)).unwrap();
        let running = Running::start(&source, &intake);
        until("the good ones to go", async || {
            !inbox.join("good.json").exists() && !inbox.join("tab\tname.json").exists()
        })
        .await;
        running.stop().await;
    }
    assert_eq!(intake.stored().events.len(), 3);
    for (name, _) in &refused {
        assert!(inbox.join(name).exists(), "{name}");
        let told = log.text().matches(&format!("place={name}")).count();
        assert_eq!(told, 1, "{name}: {}", log.text());
    }
}

#[tokio::test]
async fn files_that_start_end_passes_over_are_not_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("in");
    std::fs::create_dir(&inbox).unwrap();
    std::fs::write(inbox.join("a.json"), "1").unwrap();
    let source = files(
        &inbox,
        "*.json",
        json!({ "start": "end", "on_done": "delete" }),
    );
    let intake = FakeIntake::new();
    let running = Running::start(&source, &intake);
    let begun = intake.until(|stored| !stored.cursors.is_empty());
    soon("the first cursor", begun).await;
    std::fs::write(inbox.join("b.json"), "2").unwrap();
    until("b to go", async || !inbox.join("b.json").exists()).await;
    running.stop().await;
    assert!(inbox.join("a.json").exists());
    assert_eq!(data(&intake.stored()), [json!(2)]);
}

#[tokio::test]
async fn kept_files_are_read_once_and_again_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("in");
    std::fs::create_dir(&inbox).unwrap();
    std::fs::write(inbox.join("a.json"), "1").unwrap();
    let source = files(&inbox, "", json!({}));
    let intake = FakeIntake::new();
    for _ in 0..2 {
        let running = Running::start(&source, &intake);
        stored(&intake, 1).await;
        running.stop().await;
    }
    assert_eq!(intake.stored().events.len(), 1);
    std::fs::write(inbox.join("a.json"), "12").unwrap();
    let running = Running::start(&source, &intake);
    let all = stored(&intake, 2).await;
    std::fs::remove_file(inbox.join("a.json")).unwrap();
    let forgotten = |cursor: &String| cursor == r#"{"files":[]}"#;
    soon(
        "the file to be forgotten",
        intake.until(|stored| stored.cursors.get("s").is_some_and(forgotten)),
    )
    .await;
    running.stop().await;
    assert_eq!(data(&all), [json!(1), json!(12)]);
}

#[tokio::test]
async fn with_start_end_only_what_comes_is_read_and_links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("in");
    std::fs::create_dir(&inbox).unwrap();
    append(&inbox.join("a.log"), &lines(0..3));
    let secret = folder.path().join("secret");
    append(&secret, &lines(90..91));
    std::os::unix::fs::symlink(&secret, inbox.join("link.log")).unwrap();
    let source = files(&inbox, "*.log", json!({ "start": "end" }));
    let intake = FakeIntake::new();
    let running = Running::start(&source, &intake);
    soon(
        "the first cursor",
        intake.until(|stored| !stored.cursors.is_empty()),
    )
    .await;
    append(&inbox.join("a.log"), &lines(3..4));
    append(&inbox.join("b.log"), &lines(4..5));
    let all = stored(&intake, 2).await;
    running.stop().await;
    let mut found = data(&all);
    found.sort_by_key(|line| line["n"].as_u64());
    assert_eq!(found, numbers(3..5));
}

#[tokio::test]
async fn whole_files_and_lines_of_one_folder_are_each_read_once_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("in");
    std::fs::create_dir(&inbox).unwrap();
    let source = files(&inbox, "", json!({ "start": "end" }));
    let intake = FakeIntake::new();
    let running = Running::start(&source, &intake);
    let begun = intake.until(|stored| !stored.cursors.is_empty());
    soon("the first cursor", begun).await;
    std::fs::write(inbox.join("a.json"), "[0]").unwrap();
    append(&inbox.join("b.ndjson"), &lines(0..5));
    stored(&intake, 6).await;
    running.stop().await;
    for (name, count) in [("c.json", 7), ("d.json", 8)] {
        // Written while nobody looks, and no first start finds it.
        std::fs::write(inbox.join(name), "[1]").unwrap();
        let running = Running::start(&source, &intake);
        let all = stored(&intake, count).await;
        running.stop().await;
        assert_eq!(all.events.len(), count, "{:?}", data(&all));
    }
}

#[tokio::test]
async fn a_cursor_that_is_lost_loses_no_line_and_doubles_them_once_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("in");
    std::fs::create_dir(&inbox).unwrap();
    std::fs::write(inbox.join("a.json"), "[0]").unwrap();
    append(&inbox.join("b.ndjson"), &lines(0..3));
    let source = files(&inbox, "", json!({}));
    let intake = FakeIntake::new();
    let running = Running::start(&source, &intake);
    stored(&intake, 4).await;
    running.stop().await;
    let at_the_end = files(&inbox, "", json!({ "start": "end" }));
    for (line, count) in [(3, 8), (4, 9)] {
        intake.resume("s", r#"{"files":"gone"}"#);
        append(&inbox.join("b.ndjson"), &lines(line..line + 1));
        let log = Log::new();
        let running = Running::start(&at_the_end, &intake);
        let all = stored(&intake, count).await;
        running.stop().await;
        assert!(log.text().contains("cannot be read"), "{}", log.text());
        let last = data(&all).pop().unwrap();
        assert_eq!((all.events.len(), last), (count, json!({ "n": line })));
    }
}

#[test]
fn file_settings_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    for (config, expected) in [
        (
            json!({ "path": "/x", "event_type": "t", "on_done": "move" }),
            "`move_to`",
        ),
        (json!({ "path": "/x/*/y", "event_type": "t" }), "last part"),
        (json!({ "path": "/x" }), "exactly one"),
        (
            json!({ "path": "/x", "event_type": "t", "every": "1ms" }),
            "`every`",
        ),
        (
            json!({ "path": "/x/*", "event_type": "t", "on_done": "move", "move_to": "/x" }),
            "another folder",
        ),
    ] {
        let refused = source("file", config, &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{refused}");
    }
}
