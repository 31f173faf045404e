//! The notifications that Clair has named and that are not done: the source's cursor.
//!
//! A name is on disk before Clair is answered and is taken out only when the notification's
//! events are stored and Clair has deleted it, so that a restart at any moment goes on where
//! it was. The list is short and is written as a whole.

use conche_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::ping::Ping;
use crate::clients::clair::Api;

/// All of them, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) pending: Vec<Item>,
}

/// One notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) name: String,
    /// The generation, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) api: Option<Api>,
    /// When it was named first, in seconds since 1970.
    pub(super) since: i64,
    /// What is left to do.
    pub(super) left: Left,
}

/// What is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Left {
    /// To fetch it, store its events, and delete it.
    Fetch,
    /// To delete it at Clair.
    Delete,
}

impl Pending {
    /// Reads a cursor; one of another shape is an empty list, and Clair names them again.
    pub(super) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The cursor's text.
    pub(super) fn write(&self) -> String {
        // A struct of plain members can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether it is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.pending.iter().any(|item| item.name == name)
    }

    /// Puts it in, unless it is there.
    pub(super) fn add(&mut self, ping: &Ping, now: Timestamp) {
        if !self.has(&ping.name) {
            self.pending.push(Item {
                name: ping.name.clone(),
                api: ping.api,
                since: now.as_second(),
                left: Left::Fetch,
            });
        }
    }

    /// Its events are stored.
    pub(super) fn stored(&mut self, name: &str) {
        let items = self.pending.iter_mut();
        for item in items.filter(|item| item.name == name) {
            item.left = Left::Delete;
        }
    }

    /// It is done.
    pub(super) fn remove(&mut self, name: &str) {
        self.pending.retain(|item| item.name != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_through_what_is_left_to_do() {
        let mut pending = Pending::default();
        let ping = |name: &str| Ping {
            name: name.to_owned(),
            api: None,
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        pending.add(&ping("a"), at(1));
        pending.add(&ping("b"), at(2));
        pending.add(&ping("a"), at(3));
        pending.stored("a");
        assert_eq!(Pending::read(&pending.write()), pending);
        assert_eq!(
            (pending.pending[0].since, pending.pending[0].left),
            (1, Left::Delete)
        );
        pending.remove("a");
        assert!(!pending.has("a") && pending.has("b"));
        assert_eq!(Pending::read("{\"else\":1}"), Pending::default());
    }
}
