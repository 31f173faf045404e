//! All that speaks to the outside: sources that yield events, modules that offer actions.
//!
//! One file or folder each; [`sources::ALL`] and [`actions::ALL`] are the lists that name
//! them all. A module holds no state between calls but connections: what must survive is
//! in the store, which no module ever touches.

pub mod action;
pub mod actions;
mod admission;
mod clients;
pub mod command;
mod commands;
pub mod config;
pub mod fins;
pub mod intake;
pub mod source;
pub mod sources;

pub use action::{
    Action, ActionModule, ActionSpec, Answer, Begun, BuildAction, Call, Error, Host, Output, Probed,
};
pub use admission::Decisions;
pub use commands::openwhisk::{Embedded, Hosts as OpenWhiskHosts, LOCAL, NamedHost};
pub use commands::openwhisk::{TYPES as OWN_COMMANDS, examine as examine_command};
pub use intake::{
    Asked, Audience, Batch, Connection, Consulted, Intake, NewEvent, Receipt, Refusal, Settles,
};
pub use source::{BuildSource, Source, SourceModule};

use std::path::PathBuf;
use std::sync::Arc;

use conche_runtime::clock::SharedClock;
use conche_runtime::secrets::Secrets;

/// What a module is built with.
#[derive(Clone)]
pub struct BuildContext {
    /// Secrets by name; read when needed, never kept.
    pub secrets: Arc<Secrets>,
    /// The one HTTP client, which checks where it connects to.
    pub egress: Arc<conche_runtime::egress::Egress>,
    /// The clock.
    pub clock: SharedClock,
    /// What may enter a cluster: shared by the source that is asked and the actions that decide.
    pub decisions: Arc<Decisions>,
    /// The SOARCA Fins: shared by the action `fin`, the routes that fins call and the API.
    pub fins: Arc<fins::Fins>,
    /// The hosts of OpenWhisk that have a name, the embedded one among them.
    pub openwhisk: Arc<OpenWhiskHosts>,
    /// The folder in which a module may keep what it must remember of its peers; none where
    /// nothing is kept.
    pub data_dir: Option<PathBuf>,
    /// What a payload or result may measure.
    pub json: conche_core::json::Limits,
}

/// A module's configuration makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct BuildError {
    /// Which configuration, e.g. `actions.mail`.
    pub place: String,
    /// What is wrong and what to do.
    pub message: String,
}
