//! What lists and watches become, from captures of a real API server.

use super::*;
use crate::sources::k8s::config::Config;

fn watched(config: Value) -> (Watched, Vec<EventName>) {
    let config: Config = serde_json::from_value(config).unwrap();
    (config.watched().unwrap().remove(0), config.events)
}

fn pod(name: &str, version: &str) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-{name}"),
            "resourceVersion": version, "creationTimestamp": "2026-11-22T01:14:01Z",
            "managedFields": [{ "manager": "curl" }],
        },
        "spec": { "containers": [{ "name": "c", "image": "nginx:1.25" }] },
    })
}

fn there(value: Value) -> Change {
    Change::There(Box::new(Object::read(value).unwrap()))
}

fn types(events: &[NewEvent]) -> Vec<(&str, &str)> {
    events
        .iter()
        .map(|event| (&*event.event_type, event.id.as_deref().unwrap()))
        .collect()
}

fn with(config: Value, work: impl Fn(&Observer<'_>, &mut Position)) {
    let (watched, events) = watched(config);
    let observer = Observer {
        watched: &watched,
        events: &events,
        limits: Limits {
            bytes: 4096,
            depth: 16,
        },
    };
    work(&observer, &mut Position::default());
}

#[test]
fn a_pod_is_new_once_and_gone_once() {
    with(json!({}), |observer, position| {
        let made = observer.change(position, there(pod("web", "5")));
        assert_eq!(
            types(&made),
            [
                ("new_pod", "uid-web"),
                ("k8s.pod.created", "uid-web:created")
            ]
        );
        assert_eq!(made[0].subject.as_deref(), Some("default/web"));
        assert_eq!(made[0].time.unwrap().to_string(), "2026-11-22T01:14:01Z");
        let data: Value = made[0].data.read().unwrap();
        assert_eq!(data["pod"]["spec"]["containers"][0]["image"], "nginx:1.25");
        assert_eq!(data["pod"]["metadata"].get("managedFields"), None);
        assert_eq!(made[0].data, made[1].data);

        assert_eq!(observer.change(position, there(pod("web", "6"))), []);
        let gone = Object::read(pod("web", "7")).unwrap();
        let made = observer.change(position, Change::Gone(Box::new(gone)));
        assert_eq!(types(&made), [("k8s.pod.deleted", "uid-web:deleted")]);
        assert_eq!(position.version.as_deref(), Some("7"));
        assert!(position.live.is_empty());
    });
}

#[test]
fn updates_are_events_where_they_are_asked_for() {
    let config = json!({ "events": ["updated"] });
    with(config, |observer, position| {
        assert_eq!(observer.change(position, there(pod("web", "5"))), []);
        let made = observer.change(position, there(pod("web", "6")));
        assert_eq!(types(&made), [("k8s.pod.updated", "uid-web:6")]);
    });
}

#[test]
fn a_pod_that_came_and_went_between_two_looks_was_new_all_the_same() {
    with(json!({}), |observer, position| {
        let gone = Object::read(pod("web", "7")).unwrap();
        let made = observer.change(position, Change::Gone(Box::new(gone)));
        let found: Vec<_> = made.iter().map(|event| &*event.event_type).collect();
        assert_eq!(found, ["new_pod", "k8s.pod.created", "k8s.pod.deleted"]);
    });
}

#[test]
fn what_vanished_unseen_is_gone_under_its_name() {
    with(json!({}), |observer, position| {
        observer.change(position, there(pod("a", "5")));
        observer.change(position, there(pod("b", "6")));
        let listed = BTreeSet::from(["uid-b".to_owned()]);
        let made = observer.vanished(position, &listed);
        assert_eq!(types(&made), [("k8s.pod.deleted", "uid-a:deleted")]);
        let data: Value = made[0].data.read().unwrap();
        assert_eq!(data["pod"]["metadata"]["namespace"], "default");
        assert_eq!(data["missed"], true);
        assert_eq!(observer.vanished(position, &listed), []);
    });
}

#[test]
fn an_object_too_large_for_an_event_is_told_of_by_a_gap() {
    with(json!({}), |observer, position| {
        let mut large = pod("web", "5");
        large["metadata"]["annotations"] = json!({ "a": "x".repeat(5000) });
        let made = observer.change(position, there(large));
        assert_eq!(
            types(&made),
            [("k8s.gap", "gap:object_too_large:v1/Pod:uid-web:5")]
        );
        let data: Value = made[0].data.read().unwrap();
        assert_eq!(data["object"], "default/web");
    });
}

#[test]
fn the_values_of_a_secret_are_in_no_event() {
    let config = json!({ "pods": false, "watch": [{ "api_version": "v1", "kind": "Secret" }] });
    with(config, |observer, position| {
        let mut secret = pod("s", "5");
        secret["kind"] = "Secret".into();
        secret["data"] = json!({ "password": "aHVzaA==" });
        secret["metadata"]["annotations"] =
            json!({ "kubectl.kubernetes.io/last-applied-configuration": "aHVzaA==" });
        let made = observer.change(position, there(secret));
        assert_eq!(types(&made), [("k8s.secret.created", "uid-s:created")]);
        assert!(!made[0].data.as_str().contains("aHVzaA"));
        assert!(made[0].data.as_str().contains("password"));
    });
}

#[test]
fn what_cannot_be_watched_is_refused() {
    for (config, expected) in [
        (json!({ "pods": false }), "nothing is watched"),
        (json!({ "namespaces": ["a", "a"] }), "watched twice"),
        (json!({ "namespaces": ["../x"] }), "name of a namespace"),
        (
            json!({ "watch": [{ "api_version": "apps/v1", "kind": "a/b" }] }),
            "not a kind",
        ),
        (
            json!({ "watch": [{ "api_version": "a/b/c", "kind": "A" }] }),
            "no version",
        ),
        (json!({ "idle_timeout": "1ms" }), "at least"),
    ] {
        let config: Config = serde_json::from_value(config).unwrap();
        let refused = config.watched().unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    }
}
