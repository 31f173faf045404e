//! The stored tokens as this process knows them: read from the store at most every few
//! seconds, and at once after a change made here.
//!
//! Where they cannot be read again nobody is let in by what was known before: a token may
//! have been revoked meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use conche_core::Timestamp;
use conche_runtime::listener::guard::TokenSet;
use conche_store::{Error, Store, TokenId, TokenRow};
use tokio::time::Instant;

use super::value;

/// How long what was read counts: within it another node's change is seen.
const FRESH: Duration = Duration::from_secs(3);

/// How far apart the uses of a token are noted.
const USE_NOTED_EVERY: Duration = Duration::from_mins(5);

/// The cache.
#[derive(Default)]
pub(crate) struct Known {
    read: RwLock<Option<Read>>,
    /// Held while the store is read, so that of many requests one reads.
    reading: tokio::sync::Mutex<()>,
    /// When the use of each token was last noted by this process.
    noted: Mutex<HashMap<TokenId, Timestamp>>,
}

#[derive(Clone)]
struct Read {
    at: Instant,
    tokens: Arc<TokenSet<Arc<TokenRow>>>,
}

impl Known {
    /// Whose token this is, whatever has become of it since.
    pub(crate) async fn identify(
        &self,
        store: &dyn Store,
        token: &str,
    ) -> Result<Option<Arc<TokenRow>>, Error> {
        if !value::is_well_formed(token) {
            return Ok(None);
        }
        let tokens = match self.fresh() {
            Some(tokens) => tokens,
            None => {
                let _reading = self.reading.lock().await;
                match self.fresh() {
                    Some(tokens) => tokens,
                    None => self.read(store).await?,
                }
            }
        };
        Ok(tokens.identify(token))
    }

    /// Reads the tokens again after a change of them.
    pub(crate) async fn changed(&self, store: &dyn Store) -> Result<(), Error> {
        let _reading = self.reading.lock().await;
        // Should the read fail, what was known must not count any more.
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.read(store).await.map(drop)
    }

    /// Notes that a token was used, once in a while.
    pub(crate) async fn note_use(&self, store: &dyn Store, row: &TokenRow, now: Timestamp) {
        let is_due = |noted: Option<Timestamp>| {
            noted.is_none_or(|noted| now.duration_since(noted).unsigned_abs() >= USE_NOTED_EVERY)
        };
        if !is_due(row.last_used) {
            return;
        }
        {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            if !is_due(noted.get(&row.token).copied()) {
                return;
            }
            noted.insert(row.token, now);
        }
        if let Err(error) = store.touch_token(row.token, now).await {
            tracing::warn!(%error, token = row.name, "the use of a token was not noted");
        }
    }

    fn fresh(&self) -> Option<Arc<TokenSet<Arc<TokenRow>>>> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        let read = read.as_ref().filter(|read| read.at.elapsed() < FRESH)?;
        Some(read.tokens.clone())
    }

    async fn read(&self, store: &dyn Store) -> Result<Arc<TokenSet<Arc<TokenRow>>>, Error> {
        let at = Instant::now();
        let mut set = TokenSet::new();
        for row in store.tokens().await? {
            set.insert_digest(*row.digest.as_bytes(), Arc::new(row));
        }
        let tokens = Arc::new(set);
        let read = Read {
            at,
            tokens: tokens.clone(),
        };
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = Some(read);
        Ok(tokens)
    }
}
