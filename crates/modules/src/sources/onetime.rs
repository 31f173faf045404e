//! CSF's `onetime` source: one event at each start of the server.
//!
//! The event has one id for the life of the process, so that a hand-over that is repeated
//! counts once. There is no cursor. It must never fire twice in one start.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use conche_core::{Json, Timestamp};
use conche_runtime::clock::SharedClock;
use conche_runtime::supervisor::{BoxError, Stop};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::intake::{Batch, Intake, NewEvent};
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "onetime",
    summary: "One event at each start of the server.",
    events: &[("onetime", "The server has started.")],
    config: config::schema::<Config>,
    build,
};

/// Settings of a `onetime` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The type of the event. Default: `onetime`.
    event_type: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            event_type: "onetime".to_owned(),
        }
    }
}

struct Onetime {
    source: String,
    event_type: String,
    event_id: String,
    built: Instant,
    clock: SharedClock,
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let config: Config = config::read(&format!("sources.{id}"), config)?;
    Ok(Arc::new(Onetime {
        source: id.to_owned(),
        event_type: config.event_type,
        event_id: uuid::Uuid::now_v7().to_string(),
        built: Instant::now(),
        clock: cx.clock.clone(),
    }))
}

#[async_trait]
impl Source for Onetime {
    async fn run(&self, intake: Arc<dyn Intake>, _stop: Stop) -> Result<(), BoxError> {
        let now = self.clock.now();
        let timestamp = go_time(now, self.built.elapsed());
        let event = NewEvent {
            id: Some(self.event_id.clone()),
            event_type: self.event_type.clone(),
            subject: None,
            time: Some(now),
            data: Json::from(&serde_json::json!({ "timestamp": timestamp })),
        };
        let batch = Batch {
            source: self.source.clone(),
            events: vec![event],
            cursor: None,
        };
        intake.accept(batch).await?;
        Ok(())
    }
}

/// The time as Go's `time.Time` prints itself: what CSF put into this event. The end is the
/// monotonic clock's reading, the time since the start.
fn go_time(now: Timestamp, since_start: Duration) -> String {
    format!(
        "{} m=+{}.{:09}",
        now.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC"),
        since_start.as_secs(),
        since_start.subsec_nanos()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_printed_as_go_prints_it() {
        let table = [
            (
                "2018-08-29T08:28:43.1Z",
                10_000_000,
                "2018-08-29 08:28:43.1 +0000 UTC m=+0.010000000",
            ),
            (
                "2018-08-29T08:28:43Z",
                0,
                "2018-08-29 08:28:43 +0000 UTC m=+0.000000000",
            ),
            (
                "2026-11-22T01:02:03.123456789Z",
                61_000_000_001,
                "2026-11-22 01:02:03.123456789 +0000 UTC m=+61.000000001",
            ),
        ];
        for (time, nanos, expected) in table {
            let now = time.parse().unwrap();
            assert_eq!(go_time(now, Duration::from_nanos(nanos)), expected);
        }
    }
}
