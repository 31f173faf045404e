//! Room for large reviews: what they take in memory together, and how many are read at once.
//!
//! Nearly all reviews are small, and none of these must wait because others are large. So a
//! large one takes room by the size that it announces before its first byte is read, keeps it
//! until it is answered, and is taken apart on a thread of its own, one after the other.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Up to this size a body needs no room: as much as a connection's own buffers take.
const SMALL_BYTES: u64 = 64 * 1024;
/// What large reviews take together, in KiB: 64 MiB.
const ROOM_KIB: u32 = 64 * 1024;
/// Large reviews that are taken apart at once: each takes a hundred MB at worst.
const APART: usize = 1;

/// Room for large reviews.
#[derive(Debug)]
pub(super) struct Room {
    kib: Arc<Semaphore>,
    apart: Arc<Semaphore>,
}

/// The room of one large review.
#[derive(Debug)]
pub(super) struct Place {
    _kib: OwnedSemaphorePermit,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            kib: Arc::new(Semaphore::new(ROOM_KIB as usize)),
            apart: Arc::new(Semaphore::new(APART)),
        }
    }
}

/// There was no room in time.
#[derive(Debug)]
pub(super) struct Full;

impl Room {
    /// Room for a body of so many bytes; none is needed for a small one.
    pub(super) async fn take(&self, bytes: u64, deadline: Instant) -> Result<Option<Place>, Full> {
        if bytes <= SMALL_BYTES {
            return Ok(None);
        }
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        // More than there is would wait for ever.
        let kib = self.kib.clone().acquire_many_owned(kib.min(ROOM_KIB));
        let kib = tokio::time::timeout_at(deadline.into(), kib).await;
        let kib = kib.map_err(|_elapsed| Full)?.map_err(|_closed| Full)?;
        Ok(Some(Place { _kib: kib }))
    }

    /// The turn of a large review to be taken apart.
    pub(super) async fn turn(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Full> {
        let turn = self.apart.clone().acquire_owned();
        let turn = tokio::time::timeout_at(deadline.into(), turn).await;
        turn.map_err(|_elapsed| Full)?.map_err(|_closed| Full)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn small_reviews_need_no_room_and_large_ones_share_it() {
        let room = Room::default();
        let soon = || (tokio::time::Instant::now() + Duration::from_secs(1)).into_std();
        let mebibyte = 1024 * 1024;
        let first = room.take(63 * mebibyte, soon()).await.unwrap();
        let second = room.take(mebibyte, soon()).await.unwrap();
        assert!(first.is_some() && second.is_some());
        assert!(room.take(SMALL_BYTES + 1, soon()).await.is_err());
        assert!(room.take(SMALL_BYTES, soon()).await.unwrap().is_none());
        drop(second);
        assert!(room.take(mebibyte, soon()).await.is_ok());
        assert!(room.take(2 * mebibyte, soon()).await.is_err());
    }
}
