//! The tasks that are alive, by stage.
//!
//! A task enters before it starts and leaves by a guard that is dropped with
//! its future, so that it is counted exactly as long as it exists: finished,
//! aborted or never polled. The lock is held for a map operation, never across
//! an await, and never while a task starts: a runtime that is shutting down
//! drops the new future, and so its guard, within the call that starts it.

use std::{
    borrow::Cow,
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, task::AbortHandle};

use super::Stage;

#[derive(Debug, Default)]
pub(super) struct Registry([Arc<Slot>; 5]);

#[derive(Debug, Default)]
struct Slot {
    running: Mutex<Running>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Running {
    tasks: HashMap<u64, Entry>,
    next: u64,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    name: Cow<'static, str>,
    /// Absent for the moment between entering and starting.
    abort: Option<AbortHandle>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes its task off the list when the task's future is dropped.
struct Leave {
    slot: Arc<Slot>,
    id: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let left = {
            let mut running = self.slot.lock();
            running.tasks.remove(&self.id);
            running.tasks.len()
        };
        if left == 0 {
            self.slot.changed.notify_waiters();
        }
    }
}

impl Registry {
    /// Starts `work`, or drops it where the stage is already stopped.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that starts tasks"
    )]
    pub(super) fn start<Fut>(&self, name: Cow<'static, str>, stage: Stage, work: Fut)
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        let Some(leave) = self.enter(name, stage) else {
            return;
        };
        let (slot, id) = (Arc::clone(&leave.slot), leave.id);
        let task = tokio::spawn(async move {
            let _leave = leave;
            work.await;
        });
        let mut running = slot.lock();
        if running.closed {
            task.abort();
        } else if let Some(entry) = running.tasks.get_mut(&id) {
            entry.abort = Some(task.abort_handle());
        }
    }

    fn enter(&self, name: Cow<'static, str>, stage: Stage) -> Option<Leave> {
        let slot = &self.0[stage as usize];
        let mut running = slot.lock();
        if running.closed {
            drop(running);
            tracing::debug!(task = %name, %stage, "task not started: its stage is stopped");
            return None;
        }
        let id = running.next;
        running.next += 1;
        running.tasks.insert(id, Entry { name, abort: None });
        Some(Leave {
            slot: Arc::clone(slot),
            id,
        })
    }

    pub(super) fn alive(&self, stage: Stage) -> usize {
        self.0[stage as usize].lock().tasks.len()
    }

    /// Resolves when the stage has no task.
    pub(super) async fn emptied(&self, stage: Stage) {
        let slot = &self.0[stage as usize];
        loop {
            let changed = slot.changed.notified();
            tokio::pin!(changed);
            // Listen before looking, or the last task could leave in between.
            changed.as_mut().enable();
            if slot.lock().tasks.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Lets no task of the stage start any more and aborts those left; says
    /// their names in the order of their start.
    pub(super) fn close_and_abort(&self, stage: Stage) -> Vec<Cow<'static, str>> {
        let mut running = self.0[stage as usize].lock();
        running.closed = true;
        let mut left: Vec<_> = running.tasks.iter().collect();
        left.sort_unstable_by_key(|(id, _)| **id);
        left.into_iter()
            .map(|(_, entry)| {
                if let Some(task) = &entry.abort {
                    task.abort();
                }
                entry.name.clone()
            })
            .collect()
    }
}
