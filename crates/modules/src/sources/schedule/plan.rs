//! When a schedule fires: pure arithmetic on timestamps.
//!
//! Daylight saving follows the Open Cron Pattern Specification:
//! - A job at one fixed time of day (one value each for second, minute and hour) runs once a
//!   day. Where the clock skips its time it runs at the first moment after the gap; where
//!   its time comes twice it runs at the first of the two.
//! - Any other pattern follows the wall clock: what falls into a gap does not run, what
//!   comes twice runs twice.
//!
//! `every` knows no zone: it fires at whole multiples of its length since 1970-01-01 UTC, so
//! that restarts and other nodes agree on the times.
//!
//! This file must never look at a clock.

use std::time::Duration;

use conche_core::Timestamp;
use croner::Cron;
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

/// The most missed times that are caught up on, or counted. Older ones are given up.
pub(super) const MISSED_MAX: usize = 1000;

/// A time noticed within this long is not a missed one. Longer than the interval at which
/// the clock is looked at, shorter than anyone's patience.
const ON_TIME: Duration = Duration::from_mins(1);

/// A clock set back by no more than this repeats nothing; after a greater correction the
/// new time counts. The rule of the common cron daemon.
const SET_BACK_MAX: Duration = Duration::from_hours(3);

/// When to fire.
#[derive(Debug, Clone)]
pub(super) enum Schedule {
    /// At whole multiples of this length since 1970-01-01 UTC.
    Every(Duration),
    /// By the wall clock of a zone.
    Cron { pattern: Box<Cron>, zone: TimeZone },
}

/// What to do about times that passed while nobody was looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Missed {
    /// Go on with the next time.
    Skip,
    /// Fire once for all of them, with the latest time.
    #[default]
    Once,
    /// Fire for each, at most the latest 1000.
    All,
}

/// One firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tick {
    /// The time it stands for.
    pub(super) scheduled_at: Timestamp,
    /// How many earlier times were passed over since the firing before; counted up to 1000.
    pub(super) missed: u64,
}

/// A schedule makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("`every` must be at least 1s; it is {0:?}")]
    TooOften(Duration),
    #[error("`{pattern}` is not a cron pattern: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("there is no time zone `{0}`: write a name such as Europe/Paris or UTC")]
    Zone(String),
}

impl Schedule {
    /// Whole multiples of `length`.
    pub(super) fn every(length: Duration) -> Result<Self, Error> {
        if length < Duration::from_secs(1) {
            return Err(Error::TooOften(length));
        }
        Ok(Self::Every(length))
    }

    /// A cron pattern of five fields, or six with leading seconds.
    pub(super) fn cron(pattern: &str, zone: &str) -> Result<Self, Error> {
        let wrong = |error: croner::errors::CronError| Error::Pattern {
            pattern: pattern.to_owned(),
            reason: error.to_string(),
        };
        let parsed = CronParser::new().parse(pattern).map_err(wrong)?;
        let zone = TimeZone::get(zone).map_err(|_| Error::Zone(zone.to_owned()))?;
        Ok(Self::Cron {
            pattern: Box::new(parsed),
            zone,
        })
    }
}

/// The first time after `after`; `None` where the schedule never fires again.
pub(super) fn next(schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
    match schedule {
        Schedule::Every(length) => {
            let length = i64::try_from(length.as_millis()).ok()?;
            let turn = floor_millis(after).div_euclid(length).checked_add(1)?;
            Timestamp::from_millisecond(turn.checked_mul(length)?).ok()
        }
        Schedule::Cron { pattern, zone } => {
            let from = floor_second(after)?.to_zoned(zone.clone());
            let found = pattern.find_next_occurrence(&from, false).ok()?;
            Some(found.timestamp()).filter(|found| *found > after)
        }
    }
}

/// The last time at or before `now`.
fn latest(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    match schedule {
        Schedule::Every(length) => {
            let length = i64::try_from(length.as_millis()).ok()?;
            let turn = floor_millis(now).div_euclid(length);
            Timestamp::from_millisecond(turn.checked_mul(length)?).ok()
        }
        Schedule::Cron { pattern, zone } => {
            let from = floor_second(now)?.to_zoned(zone.clone());
            let found = pattern.find_previous_occurrence(&from, true).ok()?;
            Some(found.timestamp()).filter(|found| *found <= now)
        }
    }
}

/// What fires at `now`, where `cursor` is the time fired last.
pub(super) fn due(
    schedule: &Schedule,
    cursor: Timestamp,
    now: Timestamp,
    policy: Missed,
) -> Vec<Tick> {
    let mut times = passed(schedule, effective(cursor, now), now);
    let Some(&newest) = times.first() else {
        return Vec::new();
    };
    let older = times.len() - 1;
    let one = vec![Tick {
        scheduled_at: newest,
        missed: older.min(MISSED_MAX) as u64,
    }];
    match policy {
        Missed::Once => one,
        Missed::Skip if now.duration_since(newest).unsigned_abs() <= ON_TIME => one,
        Missed::Skip => Vec::new(),
        Missed::All => {
            let given_up = times.len().saturating_sub(MISSED_MAX) as u64;
            times.truncate(MISSED_MAX);
            let ticks = times.iter().rev().enumerate().map(|(index, time)| Tick {
                scheduled_at: *time,
                missed: if index == 0 { given_up } else { 0 },
            });
            ticks.collect()
        }
    }
}

/// The times after `cursor` up to `now`, newest first: those that may fire, and as many
/// again to be counted.
fn passed(schedule: &Schedule, cursor: Timestamp, now: Timestamp) -> Vec<Timestamp> {
    let mut times = Vec::new();
    let mut until = Some(now);
    while let Some(time) = until.and_then(|until| latest(schedule, until)) {
        if time <= cursor || times.len() == 2 * MISSED_MAX {
            break;
        }
        times.push(time);
        until = time.checked_sub(Duration::from_millis(1)).ok();
    }
    times
}

/// Where to go on from: the cursor, unless the clock was corrected to far before it.
pub(super) fn effective(cursor: Timestamp, now: Timestamp) -> Timestamp {
    let ahead = cursor.duration_since(now);
    if ahead.is_positive() && ahead.unsigned_abs() > SET_BACK_MAX {
        now
    } else {
        cursor
    }
}

// jiff rounds whole units towards zero; before 1970 that would be forwards.

fn floor_second(time: Timestamp) -> Option<Timestamp> {
    let down = i64::from(time.subsec_nanosecond() < 0);
    Timestamp::from_second(time.as_second() - down).ok()
}

fn floor_millis(time: Timestamp) -> i64 {
    let down = i64::from(time.subsec_nanosecond() % 1_000_000 < 0);
    time.as_millisecond() - down
}
