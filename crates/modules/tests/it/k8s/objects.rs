//! What the stand-in for an API server knows: objects, and the history of their changes.
//!
//! It stores: what is patched is read back changed, a list is of one version, and a watch
//! begins where it is told to, or learns that the history before is gone.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) api_version: String,
    pub(crate) plural: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) part: Option<String>,
}

impl Address {
    /// Reads the path of a request.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/').map(decode);
        let api_version = match &*parts.next()? {
            "api" => parts.next()?,
            "apis" => format!("{}/{}", parts.next()?, parts.next()?),
            _ => return None,
        };
        let mut plural = parts.next()?;
        let mut namespace = None;
        let mut rest: Vec<String> = parts.collect();
        if plural == "namespaces" && rest.len() > 1 {
            namespace = Some(rest.remove(0));
            plural = rest.remove(0);
        }
        let mut rest = rest.into_iter();
        Some(Self {
            api_version,
            plural,
            namespace,
            name: rest.next(),
            part: rest.next(),
        })
    }

    fn is_within(&self, list: &Self) -> bool {
        self.api_version == list.api_version
            && self.plural == list.plural
            && (list.namespace.is_none() || self.namespace == list.namespace)
    }
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) kind: &'static str,
    pub(crate) address: Address,
    pub(crate) object: Value,
}

/// Everything there is, and was.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) version: u64,
    there: BTreeMap<Address, Value>,
    history: Vec<Change>,
    /// Changes up to this version are forgotten.
    compacted: u64,
}

impl Objects {
    /// Puts an object there; its address says what kind it is.
    pub(crate) fn put(&mut self, address: Address, mut object: Value) -> Value {
        self.version += 1;
        let known = self.there.get(&address);
        let uid = known.map_or_else(
            || format!("uid-{}", self.version),
            |known| known["metadata"]["uid"].as_str().unwrap().to_owned(),
        );
        let metadata = &mut object["metadata"];
        metadata["name"] = address.name.clone().into();
        if let Some(namespace) = &address.namespace {
            metadata["namespace"] = namespace.clone().into();
        }
        if metadata["uid"].is_null() {
            metadata["uid"] = uid.into();
        }
        metadata["resourceVersion"] = self.version.to_string().into();
        let kind = if known.is_some() { "MODIFIED" } else { "ADDED" };
        self.there.insert(address.clone(), object.clone());
        self.record(kind, address, object.clone());
        object
    }

    pub(crate) fn get(&self, address: &Address) -> Option<&Value> {
        let whole = Address {
            part: None,
            ..address.clone()
        };
        self.there.get(&whole)
    }

    pub(crate) fn remove(&mut self, address: &Address) -> Option<Value> {
        let whole = Address {
            part: None,
            ..address.clone()
        };
        let mut object = self.there.remove(&whole)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.record("DELETED", whole, object.clone());
        Some(object)
    }

    fn record(&mut self, kind: &'static str, address: Address, object: Value) {
        self.history.push(Change {
            version: self.version,
            kind,
            address,
            object,
        });
    }

    /// Forgets the history up to now.
    pub(crate) fn compact(&mut self) {
        self.compacted = self.version;
        self.history.clear();
    }

    /// What is there, in the order of names.
    pub(crate) fn list(&self, at: &Address, selectors: &Selectors) -> Vec<&Value> {
        self.there
            .iter()
            .filter(|(address, _)| address.is_within(at))
            .map(|(_, object)| object)
            .filter(|object| selectors.fit(object))
            .collect()
    }

    /// What has happened since a version; none where that is forgotten.
    pub(crate) fn since(
        &self,
        version: u64,
        at: &Address,
        selectors: &Selectors,
    ) -> Option<Vec<Change>> {
        if version < self.compacted {
            return None;
        }
        let changes = self.history.iter().filter(|change| {
            change.version > version
                && change.address.is_within(at)
                && selectors.fit(&change.object)
        });
        Some(changes.cloned().collect())
    }
}

/// What a list or a watch is narrowed to: equalities only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selectors {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) fields: Vec<(String, String)>,
}

impl Selectors {
    pub(crate) fn read(text: &str) -> Vec<(String, String)> {
        let parts = text.split(',').filter_map(|part| part.split_once('='));
        parts
            .map(|(name, value)| (name.to_owned(), value.trim_start_matches('=').to_owned()))
            .collect()
    }

    fn fit(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let fields = |(path, value): &(String, String)| {
            object.pointer(&format!("/{}", path.replace('.', "/"))) == Some(&json!(value))
        };
        self.labels
            .iter()
            .all(|(name, value)| labels[name] == json!(value))
            && self.fields.iter().all(fields)
    }
}

/// A JSON merge patch (RFC 7396).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let members = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}
