//! When an invocation begins: at the moment when its first action has a process, and not while
//! it waits for one. What waits is carried out by the next host where this one ends; what has
//! begun never is. So the begin is stored before the action may do anything.

use std::sync::Arc;

use conche_openwhisk::model::ActivationId;
use conche_runtime::supervisor::Stage;
use tokio::sync::Mutex;

use super::Inner;
use crate::refusal::Refusal;
use crate::store::{Admission, Commit};

/// Whether an invocation has begun, with all that is carried out within it.
pub(crate) struct Begin {
    activation: ActivationId,
    state: Mutex<State>,
}

enum State {
    /// `stored` where the store knows of it: then it must hear of its begin.
    Waiting {
        stored: bool,
    },
    Begun,
}

impl Begin {
    /// Of an activation that has not begun.
    pub(crate) fn of(activation: &ActivationId, stored: bool) -> Arc<Self> {
        Arc::new(Self {
            activation: activation.clone(),
            state: Mutex::new(State::Waiting { stored }),
        })
    }
}

impl Inner {
    /// Lets an invocation begin, unless it has. False where it must wait for the next start of
    /// the host.
    pub(super) async fn begin(&self, begin: &Begin) -> bool {
        let mut state = begin.state.lock().await;
        if let State::Waiting { stored: true } = *state {
            if self.tasks.stop(Stage::Executor).is_requested() {
                return false;
            }
            let commit = Commit {
                begin: vec![begin.activation.to_string()],
                ..Commit::default()
            };
            if !self.persist(commit).await {
                return false;
            }
        }
        *state = State::Begun;
        true
    }

    /// Stores an invocation that its caller no longer waits for, as far as it has come.
    pub(super) async fn admit_late(
        &self,
        admission: Admission,
        begin: &Begin,
    ) -> Result<(), Refusal> {
        let mut state = begin.state.lock().await;
        let begun = matches!(*state, State::Begun);
        self.admit(Admission { begun, ..admission }).await?;
        if let State::Waiting { stored } = &mut *state {
            *stored = true;
        }
        Ok(())
    }
}
