//! The store of the embedded OpenWhisk host: its traits over the one database that everything
//! else is in. Only names and forms are translated here.

use std::fmt::Display;

use async_trait::async_trait;
use conche_openwhisk_host::store::{
    Activations, Admission, Commit, Entities, Entity, Error, Keep, Key, Kind, Listing, Query,
    Record, Stored, User, Users, Write,
};
use conche_store::functions as kept;
use conche_store::sqlite::Functions;
use serde_json::Value;

/// The host's part of a store.
pub(crate) struct Storage(pub(crate) Functions);

#[async_trait]
impl Entities for Storage {
    async fn entity(&self, key: &Key) -> Result<Option<Stored>, Error> {
        let found = self.0.document(to_key(key)).await.map_err(unavailable)?;
        found
            .map(|(document, revision)| {
                let entity = entity(document)?;
                Ok(Stored { entity, revision })
            })
            .transpose()
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<Entity>, Error> {
        let found = self.0.documents(to_listing(listing)).await;
        let found = found.map_err(unavailable)?;
        found.into_iter().map(entity).collect()
    }

    async fn count(&self, listing: &Listing) -> Result<u64, Error> {
        let counted = self.0.count_documents(to_listing(listing)).await;
        counted.map_err(unavailable)
    }

    async fn commit(&self, commit: Commit) -> Result<(), Error> {
        let commit = kept::Commit {
            writes: commit.writes.into_iter().map(to_write).collect(),
            admit: commit.admit.into_iter().map(to_admission).collect(),
            begin: commit.begin,
            finish: commit.finish.into_iter().map(to_record).collect(),
        };
        let committed = self.0.commit(commit).await.map_err(unavailable)?;
        committed.map_err(|refused| match refused {
            kept::Refused::Conflict(key) => Error::Conflict(Key::new(key.path, key.name)),
            kept::Refused::Known(activation) => Error::Known { activation },
        })
    }
}

#[async_trait]
impl Activations for Storage {
    async fn activation(&self, namespace: &str, id: &str) -> Result<Option<Record>, Error> {
        let found = self.0.activation(namespace.to_owned(), id.to_owned()).await;
        found.map_err(unavailable)?.map(record).transpose()
    }

    async fn activations(&self, query: &Query) -> Result<Vec<Record>, Error> {
        let found = self.0.activations(to_query(query)).await;
        let found = found.map_err(unavailable)?;
        found.into_iter().map(record).collect()
    }

    async fn count_activations(&self, query: &Query) -> Result<u64, Error> {
        let counted = self.0.count_activations(to_query(query)).await;
        counted.map_err(unavailable)
    }

    async fn known(&self, namespace: &str, key: &str) -> Result<Option<String>, Error> {
        let found = self.0.known(namespace.to_owned(), key.to_owned()).await;
        found.map_err(unavailable)
    }

    async fn unfinished(&self, limit: usize) -> Result<Vec<Admission>, Error> {
        let found = self.0.unfinished(limit as u64).await;
        let found = found.map_err(unavailable)?;
        found.into_iter().map(admission).collect()
    }

    async fn expire(&self, keep: Keep) -> Result<usize, Error> {
        let keep = kept::Keep {
            since: keep.since,
            most: keep.most as u64,
            limit: keep.limit as u64,
        };
        let removed = self.0.expire(keep).await.map_err(unavailable)?;
        Ok(removed as usize)
    }
}

#[async_trait]
impl Users for Storage {
    async fn users(&self) -> Result<Vec<User>, Error> {
        let users = self.0.users().await.map_err(unavailable)?;
        let user = |user: kept::User| User {
            namespace: user.namespace,
            uuid: user.uuid,
            key: user.key,
        };
        Ok(users.into_iter().map(user).collect())
    }

    async fn put_user(&self, user: User) -> Result<(), Error> {
        let user = kept::User {
            namespace: user.namespace,
            uuid: user.uuid,
            key: user.key,
        };
        self.0.put_user(user).await.map_err(unavailable)
    }

    async fn delete_user(&self, namespace: &str) -> Result<bool, Error> {
        let deleted = self.0.delete_user(namespace.to_owned()).await;
        deleted.map_err(unavailable)
    }
}

fn unavailable(error: conche_store::Error) -> Error {
    Error::Unavailable(error.to_string())
}

fn corrupt(what: impl Display, reason: impl Display) -> Error {
    Error::Corrupt {
        what: what.to_string(),
        reason: reason.to_string(),
    }
}

fn json(what: impl Display, text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|error| corrupt(what, error))
}

fn to_key(key: &Key) -> kept::Key {
    kept::Key {
        path: key.path.clone(),
        name: key.name.clone(),
    }
}

fn entity(document: kept::Document) -> Result<Entity, Error> {
    let key = Key::new(document.key.path, document.key.name);
    let kind = Kind::parse(&document.kind)
        .ok_or_else(|| corrupt(&key, format!("there is no kind '{}'", document.kind)))?;
    Ok(Entity {
        document: json(&key, &document.document)?,
        key,
        kind,
        updated: document.updated,
        code: document.code,
    })
}

fn to_write(write: Write) -> kept::Write {
    match write {
        Write::Put { entity, expected } => kept::Write::Put {
            document: kept::Document {
                key: to_key(&entity.key),
                kind: entity.kind.as_str().to_owned(),
                updated: entity.updated,
                document: entity.document.to_string(),
                code: entity.code,
            },
            expected,
        },
        Write::Delete { key, expected } => kept::Write::Delete {
            key: to_key(&key),
            expected,
        },
    }
}

fn to_listing(listing: &Listing) -> kept::Listing {
    kept::Listing {
        kind: listing.kind.as_str().to_owned(),
        namespace: listing.namespace.clone(),
        package: listing.package.clone(),
        skip: listing.skip as u64,
        limit: listing.limit as u64,
    }
}

fn to_admission(admission: Admission) -> kept::Admission {
    kept::Admission {
        activation: admission.activation,
        namespace: admission.namespace,
        request: admission.request.to_string(),
        begun: admission.begun,
        idempotency: admission.idempotency,
    }
}

fn admission(admission: kept::Admission) -> Result<Admission, Error> {
    Ok(Admission {
        request: json(&admission.activation, &admission.request)?,
        activation: admission.activation,
        namespace: admission.namespace,
        begun: admission.begun,
        idempotency: admission.idempotency,
    })
}

fn to_record(record: Record) -> kept::Activation {
    kept::Activation {
        activation: record.activation,
        namespace: record.namespace,
        name: record.name,
        package: record.package,
        start: record.start,
        document: record.document.to_string(),
    }
}

fn record(activation: kept::Activation) -> Result<Record, Error> {
    Ok(Record {
        document: json(&activation.activation, &activation.document)?,
        activation: activation.activation,
        namespace: activation.namespace,
        name: activation.name,
        package: activation.package,
        start: activation.start,
    })
}

fn to_query(query: &Query) -> kept::Query {
    kept::Query {
        namespace: query.namespace.clone(),
        name: query.name.clone(),
        package: query.package.clone(),
        since: query.since,
        upto: query.upto,
        skip: query.skip as u64,
        limit: query.limit as u64,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use conche_openwhisk_host::store::{Store, contract};
    use conche_store::sqlite::{SqliteConfig, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn the_database_keeps_the_contract_of_the_host() {
        // The folders live as long as the stores in them.
        let folders = Mutex::new(Vec::new());
        contract::check(async || {
            let folder = tempfile::tempdir().expect("a folder can be made");
            let store = SqliteStore::open(&SqliteConfig::new(folder.path()));
            let store = store.expect("the store opens");
            let storage = Storage(store.functions());
            folders.lock().expect("whole").push((folder, store));
            Arc::new(storage) as Arc<dyn Store>
        })
        .await;
    }
}
