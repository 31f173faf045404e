//! A store that forgets at its end: for tests and for trying things out.
//!
//! Plain maps behind one lock; it keeps all that a durable store keeps and passes the same
//! contract.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Activations, Admission, Commit, Entities, Entity, Error, Keep, Key, Kind, Listing, Query,
    Record, Stored, User, Users, Write,
};

/// Everything in memory, gone with the value.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    revisions: u64,
    entities: BTreeMap<Key, Stored>,
    /// Admissions in the order in which they came.
    admissions: BTreeMap<u64, Admission>,
    admitted: u64,
    places: HashMap<String, u64>,
    records: HashMap<String, Record>,
    /// Namespace, start and id of every record.
    by_start: BTreeSet<(String, u64, String)>,
    keys: HashMap<(String, String), String>,
    users: BTreeMap<String, User>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every change checks before it writes, so a panic within one leaves whole state behind
    /// and the lock may be taken again.
    fn open(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Entities for MemoryStore {
    async fn entity(&self, key: &Key) -> Result<Option<Stored>, Error> {
        Ok(self.open().entities.get(key).cloned())
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<Entity>, Error> {
        let state = self.open();
        let mut found: Vec<&Stored> = state.listed(listing).collect();
        found.sort_by_key(|stored| (Reverse(stored.entity.updated), &stored.entity.key));
        let page = found.into_iter().skip(listing.skip).take(listing.limit);
        Ok(page
            .map(|stored| Entity {
                key: stored.entity.key.clone(),
                document: stored.entity.document.clone(),
                code: None,
                ..stored.entity
            })
            .collect())
    }

    async fn count(&self, listing: &Listing) -> Result<u64, Error> {
        Ok(self.open().listed(listing).count() as u64)
    }

    async fn commit(&self, commit: Commit) -> Result<(), Error> {
        let mut state = self.open();
        state.check(&commit)?;
        state.apply(commit);
        Ok(())
    }
}

#[async_trait]
impl Activations for MemoryStore {
    async fn activation(&self, namespace: &str, id: &str) -> Result<Option<Record>, Error> {
        let state = self.open();
        let found = state.records.get(id);
        Ok(found
            .filter(|record| record.namespace == namespace)
            .cloned())
    }

    async fn activations(&self, query: &Query) -> Result<Vec<Record>, Error> {
        let state = self.open();
        let found = state.asked(query).skip(query.skip).take(query.limit);
        Ok(found.cloned().collect())
    }

    async fn count_activations(&self, query: &Query) -> Result<u64, Error> {
        Ok(self.open().asked(query).count() as u64)
    }

    async fn known(&self, namespace: &str, key: &str) -> Result<Option<String>, Error> {
        let key = (namespace.to_owned(), key.to_owned());
        Ok(self.open().keys.get(&key).cloned())
    }

    async fn unfinished(&self, limit: usize) -> Result<Vec<Admission>, Error> {
        let state = self.open();
        Ok(state.admissions.values().take(limit).cloned().collect())
    }

    async fn expire(&self, keep: Keep) -> Result<usize, Error> {
        Ok(self.open().expire(keep))
    }
}

#[async_trait]
impl Users for MemoryStore {
    async fn users(&self) -> Result<Vec<User>, Error> {
        Ok(self.open().users.values().cloned().collect())
    }

    async fn put_user(&self, user: User) -> Result<(), Error> {
        self.open().users.insert(user.namespace.clone(), user);
        Ok(())
    }

    async fn delete_user(&self, namespace: &str) -> Result<bool, Error> {
        Ok(self.open().users.remove(namespace).is_some())
    }
}

impl State {
    fn listed<'a>(&'a self, listing: &'a Listing) -> impl Iterator<Item = &'a Stored> {
        let place = listing.namespace.as_ref();
        let exact = place
            .zip(listing.package.as_ref())
            .map(|(namespace, package)| format!("{namespace}/{package}"));
        self.entities.values().filter(move |stored| {
            let key = &stored.entity.key;
            stored.entity.kind == listing.kind
                && place.is_none_or(|namespace| key.namespace() == namespace)
                && exact.as_ref().is_none_or(|path| key.path == *path)
        })
    }

    fn asked<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = &'a Record> {
        let first = (
            query.namespace.clone(),
            query.since.unwrap_or(0),
            String::new(),
        );
        // No id begins with this character.
        let end = "\u{10ffff}".to_owned();
        let last = (query.namespace.clone(), query.upto.unwrap_or(u64::MAX), end);
        let found = (first <= last).then(|| self.by_start.range(first..=last).rev());
        found
            .into_iter()
            .flatten()
            .filter_map(|(_, _, id)| self.records.get(id))
            .filter(|record| query.name.as_ref().is_none_or(|name| record.name == *name))
            .filter(|record| query.package.is_none() || record.package == query.package)
    }

    fn check(&self, commit: &Commit) -> Result<(), Error> {
        for write in &commit.writes {
            let (key, expected) = match write {
                Write::Put { entity, expected } => (&entity.key, *expected),
                Write::Delete { key, expected } => (key, Some(*expected)),
            };
            if self.entities.get(key).map(|stored| stored.revision) != expected {
                return Err(Error::Conflict(key.clone()));
            }
        }
        for admission in &commit.admit {
            let Some(word) = &admission.idempotency else {
                continue;
            };
            let key = (admission.namespace.clone(), word.clone());
            if let Some(activation) = self.keys.get(&key)
                && *activation != admission.activation
            {
                return Err(Error::Known {
                    activation: activation.clone(),
                });
            }
        }
        Ok(())
    }

    fn apply(&mut self, commit: Commit) {
        for write in commit.writes {
            match write {
                Write::Put { entity, .. } => {
                    self.revisions += 1;
                    let revision = self.revisions;
                    self.entities
                        .insert(entity.key.clone(), Stored { entity, revision });
                }
                Write::Delete { key, .. } => drop(self.entities.remove(&key)),
            }
        }
        for admission in commit.admit {
            self.admit(admission);
        }
        for id in commit.begin {
            let place = self.places.get(&id);
            if let Some(admission) = place.and_then(|place| self.admissions.get_mut(place)) {
                admission.begun = true;
            }
        }
        for record in commit.finish {
            self.finish(record);
        }
    }

    fn admit(&mut self, admission: Admission) {
        let id = &admission.activation;
        if self.records.contains_key(id) || self.places.contains_key(id) {
            return;
        }
        if let Some(word) = &admission.idempotency {
            let key = (admission.namespace.clone(), word.clone());
            self.keys.insert(key, id.clone());
        }
        self.admitted += 1;
        self.places.insert(id.clone(), self.admitted);
        self.admissions.insert(self.admitted, admission);
    }

    fn finish(&mut self, record: Record) {
        if let Some(place) = self.places.remove(&record.activation) {
            self.admissions.remove(&place);
        }
        if self.records.contains_key(&record.activation) {
            return;
        }
        let id = record.activation.clone();
        self.by_start
            .insert((record.namespace.clone(), record.start, id.clone()));
        self.records.insert(id, record);
    }

    fn expire(&mut self, keep: Keep) -> usize {
        let mut all: Vec<(u64, String, String)> = self
            .by_start
            .iter()
            .map(|(namespace, start, id)| (*start, namespace.clone(), id.clone()))
            .collect();
        all.sort();
        let surplus = all.len().saturating_sub(keep.most);
        let old = all
            .into_iter()
            .enumerate()
            .filter(|(place, (start, _, _))| *place < surplus || *start < keep.since)
            .map(|(_, row)| row)
            .take(keep.limit);
        let mut removed = 0;
        for (start, namespace, id) in old {
            self.records.remove(&id);
            self.keys.retain(|_, activation| *activation != id);
            self.by_start.remove(&(namespace, start, id));
            removed += 1;
        }
        removed
    }
}

impl Listing {
    /// Everything of a kind in all namespaces, at most `limit`.
    pub fn all(kind: Kind, limit: usize) -> Self {
        Self {
            kind,
            namespace: None,
            package: None,
            skip: 0,
            limit,
        }
    }
}
