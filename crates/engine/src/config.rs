//! Limits and intervals of the engine. Every queue, loop and wait has one.

use std::time::Duration;

use conche_core::definition::Limits;
use conche_core::playbook::FourEyes;

use crate::caps::Caps;
use crate::turns::AtOnce;

/// Limits and intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// What one run may use.
    pub run_limits: Limits,
    /// How long one attempt at an action may take, unless the definition says otherwise.
    pub action_timeout: Duration,
    /// Bytes of an action's result.
    pub result_bytes: usize,
    /// Bytes of all results of one run together, which are in memory while it is worked on.
    pub run_bytes: usize,
    /// Runs that this node works on at once; more wait in the store.
    pub runs_held: usize,
    /// Runs of one source that may wait before it is told to slow down.
    pub queue_per_source: usize,
    /// How many runs of ours may stand between an event and the outside.
    pub emit_depth: u16,
    /// Events that the actions of one run may emit.
    pub emits_per_run: u32,
    /// Events that may stem from one event from outside, through all the runs that it causes.
    pub emits_per_event: u32,
    /// Keys that one reaction may have under storm control at once.
    pub storm_keys: u32,
    /// Levels of nested JSON in what a script gives.
    pub json_depth: usize,
    /// How often it is told again that a person is asked and has not answered; `None` for never.
    pub remind_every: Option<Duration>,
    /// How long a node's word that it is alive counts.
    pub lease: Duration,
    /// What is kept how long.
    pub retention: Retention,
}

/// What is kept how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events.
    pub events: Duration,
    /// Finished runs with their journals.
    pub runs: Duration,
    /// The window within which a repeated event is recognised.
    pub dedup: Duration,
    /// How often it is looked what can go.
    pub every: Duration,
}

/// Rails for what playbooks do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Safety {
    /// How many targets they may act on in a window.
    pub caps: Caps,
    /// What a second person approves before it is done.
    pub four_eyes: FourEyes,
    /// How many runs of a playbook may be under way at once.
    pub at_once: AtOnce,
    /// Attempts at one target at once, over all runs; 0 for any number.
    pub attempts_per_target: u32,
}

const DAY: Duration = Duration::from_hours(24);

impl Default for Config {
    fn default() -> Self {
        Self {
            run_limits: Limits::default(),
            action_timeout: Duration::from_mins(1),
            result_bytes: 1024 * 1024,
            run_bytes: 64 * 1024 * 1024,
            runs_held: 512,
            queue_per_source: 10_000,
            emit_depth: 8,
            emits_per_run: 100,
            emits_per_event: 100_000,
            storm_keys: 100_000,
            json_depth: 64,
            remind_every: None,
            lease: Duration::from_secs(30),
            retention: Retention {
                events: DAY * 30,
                runs: DAY * 90,
                dedup: DAY * 7,
                every: Duration::from_mins(5),
            },
        }
    }
}
