//! The fins that are served, as the module's action, its routes and the API see them.
//!
//! [`Fins`] stands in the build context: empty until `actions.fin` is built, and for ever where
//! that has no settings. It must be [served](Fins::serve) for MQTT fins to be heard, and is no
//! store: what it knows are peers, not runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conche_core::Timestamp;
use conche_runtime::clock::SharedClock;
use conche_runtime::secrets::Secrets;
use conche_runtime::supervisor::Stop;
use serde::Serialize;
use tokio::time::Instant;

use super::mqtt::{self, Mqtt, Order};
use super::poll::Poll;
use super::registry::{self, Choice, Missing, Registration, Registry, Transport};
use super::state::State;
use crate::command::Party;

/// What an operator asked of a fin did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No fin has this id, or no MQTT fin this capability.
    #[error("there is no such fin")]
    Unknown,
    /// The broker cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The fin did not answer in time; the published Python library knows no orders.
    #[error("the fin does not answer")]
    Unanswered,
    /// The fin will not.
    #[error("the fin refuses")]
    Refused,
}

/// All fins, and what it takes to speak to them. Cheap to share.
#[derive(Default)]
pub struct Fins(Mutex<Option<Arc<Service>>>);

/// A fin as the API lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FinInfo {
    /// Its id.
    pub fin_id: String,
    /// Its name for people.
    pub name: Option<String>,
    /// How it is reached.
    pub transport: Transport,
    /// The version of the protocol that it says to speak.
    pub protocol_version: Option<String>,
    /// What it can do.
    pub capabilities: Vec<CapabilityInfo>,
    /// When it registered.
    pub registered_at: Timestamp,
    /// When it was last heard of. MQTT fins are silent while there is nothing to do.
    pub last_seen: Timestamp,
    /// Whether it polls and was not heard of for too long.
    pub stale: bool,
}

/// One thing that a fin can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CapabilityInfo {
    /// The name that playbooks give to their agent, or the agent's type.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What it last said of itself: `ready`, `working`, `paused`, `stopped`.
    pub progress: Option<String>,
}

/// Everything that is there once `actions.fin` is built.
pub(super) struct Service {
    pub(super) registry: Registry,
    pub(super) state: State,
    pub(super) clock: SharedClock,
    pub(super) secrets: Arc<Secrets>,
    pub(super) wait: Duration,
    pub(super) ack_within: Duration,
    pub(super) mqtt: Option<Mqtt>,
    pub(super) poll: Option<Arc<Poll>>,
}

impl Fins {
    /// Serves fins until asked to stop: reads which there were, and connects to the broker.
    pub async fn serve(&self, stop: Stop) {
        let Some(service) = self.service() else {
            return;
        };
        service.state.load(&service.registry);
        match &service.mqtt {
            Some(mqtt) => Box::pin(mqtt::line::serve(&service, mqtt, &stop)).await,
            None => stop.requested().await,
        }
        if let Some(poll) = &service.poll {
            poll.close();
        }
    }

    /// All fins, in the order of their ids.
    pub fn list(&self) -> Vec<FinInfo> {
        let Some(service) = self.service() else {
            return Vec::new();
        };
        let all = service.registry.all().into_iter();
        all.map(|fin| service.info(fin)).collect()
    }

    /// Forgets a fin, whichever way it is reached, and tells it where that can be.
    pub async fn remove(&self, fin_id: &str) -> Result<(), Error> {
        let service = self.service().ok_or(Error::Unknown)?;
        let fin = service.registry.get(fin_id).ok_or(Error::Unknown)?;
        service.registry.remove(fin_id);
        service.state.save(&service.registry).await;
        if let (Transport::Mqtt, Some(mqtt)) = (fin.transport, &service.mqtt) {
            let capabilities: Vec<String> =
                fin.capabilities.into_iter().map(|one| one.id).collect();
            // One that cannot be told is forgotten all the same.
            mqtt.dismiss(fin_id, &capabilities).await.ok();
        }
        Ok(())
    }

    /// Tells the MQTT fin of a capability to pause, resume, stop or say how it is.
    pub async fn order(&self, capability: &str, order: Order) -> Result<(), Error> {
        let service = self.service().ok_or(Error::Unknown)?;
        let mqtt = service.mqtt.as_ref().ok_or(Error::Unknown)?;
        if !service
            .registry
            .topics()
            .iter()
            .any(|topic| topic == capability)
        {
            return Err(Error::Unknown);
        }
        mqtt.order(capability, order).await
    }

    pub(super) fn set(&self, service: Arc<Service>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(service);
    }

    pub(super) fn service(&self) -> Option<Arc<Service>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Service {
    /// Who carries out what an agent is asked for, waiting until `until` for one to register.
    pub(super) async fn choose(&self, agent: &Party, until: Instant) -> Result<Choice, Missing> {
        let mut changes = self.registry.watch();
        loop {
            changes.mark_unchanged();
            let found = self
                .registry
                .choose(agent, (self.clock.now(), self.stale_after()));
            let missing = match found {
                Err(missing) if missing.may_pass() => missing,
                found => return found,
            };
            if !matches!(
                tokio::time::timeout_at(until, changes.changed()).await,
                Ok(Ok(()))
            ) {
                return Err(missing);
            }
        }
    }

    /// Forgets what an MQTT fin says is no longer there.
    pub(super) fn unregister(&self, fin_id: Option<String>, capability: Option<String>, all: bool) {
        let fins = self.registry.all();
        let mqtt = fins.iter().filter(|fin| fin.transport == Transport::Mqtt);
        if let Some(capability) = capability {
            self.registry.remove_capability(&capability);
        } else {
            let is_meant =
                |fin: &&Registration| fin_id.as_ref().map_or(all, |id| *id == fin.fin_id);
            for fin in mqtt.filter(is_meant) {
                self.registry.remove(&fin.fin_id);
            }
        }
    }

    pub(super) fn stale_after(&self) -> Duration {
        let poll = self.poll.as_ref();
        poll.map_or(Duration::MAX, |poll| poll.config.stale_after.duration())
    }

    fn info(&self, fin: Registration) -> FinInfo {
        let capabilities = fin.capabilities.iter().map(|one| CapabilityInfo {
            id: one.id.clone(),
            name: one.name.clone(),
            description: one.description.clone(),
            version: one.version.clone(),
            progress: one.progress.clone(),
        });
        FinInfo {
            capabilities: capabilities.collect(),
            stale: registry::is_stale(&fin, self.clock.now(), self.stale_after()),
            fin_id: fin.fin_id,
            name: fin.name,
            transport: fin.transport,
            protocol_version: fin.protocol_version,
            registered_at: fin.registered_at,
            last_seen: fin.last_seen,
        }
    }
}
