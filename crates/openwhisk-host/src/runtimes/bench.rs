//! Measuring: how long calls of a function that does nothing take, cold and warm. For
//! measurements only; what is measured is the whole way through [`Runtimes`].

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::{ActionKey, Code, Envelope, Limits, Ran, ResponseClass, Run, Runtimes};

/// How calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// So many calls, each of an action of its own.
    Cold(usize),
    /// So many calls of one action, one after the other, after a first that is not counted.
    Warm(usize),
    /// So many calls of one action, and so many of them at once.
    Crowd(usize, usize),
}

/// What calls took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Half of the calls took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// Calls that were answered well.
    pub calls: usize,
    /// From the first call to the last answer.
    pub whole: Duration,
}

/// A call failed, with what it answered.
#[derive(Debug, thiserror::Error)]
#[error("a measured call failed: {0}")]
pub struct Failed(String);

/// The function that does nothing in a language.
pub fn nothing(family: &str) -> &'static str {
    match family {
        "python" => "def main(args): return {}",
        "exec" => "#!/bin/sh\nwhile read -r line; do echo '{}' >&3; done",
        _ => "const main = () => ({})",
    }
}

/// Makes calls of a function that does nothing. `name` must not have been measured before,
/// else nothing is cold.
pub async fn measure(
    runtimes: &dyn Runtimes,
    kind: &str,
    name: &str,
    shape: Shape,
) -> Result<Measured, Failed> {
    let begun;
    let mut times = Vec::new();
    match shape {
        Shape::Cold(calls) => {
            begun = Instant::now();
            for number in 0..calls {
                let run = call(kind, &format!("{name}-{number}"));
                let action = run.action.clone();
                times.push(timed(runtimes, run).await?);
                // Else what is measured later is how an idle process is ended.
                runtimes.forget(&action);
            }
        }
        Shape::Warm(calls) => {
            timed(runtimes, call(kind, name)).await?;
            begun = Instant::now();
            for _ in 0..calls {
                times.push(timed(runtimes, call(kind, name)).await?);
            }
        }
        Shape::Crowd(calls, at_once) => {
            begun = Instant::now();
            let lane = |share: usize| async move {
                let mut times = Vec::with_capacity(share);
                for _ in 0..share {
                    times.push(timed(runtimes, call(kind, name)).await?);
                }
                Ok::<_, Failed>(times)
            };
            let share = calls.div_ceil(at_once.max(1));
            for lane in join_all((0..at_once.max(1)).map(|_| lane(share))).await {
                times.extend(lane?);
            }
        }
    }
    let whole = begun.elapsed();
    times.sort_unstable();
    Ok(Measured {
        p50: at(&times, 50),
        p99: at(&times, 99),
        calls: times.len(),
        whole,
    })
}

async fn timed(runtimes: &dyn Runtimes, run: Run) -> Result<Duration, Failed> {
    let begun = Instant::now();
    let Ran { class, result, .. } = runtimes.run(run).await;
    if class != ResponseClass::Success {
        return Err(Failed(result.to_string()));
    }
    Ok(begun.elapsed())
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

fn call(kind: &str, name: &str) -> Run {
    let family = kind.split(':').next().unwrap_or(kind);
    Run {
        action: ActionKey {
            name: format!("/bench/{name}"),
            revision: "1".to_owned(),
        },
        code: Code {
            kind: kind.to_owned(),
            text: nothing(family).into(),
            binary: false,
            main: None,
            image: None,
        },
        value: json!({}),
        env: BTreeMap::new(),
        envelope: Envelope {
            namespace: "bench".to_owned(),
            ..Envelope::default()
        },
        limits: Limits {
            timeout: Duration::from_mins(1),
            memory_mb: 128,
            logs_mb: 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scripted;
    use super::*;

    #[tokio::test]
    async fn every_shape_makes_its_calls_and_a_failure_is_told() {
        let scripted = Scripted::new();
        for (shape, calls) in [
            (Shape::Cold(3), 3),
            (Shape::Warm(5), 5),
            (Shape::Crowd(10, 4), 12),
        ] {
            let measured = measure(&scripted, "nodejs:20", "a", shape).await.unwrap();
            assert_eq!(measured.calls, calls, "{shape:?}");
            assert!(measured.p50 <= measured.p99 && measured.p99 <= measured.whole);
        }
        assert_eq!(scripted.forgotten().len(), 3);
        scripted.answer("bad", |_| Ran::failure(ResponseClass::DeveloperError, "x"));
        let failed = measure(&scripted, "nodejs:20", "bad", Shape::Warm(1)).await;
        assert!(failed.is_err());
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(at(&times, 50), Duration::from_millis(100));
        assert_eq!(at(&times, 99), Duration::from_millis(198));
        assert_eq!(at(&[], 50), Duration::ZERO);
    }
}
