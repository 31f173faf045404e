//! Journals told as spans.

use conche_core::run::{IdempotencyKey, Outcome, Repeat, Status as RunStatus, Summary, Verdict};
use conche_core::{Digest, Json, RunId};
use conche_runtime::secrets::Masker;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use uuid::Uuid;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn row(status: RunStatus) -> RunRow {
    RunRow {
        run: RunId::new(Uuid::from_u128(7)),
        definition: Digest::of(b"r"),
        name: "r".to_owned(),
        event: None,
        started_at: at(1),
        summary: Summary {
            status,
            reason: Some("because hunter22".to_owned()),
            deadline: at(1000),
            finished_at: Some(at(90)),
        },
        version: 0,
        due: None,
        held: false,
    }
}

fn entered(visit: VisitNo, step: &str) -> Entry {
    Entry::Entered {
        visit,
        step: step.into(),
        path: Vec::new(),
        from: None,
    }
}

fn key() -> IdempotencyKey {
    IdempotencyKey::of(
        RunId::new(Uuid::from_u128(7)),
        &"say".into(),
        &Vec::new(),
        0,
        0,
    )
}

fn intended(visit: VisitNo, attempt: u32) -> Entry {
    Entry::Intended {
        visit,
        attempt,
        key: key(),
        module: "mail".to_owned(),
        action: "send".to_owned(),
        input: Json::empty_object(),
        repeat: Repeat::Unsafe,
        deadline: at(1000),
    }
}

fn succeeded(visit: VisitNo, attempt: u32) -> Entry {
    Entry::Succeeded {
        visit,
        attempt,
        output: Json::null(),
        variables: std::collections::BTreeMap::new(),
    }
}

fn failed(visit: VisitNo, kind: ErrorKind, retry_at: Option<i64>) -> Entry {
    Entry::Failed {
        visit,
        attempt: 1,
        error: StepError {
            kind,
            message: "refused hunter22".to_owned(),
        },
        retry_at: retry_at.map(at),
        logs: Vec::new(),
    }
}

fn finished(outcome: Outcome) -> Entry {
    Entry::Finished {
        outcome,
        reason: None,
    }
}

fn evaluated(visit: VisitNo) -> Entry {
    Entry::Evaluated {
        visit,
        verdict: Verdict::Stop,
        event: None,
        logs: Vec::new(),
    }
}

/// The spans of a journal whose first record is of second 10, the next of second 20 and so on.
fn told(row: &RunRow, entries: Vec<Entry>) -> Vec<Span> {
    let masker = Masker::default();
    masker.learn("key", &"hunter22".into());
    let clean = Clean::new(masker);
    let mut spans = RunSpans::new(&clean, row);
    for (second, entry) in (10..).step_by(10).zip(entries) {
        let at = at(second);
        spans.take(Record { at, entry });
    }
    spans.finish()
}

/// A line for each span: its name, from when to when, how it ended.
fn story(spans: &[Span]) -> Vec<String> {
    let text = |span: &Span, key: &str| {
        let found = span
            .attributes
            .iter()
            .find(|attribute| attribute.key == key);
        match found.and_then(|attribute| attribute.value.clone()?.value) {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            _ => String::new(),
        }
    };
    let line = |span: &Span| {
        let second = |nanoseconds: u64| nanoseconds / 1_000_000_000;
        let (from, to) = (
            second(span.start_time_unix_nano),
            second(span.end_time_unix_nano),
        );
        let words = [
            span.name.clone(),
            format!("{from}-{to}"),
            text(span, "conche.attempt"),
            text(span, "conche.outcome"),
            text(span, "error.type"),
            span.status.clone().unwrap_or_default().message,
        ];
        words
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    spans.iter().map(line).collect()
}

#[test]
fn each_attempt_is_a_span_of_its_own_and_its_error_is_masked() {
    let spans = told(
        &row(RunStatus::Succeeded),
        vec![
            entered(0, "say"),
            intended(0, 1),
            failed(0, ErrorKind::TimedOut, Some(45)),
            intended(0, 2),
            succeeded(0, 2),
            finished(Outcome::Succeeded),
        ],
    );
    let expected = [
        "mail.send 20-30 1 timed_out timed_out refused ***key***",
        "mail.send 40-50 2 succeeded",
        "run r 1-90",
    ];
    assert_eq!(story(&spans), expected);
    let run = &spans[2];
    assert!(
        spans[..2]
            .iter()
            .all(|span| span.parent_span_id == run.span_id)
    );
    assert_ne!(spans[0].span_id, spans[1].span_id);
    assert!(
        !format!("{spans:?}").contains(key().as_str()),
        "the key is not told"
    );
}

#[test]
fn a_script_that_is_tried_again_begins_when_it_is_due() {
    let spans = told(
        &row(RunStatus::Failed),
        vec![
            entered(0, "script"),
            failed(0, ErrorKind::Quarantined, Some(25)),
            evaluated(0),
            finished(Outcome::Failed),
        ],
    );
    let expected = [
        "script script 10-20 failed quarantined refused ***key***",
        "script script 25-30 succeeded",
        "run r 1-90 because ***key***",
    ];
    assert_eq!(story(&spans), expected);
}

#[test]
fn what_was_uncertain_stays_so_and_what_was_under_way_at_the_end_was_cancelled() {
    let interrupted = Entry::Interrupted {
        visit: 0,
        attempt: 1,
        evidence: "the process died".to_owned(),
        retry_at: None,
    };
    let spans = told(
        &row(RunStatus::Cancelled),
        vec![
            entered(0, "say"),
            intended(0, 1),
            interrupted,
            // A probe found that it had happened after all.
            succeeded(0, 1),
            entered(1, "other"),
            intended(1, 1),
            Entry::CancelRequested {
                by: "ann".to_owned(),
                reason: None,
            },
            finished(Outcome::Cancelled),
        ],
    );
    let expected = [
        "mail.send 20-30 1 uncertain uncertain the process died",
        "mail.send 60-80 1 cancelled",
        "run r 1-90",
    ];
    assert_eq!(story(&spans), expected);
    assert_eq!(spans[2].events[0].name, "cancel requested");
}

#[test]
fn of_a_reopened_run_only_what_followed_is_told_under_another_id() {
    let first = vec![entered(0, "say"), intended(0, 1), succeeded(0, 1)];
    let first = [first, vec![finished(Outcome::Failed)]].concat();
    let reopened = Entry::Reopened {
        visit: 0,
        by: "ann".to_owned(),
        identity: None,
        deadline: at(1000),
    };
    let then = vec![reopened, intended(0, 2), succeeded(0, 2)];
    let row = row(RunStatus::Succeeded);
    let before = told(&row, first.clone());
    let after = told(&row, [first, then].concat());
    assert_eq!(
        story(&after),
        ["mail.send 60-70 2 succeeded", "run r 50-90"]
    );
    let ids = before.iter().chain(&after).map(|span| &span.span_id);
    assert_eq!(ids.collect::<std::collections::HashSet<_>>().len(), 4);
    assert!(after.iter().all(|span| span.trace_id == before[0].trace_id));
}

#[test]
fn a_run_of_many_steps_is_told_in_part_and_says_so() {
    let steps = (0..SPANS_MAX as u32 + 5).flat_map(|visit| [entered(visit, "s"), evaluated(visit)]);
    let spans = told(&row(RunStatus::Succeeded), steps.collect());
    assert_eq!(spans.len(), SPANS_MAX + 1);
    let run = spans.last().expect("the run");
    assert!(run.attributes.contains(&number("conche.spans_left_out", 5)));
}
