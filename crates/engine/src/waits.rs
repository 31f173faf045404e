//! For what runs wait that could do something now: a turn, a place at a target, the end of a
//! stop. For people who look; a process that starts finds it out again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use conche_core::RunId;

#[derive(Default)]
pub(crate) struct Waits(Mutex<HashMap<RunId, String>>);

impl Waits {
    pub(crate) fn note(&self, run: RunId, what: String) {
        self.lock().insert(run, what);
    }

    pub(crate) fn clear(&self, run: RunId) {
        self.lock().remove(&run);
    }

    pub(crate) fn of(&self, run: RunId) -> Option<String> {
        self.lock().get(&run).cloned()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
