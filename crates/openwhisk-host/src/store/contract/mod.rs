//! What every store must do, as checks that run against any of them.
//!
//! A backend's test is one call of [`check`] with a function that opens an empty store.

mod activations;
mod entities;
mod users;

use std::sync::Arc;

use serde_json::json;

use super::{Admission, Commit, Entity, Key, Kind, Record, Store, Write};

/// Every check, each with a store of its own.
///
/// # Panics
/// Where the store does not keep the contract.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: F) {
    entities::check(&open).await;
    activations::check(&open).await;
    users::check(&open).await;
}

fn entity(path: &str, name: &str, kind: Kind, updated: u64) -> Entity {
    Entity {
        key: Key::new(path, name),
        kind,
        updated,
        document: json!({ "name": name, "ä": [1.5, null, { "b": false, "a": 0 }] }),
        code: (kind == Kind::Action).then(|| "function main() {}\n".to_owned()),
    }
}

fn put(entity: Entity, expected: Option<u64>) -> Commit {
    Commit {
        writes: vec![Write::Put { entity, expected }],
        ..Commit::default()
    }
}

fn admission(id: &str, key: Option<&str>) -> Admission {
    Admission {
        activation: id.to_owned(),
        namespace: "guest".to_owned(),
        request: json!({ "z": 1, "a": [id] }),
        begun: false,
        idempotency: key.map(str::to_owned),
    }
}

fn admit(admission: Admission) -> Commit {
    Commit {
        admit: vec![admission],
        ..Commit::default()
    }
}

fn record(id: &str, name: &str, start: u64) -> Record {
    Record {
        activation: id.to_owned(),
        namespace: "guest".to_owned(),
        name: name.to_owned(),
        package: None,
        start,
        document: json!({ "activationId": id, "logs": ["ä"] }),
    }
}

fn finish(record: Record) -> Commit {
    Commit {
        finish: vec![record],
        ..Commit::default()
    }
}
