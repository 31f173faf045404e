//! Safety rails that an operator sets at any time, by two named lists: no attempt begins while
//! effects are stopped, and no command of a playbook touches a protected target.
//!
//! Lists are durable, changed by API and CLI, and every change is an act in the audit record:
//!
//! | list | key | means |
//! |---|---|---|
//! | `effects_stopped` | `all`, or the name of a reaction or id of a playbook | its runs wait before their next action |
//! | `protected_targets` | an address, a network, a host or `*.domain` | a step that would act on it fails |

use std::collections::BTreeMap;
use std::time::Duration;

use conche_cacao::variable::address::Address;
use conche_core::Json;
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
    /// Its addresses, those of URLs by their hosts.
    pub(crate) places: Vec<String>,
    /// Its name in the playbook.
    pub(crate) name: String,
    /// The playbook whose command it is: the one that is run, or one that it calls.
    pub(crate) playbook: String,
}

/// What the input of a command of a playbook says that it acts on: the target, else the agent.
pub(crate) fn acted_on(input: &Json) -> Option<Target> {
    let input: Input = input.read().ok()?;
    let party = input.target.unwrap_or(input.agent);
    let places = party.address.into_iter().flat_map(|(kind, values)| {
        let host = move |value: String| match kind.as_str() {
            "url" => host_of(&value).unwrap_or(value),
            _ => value,
        };
        values.into_iter().map(host)
    });
    Some(Target {
        places: places.collect(),
        name: party.name,
        playbook: input.context.playbook_id,
    })
}

/// The addresses and hosts that a command's input acts on; none of any other input.
pub(crate) fn places(input: &Json) -> Vec<String> {
    acted_on(input).map_or_else(Vec::new, |target| target.places)
}

impl Inner {
    /// Whether an action of this module waits, since effects of its definition are stopped.
    pub(crate) fn is_stopped(&self, definition: &str, module: &str) -> bool {
        let now = self.now();
        let stands = |key: &str| self.lists.get(STOPPED, key, now).is_some();
        !ANSWERING.contains(&module) && (stands("all") || stands(definition))
    }

    /// The protected target that an input would act on, if any.
    pub(crate) fn protected(&self, input: &Json) -> Option<String> {
        let keys = self.lists.keys(PROTECTED, self.now());
        if keys.is_empty() {
            return None;
        }
        places(input)
            .into_iter()
            .find(|place| keys.iter().any(|key| covers(key, place)))
    }
}

/// The host of a URL.
fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host.split(':').next()?,
    };
    Some(host.to_owned())
}

/// Whether a key of the list means a place. Hosts are compared by their names: what a name
/// resolves to is the executor's business, so protect addresses and names both.
fn covers(key: &str, place: &str) -> bool {
    if let (Some(key), Some(place)) = (Address::parse(key), Address::parse(place)) {
        return key.contains(place);
    }
    let (key, place) = (
        key.to_ascii_lowercase(),
        place.trim_end_matches('.').to_ascii_lowercase(),
    );
    match key.strip_prefix("*.") {
        Some(domain) => place
            .strip_suffix(domain)
            .is_some_and(|before| before.ends_with('.')),
        None => key == place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_covers_what_it_names_and_no_more() {
        for (key, place, covered) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.0.0.5", "10.0.0.5", true),
            ("2001:db8::/32", "2001:db8::1", true),
            ("*.dc.example", "a.DC.example", true),
            ("*.dc.example", "dc.example", false),
            ("*.dc.example", "evildc.example", false),
            ("dc01.example", "DC01.example.", true),
        ] {
            assert_eq!(covers(key, place), covered, "{key} {place}");
        }
        let host = |url: &str| host_of(url).unwrap_or_default();
        assert_eq!(host("https://u@dc01.example:8443/x"), "dc01.example");
        assert_eq!(host("http://[2001:db8::1]:80/"), "2001:db8::1");
    }
}
