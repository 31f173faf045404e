//! Entities in the order in which they can be made: each after those that it needs.

use std::collections::{BTreeMap, BTreeSet};

use conche_cacao::Pointer;

use super::{Body, Entity, Error, Written};
use crate::model::{ActionPut, Exec, FullyQualifiedName, Sequence};

/// Packages, bindings, actions, sequences, triggers, rules. Sequences that hold each other are
/// refused.
pub(super) fn ordered(mut entities: Vec<Entity>) -> Result<Vec<Entity>, Error> {
    entities.sort_by_key(|entity| rank(&entity.body));
    let first = entities.iter().position(|entity| is_sequence(&entity.body));
    let Some(first) = first else {
        return Ok(entities);
    };
    let mut rest = entities.split_off(first);
    let end = rest.iter().position(|entity| !is_sequence(&entity.body));
    let after = rest.split_off(end.unwrap_or(rest.len()));
    entities.extend(sequences(rest)?);
    entities.extend(after);
    Ok(entities)
}

/// Where a kind of entity stands.
pub(super) fn rank(body: &Body) -> u8 {
    match body {
        Body::Package(put) => {
            let binding = put.binding.as_ref().and_then(|binding| binding.provider());
            u8::from(binding.is_some())
        }
        Body::Action(_) if is_sequence(body) => 3,
        Body::Action(_) => 2,
        Body::Trigger(..) => 4,
        Body::Rule(_) => 5,
    }
}

fn is_sequence(body: &Body) -> bool {
    components(body).is_some()
}

fn components(body: &Body) -> Option<&[String]> {
    match body {
        Body::Action(ActionPut {
            exec: Some(Exec::Sequence(Sequence { components, .. })),
            ..
        }) => Some(components),
        _ => None,
    }
}

/// Sequences, each after those that it holds.
fn sequences(all: Vec<Entity>) -> Result<Vec<Entity>, Error> {
    let names: BTreeSet<String> = all.iter().map(|one| one.name.to_string()).collect();
    let mut waiting: BTreeMap<FullyQualifiedName, (Entity, BTreeSet<String>)> = BTreeMap::new();
    let mut users: BTreeMap<String, Vec<FullyQualifiedName>> = BTreeMap::new();
    let mut ready = Vec::new();
    for one in all {
        let held = components(&one.body).unwrap_or_default().iter();
        let needs: BTreeSet<String> = held.filter(|name| names.contains(*name)).cloned().collect();
        if needs.is_empty() {
            ready.push(one);
            continue;
        }
        for name in &needs {
            users
                .entry(name.clone())
                .or_default()
                .push(one.name.clone());
        }
        waiting.insert(one.name.clone(), (one, needs));
    }
    let mut next = 0;
    while let Some(done) = ready.get(next).map(|one| one.name.to_string()) {
        next += 1;
        for user in users.remove(&done).unwrap_or_default() {
            let Some((_, needs)) = waiting.get_mut(&user) else {
                continue;
            };
            needs.remove(&done);
            if needs.is_empty() {
                ready.extend(waiting.remove(&user).map(|(one, _)| one));
            }
        }
    }
    if waiting.is_empty() {
        return Ok(ready);
    }
    let names: Vec<String> = waiting.keys().map(ToString::to_string).collect();
    Err(Error::Written {
        written: Written::Manifest,
        at: Pointer::top(),
        flaw: format!("these sequences hold each other: {}", names.join(", ")),
    })
}
