//! D3, D4: what a playbook's step costs beside the request that it makes, every intent and
//! outcome durable, and how long it takes until the run of a playbook of 44 steps is accepted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use conche_cacao::Document;
use conche_core::playbook::Program;
use conche_core::run::Status;
use conche_engine::Start;
use conche_modules::{BuildContext, actions};
use conche_runtime::clock::SystemClock;
use conche_runtime::egress::{Egress, EgressConfig, Request};
use conche_runtime::secrets::Secrets;
use conche_store::Catalogue as _;
use conche_store::sqlite::SqliteConfig;
use serde_json::{Map, Value, json};

use super::report::{Row, Words};
use super::stand::Stand;
use super::statistics::{Goal, Latencies, Spread, figure};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["D3", "D4"],
    summary: "what a playbook's step costs, and how soon a playbook is accepted",
    limit: Duration::from_mins(2),
    run: |bench| Box::pin(run(bench)),
};

/// Actions of the playbook that is run.
const ACTIONS: usize = 42;
/// A run takes no longer.
const LIMIT: Duration = Duration::from_secs(30);

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let egress = egress()?;
    let stand = Stand::with(
        SqliteConfig::new(bench.folder("playbook")),
        http_api(&egress)?,
    )
    .await?;
    let router = Router::new().route("/", get(|| async { "ok" }));
    let address = stand.listen(router).await?;
    let program = program(address)?;
    let mut accepted = Latencies::new();
    let windows = bench
        .interleave(
            async |window| steps(&stand, &program, &mut accepted, window).await,
            async |window| requests(&egress, address, window).await,
        )
        .await?;
    let own = windows.of_a(|latencies| latencies.ms(0.5));
    let plain = windows.of_b(|latencies| latencies.ms(0.5));
    let median = |spread: Option<Spread>| spread.map_or(f64::NAN, |spread| spread.median);
    let overhead = median(own) - median(plain);
    let step = Words {
        id: "D3",
        what: "a step of a playbook (http-api to loopback, durable) vs the request alone",
        a: format!("{} ms a step", figure(median(own))),
        b: format!("{} ms a request", figure(median(plain))),
        bound: "two commits a step, one after the other".to_owned(),
    };
    let ratio = windows.ratios(|latencies| latencies.ms(0.5));
    let trigger = Words {
        id: "D4",
        what: "a playbook of 44 steps accepted: lowered, and its run durable",
        a: format!(
            "p50 {} ms, p99 {} ms",
            figure(accepted.ms(0.5)),
            figure(accepted.ms(0.99))
        ),
        b: String::new(),
        bound: "one commit".to_owned(),
    };
    Ok(vec![
        bench.row(
            step,
            ratio,
            &[Goal::at_most(1.0, "ms beside the request", overhead)],
        ),
        bench.row(
            trigger,
            None,
            &[Goal::at_most(20.0, "ms", accepted.ms(0.5))],
        ),
    ])
}

fn egress() -> Result<Arc<Egress>, Error> {
    let config: EgressConfig = serde_json::from_value(json!({ "allow": ["127.0.0.0/8"] }))
        .map_err(|cause| Error::of("the client", cause))?;
    let egress = Egress::new(&config);
    egress
        .map(Arc::new)
        .map_err(|cause| Error::of("the client", cause))
}

fn http_api(egress: &Arc<Egress>) -> Result<crate::parts::Actions, Error> {
    let cx = BuildContext {
        decisions: Arc::default(),
        fins: Arc::default(),
        data_dir: None,
        secrets: Arc::new(Secrets::load(BTreeMap::new())),
        egress: egress.clone(),
        clock: Arc::new(SystemClock),
        json: conche_core::json::Limits::default(),
    };
    let module = actions::ALL.iter().find(|module| module.name == "http-api");
    let module = module.ok_or_else(|| Error::of("http-api", "no such module"))?;
    let built = (module.build)(Value::Null, &cx);
    let built = built.map_err(|cause| Error::of("http-api", cause))?;
    Ok(BTreeMap::from([(
        module.name.to_owned(),
        (built, *module, 0),
    )]))
}

/// A playbook of a start, an end and as many requests between them.
fn program(address: SocketAddr) -> Result<Program, Error> {
    let id =
        |kind: &str, number: usize| format!("{kind}--{number:08x}-0000-4000-8000-000000000000");
    let action = |number: usize| id("action", number + 3);
    let (start, end, agent) = (id("start", 1), id("end", 2), id("http-api", 3));
    let mut workflow = Map::new();
    workflow.insert(
        start.clone(),
        json!({"type": "start", "on_completion": action(0)}),
    );
    for number in 0..ACTIONS {
        let next = if number + 1 == ACTIONS {
            end.clone()
        } else {
            action(number + 1)
        };
        let step = json!({
            "type": "action", "agent": agent, "on_completion": next,
            "commands": [{"type": "http-api", "command": "GET / HTTP/1.1"}],
        });
        workflow.insert(action(number), step);
    }
    workflow.insert(end, json!({"type": "end"}));
    let document = json!({
        "type": "playbook", "spec_version": "cacao-2.0", "id": id("playbook", 0), "name": "Bench",
        "created_by": id("identity", 1),
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z",
        "workflow_start": start, "workflow": workflow,
        "agent_definitions": {agent: {
            "type": "http-api", "name": "loopback",
            "address": {"url": [format!("http://{address}")]},
        }},
    });
    Program::new(&Document::of(document), &[]).map_err(|cause| Error::of("the playbook", cause))
}

/// Runs the playbook again and again; the time for each step.
async fn steps(
    stand: &Stand,
    program: &Program,
    accepted: &mut Latencies,
    window: Duration,
) -> Result<Latencies, Error> {
    let (begin, mut steps) = (Instant::now(), Latencies::new());
    let mut changes = stand.engine.tail();
    while steps.len() == 0 || begin.elapsed() < window {
        let start = Instant::now();
        let begun = stand.engine.start_playbook(program, Start::default()).await;
        let begun = begun.map_err(|cause| Error::of("the start", cause))?;
        accepted.record(start.elapsed());
        loop {
            let row = stand.store.run(begun.run).await;
            let status = row
                .map_err(|cause| Error::of("the run", cause))?
                .summary
                .status;
            match status {
                Status::Succeeded => break,
                status if status.is_finished() || start.elapsed() > LIMIT => {
                    return Err(Error::of("the run", status));
                }
                // Woken by every change; none can be missed for long.
                _ => drop(tokio::time::timeout(Duration::from_millis(5), changes.recv()).await),
            }
        }
        steps.record(start.elapsed() / ACTIONS as u32);
    }
    Ok(steps)
}

/// Makes the same request again and again, with the same client.
async fn requests(
    egress: &Egress,
    address: SocketAddr,
    window: Duration,
) -> Result<Latencies, Error> {
    let (begin, mut latencies) = (Instant::now(), Latencies::new());
    while latencies.len() == 0 || begin.elapsed() < window {
        let start = Instant::now();
        let sent = egress
            .request(Request::get(format!("http://{address}/")))
            .await;
        sent.map_err(|cause| Error::of("a request", cause))?;
        latencies.record(start.elapsed());
    }
    Ok(latencies)
}
