//! One watch: lists where it must, watches where it can, and waits where it cannot.
//!
//! It never begins anew without a pause, and logs an error only when it is another one than
//! before.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::K8s;
use super::config::{Initial, Watched};
use super::cursor::{Kept, Position};
use super::observe::{Change, Object, Observer};
use crate::clients::backoff::Reconnects;
use crate::clients::kubernetes::{Error, Lines, Pages, Resource, group_path, query, status_error};
use crate::intake::NewEvent;
use crate::sources::delivery::{Entrance, Stopping};

/// The server ends a watch after this many seconds, as clients of Kubernetes usually ask.
const WATCH_SECONDS: &str = "290";

/// Changes that go into one transaction.
const BATCH: usize = 100;

/// A watch that lived so long had no trouble.
const SOUND: Duration = Duration::from_secs(5);

/// After so many failures in a row that begin at the same version, the list is made anew.
const STUCK: u32 = 3;

/// What ends a session.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Stopping(#[from] Stopping),
    #[error(transparent)]
    Failed(#[from] Error),
}

/// A line of a watch.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

/// One watch of a source.
pub(super) struct Watcher<'a> {
    pub(super) source: &'a K8s,
    pub(super) watched: &'a Watched,
    pub(super) entrance: &'a Entrance<'a>,
    pub(super) kept: &'a Mutex<Kept>,
}

impl Watcher<'_> {
    /// Watches until the source is to stop.
    pub(super) async fn follow(&self) {
        let key = self.watched.key();
        let mut waits = Reconnects::default();
        let (mut told, mut stuck) = (String::new(), 0);
        let mut resource = None;
        self.entrance.awaits(&key);
        loop {
            let begun = Instant::now();
            let before = self.version().await;
            let ended = self.session(&mut resource).await;
            if begun.elapsed() >= SOUND {
                waits.reset();
            }
            let mut wait = waits.next();
            match ended {
                Err(End::Stopping(_)) => return,
                Ok(()) => {
                    waits.reset();
                    told.clear();
                    stuck = 0;
                }
                Err(End::Failed(error)) => {
                    wait = wait.max(error.retry_after().unwrap_or_default());
                    let is_stuck = before.is_some() && self.version().await == before;
                    stuck = if is_stuck { stuck + 1 } else { 0 };
                    let is_nonsense = matches!(error, Error::Nonsense(_));
                    if error.is_expired() || (is_nonsense && stuck >= STUCK) {
                        self.kept.lock().await.cursor.position(&key).version = None;
                    }
                    let text = error.to_string();
                    self.entrance.misses(&key, &text);
                    if text != told {
                        tracing::warn!(source = %self.source.id, watch = %key, error = %text, "the watch is interrupted");
                        told = text;
                    }
                }
            }
            if self.entrance.pause(wait).await.is_err() {
                return;
            }
        }
    }

    async fn version(&self) -> Option<String> {
        let mut kept = self.kept.lock().await;
        kept.cursor.position(&self.watched.key()).version.clone()
    }

    /// One watch from begin to end, after a list where there is no version to watch from.
    async fn session(&self, known: &mut Option<Resource>) -> Result<(), End> {
        let work = async {
            let resource = match known {
                Some(resource) => resource,
                None => known.insert(self.discover().await?),
            };
            let path = resource.list(self.watched.namespace.as_deref());
            let version = match self.version().await {
                Some(version) => version,
                None => self.list(&path).await?,
            };
            let mut pairs = vec![
                ("watch", Some("1")),
                ("resourceVersion", Some(&*version)),
                ("allowWatchBookmarks", Some("true")),
                ("timeoutSeconds", Some(WATCH_SECONDS)),
            ];
            pairs.extend(self.selectors());
            let path = query(&path, &pairs);
            let mut lines = self.source.cluster.lines(&path, self.source.idle).await?;
            self.entrance.reads(&self.watched.key());
            tracing::debug!(source = %self.source.id, watch = %self.watched.key(), "watching");
            while self.take(&mut lines).await? {}
            Ok(())
        };
        tokio::select! {
            () = self.entrance.stop.requested() => Err(Stopping.into()),
            ended = work => ended,
        }
    }

    /// How the kind is addressed.
    async fn discover(&self) -> Result<Resource, Error> {
        let version = &self.watched.api_version;
        if self.watched.is_pod() {
            return Ok(Resource::namespaced(version, "pods"));
        }
        let all = self.source.cluster.get(&group_path(version)).await?;
        let kinds = all["resources"].as_array().into_iter().flatten();
        let found = kinds
            .filter(|one| one["kind"] == *self.watched.kind)
            .filter_map(|one| Some((one["name"].as_str()?, one["namespaced"] == true)))
            // Such as `pods/status`.
            .find(|(plural, _)| !plural.contains('/'));
        match found {
            Some((plural, true)) => Ok(Resource::namespaced(version, plural)),
            Some((plural, false)) => Ok(Resource::of_cluster(version, plural)),
            None => Err(Error::Nonsense(format!(
                "the cluster has no kind {} in {version}",
                self.watched.kind
            ))),
        }
    }

    fn selectors(&self) -> [(&str, Option<&str>); 2] {
        [
            ("labelSelector", self.watched.label_selector.as_deref()),
            ("fieldSelector", self.watched.field_selector.as_deref()),
        ]
    }

    fn observer(&self) -> Observer<'_> {
        Observer {
            watched: self.watched,
            events: &self.source.events,
            limits: self.source.limits,
        }
    }

    /// Reads all pages; returns the version to watch from.
    async fn list(&self, path: &str) -> Result<String, End> {
        let key = self.watched.key();
        let observer = self.observer();
        let mut listed = BTreeSet::new();
        let (mut version, mut appeared) = (None::<String>, 0);
        let selectors = self.selectors();
        let mut pages = Pages::new(&self.source.cluster, path, &selectors);
        while let Some(page) = pages.next().await? {
            // All pages are of the version of the first.
            version = version.or(page.version);
            let mut kept = self.kept.lock().await;
            let mut events = Vec::new();
            let position = kept.cursor.position(&key);
            let silent = !position.listed && self.source.initial == Initial::Skip;
            for object in page.items.into_iter().filter_map(Object::read) {
                let object = object.of_kind(self.watched);
                listed.insert(object.uid().to_owned());
                appeared += usize::from(!position.live.contains_key(object.uid()));
                let made = if page.is_whole {
                    observer.there(position, object)
                } else {
                    tracing::warn!(source = %self.source.id, watch = %key, object = object.name(), "an object is too large to be read");
                    observer.unread(position, &object)
                };
                events.extend(made.into_iter().filter(|_| !silent));
            }
            self.store_all(events).await?;
        }
        let strange = || Error::Nonsense("a list without a version".to_owned());
        let version = version.ok_or_else(strange)?;
        self.finish_list(&version, &listed, appeared).await?;
        Ok(version)
    }

    /// What a whole list says beside what is in it.
    async fn finish_list(
        &self,
        version: &str,
        listed: &BTreeSet<String>,
        appeared: usize,
    ) -> Result<(), Stopping> {
        let observer = self.observer();
        let mut kept = self.kept.lock().await;
        let position = kept.cursor.position(&self.watched.key());
        let mut events = observer.vanished(position, listed);
        if position.listed {
            let more = json!({
                "appeared": appeared,
                "vanished": events.len(),
                "resource_version": version,
            });
            events.push(observer.gap("history_expired", version, more));
        }
        position.listed = true;
        position.version = Some(version.to_owned());
        self.store_all(events).await?;
        self.store(Vec::new(), &mut kept, true).await
    }

    /// Takes in what has come of a watch; false when the server has ended it.
    async fn take(&self, lines: &mut Lines) -> Result<bool, End> {
        let Some(first) = lines.next().await? else {
            return Ok(false);
        };
        let mut changes = vec![decode(&first, self.watched)?];
        let mut ended = None;
        while changes.len() < BATCH {
            match lines.next().now_or_never() {
                None => break,
                Some(Ok(Some(line))) => match decode(&line, self.watched) {
                    Ok(change) => changes.push(change),
                    Err(error) => ended = Some(Err(error)),
                },
                Some(Ok(None)) => ended = Some(Ok(())),
                Some(Err(error)) => ended = Some(Err(error)),
            }
            if ended.is_some() {
                break;
            }
        }
        let observer = self.observer();
        let mut kept = self.kept.lock().await;
        let position: &mut Position = kept.cursor.position(&self.watched.key());
        let changes = changes.into_iter();
        let events = changes.flat_map(|change| observer.change(position, change));
        let events: Vec<_> = events.collect();
        self.store(events, &mut kept, false).await?;
        match ended {
            None => Ok(true),
            Some(Ok(())) => Ok(false),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// Stores events, a few at a time, and leaves the cursor where it is.
    async fn store_all(&self, mut events: Vec<NewEvent>) -> Result<(), Stopping> {
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(BATCH));
            self.entrance.accept_usable(events, None).await?;
            events = rest;
        }
        Ok(())
    }

    /// Stores events, and the cursor where it is due.
    async fn store(
        &self,
        events: Vec<NewEvent>,
        kept: &mut MutexGuard<'_, Kept>,
        at_once: bool,
    ) -> Result<(), Stopping> {
        let cursor = kept.due(at_once);
        if events.is_empty() && cursor.is_none() {
            return Ok(());
        }
        self.entrance.accept_usable(events, cursor).await
    }
}

fn decode(line: &Bytes, watched: &Watched) -> Result<Change, Error> {
    let line: Line =
        serde_json::from_slice(line).map_err(|error| Error::Nonsense(error.to_string()))?;
    let object = |value| {
        let object = Object::read(value).map(|object| Box::new(object.of_kind(watched)));
        object.ok_or_else(|| Error::Nonsense("an object without a UID".to_owned()))
    };
    match &*line.kind {
        "ADDED" | "MODIFIED" => object(line.object).map(Change::There),
        "DELETED" => object(line.object).map(Change::Gone),
        "BOOKMARK" => match line.object["metadata"]["resourceVersion"].as_str() {
            Some(version) => Ok(Change::Bookmark(version.to_owned())),
            None => Err(Error::Nonsense("a bookmark without a version".to_owned())),
        },
        "ERROR" => Err(status_error(&line.object)
            .unwrap_or_else(|| Error::Nonsense("an error that says nothing".to_owned()))),
        other => Err(Error::Nonsense(format!("a change called `{other}`"))),
    }
}
