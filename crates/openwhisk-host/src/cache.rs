//! Actions as they are invoked: read from the store and decoded once, not at every call.
//!
//! The host is the only one that changes its store, and every change of it goes through
//! [`Inner::commit`], which forgets what was changed before it returns: an invocation that
//! comes after the answer to a PUT gets the new action.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conche_openwhisk::model::Action;

use crate::host::Inner;
use crate::native;
use crate::store::{Commit, Error, Key, Write};

/// Actions that are kept.
const MOST: usize = 1000;
/// Bytes of code that are kept.
const BYTES_MOST: usize = 128 << 20;

/// An action of the store, its code apart.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) action: Arc<Action>,
    pub(crate) code: Option<Arc<str>>,
    pub(crate) revision: u64,
}

/// What was decoded lately. Where it is full it is emptied.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    actions: HashMap<Key, Arc<Decoded>>,
    bytes: usize,
    /// Grows when something is forgotten: what was read before must not be kept then.
    generation: u64,
}

impl Cache {
    /// A kept action, or the generation to give with the one that is read instead.
    pub(crate) fn get(&self, key: &Key) -> Result<Arc<Decoded>, u64> {
        let state = self.open();
        state.actions.get(key).cloned().ok_or(state.generation)
    }

    /// Keeps an action that was read in a generation.
    pub(crate) fn keep(&self, key: Key, decoded: &Arc<Decoded>, generation: u64) {
        let size = decoded.code.as_ref().map_or(0, |code| code.len());
        let mut state = self.open();
        if state.generation != generation || size > BYTES_MOST {
            return;
        }
        if state.actions.len() >= MOST || state.bytes + size > BYTES_MOST {
            state.actions.clear();
            state.bytes = 0;
        }
        if state.actions.insert(key, Arc::clone(decoded)).is_none() {
            state.bytes += size;
        }
    }

    fn forget<'a>(&self, keys: impl Iterator<Item = &'a Key>) {
        let mut state = self.open();
        for key in keys {
            state.generation += 1;
            if let Some(decoded) = state.actions.remove(key) {
                let size = decoded.code.as_ref().map_or(0, |code| code.len());
                state.bytes = state.bytes.saturating_sub(size);
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Makes changes, and forgets what was known of what they change.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<(), Error> {
        let keys: Vec<Key> = commit.writes.iter().map(Write::key).cloned().collect();
        let done = self.store.commit(commit).await;
        // Also after an error: what happened then is for the store to say.
        self.cache.forget(keys.iter());
        if keys.iter().any(native::is_alarm) {
            self.alarm_due.store(i64::MIN, Ordering::SeqCst);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(code: &str) -> Arc<Decoded> {
        let path = "whisk.system/utils".to_owned().try_into().unwrap();
        let native = native::find("utils", "echo").unwrap();
        Arc::new(Decoded {
            action: Arc::new(native.action(&path)),
            code: Some(code.into()),
            revision: 1,
        })
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let cache = Cache::default();
        let key = Key::new("guest", "a");
        let before = cache.get(&key).unwrap_err();
        cache.forget([&key].into_iter());
        cache.keep(key.clone(), &decoded("old"), before);
        let now = cache.get(&key).unwrap_err();
        cache.keep(key.clone(), &decoded("new"), now);
        assert_eq!(cache.get(&key).unwrap().code.as_deref(), Some("new"));
        cache.forget([&key].into_iter());
        assert!(cache.get(&key).is_err());
        assert_eq!(cache.open().bytes, 0);
    }

    #[test]
    fn it_holds_so_many_and_no_more() {
        let cache = Cache::default();
        for number in 0..=MOST {
            cache.keep(Key::new("guest", number.to_string()), &decoded("x"), 0);
        }
        let state = cache.open();
        assert_eq!((state.actions.len(), state.bytes), (1, 1));
    }
}
