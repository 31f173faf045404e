//! Named lists with entries that may end: who is blocked, what is watched.
//!
//! All of them are in memory, so that a filter can ask without waiting, and in the store, which
//! is written first. Whether an entry counts is asked with the time at hand, so that none
//! counts a moment too long; rows that are over are removed in their own time.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
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

type Entries = BTreeMap<String, BTreeMap<String, ListEntry>>;

/// What all lists hold.
#[derive(Default)]
pub(crate) struct Lists {
    entries: RwLock<Entries>,
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
        Ok(Self {
            entries: RwLock::new(entries),
            ..Self::default()
        })
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
    if value.as_str().len() > VALUE_BYTES_MAX {
        return invalid(format!(
            "the value of an entry has at most {VALUE_BYTES_MAX} bytes"
        ));
    }
    Ok(())
}
