//! What a trace is: its ids, and the span of the event at its root. Pure: no store, no clock.
//!
//! One trace for each event: its id is the event's, its root the time from the event's
//! acceptance to the end of its last run; below it the runs (`runs.rs`). Ids are digests of
//! what a span stands for, so that the same always has the same and nothing has to be
//! remembered. An event's data is never told.

use conche_core::run::Status as RunStatus;
use conche_core::{Digest, Event, EventId, RunId, Timestamp};
use conche_store::{EventRow, RunRow};
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, status::StatusCode};
use serde::Deserialize;

use super::clean::{Clean, number};

/// W3C's flag "sampled": it is all recorded.
const SAMPLED: u32 = 1;

/// The trace of an event; a run that no event triggered has one of its own.
pub(super) fn trace_id(event: Option<EventId>, run: RunId) -> Vec<u8> {
    event
        .map_or_else(|| run.uuid(), EventId::uuid)
        .into_bytes()
        .to_vec()
}

/// The root span of an event.
pub(super) fn event_span_id(event: EventId) -> Vec<u8> {
    span_id(&format!("event {event}"))
}

/// The span of a run, since it was last reopened.
pub(super) fn run_span_id(run: RunId, reopened: u32) -> Vec<u8> {
    span_id(&format!("run {run} {reopened}"))
}

pub(super) fn span_id(what: &str) -> Vec<u8> {
    Digest::of(what.as_bytes()).as_bytes()[..8].to_vec()
}

/// The root span: an event whose runs are all over.
pub(super) fn of_event(clean: &Clean, row: &EventRow, runs: &[RunRow]) -> Span {
    let event = &row.event;
    let ends = runs.iter().filter_map(|run| run.summary.finished_at);
    let failed = runs
        .iter()
        .filter(|run| run.summary.status == RunStatus::Failed);
    let status = match failed.count() {
        0 => Status::default(),
        failed => error(format!("{failed} of its runs failed")),
    };
    let mut attributes = vec![
        clean.attribute("conche.event_id", &event.event_id.to_string()),
        clean.attribute("cloudevents.event_id", &event.id),
        clean.attribute("cloudevents.event_source", &event.source),
        clean.attribute("cloudevents.event_type", &event.event_type),
        number("conche.runs", u32::try_from(runs.len()).unwrap_or(u32::MAX)),
    ];
    let subject = event.subject.as_deref();
    attributes.extend(subject.map(|subject| clean.attribute("cloudevents.event_subject", subject)));
    Span {
        trace_id: event.event_id.uuid().into_bytes().to_vec(),
        span_id: event_span_id(event.event_id),
        name: clean.text(&format!("event {}", event.event_type)),
        kind: SpanKind::Consumer.into(),
        links: sender_of(event).into_iter().collect(),
        attributes,
        status: Some(status),
        ..lasting(row.received_at, ends.max().unwrap_or(row.received_at))
    }
}

/// The span within which a CloudEvent was sent, where the event was stored with its envelope.
fn sender_of(event: &Event) -> Option<Link> {
    #[derive(Deserialize)]
    struct Envelope {
        #[serde(rename = "specversion")]
        _version: String,
        traceparent: String,
    }
    if !event.data.as_str().contains("\"traceparent\"") {
        return None;
    }
    let envelope: Envelope = event.data.read().ok()?;
    let (trace_id, span_id, flags) = parent(&envelope.traceparent)?;
    Some(Link {
        trace_id,
        span_id,
        flags,
        ..Link::default()
    })
}

/// Reads a W3C `traceparent`: version, trace, span and flags in hexadecimal.
fn parent(text: &str) -> Option<(Vec<u8>, Vec<u8>, u32)> {
    let mut parts = text.split('-').map(hex);
    let (version, trace) = (parts.next()??, parts.next()??);
    let (span, flags) = (parts.next()??, parts.next()??);
    let known = version.len() == 1 && version[0] != 0xff && flags.len() == 1;
    let named = |id: &[u8], length| id.len() == length && id.iter().any(|byte| *byte != 0);
    let whole = version != [0] || parts.next().is_none();
    (known && named(&trace, 16) && named(&span, 8) && whole)
        .then(|| (trace, span, u32::from(flags[0])))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect()
}

/// From when to when; all else is left to be filled in.
pub(super) fn lasting(from: Timestamp, to: Timestamp) -> Span {
    Span {
        start_time_unix_nano: nanoseconds(from),
        end_time_unix_nano: nanoseconds(to.max(from)),
        flags: SAMPLED,
        ..Span::default()
    }
}

/// A time as OTLP has it; the epoch for one before it.
pub(super) fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or(0)
}

/// The status of what failed.
pub(super) fn error(message: String) -> Status {
    Status {
        message,
        code: StatusCode::Error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_by_the_rules_of_w3c() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let span = "b7ad6b7169203331";
        let read = parent(&format!("00-{trace}-{span}-01")).unwrap();
        assert_eq!(read.0[..3], [0x0a, 0xf7, 0x65]);
        assert_eq!((read.1.len(), read.2), (8, 1));
        assert!(parent(&format!("01-{trace}-{span}-00-later")).is_some());
        for wrong in [
            String::new(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}0-{span}-01"),
            format!("00-{trace}-{span}-011"),
        ] {
            assert_eq!(parent(&wrong), None, "{wrong}");
        }
    }
}
