//! Times, daylight saving, missed times and clocks that jump.

use std::io::Write as _;

use proptest::prelude::*;

use super::plan::{MISSED_MAX, due, next};
use super::*;

const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Kathmandu",
];

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// `30s` or a cron pattern with its zone behind `@`.
fn schedule(text: &str) -> Schedule {
    match text.split_once('@') {
        Some((pattern, zone)) => Schedule::cron(pattern, zone).unwrap(),
        None => Schedule::every(text.parse::<Span>().unwrap().duration()).unwrap(),
    }
}

/// `schedule | after | the next times`. The clock goes ahead on 2026-03-29 and back on
/// 2026-10-25 in Paris, each at 01:00 UTC.
const NEXT: &str = "
# Lengths: whole multiples since 1970.
30s | 2026-01-01T00:00:00Z | 2026-01-01T00:00:30Z 2026-01-01T00:01:00Z
30s | 2026-01-01T00:00:29.999999999Z | 2026-01-01T00:00:30Z
1500ms | 1970-01-01T00:00:00Z | 1970-01-01T00:00:01.5Z 1970-01-01T00:00:03Z
1d | 2026-06-30T23:59:60Z | 2026-07-01T00:00:00Z
10s | 1969-12-31T23:59:54.5Z | 1970-01-01T00:00:00Z
10s | 1969-12-31T23:59:45.0000001Z | 1969-12-31T23:59:50Z
# Patterns.
*/5 * * * *@UTC | 2026-01-01T00:00:00Z | 2026-01-01T00:05:00Z
*/5 * * * *@UTC | 2026-01-01T00:04:59.9Z | 2026-01-01T00:05:00Z
*/10 * * * * *@UTC | 2026-01-01T00:00:51Z | 2026-01-01T00:01:00Z
0 0 29 2 *@UTC | 2026-01-01T00:00:00Z | 2028-02-29T00:00:00Z 2032-02-29T00:00:00Z
0 0 31 * *@UTC | 2026-01-31T00:00:00Z | 2026-03-31T00:00:00Z
0 9 * * MON@UTC | 2026-11-22T00:00:00Z | 2026-11-23T09:00:00Z
0 0 L * *@UTC | 2026-02-01T00:00:00Z | 2026-02-28T00:00:00Z
0 12 * * *@Asia/Kathmandu | 2026-01-01T00:00:00Z | 2026-01-01T06:15:00Z
# Into summer: one fixed time of day moves to the end of the gap, others are passed over.
30 2 * * *@Europe/Paris | 2026-03-28T12:00:00Z | 2026-03-29T01:00:00Z 2026-03-30T00:30:00Z
0 2 * * *@Europe/Paris | 2026-03-28T12:00:00Z | 2026-03-29T01:00:00Z 2026-03-30T00:00:00Z
0 3 * * *@Europe/Paris | 2026-03-28T12:00:00Z | 2026-03-29T01:00:00Z 2026-03-30T01:00:00Z
*/30 * * * *@Europe/Paris | 2026-03-29T00:00:00Z | 2026-03-29T00:30:00Z 2026-03-29T01:00:00Z 2026-03-29T01:30:00Z
0,30 2 * * *@Europe/Paris | 2026-03-28T12:00:00Z | 2026-03-30T00:00:00Z 2026-03-30T00:30:00Z
0 * * * *@Europe/Paris | 2026-03-29T00:00:00Z | 2026-03-29T01:00:00Z 2026-03-29T02:00:00Z
# Out of summer: one fixed time of day runs at the first of the two, others at both.
30 2 * * *@Europe/Paris | 2026-10-24T12:00:00Z | 2026-10-25T00:30:00Z 2026-10-26T01:30:00Z
30 2 * * *@Europe/Paris | 2026-10-25T00:30:00Z | 2026-10-26T01:30:00Z
30 2 * * *@Europe/Paris | 2026-10-25T01:10:00Z | 2026-10-26T01:30:00Z
*/30 * * * *@Europe/Paris | 2026-10-25T00:00:00Z | 2026-10-25T00:30:00Z 2026-10-25T01:00:00Z 2026-10-25T01:30:00Z 2026-10-25T02:00:00Z
0 * * * *@Europe/Paris | 2026-10-24T23:30:00Z | 2026-10-25T00:00:00Z 2026-10-25T01:00:00Z 2026-10-25T02:00:00Z
# Half an hour on Lord Howe, midnight itself in Santiago, New York.
15 2 * * *@Australia/Lord_Howe | 2026-10-03T12:00:00Z | 2026-10-03T15:30:00Z 2026-10-04T15:15:00Z
45 1 * * *@Australia/Lord_Howe | 2026-04-04T12:00:00Z | 2026-04-04T14:45:00Z 2026-04-05T15:15:00Z
0 0 * * *@America/Santiago | 2026-09-05T12:00:00Z | 2026-09-06T04:00:00Z 2026-09-07T03:00:00Z
30 2 * * *@America/New_York | 2026-03-07T12:00:00Z | 2026-03-08T07:00:00Z 2026-03-09T06:30:00Z
30 1 * * *@America/New_York | 2026-10-31T12:00:00Z | 2026-11-01T05:30:00Z 2026-11-02T06:30:00Z
";

/// `schedule | fired last | now | policy | time+missed …`
const DUE: &str = "
# On time: all policies alike.
* * * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-01T10:00:59.9Z | once |
* * * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-01T10:01:00Z | once | 2026-01-01T10:01:00Z+0
* * * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-01T10:01:00Z | skip | 2026-01-01T10:01:00Z+0
* * * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-01T10:01:00Z | all | 2026-01-01T10:01:00Z+0
* * * * *@UTC | 2026-01-01T10:01:00Z | 2026-01-01T10:01:00Z | all |
30s | 2026-01-01T10:00:00Z | 2026-01-01T10:00:31Z | skip | 2026-01-01T10:00:30Z+0
# Down for a while, or a clock that jumped ahead.
* * * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-01T10:03:30Z | once | 2026-01-01T10:03:00Z+2
* * * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-01T10:03:30Z | skip | 2026-01-01T10:03:00Z+2
* * * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-01T10:03:30Z | all | 2026-01-01T10:01:00Z+0 2026-01-01T10:02:00Z+0 2026-01-01T10:03:00Z+0
0 10 * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-04T09:00:00Z | once | 2026-01-03T10:00:00Z+1
0 10 * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-04T09:00:00Z | skip |
0 10 * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-04T10:00:01Z | skip | 2026-01-04T10:00:00Z+2
1h | 2026-01-01T00:00:00Z | 2036-01-01T00:00:30Z | once | 2036-01-01T00:00:00Z+1000
1s | 2016-01-01T00:00:00Z | 2026-01-01T00:00:00Z | once | 2026-01-01T00:00:00Z+1000
# Set back by seconds, minutes, up to three hours: nothing repeats.
* * * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-01T09:59:59Z | all |
* * * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-01T09:00:00Z | all |
* * * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-01T07:00:00Z | all |
# Set back by more: nothing at once; the new time counts from now on.
* * * * *@UTC | 2026-01-01T10:00:00Z | 2026-01-01T06:59:00Z | all |
* * * * *@UTC | 2036-01-01T10:00:00Z | 2026-01-01T10:00:00Z | once |
# Across both changes of the clock in Paris.
30 2 * * *@Europe/Paris | 2026-03-28T01:30:00Z | 2026-03-29T00:59:59Z | once |
30 2 * * *@Europe/Paris | 2026-03-28T01:30:00Z | 2026-03-29T01:00:00Z | once | 2026-03-29T01:00:00Z+0
30 2 * * *@Europe/Paris | 2026-03-29T01:00:00Z | 2026-03-29T23:00:00Z | all |
30 2 * * *@Europe/Paris | 2026-10-25T00:30:00Z | 2026-10-25T02:00:00Z | all |
*/30 2 * * *@Europe/Paris | 2026-10-24T12:00:00Z | 2026-10-25T12:00:00Z | all | 2026-10-25T00:00:00Z+0 2026-10-25T00:30:00Z+0 2026-10-25T01:00:00Z+0 2026-10-25T01:30:00Z+0
*/30 2 * * *@Europe/Paris | 2026-03-28T12:00:00Z | 2026-03-29T12:00:00Z | all |
";

/// Prints figures, also where the test harness keeps a test's output to itself.
fn tell(figures: &str) {
    writeln!(std::io::stdout(), "{figures}").expect("standard output is open");
}

/// The rows of a table, split into their cells.
fn rows<const N: usize>(table: &str) -> Vec<[&str; N]> {
    let rows = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        cells.try_into().unwrap()
    })
    .collect()
}

#[test]
fn the_next_time_is_strictly_after_and_follows_the_daylight_saving_rule() {
    let rows = rows::<3>(NEXT);
    assert_eq!(rows.len(), 30);
    let told = rows.len();
    for [text, after, expected] in rows {
        let schedule = schedule(text);
        let first = next(&schedule, time(after));
        let times = std::iter::successors(first, |time| next(&schedule, *time));
        let expected: Vec<_> = expected.split(' ').map(time).collect();
        let times: Vec<_> = times.take(expected.len()).collect();
        assert_eq!(times, expected, "{text} after {after}");
    }
    tell(&format!(
        "torture R6: {told} cases of next times, changes of summer time in 4 zones, leap days, a leap second: none early, none twice"
    ));
}

#[test]
fn what_is_due_follows_the_policy_through_outages_and_clock_jumps() {
    let rows = rows::<5>(DUE);
    assert_eq!(rows.len(), 25);
    let told = rows.len();
    for [text, cursor, now, policy, expected] in rows {
        let missed = serde_json::from_value(policy.into()).unwrap();
        let ticks = due(&schedule(text), time(cursor), time(now), missed);
        let fired = ticks
            .iter()
            .map(|tick| format!("{}+{}", tick.scheduled_at, tick.missed));
        let fired: Vec<_> = fired.collect();
        assert_eq!(fired.join(" "), expected, "{text} {cursor} {now} {policy}");
    }
    tell(&format!(
        "torture R6: {told} cases of outages and clocks that jump, from a second to ten years: as the policy says"
    ));
}

#[test]
fn after_a_great_correction_the_schedule_goes_on_from_the_new_time() {
    let schedule = schedule("* * * * *@UTC");
    let corrected = time("2026-01-01T10:00:00Z");
    let cursor = plan::effective(time("2036-01-01T10:00:00Z"), corrected);
    assert_eq!(cursor, corrected);
    let later = time("2026-01-01T10:01:00Z");
    let ticks = due(&schedule, cursor, later, Missed::Once);
    assert_eq!(
        ticks,
        [Tick {
            scheduled_at: later,
            missed: 0
        }]
    );
}

#[test]
fn catching_up_on_all_is_bounded_and_says_what_was_given_up() {
    let ticks = due(
        &schedule("1s"),
        time("2016-01-01T00:00:00Z"),
        time("2026-01-01T00:00:00Z"),
        Missed::All,
    );
    assert_eq!(ticks.len(), MISSED_MAX);
    assert_eq!(ticks[0].missed, MISSED_MAX as u64);
    assert_eq!(
        ticks[MISSED_MAX - 1].scheduled_at,
        time("2026-01-01T00:00:00Z")
    );
}

#[test]
fn a_schedule_that_makes_no_sense_is_refused() {
    for (pattern, zone) in [
        ("", "UTC"),
        ("* * * *", "UTC"),
        ("61 * * * *", "UTC"),
        ("x", "UTC"),
        ("* * * * *", "Mars/Olympus"),
    ] {
        assert!(Schedule::cron(pattern, zone).is_err(), "{pattern} {zone}");
    }
    assert!(Schedule::every(Duration::from_millis(999)).is_err());
    let never = Schedule::cron("0 0 30 2 *", "UTC").unwrap();
    assert_eq!(next(&never, time("2026-01-01T00:00:00Z")), None);
}

fn patterns() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "30 2 * * *",
        "0 2 * * *",
        "*/7 * * * *",
        "0,30 1-3 * * *",
        "15 */2 * * *",
        "0 0 * * *",
        "59 23 * * SUN",
        "0 3 29 * *",
        "*/20 30 2 * * *",
        "30 1 25-31 3,10 *",
    ])
}

proptest! {
    /// Walking ahead and looking back agree: what `next` promised, `due` fires, once, in
    /// every zone and through every change of its clock.
    #[test]
    fn every_promised_time_is_due_exactly_once(
        pattern in patterns(),
        zone in prop::sample::select(ZONES.to_vec()),
        start in 1_767_225_600_000_i64..1_830_297_600_000,
        steps in proptest::collection::vec(1_i64..200_000, 1..12),
    ) {
        let schedule = Schedule::cron(pattern, zone).unwrap();
        let mut cursor = Timestamp::from_millisecond(start).unwrap();
        let mut promised = cursor;
        let mut now = cursor;
        for step in steps {
            now += Duration::from_secs(step.unsigned_abs());
            for tick in due(&schedule, cursor, now, Missed::All) {
                promised = next(&schedule, promised).unwrap();
                if tick.missed == 0 {
                    prop_assert_eq!(tick.scheduled_at, promised);
                }
                prop_assert!(tick.scheduled_at <= now && tick.scheduled_at > cursor);
                promised = tick.scheduled_at;
                cursor = tick.scheduled_at;
            }
            let upcoming = next(&schedule, cursor).unwrap();
            prop_assert!(upcoming > now, "{} was promised by {}", upcoming, now);
        }
    }
}
