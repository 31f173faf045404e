//! What is asked for about who may call and what they did.

use async_trait::async_trait;
use conche_core::Timestamp;

use super::SqliteStore;
use super::acts::{self, ExpireActs, Record};
use super::definitions::{DeleteReaction, PutReaction};
use super::fault::Fault;
use super::lists::{PutEntry, RemoveEntry};
use super::playbooks::{DeletePlaybook, PutPlaybook};
use super::signal::Signalling;
use super::tokens::{self, Touch};
use super::writer::{Tx, Write};
use crate::{Act, Acts, Change, Error, Ledger, TokenId, TokenRow};

#[async_trait]
impl Ledger for SqliteStore {
    async fn change(&self, change: Change, act: Act) -> Result<bool, Error> {
        let change = Ready::new(change)?;
        self.queue.write(Changing { change, act }).await
    }

    async fn record(&self, act: Act) -> Result<u64, Error> {
        self.queue.write(Record(act)).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>, Error> {
        self.readers.read(tokens::tokens).await
    }

    async fn touch_token(&self, token: TokenId, at: Timestamp) -> Result<(), Error> {
        self.queue.write(Touch(token, at)).await
    }

    async fn acts(&self, after: u64, limit: u32) -> Result<Acts, Error> {
        self.readers
            .read(move |connection| acts::acts(connection, after, limit))
            .await
    }

    async fn expire_acts(
        &self,
        before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let expire = ExpireActs { before, limit, now };
        self.queue.write(expire).await
    }
}

/// A change, ready to be written.
enum Ready {
    PutReaction(PutReaction),
    DeleteReaction(DeleteReaction),
    PutPlaybook(PutPlaybook),
    DeletePlaybook(DeletePlaybook),
    PutEntry(PutEntry),
    RemoveEntry(RemoveEntry),
    Signal(Signalling),
    PutToken(TokenRow),
    RevokeToken(TokenId, Timestamp),
}

impl Ready {
    fn new(change: Change) -> Result<Self, Error> {
        Ok(match change {
            Change::PutReaction(row) => Self::PutReaction(PutReaction(row)),
            Change::DeleteReaction(name) => Self::DeleteReaction(DeleteReaction(name)),
            Change::PutPlaybook(put) => Self::PutPlaybook(PutPlaybook(put)),
            Change::DeletePlaybook(id) => Self::DeletePlaybook(DeletePlaybook(id)),
            Change::PutEntry(entry) => Self::PutEntry(PutEntry(entry)),
            Change::RemoveEntry { list, key } => Self::RemoveEntry(RemoveEntry { list, key }),
            Change::Signal {
                run,
                signal,
                expected,
                now,
            } => Self::Signal(Signalling::new(run, &signal, expected, now)?),
            Change::PutToken(row) => Self::PutToken(row),
            Change::RevokeToken { token, at } => Self::RevokeToken(token, at),
        })
    }
}

/// A change and who made it.
struct Changing {
    change: Ready,
    act: Act,
}

impl Write for Changing {
    type Answer = bool;

    fn write(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let changed = match &self.change {
            Ready::PutReaction(put) => put.write(tx).map(|()| true),
            Ready::DeleteReaction(delete) => delete.write(tx),
            Ready::PutPlaybook(put) => put.write(tx),
            Ready::DeletePlaybook(delete) => delete.write(tx),
            Ready::PutEntry(put) => put.write(tx).map(|()| true),
            Ready::RemoveEntry(remove) => remove.write(tx),
            Ready::Signal(signal) => signal.write(tx).map(|_| true),
            Ready::PutToken(row) => tokens::put(tx, row).map(|()| true),
            Ready::RevokeToken(token, at) => tokens::revoke(tx, *token, *at),
        }?;
        if changed {
            acts::append(tx, &self.act)?;
        }
        Ok(changed)
    }
}
