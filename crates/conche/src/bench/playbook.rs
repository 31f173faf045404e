//! D3, D4: what a playbook's step costs beside the request that it makes, every intent and
//! outcome durable, and how long it takes until the run of a playbook of 44 steps is accepted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use conche_core::playbook::Program;
use conche_core::run::Status;
use conche_engine::Start;
use conche_runtime::egress::{Egress, Request};
use conche_store::Catalogue as _;
use conche_store::sqlite::SqliteConfig;

use super::chain::{self, Link};
use super::report::{Row, Words};
use super::stand::Stand;
use super::statistics::{Goal, Latencies, figure, median};
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
    let egress = chain::egress()?;
    let stand = Stand::with(
        SqliteConfig::new(bench.folder("playbook")),
        chain::http_api(&egress)?,
    )
    .await?;
    let address = stand.listen(chain::service()).await?;
    let program = chain::program(&Link::request(address), ACTIONS)?;
    let mut accepted = Latencies::new();
    let windows = bench
        .interleave(
            async |window| steps(&stand, &program, &mut accepted, window).await,
            async |window| requests(&egress, address, window).await,
        )
        .await?;
    let own = windows.of_a(|latencies| latencies.ms(0.5));
    let plain = windows.of_b(|latencies| latencies.ms(0.5));
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
