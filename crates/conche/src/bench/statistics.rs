//! The arithmetic of measuring: ratios of neighbouring windows, spreads, percentiles of
//! latencies, and the judgement of a figure against its goal.
//!
//! Pure: no clock, no I/O. Nothing here may drop a sample because it does not please.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The middle of several figures, with the least and the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// The median.
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The greatest.
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of these figures; `None` where there are none.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { median, min, max })
    }
}

/// The median of a spread; no number where there is none.
pub(crate) fn median(spread: Option<Spread>) -> f64 {
    spread.map_or(f64::NAN, |spread| spread.median)
}

/// What windows A B A B A gave.
#[derive(Debug, Clone)]
pub(crate) struct Windows<T> {
    /// The windows of A, in order.
    pub(crate) a: Vec<T>,
    /// The windows of B, in order.
    pub(crate) b: Vec<T>,
}

impl<T> Windows<T> {
    /// A over B for every two windows that followed each other: whatever slows the machine
    /// for longer than two windows slows both alike.
    pub(crate) fn ratios(&self, figure: impl Fn(&T) -> f64) -> Option<Spread> {
        let after = self.a.iter().zip(&self.b);
        let before = self.a.iter().skip(1).zip(&self.b);
        Spread::of(after.chain(before).map(|(a, b)| figure(a) / figure(b)))
    }

    /// One figure of all windows of A.
    pub(crate) fn of_a(&self, figure: impl Fn(&T) -> f64) -> Option<Spread> {
        Spread::of(self.a.iter().map(figure))
    }

    /// One figure of all windows of B.
    pub(crate) fn of_b(&self, figure: impl Fn(&T) -> f64) -> Option<Spread> {
        Spread::of(self.b.iter().map(figure))
    }
}

/// Something counted over a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// What was done.
    pub(crate) done: u64,
    /// Commits, each with one fsync, that it took.
    pub(crate) commits: u64,
    /// Seconds that it took.
    pub(crate) seconds: f64,
}

impl Rate {
    /// Done a second.
    pub(crate) fn done_per_second(&self) -> f64 {
        self.done as f64 / self.seconds
    }

    /// Commits a second.
    pub(crate) fn commits_per_second(&self) -> f64 {
        self.commits as f64 / self.seconds
    }
}

/// Latencies, counted from when the work was *meant* to begin, so that a stall is charged to
/// every request that it delayed.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

/// Latencies are told apart to a thousandth of their value.
const DIGITS: u8 = 3;
/// The longest latency told from longer ones, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

impl Latencies {
    /// No samples yet.
    pub(crate) fn new() -> Self {
        let empty = Histogram::new_with_bounds(1, LONGEST, DIGITS);
        Self(empty.expect("the bounds and digits are within the histogram's range"))
    }

    /// Adds a sample, kept to the microsecond.
    pub(crate) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros.max(1));
    }

    /// Adds all samples of another.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    /// Milliseconds that this share of the samples, 0 to 1, stays within.
    pub(crate) fn ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1000.0
    }
}

/// On which side of a figure the good lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wanted {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// A figure and what it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    /// What the figure is, with its unit: `events/s`, `ms at p99`.
    pub(crate) unit: &'static str,
    /// What was measured.
    pub(crate) found: f64,
    /// What it should be.
    pub(crate) wanted: Wanted,
}

impl Goal {
    /// A figure that should be this or more.
    pub(crate) const fn at_least(wanted: f64, unit: &'static str, found: f64) -> Self {
        Self {
            unit,
            found,
            wanted: Wanted::AtLeast(wanted),
        }
    }

    /// A figure that should be this or less.
    pub(crate) const fn at_most(wanted: f64, unit: &'static str, found: f64) -> Self {
        Self {
            unit,
            found,
            wanted: Wanted::AtMost(wanted),
        }
    }

    /// By how many percent of the goal the figure misses it; 0 where it is met.
    pub(crate) fn short_by(&self) -> f64 {
        let missing = match self.wanted {
            Wanted::AtLeast(wanted) => (wanted - self.found) / wanted,
            Wanted::AtMost(wanted) => (self.found - wanted) / wanted,
        };
        // A figure that is not a number meets nothing.
        if missing.is_nan() {
            100.0
        } else {
            missing.max(0.0) * 100.0
        }
    }

    /// The goal in words.
    pub(crate) fn words(&self) -> String {
        let (sign, wanted) = match self.wanted {
            Wanted::AtLeast(wanted) => ('≥', wanted),
            Wanted::AtMost(wanted) => ('≤', wanted),
        };
        format!("{sign} {} {}", figure(wanted), self.unit)
    }
}

/// The calibration may move by so much within one benchmark; beyond it nothing is judged.
pub(crate) const STEADY: f64 = 0.25;

/// What a benchmark says about its goals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Every goal is met.
    Met,
    /// A goal is missed.
    Short {
        /// By so many percent of the goal; the worst of several.
        percent: f64,
    },
    /// The machine was not the same from window to window: no judgement.
    Unstable {
        /// By how much the calibration moved, in percent.
        percent: f64,
    },
    /// There is no goal; the figure is for information.
    Reported,
    /// There is no figure.
    Failed,
}

/// Judges goals, unless the calibration moved too much.
pub(crate) fn judge(goals: &[Goal], calibration: &[f64]) -> Verdict {
    if goals.is_empty() {
        return Verdict::Reported;
    }
    let moved = moved(calibration);
    if moved > STEADY {
        return Verdict::Unstable {
            percent: moved * 100.0,
        };
    }
    match goals.iter().map(Goal::short_by).fold(0.0, f64::max) {
        0.0 => Verdict::Met,
        percent => Verdict::Short { percent },
    }
}

/// By how much the slowest probe took longer than the fastest, as a share.
pub(crate) fn moved(calibration: &[f64]) -> f64 {
    Spread::of(calibration.iter().copied()).map_or(0.0, |probe| probe.max / probe.min - 1.0)
}

/// A figure for people: three significant digits, thousands apart.
pub(crate) fn figure(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "–".to_owned();
    }
    if size < 1.0 {
        return trimmed(&format!("{value:.3}"));
    }
    if size < 10.0 {
        return trimmed(&format!("{value:.2}"));
    }
    if size < 100.0 {
        return trimmed(&format!("{value:.1}"));
    }
    let digits = format!("{size:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    if value < 0.0 {
        format!("-{grouped}")
    } else {
        grouped
    }
}

fn trimmed(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the figures are exact in binary")]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_neighbouring_windows() {
        let windows = Windows {
            a: vec![2.0, 4.0, 9.0],
            b: vec![1.0, 3.0],
        };
        // 2/1, 4/1, 4/3, 9/3.
        let spread = windows.ratios(|figure| *figure).unwrap();
        assert_eq!(
            (spread.min, spread.median, spread.max),
            (4.0 / 3.0, 2.5, 4.0)
        );
    }

    #[test]
    fn a_machine_that_slows_down_for_good_leaves_the_ratio_alone() {
        let windows = Windows {
            a: vec![40.0, 40.0, 4.0],
            b: vec![20.0, 2.0],
        };
        assert_eq!(windows.ratios(|figure| *figure).unwrap().median, 2.0);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_goal_is_missed_by_a_share_of_itself() {
        assert_eq!(Goal::at_least(200.0, "", 150.0).short_by(), 25.0);
        assert_eq!(Goal::at_most(2.0, "", 3.0).short_by(), 50.0);
        assert_eq!(Goal::at_most(2.0, "", 1.0).short_by(), 0.0);
        assert_eq!(Goal::at_least(2.0, "", f64::NAN).short_by(), 100.0);
    }

    #[test]
    fn the_worst_goal_decides() {
        let goals = [Goal::at_least(10.0, "", 9.0), Goal::at_most(1.0, "", 1.5)];
        assert_eq!(judge(&goals, &[1.0]), Verdict::Short { percent: 50.0 });
        assert_eq!(judge(&goals[..0], &[1.0]), Verdict::Reported);
        assert_eq!(judge(&[Goal::at_least(1.0, "", 1.0)], &[]), Verdict::Met);
    }

    #[test]
    fn nothing_is_judged_when_the_calibration_moved() {
        let met = [Goal::at_least(1.0, "", 5.0)];
        assert_eq!(judge(&met, &[1.0, 1.25]), Verdict::Met);
        assert_eq!(
            judge(&met, &[1.0, 1.5]),
            Verdict::Unstable { percent: 50.0 }
        );
    }

    #[test]
    fn latencies_keep_their_tail() {
        let mut latencies = Latencies::new();
        for micros in 1..=1000 {
            latencies.record(Duration::from_micros(micros));
        }
        latencies.record(Duration::from_secs(2));
        assert!(
            (latencies.ms(0.5) - 0.5).abs() < 0.01,
            "{}",
            latencies.ms(0.5)
        );
        assert!(latencies.ms(1.0) >= 1999.0, "{}", latencies.ms(1.0));
    }

    #[test]
    fn figures_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.1234, "0.123"),
            (2.0, "2"),
            (3.456, "3.46"),
            (42.06, "42.1"),
            (999.6, "1 000"),
            (1_234_567.0, "1 234 567"),
            (-1500.0, "-1 500"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(figure(value), text);
        }
    }
}
