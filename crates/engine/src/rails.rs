//! Safety rails that an operator sets at any time, by two named lists: no attempt begins while
//! effects are stopped, and no command of a playbook touches a protected target.
//!
//! Lists are durable, changed by API and CLI, and every change is an act in the audit record:
//!
//! | list | key | means |
//! |---|---|---|
//! | `effects_stopped` | `all`, or the name of a reaction or id of a playbook | its runs wait before their next action, and so do its steps within another playbook |
//! | `protected_targets` | an address, a network, a host or `*.domain` | a step that would act on it fails |
//!
//! An address is compared as those read it who connect to it. While targets are protected, none
//! is acted on whose address nobody can be sure to have understood.

use std::collections::BTreeMap;
use std::time::Duration;

use conche_core::run::{RunState, VisitNo};
use conche_core::{Json, StepId};
use conche_runtime::whereabouts::Place;
use serde::Deserialize;

use crate::Inner;

/// The list of what is stopped.
pub const STOPPED: &str = "effects_stopped";
/// The list of what is never acted on.
pub const PROTECTED: &str = "protected_targets";

/// A run that waits since effects are stopped looks again after this time.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Modules that answer somebody who waits, and touch nothing outside.
const ANSWERING: [&str; 3] = ["respond", "k8s_imagevalidate", "log"];

/// As much of a command's input as says what it acts on.
#[derive(Deserialize)]
struct Input {
    #[serde(rename = "command")]
    _command: serde::de::IgnoredAny,
    agent: Party,
    target: Option<Party>,
    #[serde(default)]
    context: Context,
}

#[derive(Deserialize)]
struct Party {
    #[serde(default)]
    name: String,
    #[serde(default)]
    address: BTreeMap<String, Vec<String>>,
}

#[derive(Default, Deserialize)]
struct Context {
    #[serde(default)]
    playbook_id: String,
}

/// What a command acts on.
pub(crate) struct Target {
    /// Its addresses.
    pub(crate) spots: Vec<Spot>,
    /// Its name in the playbook.
    pub(crate) name: String,
    /// The playbook whose command it is: the one that is run, or one that it calls.
    pub(crate) playbook: String,
}

/// One address of a target.
pub(crate) struct Spot {
    /// As the playbook has it, its variables filled in.
    written: String,
    /// What it means; none where that cannot be told.
    place: Option<Place>,
}

impl Spot {
    /// Reads an address of one of CACAO's kinds; none where it is empty, which is nowhere.
    pub(crate) fn new(kind: &str, written: &str) -> Option<Self> {
        let place = match kind {
            "l2mac" => Place::read_hardware(written).ok(),
            "vlan" => Some(Place::Name(word(written))),
            _ => Place::read(written).ok(),
        };
        (!written.trim().is_empty()).then(|| Self {
            written: written.to_owned(),
            place,
        })
    }

    /// The same for all spellings of an address. No comma and no space is in it.
    pub(crate) fn plain(&self) -> String {
        let text = self
            .place
            .as_ref()
            .map_or_else(|| word(&self.written), Place::to_string);
        text.replace([' ', ','], "_")
    }
}

/// What the input of a command of a playbook says that it acts on: the target, else the agent.
pub(crate) fn acted_on(input: &Json) -> Option<Target> {
    let input: Input = input.read().ok()?;
    let party = input.target.unwrap_or(input.agent);
    let spots = party
        .address
        .iter()
        .flat_map(|(kind, values)| values.iter().filter_map(|value| Spot::new(kind, value)));
    Some(Target {
        spots: spots.collect(),
        name: party.name,
        playbook: input.context.playbook_id,
    })
}

/// The addresses and hosts that a command's input acts on; none of any other input.
pub(crate) fn places(input: &Json) -> Vec<String> {
    let spots = acted_on(input).map_or_else(Vec::new, |target| target.spots);
    spots.iter().map(Spot::plain).collect()
}

/// The definition that a run follows and the playbooks called within it, down to that of a visit.
pub(crate) fn around(definition: &str, state: &RunState, visit: VisitNo) -> Vec<String> {
    let own = state.visit(visit);
    let containers = own.into_iter().flat_map(|own| &own.path);
    let containers = containers.filter_map(|turn| state.visit(turn.of));
    let called = containers
        .chain(own)
        .filter_map(|visit| called(&visit.step));
    std::iter::once(definition)
        .chain(called)
        .map(str::to_owned)
        .collect()
}

/// The playbook to which a step of a called one belongs: its name begins with `ID@VERSION/`.
fn called(step: &StepId) -> Option<&str> {
    let (playbook, _) = step.as_str().split_once('@')?;
    playbook.starts_with("playbook--").then_some(playbook)
}

impl Inner {
    /// Whether an action of this module waits, since effects of a definition that it is part of
    /// are stopped.
    pub(crate) fn is_stopped(&self, definitions: &[String], module: &str) -> bool {
        let now = self.now();
        let stands = |key: &str| self.lists.get(STOPPED, key, now).is_some();
        let is_one = || definitions.iter().any(|definition| stands(definition));
        !ANSWERING.contains(&module) && (stands("all") || is_one())
    }

    /// Why an input is not acted on, if it is not, by what is protected.
    pub(crate) fn protected(&self, input: &Json) -> Option<String> {
        let keys = self.lists.keys(PROTECTED, self.now());
        if keys.is_empty() {
            return None;
        }
        let keys: Vec<Key> = keys.iter().map(|key| Key::read(key)).collect();
        acted_on(input)?
            .spots
            .iter()
            .find_map(|spot| refusal(spot, &keys))
    }
}

/// Why nothing is done at an address, if so.
fn refusal(spot: &Spot, keys: &[Key]) -> Option<String> {
    let written = &spot.written;
    let Some(place) = &spot.place else {
        return Some(format!(
            "`{written}` is no host, address or network that everybody reads as the same, so that nobody can tell whether it stands in the list `{PROTECTED}`: nothing is done to it"
        ));
    };
    let key = keys.iter().find(|key| key.covers(place))?;
    Some(format!(
        "`{written}` stands in the list `{PROTECTED}`, by its entry `{}`: nothing is done to it",
        key.text
    ))
}

/// An entry of the list, read.
struct Key<'a> {
    text: &'a str,
    means: Meaning,
}

enum Meaning {
    /// All names below this one.
    Domain(String),
    /// One place; as a text that is no other, a name.
    Places(Vec<Place>),
}

impl<'a> Key<'a> {
    fn read(text: &'a str) -> Self {
        let domain = text.trim().strip_prefix("*.").map(Place::read);
        let means = if let Some(Ok(Place::Name(domain))) = domain {
            Meaning::Domain(domain)
        } else {
            let read = [Place::read(text), Place::read_hardware(text)];
            let mut places: Vec<Place> = read.into_iter().flatten().collect();
            places.push(Place::Name(word(text)));
            Meaning::Places(places)
        };
        Self { text, means }
    }

    /// Whether it means a place. Hosts are compared by their names: what a name resolves to is
    /// the executor's business, so protect addresses and names both.
    fn covers(&self, place: &Place) -> bool {
        match (&self.means, place) {
            (Meaning::Places(places), place) => places.iter().any(|own| own.overlaps(place)),
            (Meaning::Domain(domain), Place::Name(name)) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|before| before.ends_with('.')),
            (Meaning::Domain(_), _) => false,
        }
    }
}

/// Why a text cannot be an entry of a list, where it would guard nothing.
pub(crate) fn guards_nothing(list: &str, key: &str) -> Option<String> {
    let seems_network = key.contains('/') || key.contains('*');
    if list != PROTECTED || !seems_network {
        return None;
    }
    let domain = key.trim().strip_prefix("*.").unwrap_or(key);
    let read = Place::read(domain);
    read.is_err().then(|| {
        format!("`{key}` would protect nothing: it is no address, network, host or `*.domain`")
    })
}

/// A text for comparing, where it is nothing else.
fn word(text: &str) -> String {
    text.trim().trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(keys: &[&str], kind: &str, written: &str) -> String {
        let keys: Vec<Key> = keys.iter().map(|key| Key::read(key)).collect();
        let spot = Spot::new(kind, written);
        let told = spot.and_then(|spot| refusal(&spot, &keys));
        told.unwrap_or_default()
    }

    #[test]
    fn a_key_covers_what_it_names_and_no_more() {
        for (key, kind, written, covered) in [
            ("10.0.0.0/8", "ipv4", "10.1.2.3", true),
            ("10.0.0.0/8", "ipv4", "11.1.2.3", false),
            ("10.0.0.5", "ipv4", "10.0.0.5", true),
            ("2001:db8::/32", "ipv6", "2001:db8::1", true),
            ("*.dc.example", "dname", "a.DC.example", true),
            ("*.dc.example", "dname", "dc.example", false),
            ("*.dc.example", "dname", "evildc.example", false),
            ("dc01.example", "dname", "DC01.example.", true),
            ("dc01.example", "url", "https://u@dc01.example:8443/x", true),
            ("2001:db8::1", "url", "http://[2001:db8::1]:80/", true),
            ("00:1a:2b:3c:4d:5e", "l2mac", "001A.2B3C.4D5E", true),
            ("Server VLAN", "vlan", "server vlan", true),
            ("7", "vlan", "7", true),
            ("7", "vlan", "17", false),
        ] {
            let told = told(&[key], kind, written);
            assert_eq!(
                told.contains(&format!("`{key}`")),
                covered,
                "{key} {written}: {told}"
            );
            assert_eq!(told.is_empty(), !covered, "{key} {written}: {told}");
        }
    }

    #[test]
    fn no_spelling_of_an_address_gets_past_a_key() {
        let keys = [
            "127.0.0.0/8",
            "localhost",
            "10.0.0.0/8",
            "2001:db8::/32",
            "dc01.example",
        ];
        for (kind, written) in [
            ("dname", " 127.0.0.1"),
            ("dname", "127.1"),
            ("dname", "2130706433"),
            ("dname", "127%2e0.0.1"),
            ("dname", "１２７.0.0.1"),
            ("dname", "local%68ost"),
            ("dname", "127.0.0.1."),
            ("dname", "localhost "),
            ("dname", "dc01.example:443"),
            ("dname", "http://dc01.example/"),
            ("dname", "user@dc01.example"),
            ("dname", "10.1.2.3:80"),
            ("ipv4", " 127.0.0.1"),
            ("ipv4", "0.0.0.0/0"),
            ("ipv4", "10.0.0.0/7"),
            ("ipv4", "10.1.2.3/255.255.255.0"),
            ("ipv4", "10.0.0.0-10.255.255.255"),
            ("ipv6", "::ffff:10.1.2.3"),
            ("ipv6", "[2001:db8::5]"),
            ("ipv6", "2001:0DB8::5%eth0"),
            ("ipv6", "2001:db8::/16"),
            ("url", "http:/127.0.0.1:18601"),
            ("url", "http:///127.0.0.1:18601"),
            ("url", "http://0x7f.1:18601"),
            ("url", "ssh://local%68ost:18622"),
        ] {
            let told = told(&keys, kind, written);
            assert!(
                told.contains("stands in the list"),
                "{kind} {written}: {told}"
            );
        }
        for (kind, written) in [
            ("dname", "dc01.example,x"),
            ("dname", "[127.0.0.1]"),
            ("ipv4", "010.1.2.3"),
            ("url", "http:\\127.0.0.1"),
            ("url", "http://127.0.\t0.1"),
            ("url", "ssh://127.0.0.1 :18622"),
            ("l2mac", "somewhere"),
        ] {
            let told = told(&keys, kind, written);
            assert!(
                told.contains("everybody reads as the same"),
                "{kind} {written}: {told}"
            );
        }
        assert_eq!(told(&keys, "dname", "web-1.example"), "");
        assert_eq!(told(&keys, "dname", " "), "", "nothing is acted on there");
    }

    #[test]
    fn a_network_that_is_none_is_no_entry() {
        for key in ["10.0.0.0/33", "10.0.0.0/8,10.1.0.0/16", "10.*"] {
            assert!(guards_nothing(PROTECTED, key).is_some(), "{key}");
        }
        for key in [
            "10.0.0.0/8",
            "*.dc.example",
            "https://dc01.example/",
            "Server VLAN",
        ] {
            assert_eq!(guards_nothing(PROTECTED, key), None, "{key}");
        }
        assert_eq!(guards_nothing("blocked", "10.*"), None);
    }

    #[test]
    fn a_step_of_a_called_playbook_names_it() {
        let called = |step: &str| called(&StepId::from(step)).map(str::to_owned);
        let step = "playbook--2@2026-01-01T00:00:00Z/action--1/2.1";
        assert_eq!(called(step).as_deref(), Some("playbook--2"));
        assert_eq!(called("action--1/0.0"), None);
    }
}
