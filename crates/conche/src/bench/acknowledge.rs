//! B1 and B2: POST → 202 after the commit, through the real listener and webhook source.
//!
//! The sender shares the cores with the server, so the absolute figures are below what the
//! server alone could do. The event starts no run: only the way in is measured.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use conche_modules::{BuildContext, sources};
use conche_runtime::clock::SystemClock;
use conche_runtime::egress::{Egress, EgressConfig};
use conche_runtime::secrets::Secrets;
use conche_script::bench::EVENT;
use conche_store::sqlite::SqliteConfig;
use http::StatusCode;

use super::client::Posts;
use super::cpu::{Cpu, Shares};
use super::report::{Row, Words};
use super::stand::Stand;
use super::statistics::{Goal, Rate, Windows, figure};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["B1", "B1-slow", "B2"],
    summary: "POST → 202 after the commit",
    limit: Duration::from_mins(3),
    run: |bench| Box::pin(run(bench)),
};

/// Connections, each with one request under way.
const CONNECTIONS: usize = 256;
/// What a fsync of a slower disk takes longer.
const SLOW_FSYNC: Duration = Duration::from_millis(2);
/// The webhook's path.
const DURABLE: &str = "/durable";
/// The path of an endpoint that only answers.
const NOTHING: &str = "/nothing";

/// A server with one store.
struct Server {
    stand: Stand,
    address: SocketAddr,
}

/// A window's count and who used the processors.
type Window = (Rate, Shares);

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    let grouped = Server::start(SqliteConfig::new(bench.folder("grouped"))).await?;
    let single = Server::start(SqliteConfig {
        batch_max: 1,
        ..SqliteConfig::new(bench.folder("single"))
    })
    .await?;
    let windows = bench
        .interleave(
            async |window| grouped.load(DURABLE, window).await,
            async |window| single.load(DURABLE, window).await,
        )
        .await?;
    rows.push(row_grouped(bench, &windows, "B1", 1.8, Some(8000.0)));
    single.stand.stop().await?;
    let windows = bench
        .interleave(
            async |window| grouped.load(DURABLE, window).await,
            async |window| grouped.load(NOTHING, window).await,
        )
        .await?;
    rows.push(row_durability(bench, &windows));
    grouped.stand.stop().await?;

    let slow = |name: &str, batch_max| SqliteConfig {
        batch_max,
        commit_delay: Some(SLOW_FSYNC),
        ..SqliteConfig::new(bench.folder(name))
    };
    let (grouped, single) = (slow("slow-grouped", 256), slow("slow-single", 1));
    let (grouped, single) = (Server::start(grouped).await?, Server::start(single).await?);
    let windows = bench
        .interleave(
            async |window| grouped.load(DURABLE, window).await,
            async |window| single.load(DURABLE, window).await,
        )
        .await?;
    rows.insert(1, row_grouped(bench, &windows, "B1-slow", 8.0, None));
    grouped.stand.stop().await?;
    single.stand.stop().await?;
    Ok(rows)
}

impl Server {
    async fn start(config: SqliteConfig) -> Result<Self, Error> {
        let stand = Stand::over(config).await?;
        let nothing = Router::new().route(NOTHING, post(async |_body: Bytes| StatusCode::ACCEPTED));
        let address = stand.listen(webhook(&stand)?.merge(nothing)).await?;
        Ok(Self { stand, address })
    }

    /// Posts to a path for a window.
    async fn load(&self, path: &str, window: Duration) -> Result<Window, Error> {
        let posts = Posts::start(self.address, path, EVENT, CONNECTIONS);
        posts.count(window / 4).await;
        let (commits, cpu) = (self.stand.store.stats().commits, Cpu::now());
        let (done, seconds) = posts.count(window).await;
        let commits = self.stand.store.stats().commits - commits;
        let shares = cpu.since();
        posts.end().await?;
        Ok((
            Rate {
                done,
                commits,
                seconds,
            },
            shares,
        ))
    }
}

/// The real webhook source, without a check of the sender.
fn webhook(stand: &Stand) -> Result<Router, Error> {
    let failed = |cause: String| Error::of("the webhook source", cause);
    let egress =
        Egress::new(&EgressConfig::default()).map_err(|cause| failed(cause.to_string()))?;
    let cx = BuildContext {
        decisions: Arc::default(),
        fins: Arc::default(),
        openwhisk: Arc::default(),
        data_dir: None,
        secrets: Arc::new(Secrets::load(BTreeMap::new())),
        egress: Arc::new(egress),
        clock: Arc::new(SystemClock),
        json: conche_core::json::Limits::default(),
    };
    let module = sources::ALL
        .iter()
        .find(|module| module.name == "webhook")
        .ok_or_else(|| failed("it is not compiled in".to_owned()))?;
    let config =
        serde_json::json!({ "path": DURABLE, "event_type": "bench.posted", "auth": "none" });
    let source = (module.build)("bench", config, &cx).map_err(|cause| failed(cause.to_string()))?;
    source
        .routes(stand.engine.intake())
        .ok_or_else(|| failed("it has no routes".to_owned()))
}

fn rate_words(windows: &Windows<Window>, of_a: bool) -> String {
    let middle = |figure: fn(&Rate) -> f64| {
        let spread = if of_a {
            windows.of_a(|(rate, _)| figure(rate))
        } else {
            windows.of_b(|(rate, _)| figure(rate))
        };
        spread.map_or(f64::NAN, |spread| spread.median)
    };
    format!(
        "{} events/s, {} commits/s",
        figure(middle(Rate::done_per_second)),
        figure(middle(Rate::commits_per_second))
    )
}

fn bound(windows: &Windows<Window>) -> String {
    let Some((rate, shares)) = windows.a.last() else {
        return String::new();
    };
    format!(
        "{}; the sender is part of the engine's share",
        shares.bound(rate.done_per_second())
    )
}

fn row_grouped(
    bench: &Bench,
    windows: &Windows<Window>,
    id: &str,
    gate: f64,
    rate: Option<f64>,
) -> Row {
    let ratio = windows.ratios(|(rate, _)| rate.done_per_second());
    let found = windows
        .of_a(|(rate, _)| rate.done_per_second())
        .map_or(f64::NAN, |spread| spread.median);
    let mut goals = vec![Goal::at_least(
        gate,
        "×",
        ratio.map_or(f64::NAN, |ratio| ratio.median),
    )];
    goals.extend(rate.map(|rate| Goal::at_least(rate, "events/s", found)));
    let what = if rate.is_some() {
        "POST → 202 after commit, 2 KiB, 256 connections: group commit vs one event a commit"
    } else {
        "the same on a disk whose fsync takes 2 ms longer"
    };
    let words = Words {
        id,
        what,
        a: format!("group commit: {}", rate_words(windows, true)),
        b: format!("one a commit: {}", rate_words(windows, false)),
        bound: bound(windows),
    };
    bench.row(words, ratio, &goals)
}

fn row_durability(bench: &Bench, windows: &Windows<Window>) -> Row {
    let ratio = windows.ratios(|(rate, _)| rate.done_per_second());
    let goals = [Goal::at_least(
        0.10,
        "×",
        ratio.map_or(f64::NAN, |ratio| ratio.median),
    )];
    let words = Words {
        id: "B2",
        what: "cost of durability: POST → 202 after commit vs an endpoint that does nothing",
        a: format!("durable: {}", rate_words(windows, true)),
        b: format!("nothing: {}", rate_words(windows, false)),
        bound: bound(windows),
    };
    bench.row(words, ratio, &goals)
}
