//! One scale of severities for all senders, so that one filter fits all scanners.

use serde::Serialize;

/// How many findings there are of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Severities {
    critical: u64,
    high: u64,
    medium: u64,
    low: u64,
    negligible: u64,
    unknown: u64,
}

/// A sender's word for a severity, in ours.
pub(super) fn severity(word: &str) -> &'static str {
    match word.to_ascii_lowercase().as_str() {
        "critical" => "critical",
        "high" | "important" => "high",
        "medium" | "moderate" => "medium",
        "low" => "low",
        "negligible" | "info" | "none" => "negligible",
        _ => "unknown",
    }
}

impl Severities {
    /// Counts findings; `word` is the sender's.
    pub(super) fn add(&mut self, word: &str, count: u64) {
        let known = match severity(word) {
            "critical" => &mut self.critical,
            "high" => &mut self.high,
            "medium" => &mut self.medium,
            "low" => &mut self.low,
            "negligible" => &mut self.negligible,
            _ => &mut self.unknown,
        };
        *known = known.saturating_add(count);
    }

    /// The worst severity that was found, `none` where nothing was. What nobody has rated
    /// comes last.
    pub(super) fn highest(&self) -> &'static str {
        let ranks = [
            ("critical", self.critical),
            ("high", self.high),
            ("medium", self.medium),
            ("low", self.low),
            ("negligible", self.negligible),
            ("unknown", self.unknown),
        ];
        let found = ranks.into_iter().find(|(_, count)| *count > 0);
        found.map_or("none", |(name, _)| name)
    }

    /// All findings.
    pub(super) fn total(&self) -> u64 {
        let counts = [
            self.critical,
            self.high,
            self.medium,
            self.low,
            self.negligible,
            self.unknown,
        ];
        counts.into_iter().fold(0, u64::saturating_add)
    }
}
