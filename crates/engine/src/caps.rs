//! How many distinct targets playbooks act on in a window of time: so that one that goes wrong,
//! or is started too often, stops while little is done.
//!
//! What was acted on is counted in named lists, which are durable and end by themselves:
//! `targets_acted_on` for all playbooks together, `targets_acted_on.ID` for one. A target is
//! counted before anything is sent to it, and again at each command, so that it leaves the
//! count when it was left alone for the whole window. What is one is told by all of its
//! addresses together, however they are written. Beyond the cap nothing is done and a person
//! is asked. Requests that only read do not count.

use std::collections::{BTreeMap, BTreeSet};

use conche_core::run::Repeat;
use conche_core::storm::Key;
use conche_core::{Json, RunId};
use conche_runtime::units::Span;
use serde_json::json;

use crate::Inner;
use crate::lists::NewEntry;
use crate::rails::{Spot, Target, acted_on};

/// The list of what all playbooks together acted on; those of single ones are named after it.
pub const ACTED_ON: &str = "targets_acted_on";
/// With what the identifiers of playbooks begin.
const PLAYBOOK: &str = "playbook--";
/// Targets that a message names.
const NAMED_MAX: usize = 10;
/// Between the addresses of one target in its key; in no address.
const BETWEEN: &str = ", ";

/// How many distinct targets may be acted on within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// The number; 0 means none at all.
    pub most: u32,
    /// The window.
    pub within: Span,
}

/// What playbooks may act on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caps {
    /// All playbooks together.
    pub all: Option<Cap>,
    /// Single ones, by identifier: a called playbook's own commands count for it as well.
    pub playbooks: BTreeMap<String, Cap>,
}

/// Why a target is not acted on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Capped {
    /// It would be one too many.
    Beyond(String),
    /// It could not be counted now.
    NotCounted(String),
}

impl Caps {
    /// The lists that a playbook's targets are counted in, each with the setting of its cap.
    fn lists(&self, playbooks: &[&str]) -> Vec<(String, String, Cap)> {
        let all = self.all.map(|cap| {
            let (list, setting) = (ACTED_ON.to_owned(), "safety.targets".to_owned());
            (list, setting, cap)
        });
        let mut lists: Vec<_> = all.into_iter().collect();
        for (id, cap) in &self.playbooks {
            if playbooks.contains(&id.as_str()) {
                let setting = format!("safety.playbooks.{id}");
                lists.push((format!("{ACTED_ON}.{id}"), setting, *cap));
            }
        }
        lists
    }
}

impl Inner {
    /// Counts what a command of a playbook is about to act on, or says why it may not.
    pub(crate) async fn count_target(
        &self,
        (run, definition): (RunId, &str),
        repeat: Repeat,
        input: &Json,
    ) -> Result<(), Capped> {
        let caps = &self.safety.caps;
        // What may be repeated freely changes nothing.
        if repeat == Repeat::Idempotent || !definition.starts_with(PLAYBOOK) {
            return Ok(());
        }
        let Some(target) = acted_on(input) else {
            return Ok(());
        };
        let lists = caps.lists(&[definition, target.playbook.as_str()]);
        if lists.is_empty() {
            return Ok(());
        }
        // Whoever counts looks at what is there first, and nobody else meanwhile.
        let _counting = self.counting.lock().await;
        let mut entries = Vec::new();
        for (list, setting, cap) in lists {
            let there = self.lists.keys(&list, self.now());
            let known = target.known(&there).cloned();
            let key = known.unwrap_or_else(|| target.key());
            if !there.contains(&key) && there.len() >= cap.most as usize {
                return Err(Capped::Beyond(beyond(&key, &there, (&setting, cap))));
            }
            entries.push(NewEntry {
                list,
                key,
                value: Json::from(&json!({ "run": run, "playbook": definition })),
                ttl: Some(cap.within.duration()),
            });
        }
        for entry in entries {
            let put = self.put_entry(entry, None).await;
            put.map_err(|error| Capped::NotCounted(error.to_string()))?;
        }
        Ok(())
    }
}

fn beyond(key: &str, there: &[String], (setting, cap): (&str, Cap)) -> String {
    let named = there.iter().take(NAMED_MAX).map(String::as_str);
    let mut named = named.collect::<Vec<_>>().join(", ");
    if let Some(more) = there.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        named = format!("{named} and {more} more");
    }
    let within = cap.within;
    format!(
        "nothing was done to `{key}`: it would be target {} within {within}, and `{setting}` allows {} (acted on: {named}); have it repeated when that is meant, later or with a higher cap",
        there.len() + 1,
        cap.most,
    )
}

impl Target {
    /// The key under which it was counted before: that of a target that had all of its
    /// addresses. One that it shares is not enough, since it need not be the one that is used.
    fn known<'a>(&self, there: &'a [String]) -> Option<&'a String> {
        let (key, addresses) = (self.key(), self.addresses());
        there.iter().find(|counted| {
            let counted_of: Vec<&str> = counted.split(BETWEEN).collect();
            let has = |address: &String| counted_of.contains(&address.as_str());
            **counted == key || (!addresses.is_empty() && addresses.iter().all(has))
        })
    }

    /// The key to count it under: its addresses, else its name.
    fn key(&self) -> String {
        let key = match self.addresses() {
            addresses if addresses.is_empty() => key_of(&self.name),
            addresses => addresses.join(BETWEEN),
        };
        Key::new(&key).as_str().to_owned()
    }

    fn addresses(&self) -> Vec<String> {
        let addresses = self.spots.iter().map(Spot::plain);
        let addresses: BTreeSet<String> = addresses.collect();
        addresses.into_iter().collect()
    }
}

/// A name as the key of a list: it is the same whatever its letters.
fn key_of(name: &str) -> String {
    match name
        .replace(',', "_")
        .trim_end_matches('.')
        .to_ascii_lowercase()
    {
        key if key.is_empty() => "(unnamed)".to_owned(),
        key => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_counted_in_the_lists_of_its_playbooks() {
        let cap = |most| Cap {
            most,
            within: Span::from_secs(3600),
        };
        let caps = Caps {
            all: Some(cap(50)),
            playbooks: [("playbook--1".to_owned(), cap(5))].into(),
        };
        let lists = |playbooks: &[&str]| -> Vec<String> {
            let lists = caps.lists(playbooks).into_iter();
            lists.map(|(list, ..)| list).collect()
        };
        let both = ["targets_acted_on", "targets_acted_on.playbook--1"];
        assert_eq!(lists(&["playbook--1", "playbook--1"]), both);
        assert_eq!(lists(&["playbook--2", "playbook--1"]), both);
        assert_eq!(lists(&["playbook--2"]), both[..1]);
        assert!(Caps::default().lists(&["playbook--1"]).is_empty());
    }

    fn target(addresses: &[(&str, &str)]) -> Target {
        let spots = addresses
            .iter()
            .filter_map(|(kind, text)| Spot::new(kind, text));
        Target {
            spots: spots.collect(),
            name: "web".to_owned(),
            playbook: String::new(),
        }
    }

    #[test]
    fn a_target_is_known_when_all_of_its_addresses_are_those_of_one_that_was_counted() {
        let both = [("dname", "WEB-1.example."), ("ipv4", "10.0.0.1")];
        let there = [target(&both).key(), "h1".to_owned()];
        assert_eq!(there[0], "10.0.0.1, web-1.example");
        let known = |addresses: &[(&str, &str)]| target(addresses).known(&there).cloned();
        for again in [&both[..], &both[..1], &[("url", "http://10.1:80/")]] {
            assert_eq!(known(again).as_ref(), Some(&there[0]), "{again:?}");
        }
        for other in [
            &[("dname", "h4"), ("dname", "h1")][..],
            &[("dname", "h1"), ("dname", "web-1.example")],
            &[("dname", "h1, web-1.example")],
            &[("ipv4", "10.0.0.2")],
            &[],
        ] {
            assert_eq!(known(other), None, "{other:?}");
        }
    }

    #[test]
    fn every_target_has_a_key_of_a_list() {
        assert_eq!(target(&[]).key(), "web");
        let long = "ü".repeat(300);
        let long = target(&[("dname", &long), ("dname", "h1")]);
        assert!(long.key().len() <= conche_core::storm::KEY_BYTES_MAX);
        assert!(long.known(&[long.key()]).is_some());
        assert_eq!(key_of(""), "(unnamed)");
    }

    #[test]
    fn what_is_beyond_is_told_with_numbers_and_names() {
        let there: Vec<String> = (0..12).map(|number| format!("web-{number}")).collect();
        let cap = Cap {
            most: 12,
            within: Span::from_secs(3600),
        };
        let told = beyond("web-99", &there, ("safety.targets", cap));
        let words = "nothing was done to `web-99`: it would be target 13 within 1h, and `safety.targets` allows 12 (acted on: web-0, web-1,";
        assert!(told.starts_with(words), "{told}");
        assert!(told.contains("web-9 and 2 more)"), "{told}");
    }
}
