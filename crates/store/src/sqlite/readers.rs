//! A few connections that only read. They see what is committed and never hold up the writer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::fault::{Fault, error};
use super::folder::Folder;
use crate::Error;

/// The pool.
#[derive(Debug)]
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    /// One permit for each idle connection; closed with the store.
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn open(folder: &Folder, count: usize) -> Result<Self, Error> {
        let idle: Result<Vec<_>, _> = (0..count.max(1)).map(|_| folder.open_reader()).collect();
        let idle = idle?;
        Ok(Self {
            permits: Arc::new(Semaphore::new(idle.len())),
            idle: Mutex::new(idle),
        })
    }

    /// Runs `read` on a thread where it may block, within one snapshot.
    pub(super) async fn read<T, F>(self: &Arc<Self>, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let closed = || Error::Unavailable("it was closed".to_owned());
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| closed())?;
        let connection = self.idle().pop().ok_or_else(closed)?;
        let lent = Lent {
            connection: Some(connection),
            readers: Arc::clone(self),
        };
        let read = move || {
            // Given back in reverse order: the connection, then the permit for it.
            let (_permit, lent) = (permit, lent);
            lent.snapshot(read)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(Fault::Refused(refused))) => Err(refused),
            Ok(Err(Fault::Sql(cause))) => Err(error(cause)),
            Err(cause) => Err(Error::Unavailable(cause.to_string())),
        }
    }

    /// No read begins after this; connections in use are closed when they come back.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that finds its way back, also from a read that panics.
struct Lent {
    connection: Option<Connection>,
    readers: Arc<Readers>,
}

impl Lent {
    fn snapshot<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let Some(connection) = &self.connection else {
            return Err(Error::Unavailable("no connection".to_owned()).into());
        };
        let transaction = connection.unchecked_transaction()?;
        read(&transaction)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.readers.permits.is_closed() {
            self.readers.idle().extend(self.connection.take());
        }
    }
}
