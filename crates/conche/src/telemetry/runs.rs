//! The spans of one run: made of its journal, record after record. Pure.
//!
//! Below the run's own span there is one for each script call and for each attempt at an
//! action; what a person did is a moment on the run's. Of a run that was reopened only what
//! followed is told, as a run of its own: the rest was told before. Inputs, outputs, what a
//! verdict carries and repeat keys are never told, errors are.

use std::collections::HashMap;

use conche_core::run::{Entry, ErrorKind, Record, StepError, VisitNo};
use conche_core::{StepId, Timestamp};
use conche_store::RunRow;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::{Event as Moment, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::clean::{Clean, number};
use super::spans::{error, event_span_id, lasting, nanoseconds, run_span_id, span_id, trace_id};

/// Spans of one run at most; a run may have ten thousand steps.
const SPANS_MAX: usize = 1000;
/// Moments of one run at most.
const MOMENTS_MAX: usize = 100;

/// The spans of a run as far as its journal was read.
pub(super) struct RunSpans<'a> {
    clean: &'a Clean,
    run: &'a RunRow,
    began: Timestamp,
    reopened: u32,
    visits: HashMap<VisitNo, Visit>,
    spans: Vec<Span>,
    moments: Vec<Moment>,
    /// Spans that were not made because there are too many.
    left_out: u32,
}

/// A visit of a step.
struct Visit {
    step: StepId,
    /// Since when there is something to do.
    since: Timestamp,
    attempt: Option<Attempt>,
}

/// An attempt under way.
struct Attempt {
    module: String,
    action: String,
    number: u32,
    began: Timestamp,
}

/// How a script call or an attempt ended.
struct Ending<'a> {
    at: Timestamp,
    outcome: &'static str,
    /// What sort of failure, and why.
    error: Option<(&'a str, &'a str)>,
}

impl<'a> RunSpans<'a> {
    /// Nothing is known yet but what lists show.
    pub(super) fn new(clean: &'a Clean, run: &'a RunRow) -> Self {
        Self {
            clean,
            run,
            began: run.started_at,
            reopened: 0,
            visits: HashMap::new(),
            spans: Vec::new(),
            moments: Vec::new(),
            left_out: 0,
        }
    }

    /// Takes the next record of the journal.
    pub(super) fn take(&mut self, record: Record) {
        let at = record.at;
        let good = Ending {
            at,
            outcome: "succeeded",
            error: None,
        };
        match record.entry {
            Entry::Entered { visit, step, .. } => self.enter(visit, step, at),
            Entry::Evaluated { visit, .. } => self.script(visit, &good),
            Entry::Intended {
                visit,
                attempt: number,
                module,
                action,
                ..
            } => {
                let attempt = Attempt {
                    module,
                    action,
                    number,
                    began: at,
                };
                if let Some(visit) = self.visits.get_mut(&visit) {
                    visit.attempt = Some(attempt);
                }
            }
            Entry::Succeeded { visit, .. } => self.attempt(visit, &good),
            Entry::Failed {
                visit,
                error,
                retry_at,
                ..
            } => self.failed(visit, &error, at, retry_at),
            Entry::Interrupted {
                visit, evidence, ..
            } => {
                let ending = Ending {
                    at,
                    outcome: "uncertain",
                    error: Some(("uncertain", &evidence)),
                };
                self.attempt(visit, &ending);
            }
            Entry::AttentionNeeded { reason, .. } => self.moment(at, "attention needed", &reason),
            Entry::Resumed { by, .. } => self.moment(at, "resumed", &by),
            Entry::Asked { question, .. } => self.moment(at, "asked", &question.text),
            Entry::Answered { by, .. } => self.moment(at, "answered", &by),
            Entry::Paused { by, .. } => self.moment(at, "paused", &by),
            Entry::Unpaused { by } => self.moment(at, "resumed", &by),
            Entry::CancelRequested { by, .. } => self.moment(at, "cancel requested", &by),
            Entry::Restored { copied_at } => self.moment(at, "restored", &copied_at.to_string()),
            Entry::Reopened { visit, .. } => self.reopen(visit, at),
            Entry::Finished { .. } => self.stop(at),
            Entry::Started(_)
            | Entry::Opened { .. }
            | Entry::Closed { .. }
            | Entry::Delayed { .. }
            | Entry::Elapsed { .. }
            | Entry::Found { .. } => {}
        }
    }

    /// Whether the run was over before and is told a second time.
    pub(super) fn is_reopened(&self) -> bool {
        self.reopened > 0
    }

    /// All spans, the run's own last.
    pub(super) fn finish(mut self) -> Vec<Span> {
        let summary = &self.run.summary;
        let mut attributes = vec![
            self.clean
                .attribute("conche.run_id", &self.run.run.to_string()),
            self.clean.attribute("conche.definition", &self.run.name),
            self.clean
                .attribute("conche.definition.digest", &self.run.definition.to_string()),
            self.clean
                .attribute("conche.status", summary.status.as_str()),
        ];
        if self.left_out > 0 {
            attributes.push(number("conche.spans_left_out", self.left_out));
        }
        if self.reopened > 0 {
            attributes.push(number("conche.reopened", self.reopened));
        }
        let reason = summary.reason.as_deref().unwrap_or(summary.status.as_str());
        let status = match summary.status {
            conche_core::run::Status::Failed => error(self.clean.text(reason)),
            _ => Status::default(),
        };
        let parent = self.run.event.map(event_span_id).unwrap_or_default();
        let span = Span {
            trace_id: trace_id(self.run.event, self.run.run),
            span_id: self.own_id(),
            parent_span_id: parent,
            name: self.clean.text(&format!("run {}", self.run.name)),
            kind: SpanKind::Internal.into(),
            attributes,
            events: std::mem::take(&mut self.moments),
            status: Some(status),
            ..lasting(self.began, summary.finished_at.unwrap_or(self.began))
        };
        self.spans.push(span);
        self.spans
    }

    fn own_id(&self) -> Vec<u8> {
        run_span_id(self.run.run, self.reopened)
    }

    fn enter(&mut self, number: VisitNo, step: StepId, at: Timestamp) {
        let visit = Visit {
            step,
            since: at,
            attempt: None,
        };
        self.visits.insert(number, visit);
    }

    fn failed(
        &mut self,
        number: VisitNo,
        error: &StepError,
        at: Timestamp,
        retry_at: Option<Timestamp>,
    ) {
        let ending = Ending {
            at,
            outcome: match error.kind {
                ErrorKind::TimedOut => "timed_out",
                _ => "failed",
            },
            error: Some((error_type(error.kind), &error.message)),
        };
        match self.visits.get(&number) {
            Some(visit) if visit.attempt.is_some() => self.attempt(number, &ending),
            Some(_) => self.script(number, &ending),
            None => {}
        }
        if let Some(visit) = self.visits.get_mut(&number) {
            visit.since = retry_at.unwrap_or(at);
        }
    }

    /// A script call is over.
    fn script(&mut self, number: VisitNo, ending: &Ending<'_>) {
        let Some(visit) = self.visits.get(&number) else {
            return;
        };
        let (name, began) = (format!("script {}", visit.step), visit.since);
        let attributes = vec![self.clean.attribute("conche.step", visit.step.as_str())];
        let span = Span {
            kind: SpanKind::Internal.into(),
            ..lasting(began, ending.at)
        };
        self.push(&name, span, attributes, ending);
    }

    /// An attempt at an action is over. One that was interrupted is over already when it
    /// turns out what became of it.
    fn attempt(&mut self, number: VisitNo, ending: &Ending<'_>) {
        let Some(visit) = self.visits.get_mut(&number) else {
            return;
        };
        let Some(attempt) = visit.attempt.take() else {
            return;
        };
        let name = format!("{}.{}", attempt.module, attempt.action);
        let attributes = vec![
            self.clean.attribute("conche.step", visit.step.as_str()),
            self.clean.attribute("conche.module", &attempt.module),
            self.clean.attribute("conche.action", &attempt.action),
            super::clean::number("conche.attempt", attempt.number),
        ];
        let span = Span {
            kind: SpanKind::Client.into(),
            ..lasting(attempt.began, ending.at)
        };
        self.push(&name, span, attributes, ending);
    }

    fn push(&mut self, name: &str, span: Span, mut attributes: Vec<KeyValue>, ending: &Ending<'_>) {
        if self.spans.len() >= SPANS_MAX {
            self.left_out += 1;
            return;
        }
        attributes.push(self.clean.attribute("conche.outcome", ending.outcome));
        let mut status = Status::default();
        if let Some((kind, message)) = ending.error {
            attributes.push(self.clean.attribute("error.type", kind));
            status = error(self.clean.text(message));
        }
        let nth = self.spans.len();
        self.spans.push(Span {
            trace_id: trace_id(self.run.event, self.run.run),
            span_id: span_id(&format!("run {} {} {nth}", self.run.run, self.reopened)),
            parent_span_id: self.own_id(),
            name: self.clean.text(name),
            attributes,
            status: Some(status),
            ..span
        });
    }

    fn moment(&mut self, at: Timestamp, name: &str, detail: &str) {
        if self.moments.len() < MOMENTS_MAX {
            self.moments.push(Moment {
                time_unix_nano: nanoseconds(at),
                name: name.to_owned(),
                attributes: vec![self.clean.attribute("conche.detail", detail)],
                ..Moment::default()
            });
        }
    }

    /// What was under way when the run ended was stopped.
    fn stop(&mut self, at: Timestamp) {
        let mut under_way: Vec<VisitNo> = self
            .visits
            .iter()
            .filter_map(|(number, visit)| visit.attempt.as_ref().map(|_| *number))
            .collect();
        under_way.sort_unstable();
        for number in under_way {
            let ending = Ending {
                at,
                outcome: "cancelled",
                error: None,
            };
            self.attempt(number, &ending);
        }
    }

    fn reopen(&mut self, number: VisitNo, at: Timestamp) {
        self.began = at;
        self.reopened += 1;
        self.spans.clear();
        self.moments.clear();
        self.left_out = 0;
        if let Some(visit) = self.visits.get_mut(&number) {
            visit.since = at;
        }
    }
}

/// The sort of failure, as the journal has it.
fn error_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Transient => "transient",
        ErrorKind::Permanent => "permanent",
        ErrorKind::Script => "script",
        ErrorKind::TimedOut => "timed_out",
        ErrorKind::NoSuchAction => "no_such_action",
        ErrorKind::Limit => "limit",
        ErrorKind::Quarantined => "quarantined",
        ErrorKind::Operator => "operator",
    }
}

#[cfg(test)]
mod tests;
