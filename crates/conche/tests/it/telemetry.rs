//! Traces and logs, as a collector gets them: a small one that stores and decodes what it is
//! sent, one that hangs and one that is not there.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::server::{Server, Site, eventually};

/// A request as it came.
struct Received {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A collector that keeps what it is sent.
struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    /// One that gives the first requests this status, and takes all that follow.
    fn start(refused: usize, status: StatusCode) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let seen = received.clone();
        let left = Arc::new(Mutex::new(refused));
        let router = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let (seen, left) = (seen.clone(), left.clone());
            async move {
                let mut left = left.lock().unwrap();
                if *left > 0 {
                    *left -= 1;
                    return status;
                }
                let path = uri.path().to_owned();
                seen.lock().unwrap().push(Received {
                    path,
                    headers,
                    body,
                });
                StatusCode::OK
            }
        });
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            received,
            _runtime: runtime,
        }
    }

    /// The requests to a path, decoded.
    fn requests<M: prost::Message + Default>(&self, path: &str) -> Vec<M> {
        let received = self.received.lock().unwrap();
        let of_path = received.iter().filter(|request| request.path == path);
        of_path
            .map(|request| M::decode(request.body.clone()).unwrap())
            .collect()
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.requests::<ExportTraceServiceRequest>("/v1/traces");
        let resources = requests
            .into_iter()
            .flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    fn logs(&self) -> Vec<(Resource, LogRecord)> {
        let requests = self.requests::<ExportLogsServiceRequest>("/v1/logs");
        let of_resource = |logs: opentelemetry_proto::tonic::logs::v1::ResourceLogs| {
            let resource = logs.resource.unwrap();
            let records = logs
                .scope_logs
                .into_iter()
                .flat_map(|scope| scope.log_records);
            records
                .map(move |record| (resource.clone(), record))
                .collect::<Vec<_>>()
        };
        let resources = requests
            .into_iter()
            .flat_map(|request| request.resource_logs);
        resources.flat_map(of_resource).collect()
    }

    /// The spans once there are as many.
    fn spans_when(&self, count: usize) -> Vec<Span> {
        eventually(&format!("{count} spans"), || {
            let spans = self.spans();
            (spans.len() >= count).then_some(spans)
        })
    }
}

/// A server whose telemetry goes to this address.
fn start(site: &Site, address: SocketAddr, more: &[(&str, &str)]) -> Server {
    site.start_with(|command| {
        for (name, value) in more {
            command.env(name, value);
        }
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))
    })
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

const SOURCES: &str =
    "sources: [{ id: s, module: webhook, path: /s, event_type: note.made, auth: none }]
reactions: { dir: reactions }
data_dir: data
";

const TWO_ACTIONS: &str = r#"name: note
event: note.made
script: nextAction = "first"; result = {}
actions:
  first: { module: dummy, action: dummy_action, script: "nextAction = 'second'" }
  second: { module: dummy, action: dummy_action }
"#;

#[test]
fn an_event_with_two_actions_is_one_trace_in_order() {
    let collector = Collector::start(0, StatusCode::OK);
    let site = Site::new(SOURCES);
    site.write("reactions/note.yaml", TWO_ACTIONS);
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k%20ey");
    let server = start(&site, collector.address, &[headers]);
    assert_eq!(server.post("/s", "{}"), 202);
    let run = server.run_with("note", "succeeded");
    let spans = collector.spans_when(6);
    assert_eq!(spans.len(), 6, "{spans:#?}");

    let event: String = run["event_id"].as_str().unwrap().replace('-', "");
    let hex = |id: &[u8]| format!("{:032x}", u128::from_be_bytes(id.try_into().unwrap()));
    assert!(
        spans.iter().all(|span| hex(&span.trace_id) == event),
        "{event}"
    );
    let by_name: HashMap<&str, &Span> = spans.iter().map(|span| (&*span.name, span)).collect();
    let (root, run_span) = (by_name["event note.made"], by_name["run note"]);
    assert!(root.parent_span_id.is_empty() && root.span_id.len() == 8);
    assert_eq!(text(&root.attributes, "cloudevents.event_source"), "s");
    assert_eq!(run_span.parent_span_id, root.span_id);
    assert_eq!(
        text(&run_span.attributes, "conche.run_id"),
        run["run_id"].as_str().unwrap()
    );
    assert_eq!(text(&run_span.attributes, "conche.status"), "succeeded");
    let mut steps: Vec<&Span> = spans
        .iter()
        .filter(|span| span.parent_span_id == run_span.span_id)
        .collect();
    steps.sort_by_key(|span| (span.start_time_unix_nano, span.end_time_unix_nano));
    let names: Vec<&str> = steps.iter().map(|span| &*span.name).collect();
    let action = "dummy.dummy_action";
    assert_eq!(
        names,
        ["script script", action, "script first:script", action]
    );
    assert_eq!(text(&steps[1].attributes, "conche.step"), "first");
    assert_eq!(text(&steps[3].attributes, "conche.attempt"), "1");
    assert_eq!(text(&steps[3].attributes, "conche.outcome"), "succeeded");
    // Each begins when the one before it has ended, all within the run, that within the event.
    let mut at = run_span.start_time_unix_nano;
    assert!(root.start_time_unix_nano <= at);
    for step in steps {
        assert!(at <= step.start_time_unix_nano, "{step:#?}");
        at = step.end_time_unix_nano;
        assert!(step.start_time_unix_nano <= at);
    }
    assert!(at <= run_span.end_time_unix_nano);
    assert_eq!(run_span.end_time_unix_nano, root.end_time_unix_nano);
    let received = collector.received.lock().unwrap();
    assert!(
        received
            .iter()
            .all(|request| request.headers["api-key"] == "k ey")
    );
}

#[test]
fn an_event_with_two_runs_has_one_root() {
    let collector = Collector::start(0, StatusCode::OK);
    let site = Site::new(SOURCES);
    site.write("reactions/a.yaml", TWO_ACTIONS);
    let failing = "name: other\nevent: note.made\nscript: throw new Error('no such luck')\n";
    site.write("reactions/b.yaml", failing);
    let server = start(&site, collector.address, &[]);
    assert_eq!(server.post("/s", "{}"), 202);
    server.run_with("other", "failed");
    server.run_with("note", "succeeded");
    // Two runs, four and one below them, one root; whatever else comes with the last ones.
    server.signal("TERM");
    assert!(server.ended().success());
    let spans = collector.spans();
    assert_eq!(spans.len(), 8, "{spans:#?}");
    let roots: Vec<&Span> = spans
        .iter()
        .filter(|span| span.parent_span_id.is_empty())
        .collect();
    assert_eq!(roots.len(), 1);
    assert_eq!(text(&roots[0].attributes, "conche.runs"), "2");
    assert_eq!(
        roots[0].status.as_ref().unwrap().message,
        "1 of its runs failed"
    );
    let thrown = spans
        .iter()
        .find(|span| text(&span.attributes, "conche.outcome") == "failed");
    let thrown = thrown.unwrap();
    assert_eq!(text(&thrown.attributes, "error.type"), "script");
    assert!(
        thrown
            .status
            .as_ref()
            .unwrap()
            .message
            .contains("no such luck")
    );
}

#[test]
fn log_lines_arrive_with_their_run_and_say_who_sent_them() {
    let collector = Collector::start(1, StatusCode::SERVICE_UNAVAILABLE);
    let site = Site::new(SOURCES);
    site.write("reactions/note.yaml", TWO_ACTIONS);
    let name = ("OTEL_SERVICE_NAME", "soc");
    let only_logs = ("OTEL_TRACES_EXPORTER", "none");
    let server = start(&site, collector.address, &[name, only_logs]);
    assert_eq!(server.post("/s", "{}"), 202);
    let run = server.run_with("note", "succeeded");
    let (resource, record) = eventually("a line of the action", || {
        let mut logs = collector.logs().into_iter();
        logs.find(|(_, record)| !text(&record.attributes, "conche.run_id").is_empty())
    });
    assert_eq!(text(&resource.attributes, "service.name"), "soc");
    assert_eq!(
        text(&record.attributes, "conche.run_id"),
        run["run_id"].as_str().unwrap()
    );
    assert_eq!(record.severity_text, "INFO");
    // The first request was refused; nothing of it is lost.
    let body = |record: &LogRecord| record.body.clone().unwrap().value;
    let starting = Some(Value::StringValue("starting".to_owned()));
    assert!(
        collector
            .logs()
            .iter()
            .any(|(_, record)| body(record) == starting)
    );
    assert!(collector.spans().is_empty());
}

#[test]
fn no_secret_arrives_even_where_a_reaction_spells_it_out() {
    const CANARY: &str = "canary-7f3a9c1e5b";
    let collector = Collector::start(0, StatusCode::OK);
    let site = Site::new(&format!(
        "secrets: {{ canary: {{ env: CANARY_VALUE }} }}\n{SOURCES}"
    ));
    site.write(
        "reactions/r.yaml",
        &format!(
            "name: r
event: note.made
script: |
  nextAction = 'say';
  result = {{ message: 'it is {CANARY}' }};
actions:
  say: {{ module: log, action: write, script: \"throw new Error('{CANARY}')\" }}
"
        ),
    );
    let more = [("CANARY_VALUE", CANARY), ("CONCHE_LOG", "trace")];
    let server = start(&site, collector.address, &more);
    assert_eq!(server.post("/s", &format!("{{\"a\":\"{CANARY}\"}}")), 202);
    server.run_with("r", "failed");
    server.signal("TERM");
    assert!(server.ended().success());
    let received = collector.received.lock().unwrap();
    let mut masked = [false, false];
    for request in received.iter() {
        let text = String::from_utf8_lossy(&request.body);
        assert!(!text.contains(CANARY), "{}", request.path);
        masked[usize::from(request.path == "/v1/logs")] |= text.contains("***canary***");
    }
    assert_eq!(masked, [true, true], "both would have shown it");
}

#[test]
fn a_collector_that_hangs_or_is_away_delays_nothing() {
    // Connections are taken by the kernel and answered by nobody.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = (hanging.local_addr().unwrap(), Some(hanging));
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = (gone.local_addr().unwrap(), None);
    drop(gone);
    for (address, _kept) in [hanging, away] {
        let site = Site::new(SOURCES);
        site.write("reactions/note.yaml", TWO_ACTIONS);
        let server = start(&site, address, &[]);
        for _ in 0..50 {
            assert_eq!(server.post("/s", "{}"), 202);
        }
        eventually("50 runs that succeeded", || {
            let arguments = ["runs", "list", "--status", "succeeded", "--limit", "100"];
            let runs = server.ask(&arguments);
            (runs["runs"].as_array()?.len() == 50).then_some(())
        });
        let began = Instant::now();
        server.signal("TERM");
        assert!(server.ended().success());
        // A second is allowed for what is left to be sent.
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
}

#[test]
fn a_protocol_that_is_not_spoken_is_misuse() {
    let site = Site::new("");
    let output = site
        .command(&["serve"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`"),
        "{error}"
    );
}
