//! What the actions of `k8s` take and give.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::Match;

/// What `is_image_deployed` and `is_image_in_pods` take. What else a script of CSF's puts
/// beside is passed over.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Find {
    /// The image.
    pub(super) image: String,
    /// Where to look; `*` is everywhere. Default: `default`.
    #[serde(default = "default_namespace")]
    pub(super) namespace: String,
    /// How images are compared. Default: `csf`.
    #[serde(default, rename = "match")]
    pub(super) how: Match,
    /// Whether init and ephemeral containers count. Default: false, as in CSF.
    #[serde(default)]
    pub(super) init_containers: bool,
}

fn default_namespace() -> String {
    "default".to_owned()
}

/// What `is_image_deployed` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Deployments {
    /// The names of the deployments, once for each container of it that runs the image.
    pub(super) deployments: Vec<String>,
}

/// What `is_image_in_pods` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Pods {
    /// The names of the pods, once for each container of it that runs the image.
    pub(super) pods: Vec<String>,
}

/// What `find_workloads` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindWorkloads {
    /// The image, or its digest alone.
    pub(super) image: String,
    /// Where to look; `*` is everywhere. Default: `*`.
    #[serde(default = "everywhere")]
    pub(super) namespace: String,
    /// How images are compared. Default: `repository`.
    #[serde(default = "by_repository", rename = "match")]
    pub(super) how: Match,
}

fn everywhere() -> String {
    "*".to_owned()
}

fn by_repository() -> Match {
    Match::Repository
}

/// What `find_workloads` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Workloads {
    /// One for each container that runs the image.
    pub(super) workloads: Vec<Workload>,
}

/// Something that runs an image.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Workload {
    /// Such as `apps/v1`.
    pub(super) api_version: &'static str,
    /// Such as `Deployment`.
    pub(super) kind: &'static str,
    /// Where it is.
    pub(super) namespace: String,
    /// What it is called.
    pub(super) name: String,
    /// Its UID.
    pub(super) uid: String,
    /// The container.
    pub(super) container: String,
    /// The image as it is written there.
    pub(super) image: String,
}

/// An object of one of the kinds that the actions change.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Target {
    /// One of `Pod`, `Deployment`, `StatefulSet`, `DaemonSet`, `ReplicaSet`, `Job`, `CronJob`,
    /// `Node`, `Namespace`.
    pub(super) kind: String,
    /// Its name.
    pub(super) name: String,
    /// Its namespace, where it is in one. Default: `default`.
    #[serde(default = "default_namespace")]
    pub(super) namespace: String,
    /// Its UID: another object of this name is not touched. Default: any.
    #[serde(default)]
    pub(super) uid: Option<String>,
    /// Asks the API server whether it would, and changes nothing. Default: false.
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// What `label` and `annotate` take.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Marks {
    /// What to change.
    #[serde(flatten)]
    pub(super) target: Target,
    /// Names and values; `null` removes one.
    pub(super) set: BTreeMap<String, Option<String>>,
}

/// What `scale` takes.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Scale {
    /// A Deployment, StatefulSet or ReplicaSet.
    #[serde(flatten)]
    pub(super) target: Target,
    /// How many pods it is to have.
    pub(super) replicas: u32,
}

/// What `delete_pod` and `evict_pod` take, and `quarantine` besides.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Pod {
    /// Its name.
    pub(super) name: String,
    /// Its namespace. Default: `default`.
    #[serde(default = "default_namespace")]
    pub(super) namespace: String,
    /// Its UID, so that a pod that has taken its name since is not touched.
    pub(super) uid: String,
    /// Asks the API server whether it would, and changes nothing. Default: false.
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// What `quarantine` takes.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Quarantine {
    /// The pod.
    #[serde(flatten)]
    pub(super) pod: Pod,
    /// Lets it speak again. Default: false.
    #[serde(default)]
    pub(super) lift: bool,
}

/// What `cordon` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cordon {
    /// The node.
    pub(super) node: String,
    /// Whether no pod may be put there any more; false lets them again. Default: true.
    #[serde(default = "yes")]
    pub(super) cordoned: bool,
    /// Asks the API server whether it would, and changes nothing. Default: false.
    #[serde(default)]
    pub(super) dry_run: bool,
}

fn yes() -> bool {
    true
}

/// What the actions that change something return.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Changed {
    /// False where there was nothing left to do.
    pub(super) changed: bool,
    /// The version of the object after that, where it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_version: Option<String>,
}
