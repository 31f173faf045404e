//! What an action may take, and how large things may be.

use serde::{Deserialize, Serialize};

use super::Other;

/// The limits of one action. In a PUT each may be absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionLimits {
    /// How long a run may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Memory in MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Log in MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<u64>,
    /// Runs at a time in one container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
    /// Containers at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u64>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// The least, the usual and the most of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least that may be asked for.
    pub min: u64,
    /// What an action gets that says nothing.
    pub std: u64,
    /// The most that may be asked for.
    pub max: u64,
}

/// The bounds of every limit of a host. The default is upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitRanges {
    /// Of `timeout`, in milliseconds.
    pub timeout: Bounds,
    /// Of `memory`, in MB.
    pub memory: Bounds,
    /// Of `logs`, in MB.
    pub logs: Bounds,
    /// Of `concurrency`.
    pub concurrency: Bounds,
}

impl Default for LimitRanges {
    fn default() -> Self {
        let bounds = |min, std, max| Bounds { min, std, max };
        Self {
            timeout: bounds(100, 60_000, 300_000),
            memory: bounds(128, 256, 512),
            logs: bounds(0, 10, 10),
            concurrency: bounds(1, 1, 1),
        }
    }
}

/// A limit that a host does not grant. The texts are those of upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// `timeout` is too long.
    #[error("duration {0} milliseconds exceeds allowed threshold of {1} milliseconds")]
    TimeoutAbove(u64, u64),
    /// `timeout` is too short.
    #[error("duration {0} milliseconds below allowed threshold of {1} milliseconds")]
    TimeoutBelow(u64, u64),
    /// `memory` or `logs` is too large.
    #[error("{0} size {1} MB exceeds allowed threshold of {2} MB")]
    SizeAbove(&'static str, u64, u64),
    /// `memory` or `logs` is too small.
    #[error("{0} size {1} MB below allowed threshold of {2} MB")]
    SizeBelow(&'static str, u64, u64),
    /// `concurrency` is too large.
    #[error("concurrency {0} exceeds allowed threshold of {1}")]
    ConcurrencyAbove(u64, u64),
    /// `concurrency` is too small.
    #[error("concurrency {0} below allowed threshold of {1}")]
    ConcurrencyBelow(u64, u64),
    /// `instances` is 0.
    #[error("instances {0} below allowed threshold of {1}")]
    InstancesBelow(u64, u64),
}

impl LimitRanges {
    /// Whether a host with these bounds grants what an action asks for.
    pub fn check(&self, asked: &ActionLimits) -> Result<(), LimitError> {
        within(
            asked.timeout,
            self.timeout,
            LimitError::TimeoutBelow,
            LimitError::TimeoutAbove,
        )?;
        within(
            asked.memory,
            self.memory,
            |is, min| LimitError::SizeBelow("memory", is, min),
            |is, max| LimitError::SizeAbove("memory", is, max),
        )?;
        within(
            asked.logs,
            self.logs,
            |is, min| LimitError::SizeBelow("log", is, min),
            |is, max| LimitError::SizeAbove("log", is, max),
        )?;
        within(
            asked.concurrency,
            self.concurrency,
            LimitError::ConcurrencyBelow,
            LimitError::ConcurrencyAbove,
        )?;
        match asked.instances {
            Some(0) => Err(LimitError::InstancesBelow(0, 1)),
            _ => Ok(()),
        }
    }

    /// What an action gets: what it asks for, else what it had, else what is usual.
    pub fn granted(&self, asked: &ActionLimits, had: Option<&ActionLimits>) -> ActionLimits {
        let had = had.cloned().unwrap_or_default();
        let usual = |asked: Option<u64>, had: Option<u64>, bounds: Bounds| {
            asked.or(had).or(Some(bounds.std))
        };
        ActionLimits {
            timeout: usual(asked.timeout, had.timeout, self.timeout),
            memory: usual(asked.memory, had.memory, self.memory),
            logs: usual(asked.logs, had.logs, self.logs),
            concurrency: usual(asked.concurrency, had.concurrency, self.concurrency),
            instances: asked.instances.or(had.instances),
            other: had.other,
        }
    }
}

fn within(
    asked: Option<u64>,
    bounds: Bounds,
    below: impl Fn(u64, u64) -> LimitError,
    above: impl Fn(u64, u64) -> LimitError,
) -> Result<(), LimitError> {
    match asked {
        Some(asked) if asked < bounds.min => Err(below(asked, bounds.min)),
        Some(asked) if asked > bounds.max => Err(above(asked, bounds.max)),
        _ => Ok(()),
    }
}

/// Something that is larger than a host takes. The text is upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} larger than allowed: {is} > {allowed} bytes.")]
pub struct SizeError {
    /// What it is: `parameters`, `annotations`, `Request`, `exec`.
    pub field: &'static str,
    /// Its size in bytes.
    pub is: u64,
    /// The most, in bytes.
    pub allowed: u64,
}

/// Whether something is as small as a host wants it.
pub fn check_size(field: &'static str, is: u64, allowed: u64) -> Result<(), SizeError> {
    if is > allowed {
        return Err(SizeError { field, is, allowed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_granted_is_refused_in_the_words_of_upstream() {
        let ranges = LimitRanges::default();
        let limits = |text: &str| serde_json::from_str::<ActionLimits>(text).unwrap();
        for (asked, refusal) in [
            (
                r#"{"timeout":300001}"#,
                "duration 300001 milliseconds exceeds allowed threshold of 300000 milliseconds",
            ),
            (
                r#"{"timeout":99}"#,
                "duration 99 milliseconds below allowed threshold of 100 milliseconds",
            ),
            (
                r#"{"memory":1024}"#,
                "memory size 1024 MB exceeds allowed threshold of 512 MB",
            ),
            (
                r#"{"memory":1}"#,
                "memory size 1 MB below allowed threshold of 128 MB",
            ),
            (
                r#"{"logs":11}"#,
                "log size 11 MB exceeds allowed threshold of 10 MB",
            ),
            (
                r#"{"concurrency":10}"#,
                "concurrency 10 exceeds allowed threshold of 1",
            ),
        ] {
            assert_eq!(
                ranges.check(&limits(asked)).unwrap_err().to_string(),
                refusal
            );
        }
        assert_eq!(
            ranges.check(&limits(r#"{"timeout":100,"memory":512,"logs":0}"#)),
            Ok(())
        );
        assert_eq!(
            check_size("parameters", 2, 1).unwrap_err().to_string(),
            "parameters larger than allowed: 2 > 1 bytes."
        );
    }

    #[test]
    fn an_action_keeps_what_it_had_and_gets_what_is_usual() {
        let had = ActionLimits {
            memory: Some(128),
            ..ActionLimits::default()
        };
        let asked = ActionLimits {
            timeout: Some(500),
            ..ActionLimits::default()
        };
        let granted = LimitRanges::default().granted(&asked, Some(&had));
        assert_eq!(
            (granted.timeout, granted.memory, granted.logs),
            (Some(500), Some(128), Some(10))
        );
    }
}
