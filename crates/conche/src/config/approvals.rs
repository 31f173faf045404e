//! `approvals:`, what people are asked.

use conche_runtime::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What people are asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Approvals {
    /// How often `conche.run.awaiting_answer` is emitted again of a question that nobody
    /// answered, such as `1h`. Default: never again.
    remind_every: Option<Span>,
}

impl Approvals {
    pub(super) fn remind_every(&self) -> Option<std::time::Duration> {
        self.remind_every.map(Span::duration)
    }
}
