//! Named lists with entries that may end: who is blocked, what is watched.
//!
//! All of them are in memory, so that a filter can ask without waiting, and in the store, which
//! is written first. Whether an entry counts is asked with the time at hand, so that none
//! counts a moment too long; rows that are over are removed in their own time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use conche_core::list::check_name;
use conche_core::storm::KEY_BYTES_MAX;
use conche_core::{Json, Timestamp};
use conche_store::{Act, Change, ListEntry, Store};

use crate::housekeeping::later;
use crate::{Engine, Inner};

/// Entries of all lists together. Each takes its key, its value and some 200 bytes of memory.
const ENTRIES_MAX: usize = 50_000;
/// Bytes of a value.
const VALUE_BYTES_MAX: usize = 1024;
/// Bytes of the lists that a script is given, as JSON: they go to its worker with each call.
const SHOWN_BYTES_MAX: usize = 256 * 1024;
/// Entries read from the store at once.
const PIECE: u32 = 1000;

/// Why a list was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The name, the key or the value is none.
    #[error("{0}")]
    Invalid(String),
    /// There are as many entries as there may be.
    #[error("the lists have {ENTRIES_MAX} entries together, and may not have more")]
    Full,
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] conche_store::Error),
}

/// The lists that a script may read hold more than it can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the lists of the reaction have {0} bytes together, and a script is given at most {SHOWN_BYTES_MAX}: \
     ask them by 'when', or let their entries end sooner"
)]
pub(crate) struct TooLarge(usize);

/// An entry to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The list; it need not exist before.
    pub list: String,
    /// The entry's key.
    pub key: String,
    /// What is kept under it, at most 1 KiB.
    pub value: Json,
    /// How long it counts; `None` for until it is removed.
    pub ttl: Option<Duration>,
}

type List = BTreeMap<String, ListEntry>;
type Entries = BTreeMap<String, List>;

/// What all lists hold.
#[derive(Default)]
pub(crate) struct Lists {
    entries: RwLock<Entries>,
    versions: Mutex<Versions>,
    /// Held over a change, so that the store and memory agree on the order of changes.
    changing: tokio::sync::Mutex<()>,
}

impl Lists {
    pub(crate) async fn load(store: &dyn Store) -> Result<Self, conche_store::Error> {
        let mut entries = Entries::new();
        let mut after = None;
        loop {
            let piece = store.entries(after.take(), PIECE).await?;
            let Some(last) = piece.last() else { break };
            after = Some((last.list.clone(), last.key.clone()));
            for entry in piece {
                insert(&mut entries, entry);
            }
        }
        let mut versions = Versions::default();
        for (name, list) in &entries {
            versions.changed(name, list);
        }
        Ok(Self {
            entries: RwLock::new(entries),
            versions: Mutex::new(versions),
            ..Self::default()
        })
    }

    /// A number that is another one after each change of a list, be it that an entry ended.
    pub(crate) fn version(&self, list: &str, now: Timestamp) -> u64 {
        let entries = self.read();
        let mut versions = self.versions();
        versions.of(list, entries.get(list), now)
    }

    /// As [`Lists::version`], of all lists together.
    pub(crate) fn version_of_all(&self, now: Timestamp) -> u64 {
        let entries = self.read();
        let mut versions = self.versions();
        for (name, list) in &*entries {
            versions.of(name, Some(list), now);
        }
        versions.last
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value under a key that counts at a time.
    pub(crate) fn get(&self, list: &str, key: &str, now: Timestamp) -> Option<Json> {
        let entries = self.read();
        let entry = entries.get(list)?.get(key)?;
        entry.counts(now).then(|| entry.value.clone())
    }

    /// The keys that count at a time.
    pub(crate) fn keys(&self, list: &str, now: Timestamp) -> Vec<String> {
        let entries = self.read();
        let entries = entries.get(list).into_iter().flatten();
        let counting = entries.filter(|(_, entry)| entry.counts(now));
        counting.map(|(key, _)| key.clone()).collect()
    }

    /// What a script that may read these lists is given: an object with all of them, each the
    /// values that count at a time by their keys. A list without entries is an empty object.
    /// `None` where it may read no list.
    pub(crate) fn shown(&self, lists: &[String], now: Timestamp) -> Result<Option<Json>, TooLarge> {
        if lists.is_empty() {
            return Ok(None);
        }
        let entries = self.read();
        let counting = |list: &String| {
            let entries = entries.get(list).into_iter().flatten();
            let counting = entries.filter(|(_, entry)| entry.counts(now));
            counting.map(|(key, entry)| (key.as_str(), &entry.value))
        };
        let values = lists.iter().flat_map(counting);
        let bytes: usize = values
            .map(|(key, value)| key.len() + value.as_str().len())
            .sum();
        if bytes > SHOWN_BYTES_MAX {
            return Err(TooLarge(bytes));
        }
        let shown: BTreeMap<&str, BTreeMap<&str, &Json>> = lists
            .iter()
            .map(|list| (list.as_str(), counting(list).collect()))
            .collect();
        // Texts and JSON are JSON.
        Ok(Json::from_value(&shown).ok())
    }

    /// Whether there is room for another entry. Forgets those that are over where there is none.
    fn has_room(&self, now: Timestamp) -> bool {
        let count = |entries: &Entries| entries.values().map(BTreeMap::len).sum::<usize>();
        if count(&self.read()) < ENTRIES_MAX {
            return true;
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        for list in entries.values_mut() {
            list.retain(|_, entry| entry.counts(now));
        }
        count(&entries) < ENTRIES_MAX
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which state of each list it is; what was decided under one counts while that stands.
#[derive(Default)]
struct Versions {
    /// The number that was given last.
    last: u64,
    /// By list: its number, and when the next of its entries ends.
    lists: BTreeMap<String, (u64, Option<Timestamp>)>,
}

impl Versions {
    fn of(&mut self, name: &str, list: Option<&List>, now: Timestamp) -> u64 {
        let (version, next_end) = self.lists.get(name).copied().unwrap_or_default();
        match list {
            Some(list) if next_end.is_some_and(|end| end <= now) => {
                self.last += 1;
                let ends = list.values().filter_map(|entry| entry.expires_at);
                let next_end = ends.filter(|end| *end > now).min();
                self.lists.insert(name.to_owned(), (self.last, next_end));
                self.last
            }
            _ => version,
        }
    }

    /// Notes that a list is not what it was. One without entries is as good as none, and is
    /// forgotten, so that names that came and went take no memory.
    fn changed(&mut self, name: &str, list: &List) {
        self.last += 1;
        if list.is_empty() {
            self.lists.remove(name);
            return;
        }
        let next_end = list.values().filter_map(|entry| entry.expires_at).min();
        self.lists.insert(name.to_owned(), (self.last, next_end));
    }
}

fn insert(entries: &mut Entries, entry: ListEntry) {
    let list = entries.entry(entry.list.clone()).or_default();
    list.insert(entry.key.clone(), entry);
}

impl Inner {
    pub(crate) async fn put_entry(
        &self,
        NewEntry {
            list,
            key,
            value,
            ttl,
        }: NewEntry,
        act: Option<Act>,
    ) -> Result<ListEntry, ListError> {
        check(&list, &key, &value)?;
        let _changing = self.lists.changing.lock().await;
        let now = self.now();
        let is_known = self
            .lists
            .read()
            .get(&list)
            .is_some_and(|list| list.contains_key(&key));
        if !is_known && !self.lists.has_room(now) {
            return Err(ListError::Full);
        }
        let entry = ListEntry {
            list,
            key,
            value,
            put_at: now,
            expires_at: ttl.map(|ttl| later(now, ttl)),
        };
        let put = entry.clone();
        match act {
            Some(act) => {
                self.store.change(Change::PutEntry(put), act).await?;
            }
            None => self.store.put_entry(put).await?,
        }
        let mut entries = self
            .lists
            .entries
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        insert(&mut entries, entry.clone());
        if let Some(list) = entries.get(&entry.list) {
            self.lists.versions().changed(&entry.list, list);
        }
        Ok(entry)
    }

    pub(crate) async fn remove_entry(
        &self,
        list: &str,
        key: &str,
        act: Option<Act>,
    ) -> Result<bool, ListError> {
        let _changing = self.lists.changing.lock().await;
        let now = self.now();
        match act {
            Some(act) => {
                let (list, key) = (list.to_owned(), key.to_owned());
                let change = Change::RemoveEntry { list, key };
                self.store.change(change, act).await?;
            }
            None => {
                self.store.remove_entry(list, key).await?;
            }
        }
        let mut entries = self
            .lists
            .entries
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let removed = entries.get_mut(list).and_then(|list| list.remove(key));
        if let Some(left) = entries.get(list) {
            self.lists.versions().changed(list, left);
        }
        entries.retain(|_, list| !list.is_empty());
        Ok(removed.is_some_and(|entry| entry.counts(now)))
    }
}

impl Engine {
    /// The lists that have entries, with how many of these count now.
    pub fn lists(&self) -> BTreeMap<String, usize> {
        let now = self.0.now();
        let count = |list: &BTreeMap<String, ListEntry>| {
            list.values().filter(|entry| entry.counts(now)).count()
        };
        let entries = self.0.lists.read();
        let counts = entries
            .iter()
            .map(|(name, list)| (name.clone(), count(list)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// The entries of a list that count now, by key, after the one named.
    pub fn list_entries(&self, list: &str, after: Option<&str>, limit: usize) -> Vec<ListEntry> {
        let now = self.0.now();
        let entries = self.0.lists.read();
        let entries = entries.get(list).into_iter().flatten();
        let entries = entries
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
            .filter(|(_, entry)| entry.counts(now));
        entries
            .map(|(_, entry)| entry.clone())
            .take(limit)
            .collect()
    }

    /// The entry of a list under a key, where it counts now.
    pub fn list_entry(&self, list: &str, key: &str) -> Option<ListEntry> {
        let now = self.0.now();
        let entries = self.0.lists.read();
        let entry = entries.get(list)?.get(key)?;
        entry.counts(now).then(|| entry.clone())
    }

    /// Puts an entry into a list, for this long or until it is removed; in force, and on disk,
    /// when this returns.
    ///
    /// # Errors
    /// Where the name, the key or the value is none, there is no room, or the store fails.
    pub async fn put_entry(
        &self,
        list: &str,
        key: &str,
        value: Json,
        ttl: Option<Duration>,
    ) -> Result<ListEntry, ListError> {
        let entry = NewEntry {
            list: list.to_owned(),
            key: key.to_owned(),
            value,
            ttl,
        };
        self.put_entry_by(entry, None).await
    }

    /// As [`Engine::put_entry`]; the act is recorded in the same transaction.
    ///
    /// # Errors
    /// As [`Engine::put_entry`].
    pub async fn put_entry_by(
        &self,
        entry: NewEntry,
        act: Option<Act>,
    ) -> Result<ListEntry, ListError> {
        self.0.put_entry(entry, act).await
    }

    /// Takes an entry out of a list. Whether there was one that counted.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn remove_entry(&self, list: &str, key: &str) -> Result<bool, ListError> {
        self.remove_entry_by(list, key, None).await
    }

    /// As [`Engine::remove_entry`]; the act is recorded in the same transaction, where there
    /// is an entry to remove.
    ///
    /// # Errors
    /// As [`Engine::remove_entry`].
    pub async fn remove_entry_by(
        &self,
        list: &str,
        key: &str,
        act: Option<Act>,
    ) -> Result<bool, ListError> {
        self.0.remove_entry(list, key, act).await
    }
}

fn check(list: &str, key: &str, value: &Json) -> Result<(), ListError> {
    let invalid = |message: String| Err(ListError::Invalid(message));
    if let Err(no_name) = check_name(list) {
        return invalid(no_name.to_string());
    }
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return invalid(format!(
            "the key of an entry has 1 to {KEY_BYTES_MAX} bytes"
        ));
    }
    if let Some(why) = crate::rails::guards_nothing(list, key) {
        return invalid(why);
    }
    if value.as_str().len() > VALUE_BYTES_MAX {
        return invalid(format!(
            "the value of an entry has at most {VALUE_BYTES_MAX} bytes"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    fn list(ends: &[(&str, Option<i64>)]) -> List {
        let entry = |(key, end): &(&str, Option<i64>)| {
            let entry = ListEntry {
                list: "blocked".to_owned(),
                key: (*key).to_owned(),
                value: Json::from(&serde_json::json!(true)),
                put_at: at(0),
                expires_at: end.map(at),
            };
            ((*key).to_owned(), entry)
        };
        ends.iter().map(entry).collect()
    }

    #[test]
    fn a_version_stands_until_the_list_changes_or_one_of_its_entries_ends() {
        let mut versions = Versions::default();
        assert_eq!(versions.of("blocked", None, at(1)), 0);
        let blocked = list(&[("a", Some(10)), ("b", Some(20)), ("c", None)]);
        versions.changed("blocked", &blocked);
        let first = versions.of("blocked", Some(&blocked), at(1));
        assert_ne!(first, 0);
        assert_eq!(versions.of("blocked", Some(&blocked), at(9)), first);
        let second = versions.of("blocked", Some(&blocked), at(10));
        assert_ne!(second, first, "an entry ended");
        assert_eq!(versions.of("blocked", Some(&blocked), at(19)), second);
        let third = versions.of("blocked", Some(&blocked), at(30));
        assert!(![first, second].contains(&third));
        assert_eq!(versions.of("blocked", Some(&blocked), at(99)), third);
        versions.changed("other", &list(&[("x", None)]));
        assert_eq!(versions.of("blocked", Some(&blocked), at(99)), third);
        versions.changed("blocked", &list(&[]));
        assert_eq!(versions.of("blocked", None, at(99)), 0, "as before it was");
    }
}
