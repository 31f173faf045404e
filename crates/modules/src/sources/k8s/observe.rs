//! From what a list or a watch says to events. Pure.
//!
//! The fields that only the API server's bookkeeping needs (`managedFields`) are left out, and
//! the values of Secrets always: no secret may get into an event.

use std::collections::BTreeSet;

use conche_core::json::Limits;
use conche_core::{Json, Timestamp};
use serde_json::{Value, json};

use super::config::{EventName, Watched};
use super::cursor::Position;
use crate::intake::NewEvent;

/// The type of the event that tells of what may have been missed.
pub(super) const GAP: &str = "k8s.gap";

/// What a line of a watch says.
#[derive(Debug)]
pub(super) enum Change {
    /// The object is there, as this.
    There(Box<Object>),
    /// It is no longer; this is how it was.
    Gone(Box<Object>),
    /// Nothing happened up to this version.
    Bookmark(String),
}

/// An object with what identifies it.
#[derive(Debug)]
pub(super) struct Object {
    uid: String,
    version: String,
    name: String,
    created: Option<Timestamp>,
    value: Value,
}

impl Object {
    /// Reads what every object has; none where this is no object.
    pub(super) fn read(mut value: Value) -> Option<Self> {
        let metadata = value.get_mut("metadata")?.as_object_mut()?;
        metadata.remove("managedFields");
        let text = |name: &str| Some(metadata.get(name)?.as_str()?.to_owned());
        let name = match text("namespace") {
            Some(namespace) => format!("{namespace}/{}", text("name")?),
            None => text("name")?,
        };
        let (uid, version) = (text("uid")?, text("resourceVersion")?);
        let created = text("creationTimestamp").and_then(|time| time.parse().ok());
        if uid.is_empty() || uid.len() > 128 {
            return None;
        }
        Some(Self {
            uid,
            version,
            name,
            created,
            value,
        })
    }

    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Says in a list's item what the list says for all of them.
    pub(super) fn of_kind(mut self, watched: &Watched) -> Self {
        if let Some(members) = self.value.as_object_mut() {
            let kind = members.entry("kind").or_insert(Value::Null);
            if kind.is_null() {
                *kind = watched.kind.clone().into();
            }
            let version = members.entry("apiVersion").or_insert(Value::Null);
            if version.is_null() {
                *version = watched.api_version.clone().into();
            }
        }
        self
    }
}

/// Makes the events of one watch.
pub(super) struct Observer<'a> {
    pub(super) watched: &'a Watched,
    pub(super) events: &'a [EventName],
    pub(super) limits: Limits,
}

impl Observer<'_> {
    /// Takes a change in. The events that it makes, in order.
    pub(super) fn change(&self, position: &mut Position, change: Change) -> Vec<NewEvent> {
        match change {
            Change::Bookmark(version) => {
                position.version = Some(version);
                Vec::new()
            }
            Change::There(object) => {
                position.version = Some(object.version.clone());
                self.there(position, *object)
            }
            Change::Gone(object) => {
                position.version = Some(object.version.clone());
                let known = position.live.remove(&object.uid).is_some();
                let mut made = Vec::new();
                // It came and went between two looks: it was new all the same.
                if !known {
                    made.extend(self.appeared(&object));
                }
                made.extend(self.wants(EventName::Deleted).then(|| {
                    let id = format!("{}:deleted", object.uid);
                    self.event("deleted", id, &object, None)
                }));
                self.bounded(made, &object)
            }
        }
    }

    /// An object of a list, or that a watch tells of.
    pub(super) fn there(&self, position: &mut Position, object: Object) -> Vec<NewEvent> {
        let (uid, name) = (object.uid.clone(), object.name.clone());
        let made = if position.live.insert(uid, name).is_none() {
            self.appeared(&object)
        } else {
            let id = format!("{}:{}", object.uid, object.version);
            let wanted = self.wants(EventName::Updated);
            let updated = wanted.then(|| self.event("updated", id, &object, None));
            updated.into_iter().collect()
        };
        self.bounded(made, &object)
    }

    /// An object of a list of which no more than the metadata could be read.
    pub(super) fn unread(&self, position: &mut Position, object: &Object) -> Vec<NewEvent> {
        let (uid, name) = (object.uid.clone(), object.name.clone());
        position.live.insert(uid, name);
        vec![self.too_large(object)]
    }

    /// Objects that were alive and are not in a whole list: they vanished unseen.
    pub(super) fn vanished(
        &self,
        position: &mut Position,
        listed: &BTreeSet<String>,
    ) -> Vec<NewEvent> {
        let gone: Vec<_> = position
            .live
            .iter()
            .filter(|(uid, _)| !listed.contains(*uid))
            .map(|(uid, name)| (uid.clone(), name.clone()))
            .collect();
        let mut made = Vec::new();
        for (uid, name) in gone {
            position.live.remove(&uid);
            if !self.wants(EventName::Deleted) {
                continue;
            }
            let (namespace, short) = match name.split_once('/') {
                Some((namespace, short)) => (Some(namespace), short),
                None => (None, &*name),
            };
            let mut metadata = json!({ "name": short, "uid": uid });
            if let Some(namespace) = namespace {
                metadata["namespace"] = namespace.into();
            }
            let data = json!({
                self.watched.member(): {
                    "kind": self.watched.kind,
                    "apiVersion": self.watched.api_version,
                    "metadata": metadata,
                },
                "missed": true,
            });
            made.push(NewEvent {
                id: Some(format!("{uid}:deleted")),
                event_type: format!("k8s.{}.deleted", self.watched.word()),
                subject: Some(name),
                time: None,
                data: Json::from(&data),
            });
        }
        made
    }

    /// The event that says that something may have been missed.
    pub(super) fn gap(&self, reason: &str, about: &str, mut more: Value) -> NewEvent {
        more["reason"] = reason.into();
        more["kind"] = self.watched.kind.clone().into();
        more["api_version"] = self.watched.api_version.clone().into();
        more["namespace"] = self.watched.namespace.clone().into();
        NewEvent {
            id: Some(format!("gap:{reason}:{}:{about}", self.watched.key())),
            event_type: GAP.to_owned(),
            subject: Some(self.watched.key()),
            time: None,
            data: Json::from(&more),
        }
    }

    fn wants(&self, name: EventName) -> bool {
        self.events.contains(&name)
    }

    fn appeared(&self, object: &Object) -> Vec<NewEvent> {
        let mut made = Vec::new();
        if self.watched.is_pod() && self.wants(EventName::NewPod) {
            let mut event = self.event("new", object.uid.clone(), object, object.created);
            "new_pod".clone_into(&mut event.event_type);
            made.push(event);
        }
        if self.wants(EventName::Created) {
            let id = format!("{}:created", object.uid);
            made.push(self.event("created", id, object, object.created));
        }
        made
    }

    fn event(&self, what: &str, id: String, object: &Object, time: Option<Timestamp>) -> NewEvent {
        let data = json!({ self.watched.member(): redacted(&object.value) });
        NewEvent {
            id: Some(id),
            event_type: format!("k8s.{}.{what}", self.watched.word()),
            subject: Some(object.name.clone()),
            time,
            data: Json::from(&data),
        }
    }

    /// An object that is too large for an event is told of by a gap.
    fn bounded(&self, made: Vec<NewEvent>, object: &Object) -> Vec<NewEvent> {
        let fits = |event: &NewEvent| {
            event.data.as_str().len() <= self.limits.bytes
                && event.data.depth() <= self.limits.depth
        };
        if made.iter().all(fits) {
            return made;
        }
        vec![self.too_large(object)]
    }

    fn too_large(&self, object: &Object) -> NewEvent {
        let about = format!("{}:{}", object.uid, object.version);
        let more = json!({ "object": object.name, "uid": object.uid });
        self.gap("object_too_large", &about, more)
    }
}

/// The object as events show it: of a Secret the names only.
fn redacted(value: &Value) -> Value {
    let mut value = value.clone();
    let is_secret = value["kind"] == "Secret" && value["apiVersion"] == "v1";
    if is_secret {
        for part in ["data", "stringData"] {
            let members = value.get_mut(part).and_then(Value::as_object_mut);
            for secret in members.into_iter().flat_map(|members| members.values_mut()) {
                *secret = Value::Null;
            }
        }
        let annotations = value.pointer_mut("/metadata/annotations");
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    value
}

#[cfg(test)]
#[path = "observe/tests.rs"]
mod tests;
