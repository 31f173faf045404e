//! The JavaScript sandbox: scripts written by many hands, run in worker
//! *processes* that can do nothing but compute.
//!
//! In-process limits do not hold for QuickJS: a builtin such as
//! `big.indexOf(…)` or `(3n ** 200000n).toString()` never returns to the
//! interpreter, so no callback can stop it, and a runtime that has run out of
//! memory may abort the process. So the binary executes itself again as a
//! worker ([`worker_main`]), which locks itself in with resource limits,
//! Landlock and seccomp; the parent keeps the clock, kills at the deadline and
//! starts a replacement. See `child` for the worker and `pool` for the parent.
//!
//! A script sees `event`, `actionData` and, where the call brings them, `lists`; it sets `nextAction`, `result` and
//! `err`, and can write to `console`. Nothing else crosses the border. The
//! semantics are CSF's: an exception fails; then a non-empty `String(err)`
//! fails; then a falsy or empty `nextAction` stops; `result` must be an object
//! and is `{}` where it was not set. Promises are run until idle, within the
//! deadline, but the verdict is read when the synchronous part has ended.
//!
//! What this crate must never do: evaluate anything in the calling process,
//! hand a worker a secret, or believe what a worker says about its own limits.

#![warn(missing_docs)]

mod child;
mod config;
mod error;
mod pool;
mod protocol;
mod quarantine;
mod sandbox;
mod script;

pub mod bench;

#[doc(hidden)]
pub use child::{Unconfined, confine};
pub use child::{WORKER_ARGUMENT, flaw as jq_flaw, worker_main};
pub use config::{Clock, Config, Limits, QuarantinePolicy, WorkerCommand};
pub use error::Error;
pub use quarantine::Quarantined;
pub use sandbox::{Sandbox, Stats};
pub use script::{
    Digest, Evaluated, Evaluation, Isolation, LogLevel, LogLine, Logs, Script, Verdict,
};
