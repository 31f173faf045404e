//! Log lines as log records: a layer beside the one that writes to standard error.
//!
//! Fields become attributes, masked and cut; a line that names its event belongs to the
//! event's trace. What the way out itself logs is not told, or it would have to tell of that
//! too: neither lines of this folder nor those of the HTTP client.

use std::fmt::Debug;

use conche_core::{EventId, RunId, Timestamp};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::clean::{Clean, attribute};
use super::export::Inlet;
use super::spans;

/// Who takes part in sending, and whose lines are therefore not sent.
const NOT_TOLD: [&str; 7] = [
    "conche::telemetry",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "reqwest",
    "rustls",
];

/// Makes log records of log lines.
pub(crate) struct LogLayer {
    inlet: Inlet<LogRecord>,
    clean: Clean,
}

impl LogLayer {
    pub(super) fn new(inlet: Inlet<LogRecord>, clean: Clean) -> Self {
        Self { inlet, clean }
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if is_not_told(metadata.target()) {
            return;
        }
        let mut line = Line::new(&self.clean);
        event.record(&mut line);
        let target = line.logger.take();
        let target = target.as_deref().unwrap_or(metadata.target());
        if is_not_told(target) {
            return;
        }
        let target = self.clean.attribute("target", target);
        let mut record = line.record();
        let (number, text) = severity(*metadata.level());
        let now = spans::nanoseconds(Timestamp::now());
        record.time_unix_nano = now;
        record.observed_time_unix_nano = now;
        record.severity_number = number.into();
        text.clone_into(&mut record.severity_text);
        record.attributes.push(target);
        self.inlet.put(record);
    }
}

fn is_not_told(target: &str) -> bool {
    NOT_TOLD.iter().any(|name| {
        let rest = target.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}

fn severity(level: Level) -> (SeverityNumber, &'static str) {
    match level {
        Level::ERROR => (SeverityNumber::Error, "ERROR"),
        Level::WARN => (SeverityNumber::Warn, "WARN"),
        Level::INFO => (SeverityNumber::Info, "INFO"),
        Level::DEBUG => (SeverityNumber::Debug, "DEBUG"),
        Level::TRACE => (SeverityNumber::Trace, "TRACE"),
    }
}

/// The fields of one line.
struct Line<'a> {
    clean: &'a Clean,
    body: Option<AnyValue>,
    attributes: Vec<KeyValue>,
    event: Option<EventId>,
    run: Option<RunId>,
    /// Who wrote it, for a line that came through the `log` crate.
    logger: Option<String>,
}

impl<'a> Line<'a> {
    fn new(clean: &'a Clean) -> Self {
        Self {
            clean,
            body: None,
            attributes: Vec::new(),
            event: None,
            run: None,
            logger: None,
        }
    }

    fn record(self) -> LogRecord {
        let mut record = LogRecord {
            body: self.body,
            attributes: self.attributes,
            ..LogRecord::default()
        };
        if let Some(event) = self.event {
            record.trace_id = event.uuid().into_bytes().to_vec();
            record.span_id = match self.run {
                Some(run) => spans::run_span_id(run, 0),
                None => spans::event_span_id(event),
            };
        }
        record
    }

    fn text(&mut self, field: &Field, text: &str) {
        let name = match field.name() {
            "message" => {
                self.body = Some(self.clean.value(text));
                return;
            }
            "log.target" => {
                self.logger = Some(text.to_owned());
                return;
            }
            "event_id" => {
                self.event = text.parse().ok();
                "conche.event_id"
            }
            "run_id" => {
                self.run = text.parse().ok();
                "conche.run_id"
            }
            name => name,
        };
        self.attributes.push(self.clean.attribute(name, text));
    }

    fn plain(&mut self, field: &Field, value: Value) {
        self.attributes.push(attribute(field.name(), value));
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, Value::IntValue(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, Value::BoolValue(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.text(field, &value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use conche_runtime::secrets::Masker;
    use prometheus::IntCounter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::export::pair;
    use super::*;

    #[test]
    fn a_line_that_names_its_event_belongs_to_its_trace() {
        let (inlet, mut lines) = pair(IntCounter::new("dropped", "test").expect("a name"));
        let layer = LogLayer::new(inlet, Clean::new(Masker::default()));
        let (event, run) = ("0197aa00-0000-7000-8000-00000000000a", "not a run");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(target: "conche_engine", event_id = %event, run_id = run, tries = 3, "not triggered");
            tracing::info!(target: "hyper::client", "sent");
            tracing::info!(target: "log", { log.target = "rustls::conn" }, "sent");
        });
        let line = lines.try_recv().expect("the first line");
        assert_eq!(line.trace_id[..4], [0x01, 0x97, 0xaa, 0x00]);
        let event = event.parse().expect("an event id");
        assert_eq!(line.span_id, spans::event_span_id(event));
        assert_eq!(line.severity_number, i32::from(SeverityNumber::Warn));
        let body = line.body.expect("a message").value;
        assert_eq!(body, Some(Value::StringValue("not triggered".to_owned())));
        let keys: Vec<_> = line.attributes.iter().map(|pair| &*pair.key).collect();
        assert_eq!(
            keys,
            ["conche.event_id", "conche.run_id", "tries", "target"]
        );
        assert!(lines.try_recv().is_err(), "the client's line is not told");
    }

    #[test]
    fn what_takes_part_in_sending_is_not_told_and_names_alike_are() {
        for target in [
            "hyper",
            "hyper_util::client",
            "conche::telemetry::export",
            "h2::codec",
        ] {
            assert!(is_not_told(target), "{target}");
        }
        for target in ["conche::serve", "conche_engine::drive", "hyperion", "h2o"] {
            assert!(!is_not_told(target), "{target}");
        }
    }
}
