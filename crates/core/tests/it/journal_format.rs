//! The stored form of journals. Runs outlive the version that started them: what one version
//! wrote, every later one reads, and reads the same.
//!
//! A sample of a format that was released is never to be changed, only joined by one of a later
//! format.

use std::collections::BTreeSet;
use std::fmt::Debug;

use conche_core::json::Limits;
use conche_core::run::{
    Entry, ErrorKind, JOURNAL_FORMAT, Outcome, Record, Repeat, Resolution, RunState, Status,
    Verdict, VisitState,
};
use conche_core::{Event, EventId, Json, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::shell::{RUN, stored};

const SAMPLE: &str = include_str!("samples/journal-v1.json");

/// Format 2 is format 1 and *restored*.
const SAMPLE_2: &str = include_str!("samples/journal-v2.json");

/// Format 3 is format 2 and what playbooks need: scopes, times of containers, *asked*, *answered*.
const SAMPLE_3: &str = include_str!("samples/journal-v3.json");

/// Format 4 is format 3 and what people have a run do, and who they are: *paused*, *unpaused*,
/// approvals.
const SAMPLE_4: &str = include_str!("samples/journal-v4.json");

/// Every kind of entry. The compiler asks for an arm when one is added, and the test below for
/// a line in the sample.
const fn ordinal(entry: &Entry) -> usize {
    match entry {
        Entry::Started(_) => 0,
        Entry::Entered { .. } => 1,
        Entry::Evaluated { .. } => 2,
        Entry::Opened { .. } => 3,
        Entry::Closed { .. } => 4,
        Entry::Delayed { .. } => 5,
        Entry::Elapsed { .. } => 6,
        Entry::Intended { .. } => 7,
        Entry::Succeeded { .. } => 8,
        Entry::Failed { .. } => 9,
        Entry::Interrupted { .. } => 10,
        Entry::AttentionNeeded { .. } => 11,
        Entry::Resumed { .. } => 12,
        Entry::CancelRequested { .. } => 13,
        Entry::Finished { .. } => 14,
        Entry::Reopened { .. } => 15,
        Entry::Restored { .. } => 16,
        Entry::Asked { .. } => 17,
        Entry::Answered { .. } => 18,
        Entry::Found { .. } => 19,
        Entry::Paused { .. } => 20,
        Entry::Unpaused { .. } => 21,
    }
}

fn lines(sample: &str) -> Vec<Box<RawValue>> {
    serde_json::from_str(sample).expect("an array of records")
}

fn records() -> Vec<Record> {
    records_of(SAMPLE)
}

fn records_of(sample: &str) -> Vec<Record> {
    lines(sample)
        .iter()
        .map(|line| serde_json::from_str(line.get()).expect("a record"))
        .collect()
}

#[test]
fn the_sample_is_of_the_format_that_is_written() {
    assert_eq!(JOURNAL_FORMAT, 4, "add a sample of the new format");
}

#[test]
fn every_record_of_the_sample_is_written_again_byte_for_byte() {
    for sample in [SAMPLE, SAMPLE_2, SAMPLE_3, SAMPLE_4] {
        for (line, record) in lines(sample).iter().zip(records_of(sample)) {
            assert_eq!(stored(&record), line.get());
        }
    }
}

#[test]
fn the_samples_hold_every_kind_of_entry() {
    let kinds: BTreeSet<usize> = [SAMPLE, SAMPLE_2, SAMPLE_3, SAMPLE_4]
        .iter()
        .flat_map(|sample| records_of(sample))
        .map(|record| ordinal(&record.entry))
        .collect();
    assert_eq!(kinds, (0..22).collect());
}

#[test]
fn the_sample_of_format_2_folds_to_a_run_that_needs_attention() {
    let state = RunState::fold(RUN, records_of(SAMPLE_2)).expect("a legal journal");
    let summary = state.summary();
    assert_eq!(summary.status, Status::NeedsAttention);
    assert_eq!(state.visits()[1].attempts, 1);
    assert_eq!(state.copied_at(), "2026-01-02T02:00:00Z".parse().ok());
}

#[test]
fn the_sample_of_format_3_folds_to_a_playbook_that_asks() {
    let state = RunState::fold(RUN, records_of(SAMPLE_3)).expect("a legal journal");
    let summary = state.summary();
    assert_eq!(summary.status, Status::AwaitingAnswer);
    assert_eq!(summary.reason.as_deref(), Some("Block 192.0.2.7?"));
    let variables = serde_json::to_value(state.declared()).expect("JSON");
    assert_eq!(variables["__ip__"]["value"], "192.0.2.7");
    assert_eq!(variables["__done__"]["value"], "true", "answered within");
    assert_eq!(variables.get("__inner__"), None, "of the step only");
}

#[test]
fn the_sample_of_format_4_folds_to_a_run_that_is_paused() {
    let state = RunState::fold(RUN, records_of(SAMPLE_4)).expect("a legal journal");
    let summary = state.summary();
    assert_eq!(summary.status, Status::Paused);
    assert_eq!(
        summary.reason.as_deref(),
        Some("paused by ana: a closer look")
    );
    let VisitState::Asked { until, .. } = state.visits()[0].state else {
        panic!("{:?}", state.visits()[0]);
    };
    assert_eq!(state.starters()[0].name, "eve");
    assert_eq!(
        until.to_string(),
        "2026-03-02T02:10:00Z",
        "later by the pause"
    );
}

#[test]
fn the_sample_folds_to_the_state_that_it_always_gave() {
    let state = RunState::fold(RUN, records()).expect("a legal journal");
    let summary = state.summary();
    assert_eq!(summary.status, Status::Cancelled);
    assert_eq!(summary.reason.as_deref(), Some("cancelled by ana: enough"));
    assert_eq!(state.version(), records().len() as u64);
    assert_eq!(state.rerun(), 1);
    assert_eq!(state.variables()["left"].as_str(), "0");
    assert_eq!(state.event().map(Json::as_str), Some("null"));
}

#[test]
fn names_of_entries_are_those_that_are_stored() {
    for record in records() {
        let text = serde_json::to_string(&record.entry).expect("text");
        let start = format!("{{\"{}\":", record.entry.name());
        assert!(text.starts_with(&start), "{text}");
    }
}

#[test]
fn fields_of_a_later_version_are_passed_over() {
    let text = r#"{"at":"2026-01-02T03:04:05Z","node":"n1","entry":{"finished":{"outcome":"failed","took":"3s"}}}"#;
    let record: Record = serde_json::from_str(text).expect("a record");
    let Entry::Finished { outcome, .. } = record.entry else {
        panic!("{record:?}")
    };
    assert_eq!(outcome, Outcome::Failed);
}

#[test]
fn kinds_of_entry_of_a_later_version_are_refused_and_not_passed_over() {
    for text in [
        r#"{"at":"2026-01-02T03:04:05Z","entry":{"teleported":{"visit":0}}}"#,
        r#"{"at":"2026-01-02T03:04:05Z","entry":{"finished":{"outcome":"vanished"}}}"#,
        r#"{"at":"2026-01-02T03:04:05Z","entry":{"elapsed":{"visit":-1}}}"#,
        r#"{"at":"2026-01-02T03:04:05Z","entry":{"elapsed":{"visit":4294967296}}}"#,
        r#"{"entry":{"elapsed":{"visit":0}}}"#,
    ] {
        assert!(serde_json::from_str::<Record>(text).is_err(), "{text}");
    }
}

#[test]
fn payloads_keep_their_exact_text() {
    let text = r#"{"at":"2026-01-02T03:04:05Z","entry":{"succeeded":{"visit":0,"attempt":1,"output":{"b":1.0,  "a":1e2,"b":"\u00e9"}}}}"#;
    let record: Record = serde_json::from_str(text).expect("a record");
    assert_eq!(stored(&record), text);
}

#[test]
fn words_within_entries_stay_what_they_are() {
    let words = |text: String| -> BTreeSet<String> {
        serde_json::from_str(&text).expect("an array of words")
    };
    let kinds = [
        ErrorKind::Transient,
        ErrorKind::Permanent,
        ErrorKind::Script,
        ErrorKind::TimedOut,
        ErrorKind::NoSuchAction,
        ErrorKind::Limit,
        ErrorKind::Quarantined,
        ErrorKind::Operator,
    ];
    let repeats = [
        Repeat::Idempotent,
        Repeat::Keyed,
        Repeat::Probe,
        Repeat::Unsafe,
    ];
    let outcomes = [Outcome::Succeeded, Outcome::Failed, Outcome::Cancelled];
    for (written, expected) in [
        (
            serde_json::to_string(&kinds),
            "limit no_such_action operator permanent quarantined script timed_out transient",
        ),
        (
            serde_json::to_string(&repeats),
            "idempotent keyed probe unsafe",
        ),
        (
            serde_json::to_string(&outcomes),
            "cancelled failed succeeded",
        ),
    ] {
        let found: Vec<String> = words(written.expect("text")).into_iter().collect();
        assert_eq!(found.join(" "), expected);
    }
    for (resolution, text) in [
        (Resolution::Repeat, r#""repeat""#),
        (
            Resolution::Succeeded {
                output: Json::null(),
            },
            r#"{"succeeded":{"output":null}}"#,
        ),
        (
            Resolution::Failed {
                reason: "x".to_owned(),
            },
            r#"{"failed":{"reason":"x"}}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&resolution).expect("text"), text);
        let read: Resolution = serde_json::from_str(text).expect("a resolution");
        assert_eq!(read, resolution);
    }
    assert_eq!(
        serde_json::to_string(&Verdict::Stop).expect("text"),
        r#""stop""#
    );
}

#[test]
fn every_other_stored_type_reads_back_from_text_bytes_and_values() {
    let event = Event {
        event_id: EventId::new(uuid::Uuid::from_u128(1)),
        id: "1".to_owned(),
        source: "s".to_owned(),
        event_type: "t".to_owned(),
        subject: None,
        time: Timestamp::UNIX_EPOCH,
        data: Json::parse(b"{\"b\":1.0,  \"a\":[null]}", Limits::default()).expect("JSON"),
        cause: Some(RUN),
        depth: 1,
    };
    reads_back(&event);
    reads_back(&RunState::fold(RUN, records()).expect("legal").summary());
    for record in records() {
        reads_back(&record);
    }
}

fn reads_back<T>(value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let text = serde_json::to_string(value).expect("it can be written");
    let from_text: T = serde_json::from_str(&text).expect("text");
    let from_bytes: T = serde_json::from_slice(text.as_bytes()).expect("bytes");
    let from_reader: T = serde_json::from_reader(text.as_bytes()).expect("a reader");
    for read in [from_text, from_bytes, from_reader] {
        assert_eq!(&read, value, "{text}");
    }
    // By way of a tree the spacing of payloads is lost, nothing else.
    let tree: serde_json::Value = serde_json::from_str(&text).expect("a tree");
    let from_tree: T = serde_json::from_value(tree.clone()).expect("a value");
    assert_eq!(serde_json::to_value(&from_tree).expect("a tree"), tree);
}
