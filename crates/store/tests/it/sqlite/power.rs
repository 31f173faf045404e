//! Loss of power: what was not synced is lost or torn, what was acknowledged is there.
//!
//! The model: at each acknowledgement the log on disk is known. Power is lost later, so the
//! log beyond that point holds anything: nothing, a part, other bytes in some sectors. While
//! a checkpoint runs, the database's pages hold anything, but the log is whole.

use std::collections::BTreeSet;
use std::path::Path;

use conche_core::{EventId, RunId};
use conche_store::contract::given::{acceptance, at, intake};
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{Catalogue as _, Error, EventFilter, Page, RunFilter, RunStore as _};

use super::{accept, folder, is_long, open, tell};

const SECTOR: usize = 512;
const PAGE: usize = 8192;

/// Numbers that look random and are the same in every run.
struct Seed(u64);

impl Seed {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    /// Cuts a tail somewhere and fills some of its sectors with nothing or noise.
    fn tear(&mut self, tail: &mut Vec<u8>) {
        let end = self.below(tail.len() + 1);
        tail.truncate(end);
        for sector in tail.chunks_mut(SECTOR) {
            match self.below(4) {
                0 => sector.fill(0),
                1 => sector
                    .iter_mut()
                    .for_each(|byte| *byte = self.below(256) as u8),
                _ => {}
            }
        }
    }
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_default()
}

/// One accepted event, its run, and how long the log was when it was acknowledged.
struct Acknowledged {
    event: EventId,
    run: RunId,
    log: usize,
}

/// Accepts events one after another; the log is never moved into the database.
async fn write(folder: &Path, count: usize) -> (SqliteStore, Vec<Acknowledged>) {
    let mut config = SqliteConfig::new(folder);
    config.checkpoint_pages = u32::MAX;
    let store = open(&config);
    let mut acknowledged = Vec::new();
    for id in 0..count {
        let (event, run) = accept(&store, acceptance("x", &id.to_string(), at(0))).await;
        let log = read(folder, "conche.db-wal").len();
        acknowledged.push(Acknowledged { event, run, log });
    }
    (store, acknowledged)
}

const ALL: Page<EventId> = Page {
    before: None,
    limit: u32::MAX,
};
const EVERY: Page<RunId> = Page {
    before: None,
    limit: u32::MAX,
};

fn ids<R, I: Ord>(rows: Result<Vec<R>, Error>, id: impl Fn(&R) -> I) -> BTreeSet<I> {
    rows.expect("they can be listed").iter().map(id).collect()
}

/// Opens what the disk holds; how many of the events are there, from the first on.
async fn open_and_count(disk: [&[u8]; 2], all: &[Acknowledged]) -> usize {
    let copy = folder();
    for (name, bytes) in ["conche.db", "conche.db-wal"].iter().zip(disk) {
        std::fs::write(copy.path().join(name), bytes).expect("it is written");
    }
    let store = open(&SqliteConfig::new(copy.path()));
    let events = store.events(EventFilter::default(), ALL).await;
    let events: BTreeSet<EventId> = ids(events, |row| row.event.event_id);
    let runs = store.runs(RunFilter::default(), EVERY).await;
    let runs: BTreeSet<RunId> = ids(runs, |row| row.run);
    let there = events.len();
    assert_eq!(runs.len(), there, "an event without its run");
    for (index, item) in all.iter().enumerate() {
        let is_there = events.contains(&item.event);
        assert_eq!(is_there, index < there, "number {index} of {there}");
        assert_eq!(is_there, runs.contains(&item.run), "number {index} is torn");
    }
    if let Some(last) = there.checked_sub(1) {
        let journal = store.journal(all[last].run, 0).await;
        assert_eq!(journal.expect("it has a journal").records.len(), 1);
    }
    let next = store.accept(intake(vec![acceptance("y", "1", at(0))], at(0)));
    assert!(next.await.is_ok(), "it goes on");
    assert_eq!(store.close().await, Ok(()));
    there
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_torn_log() {
    const EVENTS: usize = 40;
    let folder = folder();
    let (store, all) = write(folder.path(), EVENTS).await;
    let database = read(folder.path(), "conche.db");
    let log = read(folder.path(), "conche.db-wal");
    assert!(all.is_sorted_by_key(|item| item.log), "the log only grew");
    let mut lost = 0;
    let seeds = seeds(200);
    for seed in 0..seeds {
        let mut seed = Seed(seed);
        let last = seed.below(EVENTS);
        let synced = all[last].log;
        let mut torn = log[synced..].to_vec();
        seed.tear(&mut torn);
        let torn = [&log[..synced], &torn].concat();
        let there = open_and_count([&database, &torn], &all).await;
        assert!(
            there > last,
            "{there} are there, number {last} was acknowledged"
        );
        lost += usize::from(there < EVENTS);
    }
    assert!(
        lost as u64 > seeds / 2,
        "nothing was ever torn off: the test is blind"
    );
    tell(&format!(
        "torture R2: {seeds} torn logs, nothing acknowledged lost"
    ));
    drop(store);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_torn_checkpoint() {
    const EVENTS: usize = 40;
    let folder = folder();
    let (store, all) = write(folder.path(), EVENTS).await;
    let before = read(folder.path(), "conche.db");
    let log = read(folder.path(), "conche.db-wal");
    assert_eq!(store.close().await, Ok(()));
    let after = read(folder.path(), "conche.db");
    assert_ne!(before, after, "closing moves the log into the database");
    let seeds = seeds(60);
    for seed in 0..seeds {
        let mut seed = Seed(seed);
        let mut torn = before.clone();
        for page in 0..after.len() / PAGE {
            let span = page * PAGE..(page + 1) * PAGE;
            // Written whole, in part or not at all.
            let sectors = seed.below(2) * seed.below(PAGE / SECTOR + 1);
            let written = span.start..span.start + sectors * SECTOR;
            if !written.is_empty() {
                torn.resize(torn.len().max(span.end), 0);
                torn[written.clone()].copy_from_slice(&after[written]);
            }
        }
        let there = open_and_count([&torn, &log], &all).await;
        assert_eq!(there, EVENTS);
    }
    tell(&format!(
        "torture R2: {seeds} torn checkpoints, nothing acknowledged lost"
    ));
}

/// Ten times as many where `CONCHE_TORTURE=long` asks for it.
fn seeds(short: u64) -> u64 {
    if is_long() { short * 10 } else { short }
}
