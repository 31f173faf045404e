//! A store that is as dead as its process after so many commits; what is under it outlasts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use conche_openwhisk_host::store::{
    Activations, Admission, Commit, Entities, Entity, Error, Keep, Key, Listing, MemoryStore,
    Query, Record, Stored, User, Users,
};

pub(crate) struct Mortal {
    under: Arc<MemoryStore>,
    left: AtomicUsize,
}

impl Mortal {
    pub(crate) fn new(under: Arc<MemoryStore>, commits: usize) -> Self {
        Self {
            under,
            left: AtomicUsize::new(commits),
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

fn dead() -> Error {
    Error::Unavailable("the process died".to_owned())
}

#[async_trait]
impl Entities for Mortal {
    async fn entity(&self, key: &Key) -> Result<Option<Stored>, Error> {
        self.under.entity(key).await
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<Entity>, Error> {
        self.under.list(listing).await
    }

    async fn count(&self, listing: &Listing) -> Result<u64, Error> {
        self.under.count(listing).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), Error> {
        let less = |left: usize| left.checked_sub(1);
        let lives = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        match lives {
            Ok(_) => self.under.commit(commit).await,
            Err(_) => Err(dead()),
        }
    }
}

#[async_trait]
impl Activations for Mortal {
    async fn activation(&self, namespace: &str, id: &str) -> Result<Option<Record>, Error> {
        self.under.activation(namespace, id).await
    }

    async fn activations(&self, query: &Query) -> Result<Vec<Record>, Error> {
        self.under.activations(query).await
    }

    async fn count_activations(&self, query: &Query) -> Result<u64, Error> {
        self.under.count_activations(query).await
    }

    async fn known(&self, namespace: &str, key: &str) -> Result<Option<String>, Error> {
        self.under.known(namespace, key).await
    }

    async fn unfinished(&self, limit: usize) -> Result<Vec<Admission>, Error> {
        self.under.unfinished(limit).await
    }

    async fn expire(&self, keep: Keep) -> Result<usize, Error> {
        self.under.expire(keep).await
    }
}

#[async_trait]
impl Users for Mortal {
    async fn users(&self) -> Result<Vec<User>, Error> {
        self.under.users().await
    }

    async fn put_user(&self, user: User) -> Result<(), Error> {
        self.under.put_user(user).await
    }

    async fn delete_user(&self, namespace: &str) -> Result<bool, Error> {
        self.under.delete_user(namespace).await
    }
}
