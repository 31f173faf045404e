//! Runtimes that answer as they are told, for tests of what stands above them.
//!
//! They keep every call they got, answer by the name of the action, and echo the arguments
//! where nothing was said. They run no code.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{ActionKey, Begin, Kind, OutOfRoom, Prewarm, Ran, Run, Runtimes};

type Answer = Arc<dyn Fn(&Run) -> Ran + Send + Sync>;

/// See the module.
pub struct Scripted {
    state: Mutex<State>,
    /// Calls wait here while they are held back.
    gate: Semaphore,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    calls: Vec<Run>,
    forgotten: Vec<ActionKey>,
    held: bool,
    starved: bool,
    /// Calls that wait for room.
    waiting: usize,
}

impl Default for Scripted {
    fn default() -> Self {
        Self::new()
    }
}

impl Scripted {
    /// Echoes every call.
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            gate: Semaphore::new(0),
        }
    }

    /// Answers calls of the action with this simple name.
    pub fn answer<F>(&self, name: &str, answer: F)
    where
        F: Fn(&Run) -> Ran + Send + Sync + 'static,
    {
        let answers = &mut self.state().answers;
        answers.insert(name.to_owned(), Arc::new(answer));
    }

    /// Lets calls that come from now on wait until [`Scripted::release`] was called once for
    /// each.
    pub fn hold(&self) {
        self.state().held = true;
    }

    /// Lets calls that come from now on wait for room, which there is for one more each time
    /// [`Scripted::release`] is called.
    pub fn starve(&self) {
        self.state().starved = true;
    }

    /// Calls that wait for room.
    pub fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// Lets so many calls go on that are held back or wait for room.
    pub fn release(&self, calls: usize) {
        self.gate.add_permits(calls);
    }

    /// Every call that has begun, those that are held back included.
    pub fn calls(&self) -> Vec<Run> {
        self.state().calls.clone()
    }

    /// The revisions that were forgotten.
    pub fn forgotten(&self) -> Vec<ActionKey> {
        self.state().forgotten.clone()
    }

    async fn pass(&self) {
        // The gate is never closed.
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Runtimes for Scripted {
    async fn run_after(&self, run: Run, begin: Begin<'_>) -> Option<Ran> {
        if self.state().starved {
            self.state().waiting += 1;
            self.pass().await;
            self.state().waiting -= 1;
        }
        if !begin.await {
            return None;
        }
        let (answer, held) = {
            let mut state = self.state();
            state.calls.push(run.clone());
            let name = run.action.name.rsplit('/').next().unwrap_or_default();
            (state.answers.get(name).cloned(), state.held)
        };
        if held {
            self.pass().await;
        }
        let echo = || Ran::success(run.value.clone());
        Some(answer.map_or_else(echo, |answer| answer(&run)))
    }

    fn kinds(&self) -> Vec<Kind> {
        let kind = |family: &str, version: &str, default| Kind {
            family: family.to_owned(),
            kind: format!("{family}:{version}"),
            default,
            carried_out_by: None,
        };
        vec![
            kind("nodejs", "18", false),
            kind("nodejs", "20", true),
            kind("python", "3.11", true),
        ]
    }

    fn forget(&self, action: &ActionKey) {
        self.state().forgotten.push(action.clone());
    }

    fn prewarm(&self, _: Prewarm) -> Result<(), OutOfRoom> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::{Code, Envelope, Limits, ResponseClass};
    use super::*;

    fn run(name: &str) -> Run {
        Run {
            action: ActionKey {
                name: format!("/guest/{name}"),
                revision: "1".to_owned(),
            },
            code: Code {
                kind: "nodejs:20".to_owned(),
                text: "".into(),
                binary: false,
                main: None,
                image: None,
            },
            value: json!({ "a": 1 }),
            env: std::collections::BTreeMap::new(),
            envelope: Envelope::default(),
            limits: Limits {
                timeout: Duration::from_secs(1),
                memory_mb: 256,
                logs_mb: 10,
            },
        }
    }

    #[tokio::test]
    async fn a_call_is_echoed_unless_an_answer_was_given() {
        let scripted = Scripted::new();
        scripted.answer("bad", |_| {
            Ran::failure(ResponseClass::ApplicationError, "no")
        });
        assert_eq!(scripted.run(run("echo")).await.result, json!({ "a": 1 }));
        let bad = scripted.run(run("bad")).await;
        assert_eq!(bad.class.status(), "application error");
        assert_eq!(bad.result, json!({ "error": "no" }));
        assert_eq!(scripted.calls().len(), 2);
    }

    #[tokio::test]
    async fn a_call_that_is_held_back_ends_when_it_is_released() {
        let scripted = Scripted::new();
        scripted.hold();
        let call = scripted.run(run("echo"));
        tokio::pin!(call);
        assert!(futures_util::poll!(call.as_mut()).is_pending());
        scripted.release(1);
        assert_eq!(call.await.class, ResponseClass::Success);
    }
}
