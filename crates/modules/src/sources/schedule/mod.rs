//! `schedule`: an event at set times, by a fixed length or by a cron pattern.
//!
//! The event's id is its scheduled time, so that a time fires once however often the server
//! starts or stops around it; the cursor is the time fired last. What passed while the
//! server was down is handled by `missed`. The wall clock is looked at every few seconds:
//! a clock that jumps ahead is a stretch of missed times, one that is set back by up to
//! three hours repeats nothing, and after a greater correction the new time counts.
//!
//! All arithmetic is in [`plan`]; this file only waits and hands over. It must never fire
//! ahead of time.

mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::{Json, Timestamp};
use conche_runtime::clock::SharedClock;
use conche_runtime::supervisor::{BoxError, Stop};
use conche_runtime::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use self::plan::{Missed, Schedule, Tick};
use crate::intake::{Batch, Intake, NewEvent};
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "schedule",
    summary: "An event at set times, by a fixed length or a cron pattern.",
    events: &[("schedule", "A scheduled time has come.")],
    config: config::schema::<Config>,
    build,
};

/// The longest wait between two looks at the wall clock, so that a change of it is noticed.
const LOOK: Duration = Duration::from_secs(5);

/// Settings of a `schedule` source: exactly one of `every` and `cron`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Fires at whole multiples of this length since 1970-01-01 UTC; at least `1s`. Default: none.
    #[serde(default)]
    every: Option<Span>,
    /// Fires by this cron pattern: minute, hour, day of month, month, day of week, with
    /// optional leading seconds and trailing year. Default: none.
    #[serde(default)]
    cron: Option<String>,
    /// The time zone of `cron`, such as `Europe/Paris`. Default: `UTC`.
    #[serde(default)]
    timezone: Option<String>,
    /// The type of the events. Default: `schedule`.
    #[serde(default = "default_event_type")]
    event_type: String,
    /// What to do about times that passed while the server was down: `skip` them, fire
    /// `once` for all of them, or fire for `all` (the latest 1000). Default: `once`.
    #[serde(default)]
    missed: Missed,
}

fn default_event_type() -> String {
    "schedule".to_owned()
}

struct Scheduled {
    id: String,
    schedule: Schedule,
    event_type: String,
    missed: Missed,
    clock: SharedClock,
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let config: Config = config::read(&place, config)?;
    let zone = config.timezone.as_deref();
    let schedule = match (&config.every, &config.cron) {
        (Some(_), None) if zone.is_some() => {
            return Err(config::error(
                &place,
                "`timezone` goes with `cron`; `every` has none",
            ));
        }
        (Some(every), None) => Schedule::every(every.duration()),
        (None, Some(pattern)) => Schedule::cron(pattern, zone.unwrap_or("UTC")),
        _ => {
            return Err(config::error(
                &place,
                "write exactly one of `every` and `cron`",
            ));
        }
    };
    let schedule = schedule.map_err(|wrong| config::error(&place, wrong.to_string()))?;
    if plan::next(&schedule, cx.clock.now()).is_none() {
        return Err(config::error(&place, "this schedule never fires"));
    }
    Ok(Arc::new(Scheduled {
        id: id.to_owned(),
        schedule,
        event_type: config.event_type,
        missed: config.missed,
        clock: cx.clock.clone(),
    }))
}

#[async_trait]
impl Source for Scheduled {
    async fn run(&self, intake: Arc<dyn Intake>, stop: Stop) -> Result<(), BoxError> {
        let mut cursor = self.open(&*intake).await?;
        while !stop.is_requested() {
            let now = self.clock.now();
            let ticks = plan::due(&self.schedule, cursor, now, self.missed);
            cursor = plan::effective(cursor, now);
            if let Some(last) = ticks.last() {
                cursor = last.scheduled_at;
                let events = ticks.iter().map(|tick| self.event(*tick, now)).collect();
                self.hand_over(&*intake, events, cursor).await?;
            }
            tokio::select! {
                () = stop.requested() => {}
                () = tokio::time::sleep(self.wait(cursor)) => {}
            }
        }
        Ok(())
    }
}

impl Scheduled {
    /// The stored cursor. At the very first start it is now, and is stored at once, so
    /// that what passes before the first firing is known to be missed.
    async fn open(&self, intake: &dyn Intake) -> Result<Timestamp, BoxError> {
        let stored = intake.cursor(&self.id).await?;
        match stored.as_deref().map(str::parse) {
            Some(Ok(cursor)) => return Ok(cursor),
            Some(Err(_)) => {
                tracing::warn!(source = %self.id, cursor = ?stored, "cursor is not a time");
            }
            None => {}
        }
        let now = self.clock.now();
        self.hand_over(intake, Vec::new(), now).await?;
        Ok(now)
    }

    async fn hand_over(
        &self,
        intake: &dyn Intake,
        events: Vec<NewEvent>,
        cursor: Timestamp,
    ) -> Result<(), BoxError> {
        let batch = Batch {
            source: self.id.clone(),
            events,
            cursor: Some(cursor.to_string()),
        };
        intake.accept(batch).await?;
        Ok(())
    }

    fn event(&self, tick: Tick, now: Timestamp) -> NewEvent {
        let scheduled_at = tick.scheduled_at.to_string();
        NewEvent {
            event_type: self.event_type.clone(),
            subject: None,
            time: Some(tick.scheduled_at),
            data: Json::from(&serde_json::json!({
                "scheduled_at": scheduled_at,
                "fired_at": now.to_string(),
                "missed": tick.missed,
            })),
            id: Some(scheduled_at),
        }
    }

    /// Until the next time, or until the clock is to be looked at again. What is not after
    /// the clock was dealt with already.
    fn wait(&self, cursor: Timestamp) -> Duration {
        let now = self.clock.now();
        let next = plan::next(&self.schedule, cursor.max(now));
        let left = next.map(|next| next.duration_since(now).unsigned_abs());
        left.map_or(LOOK, |left| left.min(LOOK))
    }
}
