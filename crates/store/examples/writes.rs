//! How many runs a second the store writes: each an accepted event with its first record,
//! then three appends, as the engine does it. Ours against a naive layout (random keys,
//! 4 KiB pages, one commit a request), in turns within one process, so that the noise of the
//! machine hits both. Commits a second stand beside, since only they are the disk's.
//!
//! `cargo run --release -p conche-store --example writes -- [SECONDS] [CLIENTS] [DELAY_MS]`:
//! length of a window (default 3), concurrent runs (default 256), and time that each commit
//! takes longer, as a slower disk would (default 0).

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use conche_core::run::{Entry, LogLevel, LogLine, Record, Started, Status, Summary, Verdict};
use conche_core::{Digest, Event, EventId, Json, RunId, Timestamp};
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{Acceptance, Append, Error, Intake, NewRun, Next, NodeId, RunStore as _};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Windows of each layout.
const ROUNDS: usize = 3;
/// Bytes of an event's payload: a typical webhook.
const EVENT_BYTES: usize = 2000;
/// Requests for one run: one intake and three appends.
const REQUESTS: f64 = 4.0;

#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Ours,
    Naive,
}

impl Layout {
    fn id(self) -> Uuid {
        match self {
            Self::Ours => Uuid::now_v7(),
            Self::Naive => random(),
        }
    }

    fn config(self, dir: &std::path::Path, delay: Duration) -> SqliteConfig {
        let mut config = SqliteConfig::new(dir);
        config.commit_delay = (delay > Duration::ZERO).then_some(delay);
        if self == Self::Naive {
            config.batch_max = 1;
            config.page_size = 4096;
            config.checkpoint_pages = 1000;
        }
        config
    }
}

/// A UUID whose bytes are spread evenly: a digest of one that is not.
fn random() -> Uuid {
    let digest = Digest::of(Uuid::now_v7().as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    Uuid::from_bytes(bytes)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u64>().ok());
    let mut number = |default| numbers.next().flatten().unwrap_or(default);
    let window = Duration::from_secs(number(3));
    let clients = number(256);
    let delay = Duration::from_millis(number(0));
    let folders = [folder()?, folder()?];
    let mut ratios = Vec::new();
    println!("layout   runs/s  requests/s  commits/s  requests/commit");
    for round in 0..ROUNDS {
        let mut rates = Vec::new();
        for (layout, folder) in [Layout::Ours, Layout::Naive].into_iter().zip(&folders) {
            let dir = folder.path().join(round.to_string());
            let store = Arc::new(SqliteStore::open(&layout.config(&dir, delay))?);
            let begin = Instant::now();
            let runs = drive(&store, layout, clients, begin + window).await?;
            let seconds = begin.elapsed().as_secs_f64();
            let stats = store.stats();
            let (rate, commits) = (runs as f64 / seconds, stats.commits as f64 / seconds);
            println!(
                "{}  {rate:8.0}  {:10.0}  {commits:9.0}  {:15.1}",
                if layout == Layout::Ours {
                    "ours "
                } else {
                    "naive"
                },
                rate * REQUESTS,
                stats.requests as f64 / stats.commits as f64,
            );
            store.close().await?;
            rates.push(rate);
        }
        ratios.push(rates[0] / rates[1]);
    }
    ratios.sort_by(f64::total_cmp);
    println!("ours / naive: {ratios:.1?}");
    Ok(())
}

fn folder() -> Result<tempfile::TempDir, Error> {
    tempfile::tempdir().map_err(|error| Error::Unavailable(error.to_string()))
}

/// Writes runs until a time; how many.
async fn drive(
    store: &Arc<SqliteStore>,
    layout: Layout,
    clients: u64,
    end: Instant,
) -> Result<u64, Error> {
    let body = serde_json::json!({ "text": "x".repeat(EVENT_BYTES) });
    let body = Json::from(&body);
    let node = NodeId(Uuid::now_v7());
    let mut working = JoinSet::new();
    for _ in 0..clients {
        let (store, body) = (Arc::clone(store), body.clone());
        working.spawn(async move {
            let mut runs = 0;
            while Instant::now() < end {
                live(&store, layout, node, &body).await?;
                runs += 1;
            }
            Ok(runs)
        });
    }
    working.join_all().await.into_iter().sum()
}

/// One run from its event to its end.
async fn live(store: &SqliteStore, layout: Layout, node: NodeId, body: &Json) -> Result<(), Error> {
    let now = Timestamp::now();
    let event = event(layout, body, now);
    let new = new_run(layout, &event, now);
    let run = new.run;
    let intake = Intake {
        acceptances: vec![Acceptance {
            event,
            runs: vec![new],
        }],
        cursor: None,
        holder: Some(node),
        now,
    };
    store.accept(intake).await?;
    for expected in 1..=3 {
        let last = expected == 3;
        let append = Append {
            run,
            node,
            epoch: 1,
            expected,
            records: vec![verdict(now)],
            summary: Summary {
                status: if last {
                    Status::Succeeded
                } else {
                    Status::Running
                },
                reason: None,
                deadline: now + Duration::from_hours(1),
                finished_at: last.then_some(now),
            },
            next: if last { Next::Finish } else { Next::Hold },
            emit: Vec::new(),
            signals: Vec::new(),
            now,
        };
        store.append(append).await?;
    }
    Ok(())
}

fn event(layout: Layout, body: &Json, now: Timestamp) -> Event {
    let event_id = EventId::new(layout.id());
    Event {
        event_id,
        id: event_id.to_string(),
        source: "bench".to_owned(),
        event_type: "bench.happened".to_owned(),
        subject: None,
        time: now,
        data: body.clone(),
        cause: None,
        depth: 0,
    }
}

fn new_run(layout: Layout, event: &Event, now: Timestamp) -> NewRun {
    let started = Started {
        definition: Digest::of(b"bench"),
        name: "bench".to_owned(),
        event: Some(event.event_id),
        events: Vec::new(),
        deadline: now + Duration::from_hours(1),
        variables: std::collections::BTreeMap::new(),
        scope: None,
        budget: None,
        by: Vec::new(),
        copied_at: None,
    };
    NewRun {
        run: RunId::new(layout.id()),
        first: Record {
            at: now,
            entry: Entry::Started(started),
        },
        gates: None,
    }
}

/// A record of some 450 bytes.
fn verdict(now: Timestamp) -> Record {
    let data = serde_json::json!({ "to": "soc@example.com", "text": "y".repeat(250) });
    Record {
        at: now,
        entry: Entry::Evaluated {
            visit: 0,
            verdict: Verdict::Next {
                action: "mail".to_owned(),
                data: Json::from(&data),
            },
            event: None,
            logs: vec![LogLine {
                level: LogLevel::Info,
                text: "one line written by the script".to_owned(),
            }],
        },
    }
}
