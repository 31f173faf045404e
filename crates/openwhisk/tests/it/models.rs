//! Models write what they have read, and names are read as they are written.

use conche_openwhisk::model::{
    Accepted, Action, ActionPut, ActionSummary, Activation, ActivationSummary, ApiInfo, EntityPath,
    FullyQualifiedName, HostInfo, Name, NamespaceLimits, Package, PackagePut, PackageSummary, Rule,
    RulePut, RuleStatusPut, Status, Trigger, TriggerPut, TriggerSummary,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Reads a wire form and writes it again.
fn same<T: Serialize + DeserializeOwned>(wire: &Value) -> T {
    let read: T = serde_json::from_value(wire.clone()).expect("it can be read");
    assert_eq!(
        &serde_json::to_value(&read).expect("it can be written"),
        wire
    );
    read
}

const ID: &str = "44794bd6aab74415b4e42a308d880e5b";

#[test]
fn actions_are_written_as_they_were_read() {
    let action: Action = same(&json!({
        "namespace": "guest/utils", "name": "echo", "version": "0.0.3", "publish": false,
        "updated": 1_700_000_000_000_i64,
        "exec": { "kind": "nodejs:20", "code": "function main(a) { return a }", "binary": false },
        "parameters": [{ "key": "k", "value": { "deep": [1, 2.5, null] }, "init": true }],
        "annotations": [{ "key": "exec", "value": "nodejs:20" },
            { "key": "provide-api-key", "value": false }],
        "limits": { "timeout": 60000, "memory": 256, "logs": 10, "concurrency": 1, "vendor": "x" },
        "revision": "3-abc"
    }));
    assert_eq!(
        action.namespace.package,
        Some(Name::parse("utils").unwrap())
    );
    assert_eq!(action.other["revision"], "3-abc");
    let summary: ActionSummary = same(&json!({
        "namespace": "guest", "name": "a", "version": "0.0.1", "publish": false,
        "annotations": [], "limits": { "timeout": 60000, "memory": 256, "logs": 10, "concurrency": 1 },
        "exec": { "binary": true }, "updated": 1
    }));
    assert!(summary.exec.binary);
    let put: ActionPut = same(&json!({ "namespace": "_", "name": "a",
        "exec": { "kind": "sequence", "components": ["/_/a", "/_/b"] },
        "delAnnotations": ["web-export"], "limits": { "timeout": 1000 } }));
    assert_eq!(
        put.exec.map(|exec| exec.kind().to_owned()),
        Some("sequence".to_owned())
    );
    same::<ActionPut>(&json!({}));
}

#[test]
fn packages_tell_no_binding_in_three_ways_and_keep_theirs() {
    let package = |binding: Value| {
        json!({ "namespace": "guest", "name": "p", "version": "0.0.1", "publish": true,
            "parameters": [], "annotations": [], "binding": binding, "updated": 1 })
    };
    for (binding, bound) in [
        (json!({}), false),
        (json!(false), false),
        (
            json!({ "namespace": "whisk.system", "name": "utils" }),
            true,
        ),
    ] {
        let read: Package = same(&package(binding.clone()));
        assert_eq!(read.binding.provider().is_some(), bound, "{binding}");
        let mut item = package(binding);
        item.as_object_mut().unwrap().remove("parameters");
        same::<PackageSummary>(&item);
    }
    let mut whole = package(json!({}));
    whole["actions"] = json!([{ "name": "a", "version": "0.0.1", "annotations": [] }]);
    whole["feeds"] = json!([]);
    let whole: Package = same(&whole);
    assert_eq!(
        serde_json::to_value(whole.summary()).unwrap()["binding"],
        json!(false)
    );
    same::<PackagePut>(&json!({ "parameters": [], "binding": { "namespace": "_", "name": "p" } }));
    assert!(serde_json::from_value::<Package>(package(json!({ "name": "half" }))).is_err());
}

#[test]
fn triggers_and_rules_are_written_as_they_were_read() {
    let trigger: Trigger = same(&json!({
        "namespace": "guest", "name": "t", "version": "0.0.1", "publish": false, "parameters": [],
        "annotations": [{ "key": "feed", "value": "/_/alarms/alarm" }], "limits": {},
        "rules": { "guest/r": { "action": { "name": "a", "path": "guest/p" }, "status": "active" } },
        "updated": 5
    }));
    let link = &trigger.rules.as_ref().unwrap()["guest/r"];
    assert_eq!(link.action.full_name().to_string(), "/guest/p/a");
    same::<TriggerSummary>(&serde_json::to_value(trigger.summary()).unwrap());
    same::<TriggerPut>(&json!({ "parameters": [{ "key": "a", "value": 1 }] }));
    let mut rule = json!({
        "namespace": "guest", "name": "r", "version": "0.0.1", "publish": false,
        "annotations": [], "trigger": { "path": "guest", "name": "t" },
        "action": { "path": "guest/p", "name": "a" }, "status": "inactive", "updated": 9
    });
    same::<Rule>(&rule);
    rule.as_object_mut().unwrap().remove("status");
    assert_eq!(same::<Rule>(&rule).status, None);
    same::<RulePut>(&json!({ "trigger": "/_/t", "action": "/_/a", "status": "", "name": "r" }));
    same::<RuleStatusPut>(&json!({ "status": "active", "trigger": null, "action": null }));
}

#[test]
fn activations_are_written_as_they_were_read() {
    let primitive: Activation = same(&json!({
        "namespace": "guest", "name": "a", "version": "0.0.1", "publish": false,
        "subject": "guest", "activationId": ID, "start": 100, "end": 130, "duration": 30,
        "cause": ID,
        "response": { "status": "action developer error", "success": false,
            "result": { "error": "The action did not initialize and exited unexpectedly." },
            "size": 66 },
        "logs": ["2018-03-13T21:06:34.652259951Z stdout: text"],
        "annotations": [{ "key": "path", "value": "guest/a" }, { "key": "waitTime", "value": 7 },
            { "key": "initTime", "value": 20 }],
        "vendorField": { "kept": true }
    }));
    assert_eq!(primitive.response.status, Status::DeveloperError);
    assert!(primitive.is_cold());
    assert_eq!(primitive.wait_time(), Some(7));
    let summary = primitive.summary();
    assert_eq!(summary.status_code, Some(2));
    same::<ActivationSummary>(&serde_json::to_value(&summary).unwrap());
    let fired: Activation = same(&json!({
        "namespace": "guest", "name": "t", "version": "0.0.1", "publish": false,
        "subject": "guest", "activationId": ID, "start": 100,
        "response": { "status": "success", "success": true, "result": { "x": 1 } },
        "logs": [], "annotations": []
    }));
    assert_eq!(fired.summary().status_code, None);
    same::<Activation>(&json!({
        "namespace": "guest", "name": "l", "version": "0.0.1", "publish": false,
        "subject": "guest", "activationId": ID, "start": 1, "end": 2, "duration": 1,
        "response": { "status": "a new word", "success": false, "result": [1, "two"] },
        "logs": [], "annotations": []
    }));
    same::<Accepted>(&json!({ "activationId": ID }));
    assert!(serde_json::from_value::<Accepted>(json!({ "activationId": "x" })).is_err());
}

#[test]
fn what_a_host_says_of_itself_is_written_as_it_was_read() {
    let host: HostInfo = same(&json!({
        "description": "OpenWhisk", "support": { "github": "https://github.com/apache/openwhisk/issues" },
        "api_paths": ["/api/v1"], "limits": { "actions_per_minute": 60, "max_action_memory": 536_870_912 },
        "runtimes": { "nodejs": [{ "kind": "nodejs:20", "image": "openwhisk/action-nodejs-v20:nightly",
            "default": true, "deprecated": false, "attached": true, "requireMain": false,
            "stemCells": [{ "memory": 256 }] }] }
    }));
    assert!(host.runtimes["nodejs"][0].default);
    same::<ApiInfo>(
        &json!({ "description": "OpenWhisk API", "api_version": "1.0.0",
        "api_version_path": "v1", "build": "2026", "buildno": "n",
        "swagger_paths": { "ui": "/docs", "api-docs": "/api-docs" } }),
    );
    let limits: NamespaceLimits = same(&json!({
        "invocationsPerMinute": 60, "concurrentInvocations": 30, "firesPerMinute": 60,
        "minActionMemory": 128, "maxActionMemory": 512, "maxParameterSize": "1048576 B" }));
    assert_eq!(limits.allowed_kinds, None);
}

fn name() -> impl Strategy<Value = Name> {
    let text = "[A-Za-z0-9_]([A-Za-z0-9_@ .&-]{0,20}[A-Za-z0-9_@.&-])?";
    text.prop_map(|text| Name::parse(&text).expect("a name"))
}

proptest! {
    #[test]
    fn a_full_name_is_read_as_it_is_written(
        namespace in name(), package in proptest::option::of(name()), entity in name()
    ) {
        let name = FullyQualifiedName::new(namespace.clone(), package.clone(), entity);
        prop_assert_eq!(&FullyQualifiedName::parse(&name.to_string()).unwrap(), &name);
        prop_assert_eq!(&FullyQualifiedName::parse_in_body(&name.without_slash()).unwrap(), &name);
        let path = EntityPath::try_from(name.path().to_string()).unwrap();
        prop_assert_eq!(path.entity(name.name.clone()), name.clone());
        // Only the own namespace is replaced, and no name keeps it.
        let guest = Name::parse("guest").unwrap();
        prop_assert!(!name.resolve(&guest).namespace.is_own_namespace());
        let relative = FullyQualifiedName::new(Name::own_namespace(), package, namespace);
        let read = FullyQualifiedName::parse(&relative.within_namespace()).unwrap();
        prop_assert_eq!(read, relative);
    }

    #[test]
    fn no_text_makes_the_readers_of_names_panic(text in any::<String>()) {
        if let Ok(name) = FullyQualifiedName::parse(&text) {
            prop_assert_eq!(FullyQualifiedName::parse(&name.to_string()).unwrap(), name);
        }
        if let Ok(name) = FullyQualifiedName::parse_in_body(&text) {
            let path = EntityPath::try_from(name.path().to_string());
            prop_assert_eq!(path.ok(), Some(name.path()));
        }
    }
}
