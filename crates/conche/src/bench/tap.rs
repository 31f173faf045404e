//! The action that benchmark reactions call: it does nothing but tell that it was called.
//!
//! Declared idempotent, like `dummy`, so that the engine records intents and outcomes for it
//! as for any other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use conche_modules::{Action, ActionModule, ActionSpec, Call, Error, Output};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::statistics::Latencies;

/// The module's name.
pub(crate) const NAME: &str = "bench";

pub(crate) static MODULE: ActionModule = ActionModule {
    name: NAME,
    summary: "Tells that it was called.",
    actions: &[spec("first"), spec("last"), spec("later")],
    config: &any,
    build: &|_config, _cx| Ok(Arc::new(Tap::default())),
};

const fn spec(name: &'static str) -> ActionSpec {
    ActionSpec {
        name,
        summary: "Tells that it was called.",
        input: &any,
        output: &any,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }
}

fn any() -> Value {
    Value::Object(serde_json::Map::new())
}

/// Shared with the benchmark that watches it. Clones are the same tap.
#[derive(Debug, Clone)]
pub(crate) struct Tap(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Room for events under way: a `last` call makes room for one more.
    room: Semaphore,
    schedule: Mutex<Option<Schedule>>,
}

/// When each event was meant to be sent, and how late its first action was called.
#[derive(Debug)]
struct Schedule {
    start: Instant,
    period: Duration,
    latencies: Latencies,
}

/// What benchmark events carry through their scripts.
#[derive(Deserialize)]
struct Input {
    n: u32,
}

impl Default for Tap {
    fn default() -> Self {
        Self(Arc::new(Inner {
            room: Semaphore::new(0),
            schedule: Mutex::new(None),
        }))
    }
}

impl Tap {
    /// Room for events under way, to be taken before each is sent.
    pub(crate) fn room(&self) -> &Semaphore {
        &self.0.room
    }

    /// From now on event `n` counts as meant to be sent `n` periods after `start`.
    pub(crate) fn expect(&self, start: Instant, period: Duration) {
        let schedule = Schedule {
            start,
            period,
            latencies: Latencies::new(),
        };
        *self.schedule() = Some(schedule);
    }

    /// The latencies of `first` calls since [`Tap::expect`].
    pub(crate) fn latencies(&self) -> Latencies {
        let schedule = self.schedule().take();
        schedule.map_or_else(Latencies::new, |schedule| schedule.latencies)
    }

    fn schedule(&self) -> std::sync::MutexGuard<'_, Option<Schedule>> {
        self.0
            .schedule
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn first(&self, call: &Call) -> Result<(), Error> {
        let now = Instant::now();
        if let Some(schedule) = self.schedule().as_mut() {
            let Input { n } = call
                .input
                .read()
                .map_err(|error| Error::permanent(error.to_string()))?;
            let intended = schedule.start + schedule.period * n;
            schedule
                .latencies
                .record(now.saturating_duration_since(intended));
        }
        Ok(())
    }
}

#[async_trait]
impl Action for Tap {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        match call.action.as_str() {
            "first" => self.first(call)?,
            "last" => self.0.room.add_permits(1),
            "later" => {
                self.0.room.add_permits(1);
                let after = Some(Duration::from_hours(1));
                return Err(Error::Retry {
                    message: "not now".to_owned(),
                    after,
                });
            }
            other => return Err(Error::permanent(format!("no action `{other}`"))),
        }
        Ok(Json::empty_object())
    }
}
