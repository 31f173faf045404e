//! Playbooks made into definitions: CACAO's workflow as steps of the run engine.
//!
//! ```text
//! Program (a playbook and those that it calls) → lower → Definition → run
//! ```
//!
//! Nothing is skipped: a command that no module carries out, a step that leads nowhere, a
//! secret that is not configured are refused here, with their place in the document, before
//! anything is done.

mod approval;
mod bind;
mod command;
mod credentials;
mod exposed;
mod four_eyes;
mod lower;
mod masked;
mod program;
mod results;
mod step;
mod validity;

pub use approval::Plan;
pub use bind::{Executors, SecretUse};
pub use command::CommandTemplate;
pub use four_eyes::{EXTENSION as FOUR_EYES, FourEyes};
pub use lower::{Lowered, lower};
pub use masked::masked;
pub use program::{Program, ProgramError};
pub use results::{EXTENSION as RESULT_MAPPING, ResultMapping, schema as result_mapping_schema};
pub use validity::runnable;

use conche_cacao::Pointer;

/// Kinds of refusals, for programs. Each is a promise: it keeps its meaning.
pub mod codes {
    /// It cannot be carried out as it is written, or not here.
    pub const NOT_RUNNABLE: &str = "not_runnable";
    /// A playbook that it calls is not there.
    pub const PLAYBOOK_MISSING: &str = "playbook_missing";
    /// Playbooks call each other in a circle.
    pub const CALLS_IN_A_CIRCLE: &str = "calls_in_a_circle";
    /// A signature is not of what the document says.
    pub const SIGNATURE_INCORRECT: &str = "signature_incorrect";
    /// It names a secret that is not configured.
    pub const SECRET_UNKNOWN: &str = "secret_unknown";
    /// It names a secret that playbooks may not use.
    pub const SECRET_NOT_GRANTED: &str = "secret_not_granted";
    /// It uses a variable that feeds credentials for something else as well.
    pub const SECRET_EXPOSED: &str = "secret_exposed";
}

/// Why a playbook cannot be run: what stands at this place of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{playbook}{pointer}: {message}")]
pub struct Refusal {
    /// The identifier of the playbook: the one that was to be run, or one that it calls.
    pub playbook: String,
    /// What kind of refusal it is; one of [`codes`].
    pub code: &'static str,
    /// The place.
    pub pointer: Pointer,
    /// What is wrong and what to do.
    pub message: String,
}
