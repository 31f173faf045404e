//! Stand-ins for the world around the engine, for tests only: a clock that is set by hand,
//! an evaluator that reads verdicts instead of running scripts, actions that do what a test
//! tells them and remember it, a store that dies at a chosen write.
//!
//! They store and behave; they do not check calls. Tests look at what came out.

pub mod actions;
pub mod clock;
pub mod evaluator;
pub mod fuzz;
pub mod mortal;
pub mod playbooks;
pub mod rig;
pub mod until;

pub use actions::{BASH_MODULE, Behaviour, TestActions};
pub use clock::SimClock;
pub use evaluator::ScriptedEvaluator;
pub use fuzz::fuzz;
pub use mortal::MortalStore;
pub use rig::Rig;
pub use until::until;
