//! The actions of `k8s`: what CSF's returned, and changes that say how something is to be.

use std::sync::Arc;

use conche_modules::{Action, Error};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::apiserver::{ApiServer, Faults};
use crate::support::{action, context, invoke};

async fn rig() -> (ApiServer, Arc<dyn Action>, TempDir) {
    let server = ApiServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = json!({ "kubeconfig": server.kubeconfig(dir.path(), "t", None) });
    let module = action("k8s", config, &context(dir.path(), &[])).unwrap();
    (server, module, dir)
}

fn runs(image: &str) -> Value {
    json!({ "containers": [{ "name": "c", "image": image }],
        "initContainers": [{ "name": "i", "image": "init:1" }] })
}

fn deployment(image: &str) -> Value {
    json!({ "kind": "Deployment", "apiVersion": "apps/v1", "metadata": {},
        "spec": { "replicas": 2, "template": { "spec": runs(image) } } })
}

fn pod(image: &str) -> Value {
    json!({ "kind": "Pod", "apiVersion": "v1", "metadata": {}, "spec": runs(image),
        "status": { "containerStatuses": [
            { "name": "c", "imageID": format!("r.example/{image}@sha256:01") }] } })
}

fn fill(server: &ApiServer) {
    for (namespace, name, image) in [
        ("default", "web", "nginx:1.25"),
        ("default", "evil", "evil-nginx:1.25"),
        ("shop", "web", "nginx:1.25"),
    ] {
        let at =
            |group: &str, plural: &str| format!("{group}/namespaces/{namespace}/{plural}/{name}");
        server.put(&at("/apis/apps/v1", "deployments"), deployment(image));
        server.put(&at("/api/v1", "pods"), pod(image));
    }
}

const WEB: &str = "/api/v1/namespaces/default/pods/web";

fn uid(server: &ApiServer, path: &str) -> String {
    let object = server.get(path).unwrap();
    object["metadata"]["uid"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csfs_actions_find_what_they_found_and_more_where_asked() {
    let (server, module, _dir) = rig().await;
    fill(&server);
    let rows = [
        (
            "is_image_deployed",
            json!({ "image": "nginx:1.25" }),
            json!({ "deployments": ["evil", "web"] }),
        ),
        (
            "is_image_in_pods",
            json!({ "image": "nginx:1.25", "namespace": "shop" }),
            json!({ "pods": ["web"] }),
        ),
        (
            "is_image_in_pods",
            json!({ "image": "nothing" }),
            json!({ "pods": [] }),
        ),
        // Init containers did not count in CSF.
        (
            "is_image_in_pods",
            json!({ "image": "init:1" }),
            json!({ "pods": [] }),
        ),
        (
            "is_image_in_pods",
            json!({ "image": "init:1", "init_containers": true, "namespace": "shop" }),
            json!({ "pods": ["web"] }),
        ),
        (
            "is_image_deployed",
            json!({ "image": "docker.io/library/nginx", "match": "repository", "namespace": "*" }),
            json!({ "deployments": ["web", "web"] }),
        ),
        (
            "is_image_in_pods",
            json!({ "image": "sha256:01", "match": "digest" }),
            json!({ "pods": ["evil", "web"] }),
        ),
        (
            "is_image_in_pods",
            json!({ "image": "nginx:1.25", "match": "exact" }),
            json!({ "pods": ["web"] }),
        ),
        // As `klar` has named it to Clair, and Clair in a notification.
        (
            "is_image_in_pods",
            json!({ "image": "docker.io/library/nginx@sha256:02" }),
            json!({ "pods": ["web"] }),
        ),
        (
            "is_image_deployed",
            json!({ "image": "docker.io/library/nginx@sha256:02", "namespace": "*" }),
            json!({ "deployments": ["web", "web"] }),
        ),
        (
            "is_image_in_pods",
            json!({ "image": "docker.io/library/nginx@sha256:02", "match": "suffix" }),
            json!({ "pods": [] }),
        ),
        // Clair 4 knows the digest alone.
        (
            "is_image_in_pods",
            json!({ "image": "sha256:01" }),
            json!({ "pods": ["evil", "web"] }),
        ),
    ];
    for (name, input, expected) in rows {
        let found = invoke(&module, name, input.clone()).await;
        assert_eq!(found, Ok(expected), "{name} {input}");
    }
    let found = invoke(&module, "find_workloads", json!({ "image": "nginx" }))
        .await
        .unwrap();
    let kinds: Vec<_> = found["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}/{}", one["kind"], one["namespace"], one["name"]).replace('"', ""))
        .collect();
    assert_eq!(
        kinds,
        [
            "Deployment default/web",
            "Deployment shop/web",
            "Pod default/web",
            "Pod shop/web"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_is_searched_to_its_end() {
    let (server, module, _dir) = rig().await;
    for number in 0..1001 {
        server.put(
            &format!("/api/v1/namespaces/default/pods/p{number}"),
            pod("nginx:1.25"),
        );
    }
    let input = json!({ "image": "nginx:1.25" });
    let found = invoke(&module, "is_image_in_pods", input).await.unwrap();
    assert_eq!(found["pods"].as_array().unwrap().len(), 1001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_objects_are_searched_and_none_is_passed_over() {
    let (server, module, _dir) = rig().await;
    fill(&server);
    let mut faults = Faults {
        page_items: Some(1),
        ..Faults::default()
    };
    server.fail(faults.clone());
    let input = json!({ "image": "nginx", "match": "repository", "namespace": "*" });
    let found = invoke(&module, "is_image_in_pods", input.clone()).await;
    assert_eq!(found, Ok(json!({ "pods": ["web", "web"] })));
    faults.giant = Some("evil");
    server.fail(faults);
    let failed = invoke(&module, "is_image_in_pods", input).await;
    let Err(Error::Permanent(message)) = failed else {
        panic!("{failed:?}");
    };
    assert!(message.contains("Pod default/evil"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csf_bug_2_actions_without_a_cluster_fail_and_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let module = action("k8s", Value::Null, &context(dir.path(), &[])).unwrap();
    let failed = invoke(&module, "is_image_deployed", json!({ "image": "a" })).await;
    let Err(Error::Permanent(message)) = failed else {
        panic!("{failed:?}");
    };
    assert!(message.contains("no `kubeconfig`"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_say_how_it_is_to_be_so_that_a_repeat_changes_nothing_more() {
    let (server, module, _dir) = rig().await;
    fill(&server);
    server.put(
        "/api/v1/nodes/n1",
        json!({ "kind": "Node", "metadata": {}, "spec": {} }),
    );
    let web = "/apis/apps/v1/namespaces/default/deployments/web";
    for _ in 0..2 {
        let target = json!({ "kind": "Deployment", "name": "web" });
        let with = |more: Value| {
            let mut input = target.clone();
            input
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            input
        };
        let labels = with(json!({ "set": { "risk": "high", "old": null } }));
        invoke(&module, "label", labels).await.unwrap();
        let annotations = with(json!({ "set": { "seen-by": "conche" } }));
        invoke(&module, "annotate", annotations).await.unwrap();
        invoke(&module, "cordon", json!({ "node": "n1" }))
            .await
            .unwrap();
        let object = server.get(web).unwrap();
        assert_eq!(object["metadata"]["labels"], json!({ "risk": "high" }));
        assert_eq!(object["metadata"]["annotations"]["seen-by"], "conche");
        let scale = with(json!({ "replicas": 0 }));
        invoke(&module, "scale", scale).await.unwrap();
    }
    assert_eq!(server.get(web).unwrap()["spec"]["replicas"], 0);
    let scaled = |seen: &super::apiserver::Seen| seen.path.contains("/deployments/web/scale");
    assert!(server.seen().iter().any(scaled));
    assert_eq!(
        server.get("/api/v1/nodes/n1").unwrap()["spec"]["unschedulable"],
        true
    );
    let back = json!({ "node": "n1", "cordoned": false });
    invoke(&module, "cordon", back).await.unwrap();
    assert_eq!(
        server.get("/api/v1/nodes/n1").unwrap()["spec"]["unschedulable"],
        false
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_is_deleted_once_and_never_its_successor() {
    let (server, module, _dir) = rig().await;
    fill(&server);
    for name in ["delete_pod", "evict_pod"] {
        server.put(WEB, pod("nginx:1.25"));
        let gone = json!({ "name": "web", "uid": uid(&server, WEB) });
        let mut dry = gone.clone();
        dry["dry_run"] = true.into();
        invoke(&module, name, dry).await.unwrap();
        assert!(server.get(WEB).is_some(), "{name}: that was a dry run");
        let deleted = invoke(&module, name, gone.clone()).await;
        assert_eq!(deleted, Ok(json!({ "changed": true })), "{name}");
        assert_eq!(server.get(WEB), None);
        let again = invoke(&module, name, gone.clone()).await;
        assert_eq!(again, Ok(json!({ "changed": false })), "{name}");
        server.put(WEB, pod("nginx:1.26"));
        let again = invoke(&module, name, gone).await;
        assert_eq!(again, Ok(json!({ "changed": false })), "{name}");
        assert!(server.get(WEB).is_some(), "{name}: the successor is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_is_there_is_not_gone_whatever_refuses_its_deletion() {
    let (server, module, _dir) = rig().await;
    fill(&server);
    let gone = json!({ "name": "web", "uid": uid(&server, WEB) });
    let html = "<html>404</html>";
    let busy = json!({ "kind": "Status", "code": 409, "reason": "Conflict",
        "message": "etcd is busy" });
    let missing = json!({ "kind": "Status", "code": 404, "reason": "NotFound" });
    for name in ["delete_pod", "evict_pod"] {
        for (status, body, again) in [
            (404, html.to_owned(), false),
            (404, missing.to_string(), false),
            (409, busy.to_string(), true),
        ] {
            server.fail(Faults {
                changes: Some((status, body.clone())),
                ..Faults::default()
            });
            let failed = invoke(&module, name, gone.clone()).await.unwrap_err();
            let repeats = matches!(failed, Error::Retry { .. });
            assert_eq!(repeats, again, "{name} {body}: {failed:?}");
        }
        // A proxy that has nothing to say of reading either.
        server.fail(Faults {
            page: Some((404, html.to_owned())),
            ..Faults::default()
        });
        let failed = invoke(&module, name, gone.clone()).await;
        assert!(matches!(failed, Err(Error::Permanent(_))), "{failed:?}");
    }
    assert!(server.get(WEB).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_in_quarantine_has_the_label_of_a_policy_that_lets_nothing_through() {
    let (server, module, _dir) = rig().await;
    fill(&server);
    let mut input = json!({ "name": "web", "uid": uid(&server, WEB), "dry_run": true });
    invoke(&module, "quarantine", input.clone()).await.unwrap();
    let policy = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/conche-quarantine";
    assert_eq!(server.get(policy), None);
    input["dry_run"] = false.into();
    invoke(&module, "quarantine", input.clone()).await.unwrap();
    let made = server.get(policy).unwrap();
    let label = json!({ "conche-quarantine": "true" });
    assert_eq!(made["spec"]["podSelector"]["matchLabels"], label);
    assert_eq!(made["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(server.get(WEB).unwrap()["metadata"]["labels"], label);
    let applied = server
        .seen()
        .into_iter()
        .find(|seen| seen.path.contains("networkpolicies"));
    assert_eq!(
        applied.unwrap().content_type,
        "application/apply-patch+yaml"
    );
    input["lift"] = true.into();
    invoke(&module, "quarantine", input.clone()).await.unwrap();
    assert_eq!(server.get(WEB).unwrap()["metadata"]["labels"], json!({}));
    // Another pod of this name is another pod.
    server.remove(WEB);
    server.put(WEB, pod("nginx:1.25"));
    input["lift"] = false.into();
    let refused = invoke(&module, "quarantine", input).await;
    assert!(matches!(refused, Err(Error::Permanent(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_say_whether_it_may_have_happened() {
    let (mut server, module, _dir) = rig().await;
    fill(&server);
    let gone = json!({ "name": "web", "uid": uid(&server, WEB) });
    server.fail(Faults {
        status: Some((429, Some(7))),
        ..Faults::default()
    });
    let failed = invoke(&module, "evict_pod", gone.clone()).await;
    let Err(Error::Retry { after, .. }) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(after, Some(std::time::Duration::from_secs(7)));
    server.fail(Faults {
        status: Some((403, None)),
        ..Faults::default()
    });
    let failed = invoke(&module, "evict_pod", gone.clone()).await;
    assert!(matches!(failed, Err(Error::Permanent(_))), "{failed:?}");
    server.fail(Faults {
        nonsense: true,
        ..Faults::default()
    });
    let failed = invoke(&module, "is_image_in_pods", json!({ "image": "a" })).await;
    assert!(matches!(failed, Err(Error::Retry { .. })), "{failed:?}");
    server.fail(Faults {
        mute: true,
        ..Faults::default()
    });
    let failed = invoke(&module, "evict_pod", gone.clone()).await;
    assert!(matches!(failed, Err(Error::Uncertain(_))), "{failed:?}");
    assert_eq!(server.get(WEB), None, "it had happened");
    server.down().await;
    let failed = invoke(&module, "evict_pod", gone).await;
    assert!(matches!(failed, Err(Error::Retry { .. })), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_none_are_refused_before_anything_is_asked() {
    let (server, module, _dir) = rig().await;
    let uid = "u";
    for (name, input) in [
        (
            "delete_pod",
            json!({ "name": "../../nodes/n1", "uid": uid }),
        ),
        (
            "delete_pod",
            json!({ "name": "a", "namespace": "..", "uid": uid }),
        ),
        ("label", json!({ "kind": "Secret", "name": "a", "set": {} })),
        (
            "scale",
            json!({ "kind": "Pod", "name": "a", "replicas": 1 }),
        ),
        ("is_image_in_pods", json!({ "image": "" })),
        (
            "is_image_in_pods",
            json!({ "image": "a", "namespace": "a/b" }),
        ),
        ("fly", json!({})),
    ] {
        let refused = invoke(&module, name, input.clone()).await;
        assert!(
            matches!(refused, Err(Error::Permanent(_))),
            "{name} {input}: {refused:?}"
        );
    }
    assert_eq!(server.seen(), []);
}
