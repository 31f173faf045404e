//! `k8s`: what happens to the objects of a Kubernetes cluster; CSF's source of that name.
//!
//! At-least-once with ids made of UIDs: a list says what is there, a watch from its version
//! says what happens to it, and the cursor says where to go on. Where the server no longer has
//! the history since then (410), a new list is compared with what was alive: what is new, and
//! what is gone, becomes events, and a `k8s.gap` event says that more may have happened. Every
//! failure is waited out, longer each time, for ever: a cluster that is away is no reason to end.
//!
//! The work is split: [`config`] says what to watch, [`observe`] makes events, [`cursor`] keeps
//! the place, [`watch`] lists and watches. No version may be stored before the events up to it.

mod config;
mod cursor;
mod observe;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::json::Limits;
use conche_runtime::supervisor::{BoxError, Stop};
use futures_util::future::join_all;
use serde_json::Value;

use self::config::{Config, EventName, Initial, Watched};
use self::cursor::{Cursor, Kept};
use self::watch::Watcher;
use super::delivery::{Entrance, Rejects};
use crate::clients::kubernetes::Cluster;
use crate::intake::Intake;
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "k8s",
    summary: "What happens to the objects of a Kubernetes cluster.",
    events: &[
        ("new_pod", "A pod is seen for the first time (CSF's event)."),
        ("k8s.pod.created", "A pod is seen for the first time."),
        (
            "k8s.pod.updated",
            "A pod has changed, where `events` names `updated`.",
        ),
        ("k8s.pod.deleted", "A pod is gone."),
        ("k8s.gap", "Something may have been missed."),
    ],
    config: settings::schema::<Config>,
    build,
};

struct K8s {
    id: String,
    cluster: Cluster,
    watched: Vec<Watched>,
    events: Vec<EventName>,
    initial: Initial,
    idle: std::time::Duration,
    limits: Limits,
    rejects: Rejects,
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let config: Config = settings::read(&place, config)?;
    let wrong = |message: String| settings::error(&place, message);
    let watched = config.watched().map_err(wrong)?;
    let cluster = Cluster::new(config.cluster()).map_err(|error| wrong(error.to_string()))?;
    Ok(Arc::new(K8s {
        id: id.to_owned(),
        cluster,
        watched,
        initial: config.initial,
        idle: config.idle_timeout.duration(),
        events: config.events,
        limits: cx.json,
        rejects: Rejects::new(id),
    }))
}

#[async_trait]
impl Source for K8s {
    async fn run(&self, intake: Arc<dyn Intake>, stop: Stop) -> Result<(), BoxError> {
        let stored = intake.cursor(&self.id).await?;
        let mut cursor = Cursor::read(stored.as_deref()).unwrap_or_else(|error| {
            tracing::warn!(source = %self.id, %error, "the cursor cannot be read: beginning anew");
            Cursor::default()
        });
        let keys: Vec<String> = self.watched.iter().map(Watched::key).collect();
        cursor.keep(&keys);
        let kept = tokio::sync::Mutex::new(Kept::new(cursor));
        let entrance = Entrance {
            source: &self.id,
            intake: &*intake,
            stop: &stop,
            rejects: &self.rejects,
        };
        let follow = |watched| {
            let watcher = Watcher {
                source: self,
                watched,
                entrance: &entrance,
                kept: &kept,
            };
            async move { watcher.follow().await }
        };
        join_all(self.watched.iter().map(follow)).await;
        // What was read but not yet stored is read again after the restart if this fails.
        if let Some(text) = kept.lock().await.due(true) {
            let batch = crate::intake::Batch {
                source: self.id.clone(),
                events: Vec::new(),
                cursor: Some(text),
            };
            if let Err(error) = intake.accept(batch).await {
                tracing::debug!(source = %self.id, %error, "the cursor was not stored at the end");
            }
        }
        Ok(())
    }
}
