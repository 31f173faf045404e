//! Tokens and acts in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use conche_core::Timestamp;

use super::{MemoryStore, not_found};
use crate::audit::{Mark, Recorded};
use crate::{Act, Acts, Catalogue as _, Change, Error, Ledger, RunStore as _, TokenId, TokenRow};

/// What the ledger keeps.
#[derive(Debug, Default)]
pub(super) struct Kept {
    tokens: BTreeMap<TokenId, TokenRow>,
    acts: Vec<Recorded>,
    checkpoint: Mark,
    head: Mark,
}

impl Kept {
    fn append(&mut self, act: Act) -> Result<u64, Error> {
        let row = Recorded::after(self.head, act.bounded())?;
        self.head = row.mark();
        self.acts.push(row);
        Ok(self.head.seq)
    }

    fn put(&mut self, row: TokenRow) -> Result<bool, Error> {
        let is_taken = |other: &TokenRow| other.revoked_at.is_none() && other.name == row.name;
        if row.revoked_at.is_none() && self.tokens.values().any(is_taken) {
            let (kind, name) = ("token", row.name);
            return Err(Error::Exists { kind, name });
        }
        self.tokens.insert(row.token, row);
        Ok(true)
    }

    fn revoke(&mut self, token: TokenId, at: Timestamp) -> Result<bool, Error> {
        let row = self.tokens.get_mut(&token);
        let row = row.ok_or_else(|| not_found("token", token))?;
        let is_new = row.revoked_at.is_none();
        row.revoked_at.get_or_insert(at);
        Ok(is_new)
    }
}

#[async_trait]
impl Ledger for MemoryStore {
    async fn change(&self, change: Change, act: Act) -> Result<bool, Error> {
        let changed = match change {
            Change::PutReaction(row) => self.put_reaction(row).await.map(|()| true),
            Change::DeleteReaction(name) => self.delete_reaction(&name).await,
            Change::PutPlaybook(put) => self.put_playbook(put).await,
            Change::DeletePlaybook(id) => self.delete_playbook(&id).await,
            Change::PutEntry(entry) => self.put_entry(entry).await.map(|()| true),
            Change::RemoveEntry { list, key } => self.remove_entry(&list, &key).await,
            Change::Signal {
                run,
                signal,
                expected,
                now,
            } => self.signal(run, signal, expected, now).await.map(|_| true),
            Change::PutToken(row) => self.open()?.ledger.put(row),
            Change::RevokeToken { token, at } => self.open()?.ledger.revoke(token, at),
        }?;
        if changed {
            self.record(act).await?;
        }
        Ok(changed)
    }

    async fn record(&self, act: Act) -> Result<u64, Error> {
        self.open()?.ledger.append(act)
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>, Error> {
        Ok(self.open()?.ledger.tokens.values().cloned().collect())
    }

    async fn touch_token(&self, token: TokenId, at: Timestamp) -> Result<(), Error> {
        if let Some(row) = self.open()?.ledger.tokens.get_mut(&token) {
            row.last_used = row.last_used.max(Some(at));
        }
        Ok(())
    }

    async fn acts(&self, after: u64, limit: u32) -> Result<Acts, Error> {
        let state = self.open()?;
        let kept = &state.ledger;
        let rows = kept.acts.iter().filter(|row| row.seq > after);
        Ok(Acts {
            rows: rows.take(limit as usize).cloned().collect(),
            checkpoint: kept.checkpoint,
            head: kept.head,
        })
    }

    async fn expire_acts(
        &self,
        before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let mut state = self.open()?;
        let kept = &mut state.ledger;
        let is_over = |end: Option<Timestamp>| end.is_some_and(|end| end < before);
        kept.tokens
            .retain(|_, row| !is_over(row.revoked_at) && !is_over(row.expires_at));
        let is_old = |row: &&Recorded| row.act().is_ok_and(|act| act.at < before);
        let old = kept.acts.iter().take(limit as usize).take_while(is_old);
        let old = old.count();
        let removed: Vec<Recorded> = kept.acts.drain(..old).collect();
        if let Some(last) = removed.last() {
            kept.checkpoint = last.mark();
            kept.append(Act::expired(last.mark(), now))?;
        }
        Ok(old as u64)
    }
}
