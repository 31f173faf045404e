//! `k8s`: looks for images in a cluster, and changes what is there; CSF's module of that name.
//!
//! All changes are idempotent: a patch says how it is to be, and what removes a pod names it
//! by its UID, so that a repeat never hits the pod that took its name. `dry_run` has the API
//! server check everything and change nothing. Nothing is read or written but by its API.

mod change;
mod find;
mod image;
mod input;

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use serde_json::Value;

use self::input::{
    Changed, Cordon, Deployments, Find, FindWorkloads, Marks, Pod, Pods, Quarantine, Scale,
    Workloads,
};
use super::{input as read, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::clients::kubernetes::{self, Cluster, ClusterConfig};
use crate::{BuildContext, BuildError, config};

const NAME: &str = "k8s";

/// A row of the table: all repeat alike.
macro_rules! spec {
    ($name:literal, $input:ty, $output:ty, $summary:literal) => {
        ActionSpec {
            name: $name,
            summary: $summary,
            input: &config::schema::<$input>,
            output: &config::schema::<$output>,
            repeat: Repeat::Idempotent,
            on_uncertain: OnUncertain::Repeat,
        }
    };
}

pub(super) static MODULE: ActionModule = ActionModule {
    name: NAME,
    summary: "Looks for images in a Kubernetes cluster, and changes what is there.",
    actions: &[
        spec!(
            "is_image_deployed",
            Find,
            Deployments,
            "Which deployments run an image."
        ),
        spec!("is_image_in_pods", Find, Pods, "Which pods run an image."),
        spec!(
            "find_workloads",
            FindWorkloads,
            Workloads,
            "All that runs an image, of any kind."
        ),
        spec!("label", Marks, Changed, "Sets labels, or removes them."),
        spec!(
            "annotate",
            Marks,
            Changed,
            "Sets annotations, or removes them."
        ),
        spec!(
            "scale",
            Scale,
            Changed,
            "Says how many pods a workload has."
        ),
        spec!("delete_pod", Pod, Changed, "Deletes a pod."),
        spec!(
            "evict_pod",
            Pod,
            Changed,
            "Deletes a pod where its disruption budget allows it."
        ),
        spec!(
            "cordon",
            Cordon,
            Changed,
            "Lets no more pods onto a node, or lets them again."
        ),
        spec!(
            "quarantine",
            Quarantine,
            Changed,
            "Cuts a pod off the network, or lets it speak again."
        ),
    ],
    config: &config::schema::<ClusterConfig>,
    build: &build,
};

struct K8s(Cluster);

fn build(config: Value, _cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let place = "actions.k8s";
    let cluster = Cluster::new(config::read(place, config)?);
    let cluster = cluster.map_err(|error| config::error(place, error.to_string()))?;
    Ok(Arc::new(K8s(cluster)))
}

#[async_trait]
impl Action for K8s {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let late = || {
            let seconds = call.timeout.as_secs();
            Error::Uncertain(format!(
                "the Kubernetes API gave no answer within {seconds} s"
            ))
        };
        let done = tokio::time::timeout(call.timeout, self.perform(call)).await;
        done.unwrap_or_else(|_elapsed| Err(late()))
    }
}

impl K8s {
    async fn perform(&self, call: &Call) -> Result<Output, Error> {
        let cluster = &self.0;
        match &*call.action {
            "is_image_deployed" => {
                let deployments = find::names(cluster, "Deployment", &read(call)?).await?;
                output(&Deployments { deployments })
            }
            "is_image_in_pods" => {
                let pods = find::names(cluster, "Pod", &read(call)?).await?;
                output(&Pods { pods })
            }
            "find_workloads" => {
                let workloads = find::workloads(cluster, &read(call)?).await?;
                output(&Workloads { workloads })
            }
            "label" => output(&change::mark(cluster, "labels", &read(call)?).await?),
            "annotate" => output(&change::mark(cluster, "annotations", &read(call)?).await?),
            "scale" => output(&change::scale(cluster, &read(call)?).await?),
            "delete_pod" => output(&change::delete_pod(cluster, &read(call)?).await?),
            "evict_pod" => output(&change::evict_pod(cluster, &read(call)?).await?),
            "cordon" => output(&change::cordon(cluster, &read(call)?).await?),
            "quarantine" => output(&change::quarantine(cluster, &read(call)?).await?),
            other => Err(unknown(NAME, other)),
        }
    }
}

/// What a failure of the API's means for the attempt.
impl From<kubernetes::Error> for Error {
    fn from(error: kubernetes::Error) -> Self {
        use kubernetes::Error as Api;
        let message = error.to_string();
        match error {
            Api::Config(_) => Self::Permanent(message),
            Api::Unreachable(_) | Api::Nonsense(_) => Self::retry(message),
            Api::Interrupted(_) | Api::TooLarge => Self::Uncertain(message),
            // A token may be renewed, and a server come to itself.
            Api::Status {
                code: 401 | 429 | 500..,
                retry_after,
                ..
            } => Self::Retry {
                message,
                after: retry_after,
            },
            Api::Status { .. } => Self::Permanent(message),
        }
    }
}
