//! Changes: each says how something is to be, so that saying it twice is saying it once.

use http::Method;
use serde_json::{Value, json};

use super::input::{Changed, Cordon, Marks, Pod, Quarantine, Scale, Target};
use crate::action::Error;
use crate::clients::kubernetes::{self, Cluster, Resource, is_name, query};

const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const JSON: &str = "application/json";

/// The parameter that says whose fields those of a patch are: Kubernetes' word, and none of ours.
const OWNER_PARAMETER: &str = concat!("field", "Man", "ager");
/// As whom our fields are known to the API server.
const OWNER: &str = "conche";

/// The policy that cuts pods off, one in each namespace that has some, and their label.
const QUARANTINE: &str = "conche-quarantine";

/// Kinds that can be changed: kind, version, plural; `Node` and `Namespace` are in no namespace.
const KINDS: [(&str, &str, &str); 9] = [
    ("Pod", "v1", "pods"),
    ("Deployment", "apps/v1", "deployments"),
    ("StatefulSet", "apps/v1", "statefulsets"),
    ("DaemonSet", "apps/v1", "daemonsets"),
    ("ReplicaSet", "apps/v1", "replicasets"),
    ("Job", "batch/v1", "jobs"),
    ("CronJob", "batch/v1", "cronjobs"),
    ("Node", "v1", "nodes"),
    ("Namespace", "v1", "namespaces"),
];

/// Kinds that can be scaled.
const SCALED: [&str; 3] = ["Deployment", "StatefulSet", "ReplicaSet"];

/// Sets labels or annotations.
pub(super) async fn mark(cluster: &Cluster, what: &str, marks: &Marks) -> Result<Changed, Error> {
    let mut patch = json!({ "metadata": { what: marks.set } });
    // The API server refuses a patch whose UID is another.
    if let Some(uid) = &marks.target.uid {
        patch["metadata"]["uid"] = uid.clone().into();
    }
    merge(cluster, &path(&marks.target)?, &patch, marks.target.dry_run).await
}

/// Says how many pods there are to be.
pub(super) async fn scale(cluster: &Cluster, scale: &Scale) -> Result<Changed, Error> {
    let target = &scale.target;
    if !SCALED.contains(&&*target.kind) {
        return Err(Error::permanent(format!(
            "a {} can't be scaled: {} can",
            target.kind,
            SCALED.join(", ")
        )));
    }
    let mut patch = json!({ "spec": { "replicas": scale.replicas } });
    if let Some(uid) = &target.uid {
        patch["metadata"] = json!({ "uid": uid });
    }
    merge(
        cluster,
        &format!("{}/scale", path(target)?),
        &patch,
        target.dry_run,
    )
    .await
}

/// Lets no more pods onto a node.
pub(super) async fn cordon(cluster: &Cluster, cordon: &Cordon) -> Result<Changed, Error> {
    let path = Resource::of_cluster("v1", "nodes").one(None, name(&cordon.node)?);
    let patch = json!({ "spec": { "unschedulable": cordon.cordoned } });
    merge(cluster, &path, &patch, cordon.dry_run).await
}

/// Deletes this very pod.
pub(super) async fn delete_pod(cluster: &Cluster, pod: &Pod) -> Result<Changed, Error> {
    let mut options = json!({
        "kind": "DeleteOptions", "apiVersion": "v1",
        "preconditions": { "uid": pod.uid },
    });
    // Where there is a body, the API server reads no option of the query.
    if pod.dry_run {
        options["dryRun"] = json!(["All"]);
    }
    let path = pod_path(pod)?;
    let answer = cluster
        .call(Method::DELETE, &path, Some((JSON, &options)))
        .await;
    gone(cluster, pod, answer).await
}

/// Deletes this very pod where its disruption budget allows it; else that is tried again.
pub(super) async fn evict_pod(cluster: &Cluster, pod: &Pod) -> Result<Changed, Error> {
    let eviction = json!({
        "kind": "Eviction", "apiVersion": "policy/v1",
        "metadata": { "name": pod.name, "namespace": pod.namespace },
        "deleteOptions": { "preconditions": { "uid": pod.uid } },
    });
    let path = dry(&format!("{}/eviction", pod_path(pod)?), pod.dry_run, false);
    let answer = cluster
        .call(Method::POST, &path, Some((JSON, &eviction)))
        .await;
    gone(cluster, pod, answer).await
}

/// Has a policy in the pod's namespace that lets pods of our label neither call nor be called,
/// and gives the pod that label.
pub(super) async fn quarantine(cluster: &Cluster, asked: &Quarantine) -> Result<Changed, Error> {
    let pod = &asked.pod;
    let path = pod_path(pod)?;
    if !asked.lift {
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": QUARANTINE, "namespace": pod.namespace },
            "spec": {
                "podSelector": { "matchLabels": { QUARANTINE: "true" } },
                "policyTypes": ["Ingress", "Egress"],
            },
        });
        let policies = Resource::namespaced("networking.k8s.io/v1", "networkpolicies");
        let at = dry(
            &policies.one(Some(&pod.namespace), QUARANTINE),
            pod.dry_run,
            true,
        );
        cluster
            .call(Method::PATCH, &at, Some((APPLY, &policy)))
            .await?;
    }
    let value = if asked.lift {
        Value::Null
    } else {
        "true".into()
    };
    let patch = json!({ "metadata": { "uid": pod.uid, "labels": { QUARANTINE: value } } });
    merge(cluster, &path, &patch, pod.dry_run).await
}

async fn merge(
    cluster: &Cluster,
    path: &str,
    patch: &Value,
    dry_run: bool,
) -> Result<Changed, Error> {
    let path = dry(path, dry_run, false);
    let object = cluster
        .call(Method::PATCH, &path, Some((MERGE, patch)))
        .await?;
    let version = object["metadata"]["resourceVersion"].as_str();
    Ok(Changed {
        changed: true,
        resource_version: version.map(str::to_owned),
    })
}

/// What is gone already is as it was to be, also where another has its name now. That is
/// looked for and not taken from the refusal: a 404 may be a proxy's, a 409 a busy store's.
async fn gone(
    cluster: &Cluster,
    pod: &Pod,
    answer: Result<Value, kubernetes::Error>,
) -> Result<Changed, Error> {
    let changed = match answer {
        Ok(_) => true,
        Err(error) if matches!(error.code(), Some(404 | 409)) => {
            if !is_gone(cluster, pod).await? {
                let code = error.code();
                return Err(match Error::from(error) {
                    // It is there and could not be changed just now.
                    Error::Permanent(message) if code == Some(409) => Error::retry(message),
                    error => error,
                });
            }
            false
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Changed {
        changed,
        resource_version: None,
    })
}

/// Whether the API server itself says that this very pod is not there.
async fn is_gone(cluster: &Cluster, pod: &Pod) -> Result<bool, Error> {
    match cluster.get(&pod_path(pod)?).await {
        Ok(found) => match found["metadata"]["uid"].as_str() {
            Some(uid) => Ok(uid != pod.uid),
            None => Err(Error::retry("the Kubernetes API sent a pod without a UID")),
        },
        Err(error) if error.is_missing() => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn dry(path: &str, dry_run: bool, force: bool) -> String {
    let pairs = [
        (OWNER_PARAMETER, Some(OWNER)),
        ("force", force.then_some("true")),
        ("dryRun", dry_run.then_some("All")),
    ];
    query(path, &pairs)
}

fn path(target: &Target) -> Result<String, Error> {
    let known = KINDS.iter().find(|(kind, _, _)| *kind == target.kind);
    let Some((kind, version, plural)) = known else {
        let kinds: Vec<_> = KINDS.iter().map(|(kind, _, _)| *kind).collect();
        return Err(Error::permanent(format!(
            "`{}` is none of the kinds {}",
            target.kind,
            kinds.join(", ")
        )));
    };
    let resource = match *kind {
        "Node" | "Namespace" => Resource::of_cluster(version, plural),
        _ => Resource::namespaced(version, plural),
    };
    Ok(resource.one(Some(name(&target.namespace)?), name(&target.name)?))
}

fn pod_path(pod: &Pod) -> Result<String, Error> {
    let pods = Resource::namespaced("v1", "pods");
    Ok(pods.one(Some(name(&pod.namespace)?), name(&pod.name)?))
}

fn name(text: &str) -> Result<&str, Error> {
    if is_name(text) {
        return Ok(text);
    }
    Err(Error::permanent(format!(
        "`{text}` is not the name of an object"
    )))
}
