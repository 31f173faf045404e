//! Where a `k8s` source left off: for each watch the version of its history, and the objects
//! that were alive then.
//!
//! The live objects are kept so that none is ever taken for new again, however long ago its
//! event was removed, and so that one that vanished while nobody looked is seen to be gone.
//! A small cursor is stored with every batch; a large one now and then, since what is read
//! again after a restart has the ids that it had.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A cursor of this size is stored each time.
const SMALL: usize = 16 << 10;

/// A larger one so often.
const STORE_EVERY: Duration = Duration::from_secs(5);

/// What is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    watches: BTreeMap<String, Position>,
}

/// One watch's place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The version to watch from; none before the first whole list, or when that is lost.
    pub(super) version: Option<String>,
    /// Whether there ever was a whole list.
    pub(super) listed: bool,
    /// Live objects: UID, and `namespace/name`.
    pub(super) live: BTreeMap<String, String>,
}

impl Cursor {
    pub(super) fn read(text: Option<&str>) -> Result<Self, serde_json::Error> {
        text.map_or_else(|| Ok(Self::default()), serde_json::from_str)
    }

    /// Keeps the places of these watches only.
    pub(super) fn keep(&mut self, keys: &[String]) {
        self.watches.retain(|key, _| keys.contains(key));
    }

    pub(super) fn position(&mut self, key: &str) -> &mut Position {
        self.watches.entry(key.to_owned()).or_default()
    }
}

/// The cursor, and when it was last stored.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) cursor: Cursor,
    stored: Option<Instant>,
    is_small: bool,
}

impl Kept {
    pub(super) fn new(cursor: Cursor) -> Self {
        Self {
            cursor,
            stored: None,
            is_small: true,
        }
    }

    /// The text to store now, where it is time to; `at_once` where it must not wait.
    pub(super) fn due(&mut self, at_once: bool) -> Option<String> {
        let recent = self
            .stored
            .is_some_and(|stored| stored.elapsed() < STORE_EVERY);
        if !at_once && !self.is_small && recent {
            return None;
        }
        let text = serde_json::to_string(&self.cursor).ok()?;
        self.is_small = text.len() <= SMALL;
        self.stored = Some(Instant::now());
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_cursor_is_stored_now_and_then_and_a_small_one_always() {
        let mut kept = Kept::new(Cursor::default());
        kept.cursor.position("v1/Pod").version = Some("7".to_owned());
        for _ in 0..3 {
            let text = kept.due(false).unwrap();
            assert_eq!(Cursor::read(Some(&text)).unwrap(), kept.cursor);
        }
        for pod in 0..1000 {
            let live = &mut kept.cursor.position("v1/Pod").live;
            live.insert(format!("uid-{pod}"), format!("default/pod-{pod}"));
        }
        assert!(kept.due(false).is_some_and(|text| text.len() > SMALL));
        assert_eq!(kept.due(false), None);
        assert!(kept.due(true).is_some());
        kept.cursor.keep(&[]);
        assert_eq!(kept.cursor, Cursor::default());
    }
}
