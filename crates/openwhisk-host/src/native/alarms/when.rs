//! When an alarm fires: pure arithmetic on milliseconds since 1970.

use croner::parser::CronParser;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Feed;

const MINUTE_MS: i64 = 60_000;
/// Where nothing is said, as many firings as upstream's package has.
const UNBOUNDED: u64 = u64::MAX;

/// When an alarm fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct When {
    rhythm: Rhythm,
    /// Not before.
    start: Option<i64>,
    /// Not after.
    stop: Option<i64>,
    /// At most so often.
    most: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Rhythm {
    Cron {
        pattern: String,
        zone: String,
    },
    /// Whole multiples of so many minutes after a time.
    Minutes {
        minutes: i64,
        from: i64,
    },
    /// Once.
    At(i64),
}

/// The first time, and how many firings there are.
pub(super) struct Next {
    pub(super) next: i64,
    pub(super) left: Option<u64>,
}

impl When {
    /// Reads what a client says of it.
    pub(super) fn read(
        feed: Feed,
        arguments: &Map<String, Value>,
        now: i64,
    ) -> Result<Self, String> {
        let (start, stop) = (date(arguments, "startDate")?, date(arguments, "stopDate")?);
        let rhythm = match feed {
            Feed::Alarm => cron(arguments)?,
            Feed::Interval => {
                let minutes = arguments.get("minutes").and_then(whole);
                let minutes = minutes.filter(|minutes| (1..=i64::from(u32::MAX)).contains(minutes));
                Rhythm::Minutes {
                    minutes: minutes.ok_or("minutes must be a whole number of at least 1")?,
                    from: start.unwrap_or(now),
                }
            }
            Feed::Once => {
                let at = date(arguments, "date")?.ok_or("date is missing")?;
                Rhythm::At(at)
            }
        };
        let most = match arguments.get("maxTriggers") {
            None | Some(Value::Null) => UNBOUNDED,
            Some(Value::Number(number)) if number.as_i64() == Some(-1) => UNBOUNDED,
            Some(number) => whole(number)
                .and_then(|number| u64::try_from(number).ok())
                .filter(|number| *number > 0)
                .ok_or("maxTriggers must be a whole number of at least 1")?,
        };
        Ok(Self {
            rhythm,
            start,
            stop,
            most,
        })
    }

    /// The first time from now on.
    pub(super) fn first(&self, now: i64) -> Result<Next, String> {
        let first = match &self.rhythm {
            Rhythm::At(at) if *at <= now => {
                return Err("date must be in the future".to_owned());
            }
            Rhythm::Minutes { from, .. } if *from > now => Some(*from),
            _ => self.after(now.max(self.start.map_or(now, |start| start - 1))),
        };
        let next = first.filter(|next| self.stop.is_none_or(|stop| *next <= stop));
        Ok(Next {
            next: next.ok_or("it would never fire")?,
            left: (self.most != UNBOUNDED).then_some(self.most),
        })
    }

    /// The first time after `now`; none where there is none.
    pub(super) fn after(&self, now: i64) -> Option<i64> {
        let next = match &self.rhythm {
            Rhythm::At(at) => Some(*at).filter(|at| *at > now),
            Rhythm::Minutes { minutes, from } => {
                let length = minutes.checked_mul(MINUTE_MS)?;
                let turn = now
                    .saturating_sub(*from)
                    .div_euclid(length)
                    .checked_add(1)?;
                from.checked_add(turn.checked_mul(length)?)
            }
            Rhythm::Cron { pattern, zone } => {
                let pattern = CronParser::new().parse(pattern).ok()?;
                let zone = TimeZone::get(zone).ok()?;
                let from = Timestamp::from_second(now.div_euclid(1000))
                    .ok()?
                    .to_zoned(zone);
                let found = pattern.find_next_occurrence(&from, false).ok()?;
                Some(found.timestamp().as_millisecond()).filter(|found| *found > now)
            }
        };
        next.filter(|next| self.stop.is_none_or(|stop| *next <= stop))
    }

    /// As a client says it.
    pub(super) fn shown(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        let mut set = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        match &self.rhythm {
            Rhythm::Cron { pattern, zone } => {
                set("cron", pattern.as_str().into());
                set("timezone", zone.as_str().into());
            }
            Rhythm::Minutes { minutes, .. } => drop(set("minutes", (*minutes).into())),
            Rhythm::At(at) => drop(set("date", (*at).into())),
        }
        if let Some(start) = self.start {
            set("startDate", start.into());
        }
        if let Some(stop) = self.stop {
            set("stopDate", stop.into());
        }
        if self.most != UNBOUNDED {
            set("maxTriggers", self.most.into());
        }
        shown
    }

    /// What is kept with what a client changes on top.
    pub(super) fn merged(
        &self,
        arguments: &Map<String, Value>,
        payload: &Map<String, Value>,
    ) -> Map<String, Value> {
        let mut merged = self.shown();
        merged.insert("trigger_payload".to_owned(), payload.clone().into());
        merged.extend(arguments.clone());
        merged
    }
}

fn cron(arguments: &Map<String, Value>) -> Result<Rhythm, String> {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    let pattern = text("cron").ok_or("cron is missing")?;
    let zone = text("timezone").unwrap_or("UTC");
    let parsed = CronParser::new().parse(pattern);
    parsed.map_err(|error| format!("cron '{pattern}' is not valid: {error}"))?;
    TimeZone::get(zone).map_err(|_| format!("there is no time zone '{zone}'"))?;
    Ok(Rhythm::Cron {
        pattern: pattern.to_owned(),
        zone: zone.to_owned(),
    })
}

/// `wsk` sends numbers as numbers or as text.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

/// A date: milliseconds since 1970, or ISO 8601 with a zone or in UTC.
fn date(arguments: &Map<String, Value>, name: &str) -> Result<Option<i64>, String> {
    let value = match arguments.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let wrong = || format!("{name} must be a date such as 2026-12-31T23:59:00Z");
    if let Some(number) = whole(value) {
        return Ok(Some(number));
    }
    let text = value.as_str().ok_or_else(wrong)?;
    let stamp: Result<Timestamp, _> = text.parse();
    let stamp = stamp.or_else(|_| {
        let civil: Result<jiff::civil::DateTime, _> = text.parse();
        civil.and_then(|civil| civil.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()))
    });
    stamp
        .map(|stamp| Some(stamp.as_millisecond()))
        .map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-01-05T10:00:00Z.
    const NOW: i64 = 1_767_607_200_000;

    fn read(feed: Feed, arguments: Value) -> Result<When, String> {
        let Value::Object(arguments) = arguments else {
            panic!("an object");
        };
        When::read(feed, &arguments, NOW)
    }

    #[test]
    fn alarms_fire_by_their_pattern_their_interval_or_once() {
        let cron = read(Feed::Alarm, json!({ "cron": "*/5 * * * *" })).unwrap();
        assert_eq!(cron.first(NOW).unwrap().next, NOW + 5 * MINUTE_MS);
        let seconds = read(Feed::Alarm, json!({ "cron": "*/10 * * * * *" })).unwrap();
        assert_eq!(seconds.after(NOW + 1), Some(NOW + 10_000));
        let every = read(Feed::Interval, json!({ "minutes": "2" })).unwrap();
        assert_eq!(every.first(NOW).unwrap().next, NOW + 2 * MINUTE_MS);
        assert_eq!(every.after(NOW + 5 * MINUTE_MS), Some(NOW + 6 * MINUTE_MS));
        let once = read(Feed::Once, json!({ "date": "2026-01-05T11:00:00Z" })).unwrap();
        assert_eq!(once.first(NOW).unwrap().next, NOW + 60 * MINUTE_MS);
        assert_eq!(once.after(NOW + 60 * MINUTE_MS), None);
    }

    #[test]
    fn an_alarm_keeps_to_its_dates() {
        let bounded = json!({ "minutes": 1, "startDate": NOW + 10 * MINUTE_MS,
            "stopDate": NOW + 11 * MINUTE_MS, "maxTriggers": 7 });
        let bounded = read(Feed::Interval, bounded).unwrap();
        let first = bounded.first(NOW).unwrap();
        assert_eq!((first.next, first.left), (NOW + 10 * MINUTE_MS, Some(7)));
        assert_eq!(
            bounded.after(NOW + 10 * MINUTE_MS),
            Some(NOW + 11 * MINUTE_MS)
        );
        assert_eq!(bounded.after(NOW + 11 * MINUTE_MS), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (feed, arguments) in [
            (Feed::Alarm, json!({})),
            (Feed::Alarm, json!({ "cron": "nonsense" })),
            (
                Feed::Alarm,
                json!({ "cron": "* * * * *", "timezone": "Mars/Olympus" }),
            ),
            (Feed::Interval, json!({ "minutes": 0 })),
            (Feed::Interval, json!({ "minutes": 1, "maxTriggers": 0 })),
            (Feed::Once, json!({})),
            (Feed::Once, json!({ "date": "tomorrow" })),
        ] {
            assert!(read(feed, arguments.clone()).is_err(), "{arguments}");
        }
        let past = read(Feed::Once, json!({ "date": NOW - 1 })).unwrap();
        assert!(past.first(NOW).is_err());
    }
}
