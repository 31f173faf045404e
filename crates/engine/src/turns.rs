//! Turns of playbooks of which only so many runs are under way at once: from their first step
//! to their end, in the order in which they were started.
//!
//! Who has begun is known from the store; a process that starts asks it before it drives any
//! run. Runs that wait are parked in the store and ask again; nothing here is truth.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use conche_core::RunId;
use conche_core::run::{Entry, Status};
use conche_store::{Error, Page, RunFilter, RunRow, Store};

/// Runs that are looked at in one piece at the start.
const PIECE: u32 = 500;

/// How many runs of a playbook may be under way at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AtOnce {
    /// Of each playbook; 0 for any number.
    pub runs_per_playbook: u32,
    /// Of these playbooks, by identifier; 0 for any number.
    pub playbooks: BTreeMap<String, u32>,
}

impl AtOnce {
    /// The number for a playbook; none where any may.
    fn of(&self, playbook: &str) -> Option<usize> {
        let own = self.playbooks.get(playbook).copied();
        let limit = own.unwrap_or(self.runs_per_playbook);
        (limit > 0).then_some(limit as usize)
    }

    fn is_none(&self) -> bool {
        self.runs_per_playbook == 0 && self.playbooks.values().all(|limit| *limit == 0)
    }
}

pub(crate) struct Turns {
    limits: AtOnce,
    lines: Mutex<HashMap<String, Line>>,
}

/// The runs of one playbook.
#[derive(Default)]
struct Line {
    begun: BTreeSet<RunId>,
    /// In the order in which they were started, as their ids are.
    waiting: BTreeSet<RunId>,
}

impl Turns {
    /// Reads who has begun and who waits.
    pub(crate) async fn load(limits: AtOnce, store: &dyn Store) -> Result<Self, Error> {
        let mut lines: HashMap<String, Line> = HashMap::new();
        let open = Status::ALL
            .into_iter()
            .filter(|status| !status.is_finished());
        for status in open.filter(|_| !limits.is_none()) {
            let mut before = None;
            loop {
                let filter = RunFilter {
                    status: Some(status),
                    ..RunFilter::default()
                };
                let limit = PIECE;
                let rows = store.runs(filter, Page { before, limit }).await?;
                before = rows.last().map(|row| row.run);
                let counted = rows
                    .iter()
                    .filter(|row| limits.of(&row.name).is_some() && !row.is_put_aside());
                for row in counted {
                    let has_begun = has_begun(store, row).await?;
                    let line = lines.entry(row.name.clone()).or_default();
                    let runs = if has_begun {
                        &mut line.begun
                    } else {
                        &mut line.waiting
                    };
                    runs.insert(row.run);
                }
                if rows.len() < PIECE as usize {
                    break;
                }
            }
        }
        Ok(Self {
            limits,
            lines: Mutex::new(lines),
        })
    }

    /// Whether a run may begin or go on; else how many have to end before it may, itself
    /// counted.
    pub(crate) fn take(&self, playbook: &str, run: RunId) -> Result<(), usize> {
        let Some(limit) = self.limits.of(playbook) else {
            return Ok(());
        };
        let mut lines = self.lock();
        let line = lines.entry(playbook.to_owned()).or_default();
        if line.begun.contains(&run) {
            return Ok(());
        }
        line.waiting.insert(run);
        let place = line.begun.len() + line.waiting.range(..run).count();
        if place >= limit {
            return Err(place - limit + 1);
        }
        line.waiting.remove(&run);
        line.begun.insert(run);
        Ok(())
    }

    /// A run is over, or out of circulation.
    pub(crate) fn leave(&self, playbook: &str, run: RunId) {
        let mut lines = self.lock();
        if let Some(line) = lines.get_mut(playbook) {
            line.begun.remove(&run);
            line.waiting.remove(&run);
            if line.begun.is_empty() && line.waiting.is_empty() {
                lines.remove(playbook);
            }
        }
    }

    /// As [`Self::leave`], of whatever playbook.
    pub(crate) fn leave_any(&self, run: RunId) {
        for line in self.lock().values_mut() {
            line.begun.remove(&run);
            line.waiting.remove(&run);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a run came to a step. One whose journal cannot be read counts as begun.
async fn has_begun(store: &dyn Store, row: &RunRow) -> Result<bool, Error> {
    // The first record says only that it was started.
    if row.version < 2 {
        return Ok(false);
    }
    match store.journal(row.run, 1).await {
        Ok(journal) => Ok(journal
            .records
            .iter()
            .any(|record| matches!(record.entry, Entry::Entered { .. }))),
        Err(Error::Corrupt { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use conche_store::memory::MemoryStore;

    use super::*;

    fn run(number: u128) -> RunId {
        RunId::new(uuid::Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn runs_begin_in_the_order_in_which_they_were_started() {
        let limits = AtOnce {
            runs_per_playbook: 1,
            playbooks: BTreeMap::from([("free".to_owned(), 0), ("two".to_owned(), 2)]),
        };
        let turns = Turns::load(limits, &MemoryStore::new()).await.unwrap();
        assert_eq!(turns.take("p", run(1)), Ok(()));
        assert_eq!(turns.take("p", run(3)), Err(1));
        assert_eq!(turns.take("p", run(2)), Err(1));
        turns.leave("p", run(1));
        assert_eq!(turns.take("p", run(3)), Err(1), "another is before it");
        assert_eq!(turns.take("p", run(2)), Ok(()));
        assert_eq!(turns.take("p", run(2)), Ok(()), "it goes on");
        assert_eq!(turns.take("two", run(4)), Ok(()));
        assert_eq!(turns.take("two", run(5)), Ok(()));
        assert_eq!(turns.take("two", run(6)), Err(1));
        for number in 10..20 {
            assert_eq!(turns.take("free", run(number)), Ok(()));
        }
    }
}
