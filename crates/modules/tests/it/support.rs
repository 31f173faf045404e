//! What modules are built with and talk to in these tests: an intake that really stores, a
//! clock that can be set, secrets in files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use conche_core::event::is_storable;
use conche_core::run::IdempotencyKey;
use conche_core::{EventId, Json, RunId, StepId, Timestamp};
use conche_modules::{
    Action, Answer, Asked, Audience, Batch, Begun, BuildContext, BuildError, Call, Connection,
    Consulted, Error, Host, Intake, NewEvent, Output, Receipt, Refusal, Settles, Source, actions,
    sources,
};
use conche_runtime::clock::{Clock, SystemClock};
use conche_runtime::egress::{Egress, EgressConfig};
use conche_runtime::secrets::{PlaybookGrant, PlaybookGrants, SecretRef, Secrets};
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

/// What modules are built with: loopback may be called, and these secrets exist.
pub(crate) fn context(folder: &Path, secrets: &[(&str, &str)]) -> BuildContext {
    let egress = EgressConfig {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        ..EgressConfig::default()
    };
    let references: BTreeMap<_, _> = secrets
        .iter()
        .map(|(name, value)| {
            let path = folder.join(name);
            std::fs::write(&path, value).unwrap();
            ((*name).to_owned(), SecretRef::File(path))
        })
        .collect();
    let secrets = Secrets::load(references);
    secrets.grant_to_playbooks(to_everybody(&secrets));
    BuildContext {
        decisions: Arc::default(),
        fins: Arc::default(),
        openwhisk: Arc::default(),
        data_dir: None,
        secrets: Arc::new(secrets),
        egress: Arc::new(Egress::new(&egress).unwrap()),
        clock: Arc::new(SystemClock),
        json: conche_core::json::Limits::default(),
    }
}

/// Playbooks may have every secret sent to whom they like, encrypted.
fn to_everybody(secrets: &Secrets) -> PlaybookGrants {
    let grant = PlaybookGrant {
        hosts: vec!["*".parse().unwrap()],
        fins: vec!["*".to_owned()],
        plain_http: false,
    };
    let granted = secrets.names().map(|name| (name.to_owned(), grant.clone()));
    PlaybookGrants {
        secrets: granted.collect(),
        plain_http: Vec::new(),
    }
}

/// Builds an action module of the list.
pub(crate) fn action(
    name: &str,
    config: Value,
    cx: &BuildContext,
) -> Result<Arc<dyn Action>, BuildError> {
    let module = actions::ALL
        .iter()
        .find(|module| module.name == name)
        .unwrap();
    (module.build)(config, cx)
}

/// Builds a source of the list, with the id `s`.
pub(crate) fn source(
    name: &str,
    config: Value,
    cx: &BuildContext,
) -> Result<Arc<dyn Source>, BuildError> {
    let module = sources::ALL
        .iter()
        .find(|module| module.name == name)
        .unwrap();
    (module.build)("s", config, cx)
}

/// A first attempt with 10 s to go.
pub(crate) fn call(action: &str, input: &Value) -> Call {
    let run = RunId::new(Uuid::now_v7());
    let step = StepId::from("step");
    let timeout = Duration::from_secs(10);
    Call {
        action: action.to_owned(),
        input: Json::from(input),
        run,
        definition: "test".to_owned(),
        visit: 0,
        attempt: 1,
        key: IdempotencyKey::of(run, &step, &Vec::new(), 0, 0),
        step,
        copied_at: None,
        deadline: Timestamp::now() + timeout,
        timeout,
        event: None,
        host: Arc::new(FakeHost::default()),
    }
}

/// Invokes and reads the output.
pub(crate) async fn invoke(
    module: &Arc<dyn Action>,
    action: &str,
    input: Value,
) -> Result<Value, Error> {
    let output: Result<Output, Error> = module.invoke(&call(action, &input)).await;
    output.map(|output| output.read().unwrap())
}

/// Keeps what it is told; emits an event with one key once.
#[derive(Default)]
pub(crate) struct FakeHost {
    pub(crate) emitted: Mutex<HashMap<String, (EventId, NewEvent)>>,
    pub(crate) answers: Mutex<Vec<Answer>>,
    pub(crate) nobody_waits: bool,
    /// Who hears what is decided.
    pub(crate) intake: Option<Arc<FakeIntake>>,
    /// Entries of lists, by list and key.
    pub(crate) lists: Mutex<BTreeMap<(String, String), Json>>,
}

#[async_trait]
impl Host for FakeHost {
    async fn emit(&self, call: &Call, event: NewEvent) -> Result<EventId, Error> {
        let mut emitted = self.emitted.lock().unwrap();
        let entry = emitted.entry(call.key.to_string());
        Ok(entry
            .or_insert_with(|| (EventId::new(Uuid::now_v7()), event))
            .0)
    }

    async fn run_reaction(&self, call: &Call, reaction: &str, data: Json) -> Result<Begun, Error> {
        if reaction == "nobody" {
            return Err(Error::permanent("there is no reaction 'nobody'"));
        }
        let event = NewEvent {
            id: None,
            event_type: "conche.run.requested".to_owned(),
            subject: Some(reaction.to_owned()),
            time: None,
            data,
        };
        let event = self.emit(call, event).await?;
        let run = Some(RunId::new(event.uuid()));
        Ok(Begun { event, run })
    }

    async fn list_add(
        &self,
        list: &str,
        key: &str,
        value: Json,
        _ttl: Option<Duration>,
    ) -> Result<(), Error> {
        let entry = (list.to_owned(), key.to_owned());
        self.lists.lock().unwrap().insert(entry, value);
        Ok(())
    }

    async fn list_get(&self, list: &str, key: &str) -> Option<Json> {
        let entry = (list.to_owned(), key.to_owned());
        self.lists.lock().unwrap().get(&entry).cloned()
    }

    async fn list_remove(&self, list: &str, key: &str) -> Result<bool, Error> {
        let entry = (list.to_owned(), key.to_owned());
        Ok(self.lists.lock().unwrap().remove(&entry).is_some())
    }

    fn respond(&self, _call: &Call, answer: Answer) -> bool {
        self.answers.lock().unwrap().push(answer);
        !self.nobody_waits
    }

    fn decide(&self, call: &Call, answer: Answer) -> bool {
        let heard = self.intake.as_ref().zip(call.event);
        heard.is_some_and(|(intake, event)| intake.say(event, call.run, answer))
    }
}

/// What an intake has stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    pub(crate) events: Vec<(EventId, NewEvent)>,
    pub(crate) cursors: HashMap<String, String>,
    /// The number of transactions.
    pub(crate) batches: usize,
}

/// What runs said about events, each its first word.
type Said = HashMap<EventId, Vec<(RunId, Answer)>>;

/// Stores events with the engine's promises: one transaction a batch, one event for each
/// source and id. Each event has one run that is consulted.
pub(crate) struct FakeIntake {
    stored: watch::Sender<Stored>,
    refusal: Mutex<Option<Refusal>>,
    refused: Mutex<Vec<&'static str>>,
    /// What the source noted of its connections, in order, without repeats.
    connections: Mutex<Vec<(String, Connection)>>,
    answer: Mutex<Option<Answer>>,
    said: watch::Sender<Said>,
    deaf: Mutex<Vec<String>>,
    policy: Mutex<u64>,
}

impl FakeIntake {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            stored: watch::Sender::new(Stored::default()),
            refusal: Mutex::default(),
            refused: Mutex::default(),
            connections: Mutex::default(),
            answer: Mutex::default(),
            said: watch::Sender::default(),
            deaf: Mutex::default(),
            policy: Mutex::default(),
        })
    }

    /// What the source noted of its connections.
    pub(crate) fn connections(&self) -> Vec<(String, Connection)> {
        self.connections.lock().unwrap().clone()
    }

    /// Refuses everything from now on; takes it again with `None`.
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        *self.refusal.lock().unwrap() = refusal;
    }

    /// Answers every question so; with `None` nobody answers.
    pub(crate) fn answer(&self, answer: Option<Answer>) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Sets a source's cursor, as an earlier process has left it.
    pub(crate) fn resume(&self, source: &str, cursor: &str) {
        self.stored.send_modify(|stored| {
            stored.cursors.insert(source.to_owned(), cursor.to_owned());
        });
    }

    /// Lets nobody listen to events of this type.
    pub(crate) fn deafen(&self, event_type: &str) {
        self.deaf.lock().unwrap().push(event_type.to_owned());
    }

    /// Changes the reactions.
    pub(crate) fn change_policy(&self) {
        *self.policy.lock().unwrap() += 1;
    }

    /// What sources refused, in order.
    pub(crate) fn refusals(&self) -> Vec<&'static str> {
        self.refused.lock().unwrap().clone()
    }

    pub(crate) fn stored(&self) -> Stored {
        self.stored.borrow().clone()
    }

    /// Waits until what is stored is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Stored) -> bool) -> Stored {
        let mut stored = self.stored.subscribe();
        let found = stored.wait_for(|stored| wanted(stored));
        found.await.unwrap().clone()
    }

    /// A run says something about its event. Whether that is its first word.
    fn say(&self, event: EventId, run: RunId, answer: Answer) -> bool {
        self.said.send_if_modified(|said| {
            let said = said.entry(event).or_default();
            let first = said.iter().all(|(known, _)| *known != run);
            said.extend(first.then_some((run, answer)));
            first
        })
    }

    fn take(&self, batch: Batch) -> Result<Vec<Receipt>, Refusal> {
        if let Some(refusal) = self.refusal.lock().unwrap().clone() {
            return Err(refusal);
        }
        let mut times = batch.events.iter().filter_map(|event| event.time);
        if times.any(|time| !is_storable(time)) {
            let reason = "the event's time is out of range";
            return Err(Refusal::Invalid(reason.to_owned()));
        }
        let mut receipts = Vec::new();
        self.stored.send_modify(|stored| {
            stored.batches += 1;
            for event in batch.events {
                let known = stored
                    .events
                    .iter()
                    .find(|(_, known)| event.id.is_some() && known.id == event.id)
                    .map(|(id, _)| *id);
                let id = known.unwrap_or_else(|| EventId::new(Uuid::now_v7()));
                receipts.push(Receipt {
                    event: id,
                    duplicate: known.is_some(),
                });
                if known.is_none() {
                    stored.events.push((id, event));
                }
            }
            if let Some(cursor) = batch.cursor {
                stored.cursors.insert(batch.source, cursor);
            }
        });
        Ok(receipts)
    }
}

#[async_trait]
impl Intake for FakeIntake {
    async fn accept(&self, batch: Batch) -> Result<Vec<Receipt>, Refusal> {
        self.take(batch)
    }

    async fn ask(
        &self,
        source: &str,
        event: NewEvent,
        timeout: Duration,
    ) -> Result<Asked, Refusal> {
        let source = source.to_owned();
        let receipts = self.take(Batch {
            source,
            events: vec![event],
            cursor: None,
        })?;
        let answer = self.answer.lock().unwrap().clone();
        if answer.is_none() {
            tokio::time::sleep(timeout).await; // poll: nobody answers
        }
        Ok(Asked {
            receipt: receipts[0],
            answer,
        })
    }

    async fn consult(
        &self,
        source: &str,
        event: NewEvent,
        timeout: Duration,
        _settles: Settles<'_>,
    ) -> Result<Consulted, Refusal> {
        let (source, events) = (source.to_owned(), vec![event]);
        let cursor = None;
        let batch = Batch {
            source,
            events,
            cursor,
        };
        let receipt = self.take(batch)?[0];
        let answer = self.answer.lock().unwrap().clone();
        let mut answers: Vec<Answer> = answer.into_iter().collect();
        if answers.is_empty() {
            let mut said = self.said.subscribe();
            let heard = said.wait_for(|said| said.contains_key(&receipt.event));
            if let Ok(said) = tokio::time::timeout(timeout, heard).await {
                let said = &said.unwrap()[&receipt.event];
                answers.extend(said.iter().map(|(_, answer)| answer.clone()));
            }
        }
        Ok(Consulted {
            receipt,
            silent: 0,
            open: usize::from(answers.is_empty()),
            answers,
        })
    }

    fn audience(&self, event_type: &str) -> Audience {
        let deaf = self.deaf.lock().unwrap();
        let hears = !deaf.iter().any(|deaf| deaf == event_type);
        Audience {
            reactions: usize::from(hears),
            policy: *self.policy.lock().unwrap(),
        }
    }

    async fn cursor(&self, source: &str) -> Result<Option<String>, Refusal> {
        Ok(self.stored.borrow().cursors.get(source).cloned())
    }

    fn refused(&self, _source: &str, reason: &'static str) {
        self.refused.lock().unwrap().push(reason);
    }

    fn connection(&self, _source: &str, part: &str, state: Connection) {
        let noted = (part.to_owned(), state);
        let mut all = self.connections.lock().unwrap();
        if all.last() != Some(&noted) {
            all.push(noted);
        }
    }
}

/// Goes with tokio's clock, which tests can stop, and can be set besides.
pub(crate) struct TestClock {
    begun: tokio::time::Instant,
    base: Mutex<Timestamp>,
}

impl TestClock {
    pub(crate) fn at(time: &str) -> Arc<Self> {
        Arc::new(Self {
            begun: tokio::time::Instant::now(),
            base: Mutex::new(time.parse().unwrap()),
        })
    }

    /// Sets the clock.
    pub(crate) fn set(&self, time: &str) {
        let time: Timestamp = time.parse().unwrap();
        *self.base.lock().unwrap() = time - self.begun.elapsed();
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.base.lock().unwrap() + self.begun.elapsed()
    }
}
