//! `retention:`, what is kept how long.

use conche_engine::Config;
use conche_runtime::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const DAY: u64 = 24 * 3600;

/// What is kept how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Retention {
    /// Events. Default: `30d`.
    events: Span,
    /// Finished runs with their journals. Default: `90d`.
    runs: Span,
    /// The record of what was done by whom, and tokens that ended. Default: `400d`.
    audit: Span,
    /// The window within which a repeated event is recognised. Default: `7d`.
    dedup: Span,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            events: Span::from_secs(30 * DAY),
            runs: Span::from_secs(90 * DAY),
            audit: Span::from_secs(400 * DAY),
            dedup: Span::from_secs(7 * DAY),
        }
    }
}

impl Retention {
    /// How long acts are kept.
    pub(super) fn audit(&self) -> std::time::Duration {
        self.audit.duration()
    }

    pub(super) fn resolve(self) -> conche_engine::Retention {
        conche_engine::Retention {
            events: self.events.duration(),
            runs: self.runs.duration(),
            dedup: self.dedup.duration(),
            ..Config::default().retention
        }
    }
}
