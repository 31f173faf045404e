//! What differs between spans and log records on their way out.

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// A kind of telemetry.
pub(super) trait Signal: Sized + Send + 'static {
    /// Its name in metrics and log lines.
    const NAME: &'static str;

    /// The body of a request that carries a batch.
    fn request(resource: Resource, batch: Vec<Self>) -> Vec<u8>;

    /// How many of a batch the collector took no notice of, by the body of its answer. One
    /// that is not understood rejects nothing: its status was a good one.
    fn rejected(answer: &[u8]) -> u64;
}

impl Signal for Span {
    const NAME: &'static str = "traces";

    fn request(resource: Resource, spans: Vec<Self>) -> Vec<u8> {
        let scope_spans = vec![ScopeSpans {
            scope: Some(scope()),
            spans,
            ..ScopeSpans::default()
        }];
        let resource_spans = vec![ResourceSpans {
            resource: Some(resource),
            scope_spans,
            ..ResourceSpans::default()
        }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }

    fn rejected(answer: &[u8]) -> u64 {
        let answer = ExportTraceServiceResponse::decode(answer).ok();
        let partial = answer.and_then(|answer| answer.partial_success);
        partial.map_or(0, |partial| partial.rejected_spans.max(0).cast_unsigned())
    }
}

impl Signal for LogRecord {
    const NAME: &'static str = "logs";

    fn request(resource: Resource, log_records: Vec<Self>) -> Vec<u8> {
        let scope_logs = vec![ScopeLogs {
            scope: Some(scope()),
            log_records,
            ..ScopeLogs::default()
        }];
        let resource_logs = vec![ResourceLogs {
            resource: Some(resource),
            scope_logs,
            ..ResourceLogs::default()
        }];
        ExportLogsServiceRequest { resource_logs }.encode_to_vec()
    }

    fn rejected(answer: &[u8]) -> u64 {
        let answer = ExportLogsServiceResponse::decode(answer).ok();
        let partial = answer.and_then(|answer| answer.partial_success);
        partial.map_or(0, |partial| {
            partial.rejected_log_records.max(0).cast_unsigned()
        })
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "conche".to_owned(),
        version: crate::VERSION.to_owned(),
        ..InstrumentationScope::default()
    }
}
