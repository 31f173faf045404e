//! Carrying out invocations: accepted, carried out, recorded, in this order.
//!
//! What is answered by 202 is stored before. Its begin is recorded when its first action has a
//! process and before that may do anything (see `begin`), so that an activation is carried out at most once: what a crash finds accepted
//! and not begun is carried out after the restart, what had begun is ended as failed. No call
//! runs outside the supervisor, and none is lost because its caller hung up.

mod begin;
mod conductor;
mod named;
mod primitive;
mod record;
mod resume;
mod sequence;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conche_openwhisk::model::{
    Activation, ActivationId, Exec, FullyQualifiedName, KeyValue, Version,
};
use conche_runtime::supervisor::Stage;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use crate::entities::Target;
use crate::host::Inner;
use crate::refusal::Refusal;
use crate::store::{self, Admission, Commit, User};
use crate::throttle::Slot;

pub(crate) use self::begin::Begin;
pub(crate) use self::named::{Named, word};
pub(crate) use self::record::{read, response, stored};

/// The pause before a change that the store did not take is tried again; doubled each time.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// An invocation that a caller asks for.
pub(crate) struct Asked {
    /// Who pays and in whose namespace it is recorded.
    pub(crate) who: Arc<User>,
    pub(crate) target: Target,
    /// An object or an array.
    pub(crate) payload: Value,
    pub(crate) transaction: Arc<str>,
    /// Names what the caller means; asked again it is the same activation.
    pub(crate) named: Option<Named>,
    /// How long the caller waits; not at all without it.
    pub(crate) wait: Option<Duration>,
}

/// What a caller is told.
#[derive(Debug, Clone)]
pub(crate) enum Answered {
    /// It is stored and goes on.
    Accepted(ActivationId),
    /// It is over.
    Over(Arc<Activation>),
}

/// One activation to carry out.
pub(crate) struct Call {
    pub(crate) who: Arc<User>,
    pub(crate) target: Target,
    pub(crate) payload: Value,
    pub(crate) id: ActivationId,
    /// The sequence or composition that it is part of.
    pub(crate) within: Option<ActivationId>,
    /// That of what was invoked, which this may be part of.
    pub(crate) begin: Arc<Begin>,
    pub(crate) transaction: Arc<str>,
    /// When it was accepted, in milliseconds since 1970.
    pub(crate) accepted: i64,
}

/// What is stored of an invocation, to carry it out after a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    action: FullyQualifiedName,
    payload: Value,
    transaction: Arc<str>,
    accepted: i64,
    /// Of the action as it was then, for a record of what is not carried out.
    #[serde(default)]
    version: Version,
    #[serde(default)]
    annotations: Vec<KeyValue>,
}

/// What one invocation may still start within itself.
pub(crate) struct Journey {
    components: AtomicUsize,
    conductors: AtomicUsize,
    /// Sequences within sequences: they may be replaced while they run, by ones that hold them.
    sequences: AtomicUsize,
}

impl Journey {
    fn new(most: usize) -> Self {
        Self {
            components: AtomicUsize::new(most),
            conductors: AtomicUsize::new(most.saturating_mul(2).saturating_add(1)),
            // As many as a sequence may hold when it is stored, and that one.
            sequences: AtomicUsize::new(most.saturating_mul(2).saturating_add(1)),
        }
    }

    fn take(left: &AtomicUsize) -> bool {
        let less = |left: usize| left.checked_sub(1);
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

/// What is being carried out, for those who ask for it once more.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<ActivationId, Over>>);

type Over = watch::Receiver<Option<Arc<Activation>>>;

impl Flights {
    fn enter(&self, id: &ActivationId, over: &Over) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(id.clone(), over.clone());
    }

    fn leave(&self, id: &ActivationId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(id);
    }

    fn of(&self, id: &ActivationId) -> Option<Over> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(id).cloned()
    }
}

/// An identifier that no activation has.
pub(crate) fn new_id() -> ActivationId {
    ActivationId::of(uuid::Uuid::now_v7().as_u128())
}

impl Call {
    /// What is stored to carry it out later.
    pub(crate) fn admission(&self, named: Option<&Named>) -> Admission {
        let request = Request {
            action: self.target.asked.clone(),
            payload: self.payload.clone(),
            transaction: self.transaction.clone(),
            accepted: self.accepted,
            version: self.target.action.version.clone(),
            annotations: record::known(self),
        };
        Admission {
            activation: self.id.to_string(),
            namespace: self.who.namespace.clone(),
            // Its parts are strings and JSON, which can be written.
            request: serde_json::to_value(request).unwrap_or_default(),
            begun: false,
            idempotency: named.map(|named| named.word.clone()),
        }
    }
}

impl Inner {
    /// Accepts an invocation and, where the caller waits, says what came of it.
    pub(crate) async fn invoke(self: &Arc<Self>, asked: Asked) -> Result<Answered, Refusal> {
        let namespace = asked.who.namespace.clone();
        let slot = self.throttle.invocation(&namespace, self.now())?;
        // A caller that waits is answered from the record; one that doesn't, or that may come
        // back with its key, relies on what is stored now.
        let stored = asked.wait.is_none() || asked.named.is_some();
        let id = asked.named.as_ref().map_or_else(new_id, Named::new_id);
        let call = Call {
            who: asked.who,
            target: asked.target,
            payload: asked.payload,
            begin: Begin::of(&id, stored),
            id: id.clone(),
            within: None,
            transaction: asked.transaction,
            accepted: self.now(),
        };
        if stored {
            let admission = call.admission(asked.named.as_ref());
            if let Some(known) = self.admit(admission).await? {
                let known = match &asked.named {
                    Some(named) => named.known(&known)?,
                    None => ActivationId::parse(&known)?,
                };
                drop(slot);
                return self.known(&namespace, known, asked.wait).await;
            }
        }
        let late = (call.admission(None), Arc::clone(&call.begin));
        let over = self.start(call, slot);
        let Some(wait) = asked.wait else {
            return Ok(Answered::Accepted(id));
        };
        match self.outcome(over, wait).await? {
            Some(activation) => Ok(Answered::Over(activation)),
            None => {
                let (admission, begin) = late;
                self.admit_late(admission, &begin).await?;
                Ok(Answered::Accepted(id))
            }
        }
    }

    /// Stores an admission; the activation that its key belongs to already, if any.
    async fn admit(&self, admission: Admission) -> Result<Option<String>, Refusal> {
        let commit = Commit {
            admit: vec![admission],
            ..Commit::default()
        };
        match self.commit(commit).await {
            Ok(()) => Ok(None),
            Err(store::Error::Known { activation }) => Ok(Some(activation)),
            Err(error) => Err(error.into()),
        }
    }

    /// The answer for an activation that was asked for before.
    async fn known(
        &self,
        namespace: &str,
        id: ActivationId,
        wait: Option<Duration>,
    ) -> Result<Answered, Refusal> {
        let Some(wait) = wait else {
            return Ok(Answered::Accepted(id));
        };
        if let Some(over) = self.flights.of(&id)
            && let Some(activation) = self.outcome(over, wait).await?
        {
            return Ok(Answered::Over(activation));
        }
        let found = self.store.activation(namespace, id.as_str()).await?;
        Ok(match found {
            Some(record) => Answered::Over(Arc::new(record::read(record)?)),
            None => Answered::Accepted(id),
        })
    }

    /// What came of a call, if that is known in time.
    async fn outcome(
        &self,
        mut over: Over,
        wait: Duration,
    ) -> Result<Option<Arc<Activation>>, Refusal> {
        match tokio::time::timeout(wait, over.wait_for(Option::is_some)).await {
            Err(_elapsed) => Ok(None),
            // It was dropped: the host stops.
            Ok(Err(_closed)) => Err(Refusal::overloaded()),
            Ok(Ok(activation)) => Ok(activation.clone()),
        }
    }

    /// Starts a call that is accepted.
    pub(crate) fn start(self: &Arc<Self>, call: Call, slot: Slot) -> Over {
        let (sender, over) = watch::channel(None);
        self.flights.enter(&call.id, &over);
        let host = Arc::clone(self);
        let landing = Landing {
            host: Arc::clone(self),
            id: call.id.clone(),
            _slot: slot,
        };
        let name = format!("activation {}", call.id);
        self.tasks.detach(name, Stage::Executor, async move {
            let landing = landing;
            let journey = Journey::new(host.settings.actions.sequence_length);
            if let Some(activation) = host.carry_out(call, Arc::new(journey)).await {
                drop(landing);
                sender.send_replace(Some(Arc::new(activation)));
            }
        });
        over
    }

    /// Makes changes that must not be lost: where the store is away they are tried again until
    /// it is back or the host stops. False where they were not made.
    pub(crate) async fn persist(&self, commit: Commit) -> bool {
        let stop = self.tasks.stop(Stage::Executor);
        let mut pause = PAUSE_FIRST;
        loop {
            match self.commit(commit.clone()).await {
                Ok(()) => return true,
                Err(store::Error::Unavailable(reason)) if !stop.is_requested() => {
                    tracing::warn!(%reason, "the store is away; the change is tried again");
                    tokio::select! {
                        () = stop.requested() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(PAUSE_MOST);
                }
                Err(error) => {
                    tracing::error!(%error, "a change is not stored");
                    return false;
                }
            }
        }
    }

    /// Carries out a part of a sequence or composition, in a task of its own: parts have parts,
    /// and no stack may grow with them. None where it, or the task, was cut off.
    async fn part(self: &Arc<Self>, call: Call, journey: &Arc<Journey>) -> Option<Activation> {
        let (sender, over) = oneshot::channel();
        let name = format!("activation {}", call.id);
        let carried_out = Arc::clone(self).carry_out(call, Arc::clone(journey));
        self.tasks.detach(name, Stage::Executor, async move {
            // Who asked may have been cut off meanwhile.
            drop(sender.send(carried_out.await));
        });
        over.await.ok().flatten()
    }

    /// Carries out a call and records it; none where it could not begin any more and waits for
    /// the next start of the host. `journey` is that of the whole that it belongs to.
    fn carry_out(
        self: Arc<Self>,
        call: Call,
        journey: Arc<Journey>,
    ) -> Pin<Box<dyn Future<Output = Option<Activation>> + Send>> {
        Box::pin(async move {
            let package = call.target.action.namespace.package.clone();
            let activation = match &call.target.action.exec {
                Exec::Sequence(sequence) => {
                    let components = sequence.components.clone();
                    self.sequence(call, components, &journey).await
                }
                _ if call.target.is_conductor() => self.conductor(call, &journey).await,
                _ => self.primitive(call).await,
            }?;
            let package = package.map(|package| package.to_string());
            Some(self.record(activation, package).await)
        })
    }
}

/// What is to be done when a call is over, however it ends.
struct Landing {
    host: Arc<Inner>,
    id: ActivationId,
    _slot: Slot,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.host.flights.leave(&self.id);
    }
}
