//! The runs that this node holds, and the slots of definitions that limit how many of
//! their runs are worked on at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use conche_core::RunId;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Runs held now, each with a way to tell its driver that a signal waits.
#[derive(Default)]
pub(crate) struct HeldRuns(Mutex<HashMap<RunId, Arc<Notify>>>);

impl HeldRuns {
    pub(crate) fn enter(&self, run: RunId) -> Arc<Notify> {
        let poke = Arc::new(Notify::new());
        self.lock().insert(run, poke.clone());
        poke
    }

    pub(crate) fn leave(&self, run: RunId) {
        self.lock().remove(&run);
    }

    /// Tells the driver of a run that a signal waits. `false` where this node does not hold it.
    pub(crate) fn poke(&self, run: RunId) -> bool {
        self.lock().get(&run).is_some_and(|poke| {
            poke.notify_one();
            true
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Slots of definitions by name. A definition without a limit of its own has none.
#[derive(Default)]
pub(crate) struct Slots(Mutex<HashMap<String, (u32, Arc<Semaphore>)>>);

impl Slots {
    /// A slot of a definition that allows `limit` runs at once; `Err` when all are taken.
    pub(crate) fn take(
        &self,
        name: &str,
        limit: u32,
    ) -> Result<Option<OwnedSemaphorePermit>, Full> {
        if limit == 0 {
            return Ok(None);
        }
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots
            .entry(name.to_owned())
            .or_insert_with(|| (limit, Arc::new(Semaphore::new(limit as usize))));
        if slot.0 != limit {
            // A new version has another limit; runs of the old one keep the slots they have.
            *slot = (limit, Arc::new(Semaphore::new(limit as usize)));
        }
        slot.1
            .clone()
            .try_acquire_owned()
            .map(Some)
            .map_err(|_| Full)
    }
}

/// All slots are taken.
#[derive(Debug)]
pub(crate) struct Full;
