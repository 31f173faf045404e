//! The idempotency key of an effect.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::entry::{Path, VisitNo};
use crate::id::{RunId, StepId};

/// Names one intended effect: the same for every repeat of it, different for every
/// other. 32 hex digits, safe in a header or a file name.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Key of the effect of `visit`, which stands at `step` within `path`.
    ///
    /// `rerun` counts how often an operator reopened the run at this visit: what an operator
    /// wants done again is a new effect, what the engine or a resumption repeats is not.
    pub fn of(run: RunId, step: &StepId, path: &Path, visit: VisitNo, rerun: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(run.uuid().as_bytes());
        // Lengths first, so that no two lists of parts run together to the same bytes.
        hash.update((step.as_str().len() as u64).to_be_bytes());
        hash.update(step.as_str());
        hash.update((path.len() as u64).to_be_bytes());
        for turn in path {
            hash.update(turn.of.to_be_bytes());
            hash.update(turn.index.to_be_bytes());
        }
        hash.update(visit.to_be_bytes());
        hash.update(rerun.to_be_bytes());
        let digest = hash.finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(format!("{:032x}", u128::from_be_bytes(half)))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A number in `[0, 1)` that depends on this key and `attempt` only: spreads
    /// retries without randomness in the core.
    pub(super) fn spread(&self, attempt: u32) -> f64 {
        let mut hash = Sha256::new();
        hash.update(&self.0);
        hash.update(attempt.to_be_bytes());
        let digest = hash.finalize();
        let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        f64::from(number) / (f64::from(u32::MAX) + 1.0)
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
