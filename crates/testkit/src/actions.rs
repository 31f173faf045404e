//! A module whose actions do what a test tells them, and which remembers every effect by
//! its key, as a receiver that honours keys would.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use conche_core::{Json, Timestamp};
use conche_modules::action::Probed;
use conche_modules::{Action, ActionModule, ActionSpec, BuildError, Call, Error, Output};
use tokio::sync::Notify;

/// What the next call of an action does.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Takes effect and returns this.
    Succeed(serde_json::Value),
    /// Has no effect, may go well later.
    Retry(&'static str),
    /// Has no effect and never will.
    Refuse(&'static str),
    /// Takes effect, but the answer is lost.
    LoseAnswer,
    /// Has no effect, and the answer is lost.
    LoseRequest,
    /// Takes effect, then never returns.
    Hang,
    /// Panics.
    Panic,
}

/// One call that a test may look at.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which action.
    pub action: String,
    /// Its key.
    pub key: String,
    /// The attempt.
    pub attempt: u32,
    /// The input.
    pub input: Json,
    /// The step, for people.
    pub step: String,
    /// The deadline given.
    pub deadline: Timestamp,
}

#[derive(Default)]
struct State {
    plan: BTreeMap<String, VecDeque<Behaviour>>,
    seen: Vec<Seen>,
    /// Effects by key: how often each really took effect.
    effects: BTreeMap<String, u32>,
}

/// The module `test`.
#[derive(Clone, Default)]
pub struct TestActions {
    state: Arc<Mutex<State>>,
    called: Arc<Notify>,
}

fn any() -> serde_json::Value {
    serde_json::json!({})
}

fn unbuildable(
    _: serde_json::Value,
    _: &conche_modules::BuildContext,
) -> Result<Arc<dyn Action>, BuildError> {
    Err(BuildError {
        place: "actions.test".to_owned(),
        message: "is built by tests only".to_owned(),
    })
}

const fn spec(name: &'static str, repeat: Repeat, on_uncertain: OnUncertain) -> ActionSpec {
    ActionSpec {
        name,
        summary: "For tests.",
        input: &any,
        output: &any,
        repeat,
        on_uncertain,
    }
}

/// The list entry of the module: one action of each repeat class.
pub static TEST_MODULE: ActionModule = ActionModule {
    name: "test",
    summary: "For tests.",
    actions: &[
        spec("idempotent", Repeat::Idempotent, OnUncertain::Repeat),
        spec("keyed", Repeat::Keyed, OnUncertain::Repeat),
        spec("probed", Repeat::Probe, OnUncertain::Attention),
        spec("unsafe", Repeat::Unsafe, OnUncertain::Attention),
    ],
    config: &any,
    build: &unbuildable,
};

/// The same actions as the module that carries out `bash` commands of playbooks.
pub static BASH_MODULE: ActionModule = ActionModule {
    name: "bash",
    summary: "For tests.",
    actions: &[spec("execute", Repeat::Unsafe, OnUncertain::Attention)],
    config: &any,
    build: &unbuildable,
};

impl TestActions {
    /// What the next calls of `action` do, in order; after that they succeed with `{}`.
    pub fn plan(&self, action: &str, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.lock()
            .plan
            .entry(action.to_owned())
            .or_default()
            .extend(behaviours);
    }

    /// Every call so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// How often each key took effect.
    pub fn effects(&self) -> BTreeMap<String, u32> {
        self.lock().effects.clone()
    }

    /// Waits until there were this many calls.
    pub async fn called(&self, times: usize) {
        loop {
            let next = self.called.notified();
            if self.lock().seen.len() >= times {
                return;
            }
            next.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, call: &Call) -> Behaviour {
        let mut state = self.lock();
        state.seen.push(Seen {
            action: call.action.clone(),
            key: call.key.to_string(),
            attempt: call.attempt,
            input: call.input.clone(),
            step: call.step.to_string(),
            deadline: call.deadline,
        });
        let planned = state
            .plan
            .get_mut(&call.action)
            .and_then(VecDeque::pop_front);
        let behaviour = planned.unwrap_or(Behaviour::Succeed(serde_json::json!({})));
        if matches!(
            behaviour,
            Behaviour::Succeed(_) | Behaviour::LoseAnswer | Behaviour::Hang
        ) {
            *state.effects.entry(call.key.to_string()).or_default() += 1;
        }
        behaviour
    }
}

#[async_trait]
impl Action for TestActions {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let behaviour = self.take(call);
        self.called.notify_waiters();
        match behaviour {
            Behaviour::Succeed(output) => Ok(Json::from(&output)),
            Behaviour::Retry(message) => Err(Error::retry(message)),
            Behaviour::Refuse(message) => Err(Error::permanent(message)),
            Behaviour::LoseAnswer | Behaviour::LoseRequest => {
                Err(Error::Uncertain("the answer was lost".to_owned()))
            }
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Panic => panic!("as planned"),
        }
    }

    async fn probe(&self, call: &Call) -> Result<Probed, Error> {
        Ok(if self.lock().effects.contains_key(call.key.as_str()) {
            Probed::Happened(Json::from(&serde_json::json!({"probed": true})))
        } else {
            Probed::NotHappened
        })
    }
}
