//! `limits:`, what events, runs and scripts may use. Every queue, loop and wait has one.

use std::num::{NonZeroU32, NonZeroUsize};

use conche_core::definition;
use conche_core::json;
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What events, runs and scripts may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    /// Bytes of one event. Default: `1MiB`.
    event_bytes: Size,
    /// Bytes of what an action returns. Default: `1MiB`.
    result_bytes: Size,
    /// Bytes of all results of one run together; they are in memory while it is worked on.
    /// Default: `64MiB`.
    run_bytes: Size,
    /// Levels of nested JSON. Default: 64.
    json_depth: NonZeroUsize,
    /// Time from the start of a run to its end. Default: `24h`.
    run_deadline: Span,
    /// Time of one attempt at an action. Default: `60s`.
    action_timeout: Span,
    /// Time of one script call. Default: `250ms`.
    script_time: Span,
    /// Memory of one script call. Default: `32MiB`.
    script_memory: Size,
    /// Bytes of a script's result. Default: `256KiB`.
    script_output: Size,
    /// Worker processes for scripts. Default: one for each core and one to spare.
    #[serde(skip_serializing_if = "Option::is_none")]
    script_workers: Option<NonZeroUsize>,
    /// Steps of one run, loops included. Default: 10000.
    steps_per_run: NonZeroU32,
    /// Iterations of one loop. Default: 1000.
    loop_iterations: NonZeroU32,
    /// Runs worked on at once; more wait in the store. Default: 512.
    runs_held: NonZeroUsize,
    /// Runs of one source that may wait before it is told to slow down. Default: 10000.
    queue_per_source: NonZeroUsize,
    /// How many runs of our own may stand between an event and the outside. Default: 8.
    emit_depth: u16,
    /// Events that the actions of one run may emit. Default: 100.
    emits_per_run: NonZeroU32,
    /// Events that may stem from one event from outside, through all the runs that it causes.
    /// Each run and event gets its part of them. Default: 100000.
    emits_per_event: NonZeroU32,
    /// Keys that one reaction may have under storm control at once; events of further ones run
    /// uncontrolled. Default: 100000.
    storm_keys: NonZeroU32,
}

const fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("a default is not zero")
}

const fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("a default is not zero")
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: Size::from_mib(1),
            result_bytes: Size::from_mib(1),
            run_bytes: Size::from_mib(64),
            json_depth: count(64),
            run_deadline: Span::from_secs(24 * 3600),
            action_timeout: Span::from_secs(60),
            script_time: Span::from_millis(250),
            script_memory: Size::from_mib(32),
            script_output: Size::from_kib(256),
            script_workers: None,
            steps_per_run: number(10_000),
            loop_iterations: number(1_000),
            runs_held: count(512),
            queue_per_source: count(10_000),
            emit_depth: 8,
            emits_per_run: number(100),
            emits_per_event: number(100_000),
            storm_keys: number(100_000),
        }
    }
}

impl Limits {
    pub(super) fn engine(&self) -> conche_engine::Config {
        conche_engine::Config {
            run_limits: definition::Limits {
                deadline: self.run_deadline.duration(),
                steps: self.steps_per_run.get(),
                iterations: self.loop_iterations.get(),
                ..definition::Limits::default()
            },
            action_timeout: self.action_timeout.duration(),
            result_bytes: bytes(self.result_bytes),
            run_bytes: bytes(self.run_bytes),
            json_depth: self.json_depth.get(),
            emits_per_run: self.emits_per_run.get(),
            emits_per_event: self.emits_per_event.get(),
            storm_keys: self.storm_keys.get(),
            runs_held: self.runs_held.get(),
            queue_per_source: self.queue_per_source.get(),
            emit_depth: self.emit_depth,
            ..conche_engine::Config::default()
        }
    }

    pub(super) fn script(&self) -> conche_script::Limits {
        conche_script::Limits {
            time: self.script_time.duration(),
            memory: self.script_memory.bytes(),
            output: bytes(self.script_output),
            ..conche_script::Limits::default()
        }
    }

    pub(super) fn script_workers(&self) -> Option<usize> {
        self.script_workers.map(NonZeroUsize::get)
    }

    pub(super) fn json(&self) -> json::Limits {
        json::Limits {
            bytes: bytes(self.event_bytes),
            depth: self.json_depth.get(),
        }
    }
}

fn bytes(size: Size) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}
