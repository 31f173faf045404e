//! Which fins there are and what each can do.
//!
//! A registration replaces that of the same fin, and takes over capabilities that an MQTT fin
//! of another name had: a fin that starts anew under a new name is still the one that listens.
//! Everything is bounded. Which fin carries out a command is decided here and must never be
//! guessed: a name that fits two capabilities fits none.

mod fit;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conche_core::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

pub(super) use self::fit::examples;
use self::fit::fit;
use crate::command::Party;

/// The most fins.
const FINS_MAX: usize = 1000;
/// How many capabilities an error names.
const NAMED_MAX: usize = 20;

/// How a fin is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// By a broker.
    Mqtt,
    /// It fetches its commands by HTTP.
    Http,
}

/// A fin as it has registered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Registration {
    pub(super) fin_id: String,
    pub(super) name: Option<String>,
    pub(super) protocol_version: Option<String>,
    pub(super) transport: Transport,
    pub(super) capabilities: Vec<Capability>,
    pub(super) registered_at: Timestamp,
    pub(super) last_seen: Timestamp,
    /// SHA-256 of the token of a fin that polls, as base64. The token itself is nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token_digest: Option<String>,
}

/// One thing that a fin can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Capability {
    /// The MQTT fin's `capability_id`, or the `type` of a fin that polls.
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) version: Option<String>,
    /// The agents by which playbooks may call for it (MQTT).
    #[serde(default)]
    pub(super) agents: Vec<AgentName>,
    /// Steps that show how it is used, as the fin wrote them.
    #[serde(default)]
    pub(super) examples: Vec<Value>,
    /// What an MQTT fin last said about it: `ready`, `working`, `paused`, `stopped`.
    #[serde(default)]
    pub(super) progress: Option<String>,
}

/// An agent definition that a fin names for a capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AgentName {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) name: String,
}

/// Who carries a command out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) transport: Transport,
    /// The capability's id, which is the topic of an MQTT fin.
    pub(super) capability: String,
}

/// Nobody carries a command out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Missing {
    #[error("no fin offers what the agent `{agent}` of type `{kind}` names; known are: {known}")]
    Unknown {
        agent: String,
        kind: String,
        known: String,
    },
    #[error(
        "`{name}` is the name of several capabilities: name the agent by the id of one of: {ids}"
    )]
    Ambiguous { name: String, ids: String },
    #[error(
        "no fin with the capability `{capability}` was heard of for {} s",
        .silent_for.as_secs()
    )]
    Stale {
        capability: String,
        silent_for: Duration,
    },
}

impl Missing {
    /// Whether a fin that registers or comes back may change it.
    pub(super) fn may_pass(&self) -> bool {
        !matches!(self, Self::Ambiguous { .. })
    }
}

/// A registration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("there are {FINS_MAX} fins already")]
    Full,
    #[error("{0}")]
    Unfit(String),
}

/// All registrations.
#[derive(Debug)]
pub(super) struct Registry {
    fins: Mutex<BTreeMap<String, Registration>>,
    changed: watch::Sender<()>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            fins: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }
}

impl Registry {
    /// Tells of each change from now on.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// All fins, in the order of their ids.
    pub(super) fn all(&self) -> Vec<Registration> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn get(&self, fin_id: &str) -> Option<Registration> {
        self.lock().get(fin_id).cloned()
    }

    /// The fin that polls with this token.
    pub(super) fn of_token(&self, digest: &str) -> Option<Registration> {
        let fins = self.lock();
        let mut all = fins.values();
        let found = all.find(|fin| fin.token_digest.as_deref() == Some(digest));
        found.cloned()
    }

    /// Takes a fin in, in place of the one with its id.
    pub(super) fn put(&self, fin: Registration) -> Result<(), Refused> {
        fit(&fin)?;
        let mut fins = self.lock();
        if !fins.contains_key(&fin.fin_id) && fins.len() >= FINS_MAX {
            return Err(Refused::Full);
        }
        let same = fins.get(&fin.fin_id);
        if same.is_some_and(|same| same.transport != fin.transport) {
            return Err(Refused::Unfit("another fin has this `fin_id`".to_owned()));
        }
        if fin.transport == Transport::Mqtt {
            take_over(&mut fins, &fin);
        }
        fins.insert(fin.fin_id.clone(), fin);
        drop(fins);
        self.changed.send_replace(());
        Ok(())
    }

    /// Whether there was such a fin.
    pub(super) fn remove(&self, fin_id: &str) -> bool {
        let removed = self.lock().remove(fin_id).is_some();
        self.changed.send_replace(());
        removed
    }

    /// Takes a capability from the MQTT fin that has it, and the fin with its last one.
    pub(super) fn remove_capability(&self, id: &str) -> bool {
        let mut removed = false;
        self.lock().retain(|_, fin| {
            let is_theirs = |capability: &Capability| capability.id == id;
            if fin.transport == Transport::Mqtt && fin.capabilities.iter().any(is_theirs) {
                removed = true;
                fin.capabilities.retain(|capability| capability.id != id);
                return !fin.capabilities.is_empty();
            }
            true
        });
        self.changed.send_replace(());
        removed
    }

    /// A fin that polls was heard of.
    pub(super) fn touch(&self, fin_id: &str, now: Timestamp) {
        if let Some(fin) = self.lock().get_mut(fin_id) {
            fin.last_seen = now;
        }
        // One that was lost may be back.
        self.changed.send_replace(());
    }

    /// An MQTT fin was heard of, by what it said on a capability's topic.
    pub(super) fn touch_capability(&self, id: &str, progress: Option<&str>, now: Timestamp) {
        for fin in self.lock().values_mut() {
            let mqtt = fin.transport == Transport::Mqtt;
            let theirs = fin.capabilities.iter_mut().find(|known| known.id == id);
            if let Some(capability) = theirs.filter(|_| mqtt) {
                if let Some(progress) = progress {
                    capability.progress = Some(progress.to_owned());
                }
                fin.last_seen = now;
            }
        }
    }

    /// The ids of all capabilities of MQTT fins, which are their topics.
    pub(super) fn topics(&self) -> Vec<String> {
        let fins = self.lock();
        let mqtt = fins.values().filter(|fin| fin.transport == Transport::Mqtt);
        mqtt.flat_map(|fin| {
            fin.capabilities
                .iter()
                .map(|capability| capability.id.clone())
        })
        .collect()
    }

    /// Who carries out what this agent is asked for. In this order: the MQTT capability whose id
    /// is the agent's name (SOARCA 1), the one that registered an agent of this name, the type
    /// that fins poll for (the agent's type, or the name of an agent of type `soarca-fin`), the
    /// one MQTT capability of this name.
    pub(super) fn choose(
        &self,
        agent: &Party,
        (now, stale_after): (Timestamp, Duration),
    ) -> Result<Choice, Missing> {
        let fins = self.lock();
        let mqtt: Vec<&Capability> = fins
            .values()
            .filter(|fin| fin.transport == Transport::Mqtt)
            .flat_map(|fin| &fin.capabilities)
            .collect();
        if let Some(found) = mqtt.iter().find(|known| known.id == agent.name) {
            return Ok(by_mqtt(found));
        }
        let named = |known: &Capability| known.agents.iter().any(|own| own.name == agent.name);
        if let Some(found) = only(&mqtt, &agent.name, named)? {
            return Ok(by_mqtt(found));
        }
        let wanted: &[&str] = match agent.kind.as_str() {
            "soarca-fin" | "soarca" => &[&agent.name],
            _ => &[&agent.kind],
        };
        for kind in wanted {
            if let Some(found) = polled(&fins, kind, now, stale_after) {
                return found;
            }
        }
        if let Some(found) = only(&mqtt, &agent.name, |known| {
            known.name.as_deref() == Some(&agent.name)
        })? {
            return Ok(by_mqtt(found));
        }
        Err(Missing::Unknown {
            agent: agent.name.clone(),
            kind: agent.kind.clone(),
            known: known(&fins),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Registration>> {
        self.fins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a fin that polls was not heard of for too long.
pub(super) fn is_stale(fin: &Registration, now: Timestamp, stale_after: Duration) -> bool {
    fin.transport == Transport::Http && silence(fin, now) > stale_after
}

fn silence(fin: &Registration, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(fin.last_seen)).unwrap_or_default()
}

fn by_mqtt(capability: &Capability) -> Choice {
    Choice {
        transport: Transport::Mqtt,
        capability: capability.id.clone(),
    }
}

/// The one that fits; an error where several do.
fn only<'a>(
    all: &[&'a Capability],
    name: &str,
    fits: impl Fn(&Capability) -> bool,
) -> Result<Option<&'a Capability>, Missing> {
    let found: Vec<&Capability> = all.iter().copied().filter(|known| fits(known)).collect();
    match *found {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => {
            let ids: Vec<&str> = found.iter().map(|known| known.id.as_str()).collect();
            Err(Missing::Ambiguous {
                name: name.to_owned(),
                ids: ids.join(", "),
            })
        }
    }
}

/// Whether fins poll for this type; an error where all that did are lost.
fn polled(
    fins: &BTreeMap<String, Registration>,
    kind: &str,
    now: Timestamp,
    stale_after: Duration,
) -> Option<Result<Choice, Missing>> {
    let able = fins.values().filter(|fin| {
        let offers = |capability: &Capability| capability.id == kind;
        fin.transport == Transport::Http && fin.capabilities.iter().any(offers)
    });
    let silent_for = able.map(|fin| silence(fin, now)).min()?;
    Some(if silent_for > stale_after {
        Err(Missing::Stale {
            capability: kind.to_owned(),
            silent_for,
        })
    } else {
        Ok(Choice {
            transport: Transport::Http,
            capability: kind.to_owned(),
        })
    })
}

/// All capabilities as an error names them.
fn known(fins: &BTreeMap<String, Registration>) -> String {
    let all = fins.values().flat_map(|fin| &fin.capabilities);
    let mut names: Vec<String> = all
        .map(|known| match &known.name {
            Some(name) => format!("{} ({name})", known.id),
            None => known.id.clone(),
        })
        .collect();
    names.dedup();
    let more = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    match (names.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

/// Takes from other MQTT fins what this one offers as well.
fn take_over(fins: &mut BTreeMap<String, Registration>, newcomer: &Registration) {
    fins.retain(|fin_id, fin| {
        if *fin_id == newcomer.fin_id || fin.transport != Transport::Mqtt {
            return true;
        }
        let before = fin.capabilities.len();
        fin.capabilities.retain(|own| {
            let is_taken = |new: &Capability| new.id == own.id;
            !newcomer.capabilities.iter().any(is_taken)
        });
        if fin.capabilities.len() < before {
            tracing::warn!(fin = %fin_id, by = %newcomer.fin_id, "another fin took a capability over");
        }
        !fin.capabilities.is_empty()
    });
}

#[cfg(test)]
mod tests;
