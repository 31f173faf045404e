//! Playbooks made into definitions: CACAO's workflow as steps of the run engine.
//!
//! ```text
//! Program (a playbook and those that it calls) → lower → Definition → run
//! ```
//!
//! Nothing is skipped: a command that no module carries out, a step that leads nowhere, a
//! secret that is not configured are refused here, with their place in the document, before
//! anything is done.

mod bind;
mod command;
mod credentials;
mod lower;
mod masked;
mod program;
mod results;
mod step;
mod validity;

pub use bind::Executors;
pub use command::CommandTemplate;
pub use lower::{Lowered, lower};
pub use masked::masked;
pub use program::{Program, ProgramError};
pub use results::{EXTENSION as RESULT_MAPPING, ResultMapping, schema as result_mapping_schema};
pub use validity::runnable;

use conche_cacao::Pointer;

/// Why a playbook cannot be run: what stands at this place of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{playbook}{pointer}: {message}")]
pub struct Refusal {
    /// The identifier of the playbook: the one that was to be run, or one that it calls.
    pub playbook: String,
    /// The place.
    pub pointer: Pointer,
    /// What is wrong and what to do.
    pub message: String,
}
