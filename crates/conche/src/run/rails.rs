//! What a person stopped and protected on the server whose configuration is used: that holds for
//! `conche run` as well. Its engine has a store of its own, so the two lists are copied from the
//! server's data folder: before anything is begun, and again and again while a run is under way.
//!
//! Nothing is written into that folder. Where it cannot be read nothing is run.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use conche_engine::{Engine, PROTECTED, STOPPED};
use conche_runtime::supervisor::{OnFailure, Stage, Tasks, ticker};
use conche_store::ListEntry;
use conche_store::sqlite::ListsReader;

use super::LOOK_EVERY;
use crate::failure::Failure;

/// Has the engine heed the lists of a data folder, as long as the tasks live.
pub(super) async fn heed(engine: &Engine, dir: &Path, tasks: &Tasks) -> Result<(), Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        let what = format!(
            "can't read in {} what is stopped and protected",
            dir.display()
        );
        Failure::of(&what, error)
    };
    let folder: Arc<Path> = dir.into();
    let first = read(folder.clone()).await.map_err(|error| cannot(&error))?;
    copy(engine, first).await.map_err(|error| cannot(&error))?;
    let stopped = engine.list_entries(STOPPED, None, 1);
    if let Some(entry) = stopped.first() {
        tracing::warn!(
            key = entry.key,
            "effects are stopped: what that means waits until the key is removed"
        );
    }
    let engine = engine.clone();
    tasks.spawn("rails", Stage::Sources, OnFailure::Log, move |stop| {
        let (engine, folder) = (engine.clone(), folder.clone());
        async move {
            ticker(LOOK_EVERY, &stop, || look_again(&engine, &folder)).await;
            Ok::<(), Infallible>(())
        }
    });
    Ok(())
}

async fn look_again(engine: &Engine, folder: &Arc<Path>) {
    let looked = match read(folder.clone()).await {
        Ok(entries) => copy(engine, entries).await,
        Err(error) => Err(error),
    };
    if let Err(error) = looked {
        tracing::warn!(
            error,
            "what is stopped and protected counts as it was before"
        );
    }
}

/// The entries of both lists; none where there is no store yet.
async fn read(dir: Arc<Path>) -> Result<Vec<ListEntry>, String> {
    let look = move || -> Result<Vec<ListEntry>, conche_store::Error> {
        let Some(reader) = ListsReader::open(&dir)? else {
            return Ok(Vec::new());
        };
        let mut entries = reader.entries(STOPPED)?;
        entries.extend(reader.entries(PROTECTED)?);
        Ok(entries)
    };
    let looked = tokio::task::spawn_blocking(look).await;
    let looked = looked.map_err(|panic| panic.to_string())?;
    looked.map_err(|error| error.to_string())
}

/// Makes the engine's lists the same.
async fn copy(engine: &Engine, entries: Vec<ListEntry>) -> Result<(), String> {
    for list in [STOPPED, PROTECTED] {
        for there in engine.list_entries(list, None, usize::MAX) {
            let is_it = |entry: &ListEntry| (&entry.list, &entry.key) == (&there.list, &there.key);
            if !entries.iter().any(is_it) {
                let removed = engine.remove_entry(list, &there.key).await;
                removed.map_err(|error| error.to_string())?;
            }
        }
    }
    let now = engine.clock().now();
    for entry in entries {
        // One that is over by now was one of the engine's until it ended there as well.
        let left = entry.expires_at.map(|end| end.duration_since(now));
        let ttl = match left.map(std::time::Duration::try_from) {
            Some(Err(_)) => continue,
            Some(Ok(left)) => Some(left),
            None => None,
        };
        let known = engine.list_entry(&entry.list, &entry.key);
        if known.is_none_or(|known| known.expires_at != entry.expires_at) {
            let put = engine
                .put_entry(&entry.list, &entry.key, entry.value, ttl)
                .await;
            put.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
