//! What has to be done from time to time: say that this node is alive, free the runs of
//! nodes that are not, look whether the store can be written (so that one that could not
//! recovers though nobody sends anything), remove what is older than wanted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use conche_core::Timestamp;
use conche_runtime::supervisor::Stop;
use conche_store::{Error, Retention};

use crate::Inner;

/// Rows of each kind removed at once: some milliseconds of the writer's time, which is what
/// everybody else waits at most.
pub const EXPIRE_CHUNK: u32 = 50;

/// How long to leave the store to others after a chunk whose removal took this long: three
/// quarters of the time are theirs, however slow the disk is.
pub fn expire_rest(took: Duration) -> Duration {
    took * 3
}

pub(crate) async fn run(engine: Arc<Inner>, stop: Stop) -> Result<(), Error> {
    // Three words within one lease, so that one may be lost.
    let every = engine.config.lease / 3;
    let mut expire_at = engine.now();
    let mut failing = None;
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
        if let Err(error) = beat(&engine).await {
            tracing::error!(%error, "cannot renew the lease of this node");
        }
        let failed = engine.store.check().await.err();
        if failed != failing {
            match &failed {
                Some(error) => tracing::error!(%error, "the store cannot be written"),
                None => tracing::info!("the store can be written again"),
            }
            failing = failed;
        }
        let now = engine.now();
        if now >= expire_at {
            expire_at = later(now, engine.config.retention.every);
            expire(&engine, now, &stop).await;
        }
    }
}

/// One word that this node is alive, and a look for nodes that are not.
pub(crate) async fn beat(engine: &Inner) -> Result<(), Error> {
    let now = engine.now();
    engine
        .store
        .heartbeat(engine.node, later(now, engine.config.lease))
        .await?;
    let freed = engine.store.reap(now).await?;
    if freed > 0 {
        tracing::warn!(runs = freed, "took over the runs of a node that is gone");
        engine.wake.now();
    }
    Ok(())
}

async fn expire(engine: &Inner, now: Timestamp, stop: &Stop) {
    let keep = engine.config.retention;
    let retention = Retention {
        events_before: earlier(now, keep.events),
        runs_before: earlier(now, keep.runs),
        dedup_before: earlier(now, keep.dedup),
        ended_before: now,
        limit: EXPIRE_CHUNK,
    };
    while !stop.is_requested() {
        let began = Instant::now();
        match engine.store.expire(retention).await {
            Ok(expired) => {
                engine.metrics.expired(&expired);
                if expired == conche_store::Expired::default() {
                    return;
                }
            }
            Err(error) => return tracing::error!(%error, "cannot remove what is older than wanted"),
        }
        tokio::select! {
            () = stop.requested() => {}
            () = tokio::time::sleep(expire_rest(began.elapsed())) => {}
        }
    }
}

pub(crate) fn later(now: Timestamp, span: Duration) -> Timestamp {
    // Short of the last representable time, since stores round upwards.
    let last = Timestamp::MAX - Duration::from_hours(1);
    now.checked_add(span).map_or(last, |then| then.min(last))
}

fn earlier(now: Timestamp, span: Duration) -> Timestamp {
    now.checked_sub(span).unwrap_or(Timestamp::MIN)
}
