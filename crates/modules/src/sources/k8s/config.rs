//! The settings of a `k8s` source, and what is watched because of them.

use std::time::Duration;

use conche_runtime::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::clients::kubernetes::{ClusterConfig, is_name};

/// Settings of a `k8s` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// A kubeconfig file; `~/` is the home folder. Default: the service account of the pod
    /// that Conche runs in.
    #[serde(default)]
    kubeconfig: Option<std::path::PathBuf>,
    /// The context of the kubeconfig. Default: its current one.
    #[serde(default)]
    context: Option<String>,
    /// Whether pods are watched. Default: true.
    #[serde(default = "yes")]
    pods: bool,
    /// Namespaces to watch. Default: all.
    #[serde(default)]
    namespaces: Vec<String>,
    /// Pods to watch, by their labels, such as `app=web`. Default: all.
    #[serde(default)]
    label_selector: Option<String>,
    /// Pods to watch, by their fields, such as `spec.nodeName=n1`. Default: all.
    #[serde(default)]
    field_selector: Option<String>,
    /// Other kinds to watch. Default: none.
    #[serde(default)]
    watch: Vec<Kind>,
    /// Which events to make. Default: `new_pod`, `created` and `deleted`.
    #[serde(default = "usual")]
    pub(super) events: Vec<EventName>,
    /// What the objects that are there at the first start become: `emit` makes events of them
    /// as if they were new, as CSF did; `skip` makes none. Default: `emit`.
    #[serde(default)]
    pub(super) initial: Initial,
    /// A watch on which nothing comes for so long, not even the server's bookmark of every
    /// minute, is begun anew. Default: 150s.
    #[serde(default = "idle")]
    pub(super) idle_timeout: Span,
}

/// Another kind to watch.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "Kubernetes' own word")]
pub(super) struct Kind {
    /// Such as `apps/v1`.
    api_version: String,
    /// Such as `Deployment`.
    kind: String,
    /// Namespaces to watch. Default: all.
    #[serde(default)]
    namespaces: Vec<String>,
    /// Objects to watch, by their labels. Default: all.
    #[serde(default)]
    label_selector: Option<String>,
    /// Objects to watch, by their fields. Default: all.
    #[serde(default)]
    field_selector: Option<String>,
}

/// An event that may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventName {
    /// CSF's `new_pod`, once for each pod.
    NewPod,
    /// `k8s.pod.created`, and so on for each kind.
    Created,
    /// `k8s.pod.updated`: at every change of its status too.
    Updated,
    /// `k8s.pod.deleted`.
    Deleted,
}

/// What becomes of objects that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Initial {
    /// Events, as if they were new.
    #[default]
    Emit,
    /// Nothing.
    Skip,
}

fn yes() -> bool {
    true
}

fn usual() -> Vec<EventName> {
    vec![EventName::NewPod, EventName::Created, EventName::Deleted]
}

fn idle() -> Span {
    Span::from_secs(150)
}

/// One watch: one kind in one namespace or in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) label_selector: Option<String>,
    pub(super) field_selector: Option<String>,
}

impl Watched {
    /// What tells it from the others, also after a restart: with other selectors it is another.
    pub(super) fn key(&self) -> String {
        let mut key = format!("{}/{}", self.api_version, self.kind);
        let parts = [&self.namespace, &self.label_selector, &self.field_selector];
        for (mark, part) in ['@', '?', '#'].into_iter().zip(parts) {
            if let Some(part) = part {
                key.push(mark);
                key.push_str(part);
            }
        }
        key
    }

    /// Its word in event types: `pod`, `replicaset`.
    pub(super) fn word(&self) -> String {
        self.kind.to_ascii_lowercase()
    }

    /// Its member in an event's data: `pod`, `replicaSet`.
    pub(super) fn member(&self) -> String {
        let mut member = self.kind.clone();
        if let Some(first) = member.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        member
    }

    pub(super) fn is_pod(&self) -> bool {
        self.api_version == "v1" && self.kind == "Pod"
    }
}

impl Config {
    pub(super) fn cluster(&self) -> ClusterConfig {
        ClusterConfig {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
        }
    }

    /// What is to be watched; refuses what cannot be.
    pub(super) fn watched(&self) -> Result<Vec<Watched>, String> {
        if self.idle_timeout.duration() < Duration::from_millis(100) {
            return Err("`idle_timeout` is at least 100ms".to_owned());
        }
        let pods = Kind {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespaces: self.namespaces.clone(),
            label_selector: self.label_selector.clone(),
            field_selector: self.field_selector.clone(),
        };
        let mut all: Vec<Watched> = Vec::new();
        for kind in self.pods.then_some(&pods).into_iter().chain(&self.watch) {
            let letters = |text: &str| text.chars().all(|char| char.is_ascii_alphanumeric());
            if kind.kind.is_empty() || !letters(&kind.kind) {
                return Err(format!("`{}` is not a kind, like Deployment", kind.kind));
            }
            let version = kind.api_version.split('/');
            if version.clone().count() > 2 || !version.clone().all(is_name) {
                let version = &kind.api_version;
                return Err(format!("`{version}` is no version of an API, like apps/v1"));
            }
            if let Some(wrong) = kind.namespaces.iter().find(|name| !is_name(name)) {
                return Err(format!("`{wrong}` is not the name of a namespace"));
            }
            let everywhere = [None];
            let named: Vec<_> = kind.namespaces.iter().map(Some).collect();
            let namespaces = if named.is_empty() {
                &everywhere[..]
            } else {
                &named
            };
            for namespace in namespaces {
                let watched = Watched {
                    api_version: kind.api_version.clone(),
                    kind: kind.kind.clone(),
                    namespace: namespace.cloned(),
                    label_selector: kind.label_selector.clone(),
                    field_selector: kind.field_selector.clone(),
                };
                if all.contains(&watched) {
                    return Err(format!("`{}` is watched twice", watched.key()));
                }
                all.push(watched);
            }
        }
        if all.is_empty() {
            return Err("nothing is watched: leave `pods` on or write `watch`".to_owned());
        }
        Ok(all)
    }
}
