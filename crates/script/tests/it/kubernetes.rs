//! Kubernetes objects in events: JSON's names, and besides those of Go's fields, which the
//! scripts of CSF know.

use conche_script::{Evaluation, Isolation};
use serde_json::{Value, json};

use crate::rig::{call, decide, event_after, raw, sandbox};

fn pod() -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": { "name": "good", "namespace": "default", "uid": "a297d5b5",
            "labels": { "app": "web", "Team": "blue" }, "ownerReferences": [{ "uid": "r" }] },
        "spec": {
            "initContainers": [{ "name": "i", "image": "init:1" }],
            "containers": [{ "name": "c", "image": "nginx:1.25", "env": [{ "name": "A" }] }],
            "nodeName": "n1", "hostPID": true,
            "volumes": [{ "name": "v", "hostPath": { "path": "/" } }],
        },
        "status": { "phase": "Pending", "podIP": "10.0.0.7", "hostIP": "10.0.0.1", "qosClass": "BestEffort" },
    })
}

fn evaluation(source: &str, isolation: Isolation) -> Evaluation {
    Evaluation {
        event: raw(&json!({ "pod": pod(), "plain": { "spec": { "a": 1 } } })),
        isolation,
        ..call(source)
    }
}

#[tokio::test]
async fn a_pod_has_the_names_of_gos_fields_beside_those_of_json() {
    let sandbox = sandbox().await;
    let rows = [
        ("event.pod.Name", json!("good")),
        ("event.pod.UID", json!("a297d5b5")),
        ("event.pod.Namespace", json!("default")),
        ("event.pod.ObjectMeta.Name", json!("good")),
        ("event.pod.TypeMeta.Kind", json!("Pod")),
        ("event.pod.APIVersion", json!("v1")),
        ("event.pod.Spec.Containers[0].Image", json!("nginx:1.25")),
        ("event.pod.Spec.InitContainers[0].Image", json!("init:1")),
        ("event.pod.Spec.Containers[0].Env[0].Name", json!("A")),
        ("event.pod.spec.containers[0].Image", json!("nginx:1.25")),
        (
            "event.pod.Spec.NodeName + event.pod.Spec.HostPID",
            json!("n1true"),
        ),
        (
            "event.pod.Spec.Volumes[0].VolumeSource.HostPath.Path",
            json!("/"),
        ),
        ("event.pod.Status.Phase", json!("Pending")),
        (
            "event.pod.Status.PodIP + event.pod.Status.HostIP",
            json!("10.0.0.710.0.0.1"),
        ),
        ("event.pod.Status.QOSClass", json!("BestEffort")),
        ("event.pod.ObjectMeta.OwnerReferences[0].UID", json!("r")),
        // Labels are data: their names are not Go's.
        (
            "event.pod.Labels.app + event.pod.Labels.Team",
            json!("webblue"),
        ),
        ("String(event.pod.Labels.App)", json!("undefined")),
        ("String(event.pod.Spec.Nothing)", json!("undefined")),
        ("String(event.plain.Spec)", json!("undefined")),
        (
            "Object.keys(event.pod).sort().join()",
            json!("apiVersion,kind,metadata,spec,status"),
        ),
        ("String(event.pod.hasOwnProperty('Spec'))", json!("false")),
        ("String(event.pod instanceof Object)", json!("true")),
        ("String(event.pod)", json!("[object Object]")),
    ];
    for isolation in [Isolation::Warm, Isolation::Fresh] {
        for (expression, expected) in &rows {
            let source = format!("nextAction = 'a'; result = {{ r: {expression} }}");
            let found = decide(&sandbox, evaluation(&source, isolation)).await;
            assert_eq!(found, json!(["a", { "r": expected }]), "{expression}");
        }
        let whole = evaluation("nextAction = 'a'; result = event.pod", isolation);
        assert_eq!(decide(&sandbox, whole).await, json!(["a", pod()]));
    }
}

#[tokio::test]
async fn what_is_written_by_gos_name_is_written_under_jsons() {
    let sandbox = sandbox().await;
    for isolation in [Isolation::Warm, Isolation::Fresh] {
        let source = "event.pod.Spec.NodeName = 'n2'; event.pod.extra = 1";
        let evaluated = sandbox
            .evaluate(evaluation(source, isolation))
            .await
            .unwrap();
        let after = event_after(&evaluated).unwrap();
        assert_eq!(after["pod"]["spec"]["nodeName"], "n2");
        assert_eq!(after["pod"]["spec"].get("NodeName"), None);
        assert_eq!(after["pod"]["extra"], 1);
    }
}

#[tokio::test]
async fn nothing_that_a_script_does_to_the_names_reaches_the_next() {
    let sandbox = sandbox().await;
    let spoil = "var p = Object.getPrototypeOf(event.pod);
        try { p.Name = 'spoilt' } catch (e) {}
        try { Object.defineProperty(p, 'Spec', { value: 'spoilt' }) } catch (e) {}
        try { Object.setPrototypeOf(p, { Spec: 'spoilt' }) } catch (e) {}
        nextAction = 'a'";
    for _ in 0..2 {
        decide(&sandbox, evaluation(spoil, Isolation::Warm)).await;
        let read = "nextAction = 'a'; result = { r: event.pod.Name + event.pod.Spec.NodeName }";
        let found = decide(&sandbox, evaluation(read, Isolation::Warm)).await;
        assert_eq!(found, json!(["a", { "r": "goodn1" }]));
    }
}
