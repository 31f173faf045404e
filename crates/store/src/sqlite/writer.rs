//! The one thread that writes. It takes as many requests as wait (up to a limit), carries
//! them out in one transaction, and answers them after the commit: one fsync for all.
//!
//! A request that fails its own check has written nothing and leaves the others alone. Where
//! SQLite fails, or a request refused after it wrote, the batch is rolled back and carried
//! out again one by one, so that only the culprit fails. Nothing is answered before it is
//! on disk.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::Builder;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::SqliteConfig;
use super::checkpoint::{Checkpointer, checkpoint};
use super::fault::{Fault, error, is_ambiguous, unavailable};
use super::folder::{Folder, mark_clean};
use super::readers::Readers;
use super::stats::Shared;
use super::storms::Keys;
use super::tallies::Tallies;
use crate::Error;

/// A change, ready to be written. May be asked to write again after a rollback.
pub(super) trait Write: Send + 'static {
    type Answer: Send + 'static;
    fn write(&self, tx: &Tx<'_>) -> Result<Self::Answer, Fault>;
}

/// An open transaction.
pub(super) struct Tx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) tallies: &'a Tallies,
    pub(super) keys: &'a Keys,
}

impl Tx<'_> {
    /// Runs a statement, prepared once; how many rows it changed.
    pub(super) fn execute(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
    ) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(params)
    }
}

/// The way to the writer. Bounded: who finds it full waits.
#[derive(Debug, Clone)]
pub(super) struct Queue(mpsc::Sender<Message>);

impl Queue {
    /// Has a change written and waits until it is on disk.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Answer, Error> {
        let (reply, answer) = oneshot::channel();
        let pending = Pending {
            write,
            answer: None,
            reply,
        };
        let message = Message::Write(Box::new(pending));
        self.0.send(message).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Has everything queued written and the store ended.
    pub(super) async fn close(&self) {
        let (reply, ended) = oneshot::channel();
        if self.0.send(Message::Close(reply)).await.is_ok() {
            // An error here means that the thread ended, too.
            ended.await.ok();
        }
    }
}

fn closed() -> Error {
    Error::Unavailable("it was closed".to_owned())
}

enum Message {
    Write(Box<dyn Request>),
    Close(oneshot::Sender<()>),
}

/// A [`Write`] with the one who waits for it.
struct Pending<W: Write> {
    write: W,
    answer: Option<Result<W::Answer, Error>>,
    reply: oneshot::Sender<Result<W::Answer, Error>>,
}

/// How a request took part in a batch.
#[derive(PartialEq)]
enum Part {
    Written,
    Refused,
}

/// A [`Pending`] of any kind.
trait Request: Send {
    fn write(&mut self, tx: &Tx<'_>) -> rusqlite::Result<Part>;
    fn answer(self: Box<Self>);
    fn fail(self: Box<Self>, error: Error);
}

impl<W: Write> Request for Pending<W> {
    fn write(&mut self, tx: &Tx<'_>) -> rusqlite::Result<Part> {
        let (answer, part) = match self.write.write(tx) {
            Ok(answer) => (Ok(answer), Part::Written),
            Err(Fault::Refused(error)) => (Err(error), Part::Refused),
            Err(Fault::Sql(cause)) => return Err(cause),
        };
        self.answer = Some(answer);
        Ok(part)
    }

    fn answer(self: Box<Self>) {
        let answer = self.answer.unwrap_or_else(|| Err(closed()));
        // Who asked may have gone; the change stands all the same.
        self.reply.send(answer).ok();
    }

    fn fail(self: Box<Self>, error: Error) {
        self.reply.send(Err(error)).ok();
    }
}

/// Why a batch came to nothing.
enum Failure {
    /// Nothing of it happened, and doing it one by one would not help.
    Whole(Error),
    /// Nothing of it happened; one of the requests may be the cause.
    RolledBack(Error),
    /// A lone request was refused after it had written; nothing of it happened.
    Refused,
}

/// The state of the thread.
pub(super) struct Writer {
    connection: Connection,
    messages: mpsc::Receiver<Message>,
    checkpointer: Checkpointer,
    tallies: Tallies,
    keys: Keys,
    batch_max: usize,
    commit_delay: Option<Duration>,
    readers: Arc<Readers>,
    shared: Arc<Shared>,
    folder: Folder,
}

impl Writer {
    /// Starts the thread; it ends with [`Queue::close`] or with the last [`Queue`].
    pub(super) fn start(
        config: &SqliteConfig,
        folder: Folder,
        mut connection: Connection,
        readers: &Arc<Readers>,
        shared: &Arc<Shared>,
    ) -> Result<Queue, Error> {
        let counter = Arc::clone(shared);
        let count = move |_: &mut rusqlite::hooks::Wal, pages| {
            counter
                .wal_pages
                .store(u32::try_from(pages).unwrap_or(0), Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(count)).map_err(error)?;
        let (sender, messages) = mpsc::channel(config.queue_max.max(1));
        let writer = Self {
            checkpointer: Checkpointer::start(folder.open_checkpointer()?, shared)?,
            connection,
            messages,
            tallies: Tallies::default(),
            keys: Keys::default(),
            batch_max: config.batch_max.max(1),
            commit_delay: config.commit_delay,
            readers: Arc::clone(readers),
            shared: Arc::clone(shared),
            folder,
        };
        Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.serve())
            .map_err(|cause| unavailable("starting the writer thread", &cause))?;
        Ok(Queue(sender))
    }

    fn serve(mut self) {
        let mut closers = Vec::new();
        while let Some(first) = self.messages.blocking_recv() {
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Write(request) => batch.push(request),
                    Message::Close(reply) => {
                        closers.push(reply);
                        self.messages.close();
                    }
                }
                let room = batch.len() < self.batch_max;
                next = room.then(|| self.messages.try_recv().ok()).flatten();
            }
            self.carry_out(batch);
            self.checkpointer.tick(&self.connection);
        }
        self.end();
        for closer in closers {
            closer.send(()).ok();
        }
    }

    /// Carries out a batch and answers all of it.
    fn carry_out(&mut self, mut batch: Vec<Box<dyn Request>>) {
        self.shared.requests.fetch_add(batch.len() as u64, Relaxed);
        match self.transact(&mut batch) {
            Ok(()) | Err(Failure::Refused) => batch.into_iter().for_each(Request::answer),
            Err(Failure::Whole(error)) => self.refuse(batch, &error),
            Err(Failure::RolledBack(error)) => self.carry_out_singly(batch, &error),
        }
    }

    /// After a rollback: a lone request is the culprit, of several each is tried alone.
    fn carry_out_singly(&mut self, batch: Vec<Box<dyn Request>>, error: &Error) {
        if batch.len() == 1 {
            return self.refuse(batch, error);
        }
        tracing::debug!(%error, requests = batch.len(), "a batch is carried out one by one");
        self.shared.redone.fetch_add(1, Relaxed);
        for request in batch {
            let mut alone = vec![request];
            let done = self.transact(&mut alone);
            match &done {
                Ok(()) | Err(Failure::Refused) => alone.into_iter().for_each(Request::answer),
                Err(Failure::Whole(error) | Failure::RolledBack(error)) => {
                    self.refuse(alone, error);
                }
            }
        }
    }

    /// Answers that nothing of it happened, and remembers that: on a full disk the next small
    /// change may well go through while what matters does not.
    fn refuse(&self, batch: Vec<Box<dyn Request>>, error: &Error) {
        self.shared.set_refusing(Some(error.clone()));
        for request in batch {
            request.fail(error.clone());
        }
    }

    /// One transaction. After an error nothing of it is in the database.
    fn transact(&mut self, batch: &mut [Box<dyn Request>]) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        if let Some(cause) = self.shared.poisoned.get() {
            return Err(Failure::Whole(Error::Unavailable(cause.clone())));
        }
        self.connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(|cause| Failure::Whole(error(cause)))?;
        let before = self.connection.total_changes();
        let done = self.write_all(batch);
        let done = done.and_then(|()| self.commit());
        match &done {
            Ok(()) => {
                let rows = self.connection.total_changes() - before;
                self.shared.rows.fetch_add(rows, Relaxed);
                self.shared.commits.fetch_add(u64::from(rows > 0), Relaxed);
            }
            Err(_) => self.roll_back(),
        }
        done
    }

    fn write_all(&self, batch: &mut [Box<dyn Request>]) -> Result<(), Failure> {
        let rolled_back = |cause| Failure::RolledBack(error(cause));
        let tx = Tx {
            connection: &self.connection,
            tallies: &self.tallies,
            keys: &self.keys,
        };
        let alone = batch.len() == 1;
        for request in batch {
            let before = self.connection.total_changes();
            let part = request.write(&tx).map_err(rolled_back)?;
            if part == Part::Refused && self.connection.total_changes() != before {
                let late = Error::Unavailable("a request was refused too late".to_owned());
                return Err(if alone {
                    Failure::Refused
                } else {
                    Failure::RolledBack(late)
                });
            }
        }
        self.tallies.flush(&self.connection).map_err(rolled_back)
    }

    fn commit(&self) -> Result<(), Failure> {
        match self.try_commit() {
            Ok(()) => Ok(()),
            Err(cause) if is_ambiguous(&cause) => {
                let message = format!("a commit failed, the process must be restarted: {cause}");
                tracing::error!(error = message, "the store acknowledges nothing any more");
                let message = self.shared.poisoned.get_or_init(|| message);
                Err(Failure::Whole(Error::Unavailable(message.clone())))
            }
            Err(cause) => Err(Failure::RolledBack(error(cause))),
        }
    }

    fn try_commit(&self) -> rusqlite::Result<()> {
        fail_point!("store::before_commit", |_| Err(
            rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC),
                None
            )
        ));
        if let Some(delay) = self.commit_delay {
            std::thread::sleep(delay);
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        fail_point!("store::after_commit");
        Ok(())
    }

    fn roll_back(&self) {
        self.tallies.clear();
        self.keys.clear();
        // SQLite has rolled back by itself after some errors.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "a rollback failed");
        }
    }

    /// Leaves the folder in order: all in the database, no log, marked as closed.
    fn end(self) {
        self.shared.closed.store(true, Relaxed);
        self.readers.close();
        self.checkpointer.stop();
        if self.shared.poisoned.get().is_none() {
            let tidy = mark_clean(&self.connection)
                .and_then(|()| checkpoint(&self.connection, "TRUNCATE"));
            if let Err(error) = tidy {
                tracing::warn!(%error, "the store could not be closed in order");
            }
        }
        drop(self.connection);
        drop(self.folder);
    }
}
