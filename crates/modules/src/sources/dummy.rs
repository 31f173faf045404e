//! CSF's `dummy` source: made-up events at random times, for trying things out.
//!
//! It picks one of two event types; every value in the payload is a text, as in CSF.
//! Delivery is best effort and there is no cursor: nothing is made up for the time when it
//! was not running. It must never be the only source of a real installation.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::{Json, Timestamp};
use conche_runtime::clock::SharedClock;
use conche_runtime::supervisor::{BoxError, Stop};
use conche_runtime::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::intake::{Batch, Intake, NewEvent};
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "dummy",
    summary: "Made-up events at random times, for trying things out.",
    events: &[
        ("dummy_event", "A made-up event."),
        ("dummy_event_2", "Another made-up event."),
    ],
    config: config::schema::<Config>,
    build,
};

/// Settings of a `dummy` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The longest wait before an event; each wait is a random part of it. Default: `10s`.
    interval: Span,
    /// How many events to make in all. Default: no end.
    count: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Span::from_secs(10),
            count: None,
        }
    }
}

struct Dummy {
    id: String,
    config: Config,
    clock: SharedClock,
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let config = config::read(&format!("sources.{id}"), config)?;
    Ok(Arc::new(Dummy {
        id: id.to_owned(),
        config,
        clock: cx.clock.clone(),
    }))
}

#[async_trait]
impl Source for Dummy {
    async fn run(&self, intake: Arc<dyn Intake>, stop: Stop) -> Result<(), BoxError> {
        let mut number = 0;
        while self.config.count.is_none_or(|count| number < count) {
            let dice = dice();
            let wait = self.config.interval.duration().mul_f64(share(dice));
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
            number += 1;
            let events = vec![event(number, dice, self.clock.now())];
            let batch = Batch {
                source: self.id.clone(),
                events,
                cursor: None,
            };
            intake.accept(batch).await?;
        }
        Ok(())
    }
}

/// The `number`th event; `dice` chooses its type.
fn event(number: u64, dice: u64, now: Timestamp) -> NewEvent {
    let date = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    NewEvent {
        id: None,
        event_type: if dice & 1 == 0 {
            "dummy_event"
        } else {
            "dummy_event_2"
        }
        .to_owned(),
        subject: None,
        time: Some(now),
        data: Json::from(&serde_json::json!({
            "dummy_id": number.to_string(),
            "dummy_date": date,
            "dummy_host": format!("host-{}", dice % 16),
            "dummy_string": format!("{dice:016x}"),
        })),
    }
}

/// 62 random bits; good enough to look random.
fn dice() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1
}

/// A number in `[0, 1)` from the upper of the random bits.
fn share(dice: u64) -> f64 {
    (dice << 2) as f64 / (u64::MAX as f64 + 1.0)
}
