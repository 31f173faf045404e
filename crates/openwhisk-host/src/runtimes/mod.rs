//! What carries out the code of actions.
//!
//! The REST side hands over a [`Run`] and gets a [`Ran`]: which class of response it is, the
//! result in the form it is stored, how long it took and what was logged. It never sees a
//! process, a file or a language. [`Pool`] is the real thing: child processes without
//! Docker, one action revision each; [`Scripted`] stands in for it in tests.
//!
//! Nothing here may store anything, answer HTTP or decide who may run what.

mod answer;
pub mod bench;
mod cage;
mod catalogue;
mod code;
mod launch;
mod logs;
mod pool;
mod process;
mod removal;
mod room;
mod root;
mod run;
mod scripted;
mod scripts;
mod settings;
mod starter;
pub mod texts;
mod undertaker;
mod unpack;
mod watch;
mod worker;

use std::pin::Pin;

use async_trait::async_trait;

pub use cage::{CAGE_ARGUMENT, CageCommand, cage_main};
pub use pool::{Load, Pool};
pub use run::{
    ActionKey, Code, Envelope, Kind, Limits, OutOfRoom, Prewarm, Ran, ResponseClass, Run,
};
pub use scripted::Scripted;
pub use scripts::{SCRIPT_KIND, ScriptCall, ScriptDone, ScriptEnd, Scripts};
pub use settings::{Executables, ProcessLimits, Programs, Settings, Users};
pub use unpack::UnpackLimits;

/// What is done when there is a process for a call, or room to start one, and before anything of
/// its action runs. False where the call is given up after all.
pub type Begin<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// What carries out actions.
#[async_trait]
pub trait Runtimes: Send + Sync {
    /// Carries out one call, waiting for room where there is none; none where `begin` says no.
    /// Where it never begins, what is wrong is said without `begin`.
    ///
    /// Never fails: what goes wrong is a class of response with its text. It takes at most the
    /// wait for room, `begin` and twice the action's time limit (once for the start, once for the
    /// run). Dropping the future ends the process that carries out the call.
    async fn run_after(&self, run: Run, begin: Begin<'_>) -> Option<Ran>;

    /// Carries out one call as soon as there is room.
    async fn run(&self, run: Run) -> Ran {
        let ran = self
            .run_after(run, Box::pin(std::future::ready(true)))
            .await;
        ran.unwrap_or_else(|| Ran::failure(ResponseClass::InternalError, texts::NOT_PROVISIONED))
    }

    /// The kinds of code that can be carried out here, for the manifest of runtimes.
    fn kinds(&self) -> Vec<Kind>;

    /// Ends every idle process of an action revision, and those that are at work as soon as
    /// they have answered: the action was deleted or replaced.
    fn forget(&self, action: &ActionKey);

    /// Keeps processes of a kind started that belong to no action yet, so that the first call
    /// of an action finds its interpreter up. Replaces what was asked before for that kind and
    /// memory.
    fn prewarm(&self, wish: Prewarm) -> Result<(), OutOfRoom>;
}
