//! Actions: named operations that runs invoke.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::run::{IdempotencyKey, OnUncertain, Repeat, VisitNo};
use conche_core::{EventId, Json, RunId, StepId, Timestamp};

use crate::intake::NewEvent;
use crate::{BuildContext, BuildError};

/// One line of the list of action modules: what it is called, what it offers, how it is built.
pub struct ActionModule {
    /// The module's name in reactions and in the configuration.
    pub name: &'static str,
    /// One sentence for lists and docs.
    pub summary: &'static str,
    /// What it offers.
    pub actions: &'static [ActionSpec],
    /// JSON Schema of its configuration.
    pub config: Describe,
    /// Builds it from its configuration (`null` where the file has none). Touches no network.
    pub build: BuildAction,
}

/// Gives a JSON Schema.
pub type Describe = &'static (dyn Fn() -> serde_json::Value + Send + Sync);

/// Makes an action module of its configuration.
pub type BuildAction = &'static (
             dyn Fn(serde_json::Value, &BuildContext) -> Result<Arc<dyn Action>, BuildError>
                 + Send
                 + Sync
         );

/// One action: the same table feeds validation, the API, the CLI and the docs.
pub struct ActionSpec {
    /// Its name within the module.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// JSON Schema of its input.
    pub input: Describe,
    /// JSON Schema of its output.
    pub output: Describe,
    /// What a repeat means.
    pub repeat: Repeat,
    /// What to do when its effect is unknown, unless the definition says otherwise.
    pub on_uncertain: OnUncertain,
}

/// A built action module.
#[async_trait]
pub trait Action: Send + Sync {
    /// Performs one attempt. Called only after the intent to do so was committed. Must
    /// return by [`Call::deadline`]; it is dropped shortly after.
    async fn invoke(&self, call: &Call) -> Result<Output, Error>;

    /// Why it can do nothing as it is configured, and what to set; none where it can. A
    /// playbook that needs it is then refused before anything is done.
    fn unavailable(&self) -> Option<String> {
        None
    }

    /// By which way it would reach what an input is about, for people who ask what would be
    /// done; none where there is one way only.
    fn way(&self, _input: &Json) -> Option<String> {
        None
    }

    /// Why a call with this input would fail before anything is done, as far as that can be
    /// told without doing or asking anything: for rehearsals. It is no promise that it would
    /// succeed.
    fn foresee(&self, input: &Json) -> Result<(), Error> {
        let _ = input;
        Ok(())
    }

    /// Looks whether an earlier attempt with the same key took effect; only for actions
    /// declared [`Repeat::Probe`].
    async fn probe(&self, _call: &Call) -> Result<Probed, Error> {
        Ok(Probed::Unknown("this action cannot be probed".to_owned()))
    }
}

/// What an action returns: always an object for the next script's `actionData`.
pub type Output = Json;

/// One attempt.
pub struct Call {
    /// Which of the module's actions.
    pub action: String,
    /// Its input: always an object.
    pub input: Json,
    /// The run.
    pub run: RunId,
    /// The run's definition, for people.
    pub definition: String,
    /// The step.
    pub step: StepId,
    /// The visit of the step.
    pub visit: VisitNo,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The same on every repeat: send it along where the receiver honours one.
    pub key: IdempotencyKey,
    /// When the copy was taken that the run was put back from, where it was: what this store
    /// knows nothing of may have been done since.
    pub copied_at: Option<Timestamp>,
    /// When to give up.
    pub deadline: Timestamp,
    /// Time left until then when the call was made.
    pub timeout: Duration,
    /// The event that triggered the run.
    pub event: Option<EventId>,
    /// What the engine does for actions that act on Conche itself.
    pub host: Arc<dyn Host>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("run", &self.run)
            .field("step", &self.step)
            .field("attempt", &self.attempt)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// The engine as seen by actions that act on Conche itself.
#[async_trait]
pub trait Host: Send + Sync {
    /// Accepts an event durably, as caused by this call's run; its id is the call's key, so
    /// that a repeat emits it once.
    async fn emit(&self, call: &Call, event: NewEvent) -> Result<EventId, Error>;

    /// Starts the reaction of this name, whatever its trigger, on an event with this data, as
    /// caused by this call's run; a repeat with the call's key starts it once.
    async fn run_reaction(&self, call: &Call, reaction: &str, data: Json) -> Result<Begun, Error>;

    /// Starts the playbook of this identifier, the latest version where none is named, with
    /// these values of its external variables, as caused by this call's run; a repeat with the
    /// call's key starts it once.
    async fn run_playbook(
        &self,
        call: &Call,
        playbook: &str,
        version: Option<&str>,
        variables: BTreeMap<String, Json>,
    ) -> Result<Begun, Error> {
        let _ = (call, playbook, version, variables);
        Err(Error::permanent("there are no playbooks here"))
    }

    /// Puts an entry into a named list, for this long or until it is removed.
    async fn list_add(
        &self,
        list: &str,
        key: &str,
        value: Json,
        ttl: Option<Duration>,
    ) -> Result<(), Error> {
        let _ = (list, key, value, ttl);
        Err(Error::permanent("there are no lists here"))
    }

    /// The value of an entry of a named list, where it counts now.
    async fn list_get(&self, list: &str, key: &str) -> Option<Json> {
        let _ = (list, key);
        None
    }

    /// Takes an entry out of a named list. Whether there was one.
    async fn list_remove(&self, list: &str, key: &str) -> Result<bool, Error> {
        let _ = (list, key);
        Err(Error::permanent("there are no lists here"))
    }

    /// Answers the request that waits for this call's event. `false` where nobody waits (any more).
    fn respond(&self, call: &Call, answer: Answer) -> bool;

    /// Gives this run's answer where the runs of its event are consulted. `false` where nobody
    /// waits for it (any more), or the run has answered before.
    fn decide(&self, call: &Call, answer: Answer) -> bool {
        let _ = (call, answer);
        false
    }
}

/// What [`Host::run_reaction`] started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The event that was made for it.
    pub event: EventId,
    /// The run; none where retention has removed it since an earlier attempt.
    pub run: Option<RunId>,
}

/// The answer to a synchronous webhook, or to whoever consults the runs of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Json,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq)]
pub enum Probed {
    /// It happened; this is what the action would have returned.
    Happened(Output),
    /// It happened, and this is how it failed.
    Failed(Error),
    /// It did not.
    NotHappened,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// Why an attempt did not succeed: the executor treats each arm differently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It certainly had no effect and may go well later.
    #[error("{message}")]
    Retry {
        /// Why.
        message: String,
        /// How long the receiver asked to wait.
        after: Option<Duration>,
    },
    /// It was refused, or the input is wrong: the same again would fail again.
    #[error("{0}")]
    Permanent(String),
    /// It may or may not have taken effect.
    #[error("{0}")]
    Uncertain(String),
}

impl Error {
    /// A failure that may go well later.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry {
            message: message.into(),
            after: None,
        }
    }

    /// A failure that the same input meets again.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent(message.into())
    }
}
