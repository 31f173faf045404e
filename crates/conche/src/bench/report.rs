//! The table: one row for each figure, and the machine that it was measured on.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::statistics::{Goal, Spread, Verdict, figure, judge};
use super::{Bench, Error};

/// One figure with its yardstick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Its number in the plan.
    pub(crate) id: String,
    /// What is measured.
    pub(crate) what: String,
    /// The one kind of work, with its figures.
    pub(crate) a: String,
    /// The other.
    pub(crate) b: String,
    /// A over B, or as `what` says.
    pub(crate) ratio: Option<Spread>,
    /// What it should be.
    pub(crate) target: String,
    /// Whether it is.
    pub(crate) verdict: Verdict,
    /// What bounds it, as measured in the same run.
    pub(crate) bound: String,
}

impl Row {
    /// A row without figures.
    pub(crate) fn failed(id: &str, what: &str, error: &Error) -> Self {
        Self {
            id: id.to_owned(),
            what: what.to_owned(),
            a: String::new(),
            b: String::new(),
            ratio: None,
            target: String::new(),
            verdict: Verdict::Failed,
            bound: error.to_string(),
        }
    }
}

/// The words of a row.
pub(crate) struct Words<'a> {
    pub(crate) id: &'a str,
    pub(crate) what: &'a str,
    pub(crate) a: String,
    pub(crate) b: String,
    pub(crate) bound: String,
}

impl Bench {
    /// A row, judged by the calibration of the windows measured last.
    pub(crate) fn row(&self, words: Words<'_>, ratio: Option<Spread>, goals: &[Goal]) -> Row {
        let target: Vec<String> = goals.iter().map(Goal::words).collect();
        Row {
            id: words.id.to_owned(),
            what: words.what.to_owned(),
            a: words.a,
            b: words.b,
            ratio,
            target: target.join(", "),
            verdict: judge(goals, &self.calibration),
            bound: words.bound,
        }
    }
}

/// All rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The figures.
    pub(crate) rows: Vec<Row>,
    machine: Machine,
}

/// What the figures were measured on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    version: String,
    optimised: bool,
}

impl Machine {
    /// This one.
    fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let model = read("/proc/cpuinfo");
        let model = model
            .lines()
            .find(|line| line.starts_with("model name"))
            .and_then(|line| line.split_once(": "));
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: model.map_or("?", |(_, name)| name).to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            version: crate::VERSION.to_owned(),
            optimised: !cfg!(debug_assertions),
        }
    }

    fn words(&self) -> String {
        let Self {
            cores,
            processor,
            kernel,
            version,
            optimised,
        } = self;
        let build = if *optimised {
            ""
        } else {
            ", NOT OPTIMISED: not to be quoted"
        };
        format!("conche {version}{build}; {cores} cores, {processor}, Linux {kernel}")
    }
}

impl Report {
    /// Rows measured on this machine.
    pub(crate) fn new(rows: Vec<Row>) -> Self {
        Self {
            rows,
            machine: Machine::here(),
        }
    }

    /// As a Markdown table, with the machine below.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from(
            "| id | what | A | B | ratio (min–max) | goal | verdict | what bounds it |\n|---|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let Row {
                id,
                what,
                a,
                b,
                target,
                bound,
                ..
            } = row;
            let ratio = row.ratio.map(ratio_words).unwrap_or_default();
            let verdict = verdict_words(row.verdict);
            // Writing to a string cannot fail.
            writeln!(
                text,
                "| {id} | {what} | {a} | {b} | {ratio} | {target} | {verdict} | {bound} |"
            )
            .ok();
        }
        writeln!(text, "\n{}", self.machine.words()).ok();
        text
    }
}

fn ratio_words(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    format!("**{}** ({}–{})", figure(median), figure(min), figure(max))
}

fn verdict_words(verdict: Verdict) -> String {
    match verdict {
        Verdict::Met => "met".to_owned(),
        Verdict::Short { percent } => format!("short by {} %", figure(percent)),
        Verdict::Unstable { percent } => {
            format!("unstable: the calibration moved by {} %", figure(percent))
        }
        Verdict::Reported => "–".to_owned(),
        Verdict::Failed => "failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line_and_survives_the_way_between_processes() {
        let row = Row {
            id: "B5".to_owned(),
            what: "script call".to_owned(),
            a: "80 µs".to_owned(),
            b: "70 µs".to_owned(),
            ratio: Spread::of([1.1, 1.2, 1.3]),
            target: "≤ 1.6 ×".to_owned(),
            verdict: Verdict::Short { percent: 3.0 },
            bound: "the pipe".to_owned(),
        };
        let report = Report::new(vec![row]);
        let text = report.table();
        assert!(text.contains("| B5 | script call | 80 µs | 70 µs | **1.2** (1.1–1.3) | ≤ 1.6 × | short by 3 % | the pipe |"), "{text}");
        let wire = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&wire).unwrap(), report);
    }
}
