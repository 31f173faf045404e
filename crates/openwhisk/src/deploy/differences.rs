//! In what an entity is not as it is to be. What a host adds by itself counts for nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Body, Current, Entity, Feed, Live, Rule};
use crate::model::{
    self, Action, ActionLimits, ActionPut, Exec, FullyQualifiedName, KeyValue, KeyValues, Package,
    PackagePut, RuleStatus, Trigger, TriggerPut,
};

/// Annotations that hosts write.
const OF_HOSTS: [&str; 2] = ["binding", "exec"];
/// The parameter that hosts give to sequences.
const COMPONENTS: &str = "_actions";
/// The annotation of a trigger by which it is known what its feed was told, without saying it:
/// feeds differ in what they tell of themselves.
const TOLD: &str = "feed-inputs-sha256";

/// Which parts of an entity differ, by their names in a manifest.
pub(super) fn of(entity: &Entity, current: &Current, live: &Live) -> Vec<&'static str> {
    let parts = match (&entity.body, current) {
        (Body::Package(put), Current::Package(there)) => package(put, there, live),
        (Body::Action(put), Current::Action(there)) => action(put, there, live),
        (Body::Trigger(put, feed), Current::Trigger(there)) => trigger(put, feed.as_ref(), there),
        (Body::Rule(rule), Current::Rule(there)) => of_rule(rule, there),
        _ => vec![("kind", true)],
    };
    let differ = parts.into_iter().filter(|(_, differs)| *differs);
    differ.map(|(part, _)| part).collect()
}

type Parts = Vec<(&'static str, bool)>;

fn package(put: &PackagePut, there: &Package, live: &Live) -> Parts {
    let wanted = put.binding.as_ref().and_then(|binding| binding.provider());
    let own = put.parameters.clone().unwrap_or_default();
    // A binding shows what it binds, with its own parameters on top.
    let provider = wanted.and_then(|binding| {
        let name = FullyQualifiedName::new(binding.namespace.clone(), None, binding.name.clone());
        live.package(&name)
    });
    let shown = match provider {
        Some(provider) => provider.parameters.clone().overlaid(&own),
        None => own,
    };
    vec![
        ("location", wanted != there.binding.provider()),
        ("inputs", !same(&shown, &there.parameters)),
        (
            "annotations",
            !same_said(put.annotations.as_ref(), &there.annotations),
        ),
        ("public", put.publish.unwrap_or(false) != there.publish),
    ]
}

fn action(put: &ActionPut, there: &Action, live: &Live) -> Parts {
    let exec = put.exec.as_ref();
    let mut parts: Parts = exec
        .map(|exec| executed(exec, &there.exec))
        .unwrap_or_default();
    if let Some(own) = &put.parameters {
        let package = there.namespace.package.clone().map(|package| {
            FullyQualifiedName::new(there.namespace.namespace.clone(), None, package)
        });
        let package = package.and_then(|name| live.package(&name));
        // Hosts show the parameters of the package with those of the action.
        let shown = package.map(|package| package.parameters.clone().overlaid(own));
        let is_same = |one: &KeyValues| same(one, &there.parameters);
        parts.push((
            "inputs",
            !is_same(own) && !shown.as_ref().is_some_and(is_same),
        ));
    }
    parts.push((
        "annotations",
        !same_said(put.annotations.as_ref(), &there.annotations),
    ));
    let limits = put.limits.clone().unwrap_or_default();
    parts.push(("limits", !granted(&limits, &there.limits)));
    parts
}

fn executed(wanted: &Exec, there: &Exec) -> Parts {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let main = |main: &Option<String>| main.clone().unwrap_or_else(|| "main".to_owned());
    match (wanted, there) {
        (Exec::Code(one), Exec::Code(other)) => vec![
            ("runtime", !same_kind(&one.kind, &other.kind)),
            ("code", one.code != other.code),
            ("main", main(&one.main) != main(&other.main)),
        ],
        (Exec::Blackbox(one), Exec::Blackbox(other)) => vec![
            ("docker", one.image != other.image),
            ("code", text(&one.code) != text(&other.code)),
            ("main", main(&one.main) != main(&other.main)),
        ],
        (Exec::Sequence(one), Exec::Sequence(other)) => {
            let slashed = |name: &String| format!("/{}", name.trim_start_matches('/'));
            let is_same = one.components.iter().eq(other
                .components
                .iter()
                .map(slashed)
                .collect::<Vec<_>>()
                .iter());
            vec![("actions", !is_same)]
        }
        _ => vec![("runtime", true)],
    }
}

/// Whether a kind is what is wanted: hosts write which one a default is.
fn same_kind(wanted: &str, there: &str) -> bool {
    let family = |kind: &str| kind.split(':').next().map(str::to_owned);
    wanted == there || (wanted.ends_with(":default") && family(wanted) == family(there))
}

/// Whether the limits that are wanted hold. What is not said is the host's.
fn granted(wanted: &ActionLimits, there: &ActionLimits) -> bool {
    let pairs = [
        (wanted.timeout, there.timeout),
        (wanted.memory, there.memory),
        (wanted.logs, there.logs),
        (wanted.concurrency, there.concurrency),
    ];
    pairs
        .iter()
        .all(|(wanted, there)| wanted.is_none() || wanted == there)
}

fn trigger(put: &TriggerPut, feed: Option<&Feed>, there: &Trigger) -> Parts {
    let mut wanted = put.annotations.clone().unwrap_or_default();
    let parameters = put.parameters.clone().unwrap_or_default();
    let told = feed.map(told);
    let was_told = there.annotations.get(TOLD);
    let is_told = was_told == told.as_ref().map(|told| &told.value);
    let mut shown = there.annotations.clone();
    shown.remove(TOLD);
    wanted.remove(TOLD);
    vec![
        ("inputs", !same(&parameters, &there.parameters)),
        ("feed", !is_told || wanted.get("feed") != shown.get("feed")),
        ("annotations", !same_said(Some(&wanted), &shown)),
    ]
}

/// The annotation that says what a feed was told.
pub(super) fn told(feed: &Feed) -> KeyValue {
    let inputs: BTreeMap<&String, &Value> = feed.inputs.iter().collect();
    let inputs = serde_json::to_string(&inputs).unwrap_or_default();
    let digest = Sha256::digest(format!("{} {inputs}", feed.action));
    KeyValue::new(TOLD, format!("{digest:x}"))
}

fn of_rule(rule: &Rule, there: &model::Rule) -> Parts {
    vec![
        ("trigger", rule.trigger != there.trigger.full_name()),
        ("action", rule.action != there.action.full_name()),
        ("status", there.status != Some(RuleStatus::Active)),
        (
            "annotations",
            !same_said(Some(&rule.annotations), &there.annotations),
        ),
    ]
}

/// Annotations that an action has and is not to have: an update adds to them otherwise.
pub(super) fn stale(wanted: &KeyValues, there: &KeyValues) -> Vec<String> {
    let stale = there.iter().map(|one| one.key.as_str());
    let stale = stale.filter(|key| !OF_HOSTS.contains(key) && wanted.get(key).is_none());
    stale.map(str::to_owned).collect()
}

fn same_said(wanted: Option<&KeyValues>, there: &KeyValues) -> bool {
    let said = |values: &KeyValues| {
        let mut said = values.to_object();
        said.retain(|key, _| !OF_HOSTS.contains(&key.as_str()));
        sorted(said)
    };
    said(wanted.unwrap_or(&KeyValues::default())) == said(there)
}

fn same(wanted: &KeyValues, there: &KeyValues) -> bool {
    let is_plain = |one: &KeyValue| one.encryption.is_none() && !one.init;
    let values = |values: &KeyValues| {
        let mut values = values.to_object();
        values.remove(COMPONENTS);
        sorted(values)
    };
    there.iter().all(is_plain) && values(wanted) == values(there)
}

fn sorted(values: Map<String, Value>) -> BTreeMap<String, Value> {
    values.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Name;

    fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn action(there: Value) -> Action {
        let mut whole = json!({ "namespace": "guest/p", "name": "a", "version": "0.0.1",
            "exec": { "kind": "nodejs:20", "code": "x", "binary": false },
            "annotations": [{ "key": "exec", "value": "nodejs:20" }] });
        for (key, value) in there.as_object().cloned().unwrap_or_default() {
            whole[key] = value;
        }
        read(whole)
    }

    /// What differs between an action that is wanted so and one that is there so.
    fn differs(put: Value, there: Value) -> Vec<&'static str> {
        let mut live = Live::default();
        live.extend([Current::Package(read(json!({
            "namespace": "guest", "name": "p", "version": "0.0.1",
            "parameters": [{ "key": "of_package", "value": 1 }] })))]);
        let mut whole = json!({ "exec": { "kind": "nodejs:default", "code": "x" } });
        for (key, value) in put.as_object().cloned().unwrap_or_default() {
            whole[key] = value;
        }
        let namespace = Name::parse("guest").unwrap();
        let name = |text| Name::parse(text).unwrap();
        let entity = Entity {
            name: FullyQualifiedName::new(namespace, Some(name("p")), name("a")),
            body: Body::Action(read(whole)),
        };
        of(&entity, &Current::Action(action(there)), &live)
    }

    #[test]
    fn what_a_host_adds_or_resolves_is_no_difference() {
        let none: [&str; 0] = [];
        let one = json!([{ "key": "x", "value": 1 }]);
        let both = json!([{ "key": "of_package", "value": 1 }, { "key": "x", "value": 1 }]);
        assert_eq!(differs(json!({}), json!({})), none);
        // Hosts show the parameters of the package, or do not.
        assert_eq!(
            differs(json!({ "parameters": one }), json!({ "parameters": one })),
            none
        );
        assert_eq!(
            differs(json!({ "parameters": one }), json!({ "parameters": both })),
            none
        );
        let main = json!({ "exec": { "kind": "nodejs:20", "code": "x", "main": "main" } });
        assert_eq!(differs(json!({}), main), none);
        let sequence = json!({ "kind": "sequence", "components": ["/guest/b"] });
        let slashless = json!({ "kind": "sequence", "components": ["guest/b"] });
        let made = json!([{ "key": "_actions", "value": ["/guest/b"] }]);
        let there = json!({ "exec": slashless, "parameters": made });
        assert_eq!(differs(json!({ "exec": sequence }), there), none);
        let limits = json!({ "timeout": 1000, "memory": 256, "logs": 10 });
        assert_eq!(
            differs(
                json!({ "limits": { "timeout": 1000 } }),
                json!({ "limits": limits })
            ),
            none
        );
    }

    #[test]
    fn what_is_not_as_it_is_to_be_is_named() {
        let exec = |kind: &str, code: &str| json!({ "exec": { "kind": kind, "code": code } });
        assert_eq!(differs(exec("nodejs:18", "x"), json!({})), ["runtime"]);
        assert_eq!(differs(exec("python:default", "x"), json!({})), ["runtime"]);
        assert_eq!(differs(exec("nodejs:20", "y"), json!({})), ["code"]);
        let one = json!([{ "key": "x", "value": 1 }]);
        assert_eq!(
            differs(json!({ "parameters": [] }), json!({ "parameters": one })),
            ["inputs"]
        );
        // What is encrypted can't be compared; what is for the start is another thing.
        for more in [json!({ "encryption": "aes-256" }), json!({ "init": true })] {
            let mut there = one.clone();
            for (key, value) in more.as_object().unwrap() {
                there[0][key] = value.clone();
            }
            assert_eq!(
                differs(json!({ "parameters": one }), json!({ "parameters": there })),
                ["inputs"]
            );
        }
        assert_eq!(
            differs(json!({}), json!({ "annotations": one })),
            ["annotations"]
        );
        assert_eq!(
            differs(json!({ "annotations": one }), json!({})),
            ["annotations"]
        );
        assert_eq!(
            differs(json!({ "limits": { "timeout": 1 } }), json!({})),
            ["limits"]
        );
    }

    #[test]
    fn a_feed_that_was_told_something_else_or_nothing_differs() {
        let feed = |cron: &str| Feed {
            action: FullyQualifiedName::parse("/whisk.system/alarms/alarm").unwrap(),
            inputs: json!({ "cron": cron }).as_object().cloned().unwrap(),
        };
        let said = json!({ "key": "feed", "value": "/whisk.system/alarms/alarm" });
        let put: TriggerPut = read(json!({ "parameters": [], "annotations": [said] }));
        let there = |annotations: Value| -> Trigger {
            read(
                json!({ "namespace": "guest", "name": "t", "version": "0.0.1", "annotations": annotations }),
            )
        };
        let differ = |feed: Option<&Feed>, there: &Trigger| {
            let parts = trigger(&put, feed, there).into_iter();
            parts
                .filter(|(_, differs)| *differs)
                .map(|(part, _)| part)
                .collect::<Vec<_>>()
        };
        let noted = json!(told(&feed("* * * * *")));
        let was_told = there(json!([said, noted]));
        assert_eq!(differ(Some(&feed("* * * * *")), &was_told), [""; 0]);
        assert_eq!(differ(Some(&feed("0 * * * *")), &was_told), ["feed"]);
        assert_eq!(
            differ(Some(&feed("* * * * *")), &there(json!([said]))),
            ["feed"]
        );
    }
}
