//! What the embedded OpenWhisk host keeps, in the same database as all else: one lock, one
//! writer, one copy.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::SqliteStore;
use super::fault::Fault;
use super::readers::Readers;
use super::writer::{self, Queue, Tx};
use crate::Error;
use crate::functions::{
    Activation, Admission, Commit, Document, Keep, Key, Listing, Query, Refused, User, Write,
};

/// The host's part of a store. Ends with it.
#[derive(Debug, Clone)]
pub struct Functions {
    queue: Queue,
    readers: Arc<Readers>,
}

impl SqliteStore {
    /// The part of the embedded OpenWhisk host.
    pub fn functions(&self) -> Functions {
        Functions {
            queue: self.queue.clone(),
            readers: Arc::clone(&self.readers),
        }
    }
}

impl Functions {
    /// A document with its code, and its revision.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`]; so of every method here.
    pub async fn document(&self, key: Key) -> Result<Option<(Document, u64)>, Error> {
        self.readers
            .read(move |connection| document(connection, &key))
            .await
    }

    /// Documents without their code, those changed last first, then by name.
    pub async fn documents(&self, listing: Listing) -> Result<Vec<Document>, Error> {
        self.readers
            .read(move |connection| documents(connection, &listing))
            .await
    }

    /// How many documents a listing has, whatever its page.
    pub async fn count_documents(&self, listing: Listing) -> Result<u64, Error> {
        let sql = "SELECT count(*) FROM ow_entities WHERE kind = :kind
                   AND (:namespace IS NULL OR namespace = :namespace)
                   AND (:path IS NULL OR path = :path)";
        let count = move |connection: &Connection| {
            let path = listing.path();
            let params = named_params! {
                ":kind": listing.kind, ":namespace": listing.namespace, ":path": path,
            };
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement
                .query_row(params, |row| row.get::<_, i64>(0))?
                .unsigned_abs())
        };
        self.readers.read(count).await
    }

    /// Makes changes. They are on disk when this returns.
    pub async fn commit(&self, commit: Commit) -> Result<Result<(), Refused>, Error> {
        self.queue.write(commit).await
    }

    /// An activation that is over.
    pub async fn activation(
        &self,
        namespace: String,
        id: String,
    ) -> Result<Option<Activation>, Error> {
        let sql = "SELECT activation, namespace, name, package, start, document FROM ow_records
                   WHERE activation = ?1 AND namespace = ?2";
        let find = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement
                .query_row([id, namespace], activation)
                .optional()?)
        };
        self.readers.read(find).await
    }

    /// Activations that are over, those begun last first, then by id.
    pub async fn activations(&self, query: Query) -> Result<Vec<Activation>, Error> {
        self.readers
            .read(move |connection| activations(connection, &query))
            .await
    }

    /// How many activations a query has, whatever its page.
    pub async fn count_activations(&self, query: Query) -> Result<u64, Error> {
        let count = move |connection: &Connection| {
            let sql = format!("SELECT count(*) FROM ow_records {}", query.condition());
            let mut statement = connection.prepare_cached(&sql)?;
            let count = statement.query_row(params_of(&query), |row| row.get::<_, i64>(0))?;
            Ok(count.unsigned_abs())
        };
        self.readers.read(count).await
    }

    /// The activation that an idempotency key stands for, over or not.
    pub async fn known(&self, namespace: String, word: String) -> Result<Option<String>, Error> {
        let find = move |connection: &Connection| Ok(keyed(connection, &namespace, &word)?);
        self.readers.read(find).await
    }

    /// Accepted activations that are not over, oldest first.
    pub async fn unfinished(&self, limit: u64) -> Result<Vec<Admission>, Error> {
        let sql = "SELECT activation, namespace, request, begun, idempotency FROM ow_admissions
                   ORDER BY place LIMIT ?1";
        let find = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([signed(limit)], |row| {
                Ok(Admission {
                    activation: row.get(0)?,
                    namespace: row.get(1)?,
                    request: row.get(2)?,
                    begun: row.get(3)?,
                    idempotency: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.readers.read(find).await
    }

    /// Removes old activations with the keys that stand for them, oldest first. How many.
    pub async fn expire(&self, keep: Keep) -> Result<u64, Error> {
        self.queue.write(keep).await
    }

    /// Every user, by namespace.
    pub async fn users(&self) -> Result<Vec<User>, Error> {
        let find = |connection: &Connection| {
            let sql = "SELECT namespace, uuid, key FROM ow_users ORDER BY namespace";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                Ok(User {
                    namespace: row.get(0)?,
                    uuid: row.get(1)?,
                    key: row.get(2)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.readers.read(find).await
    }

    /// Stores a user in place of the one with that namespace.
    pub async fn put_user(&self, user: User) -> Result<(), Error> {
        self.queue.write(user).await
    }

    /// Removes the user of a namespace. Whether there was one.
    pub async fn delete_user(&self, namespace: String) -> Result<bool, Error> {
        self.queue.write(DeleteUser(namespace)).await
    }
}

/// A number as a column has it; none of ours comes near the end of its range.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Listing {
    fn path(&self) -> Option<String> {
        let (namespace, package) = (self.namespace.as_ref()?, self.package.as_ref()?);
        Some(format!("{namespace}/{package}"))
    }
}

fn document(connection: &Connection, key: &Key) -> Result<Option<(Document, u64)>, Fault> {
    let sql = "SELECT kind, updated, document, code, revision FROM ow_entities
               WHERE path = ?1 AND name = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([&key.path, &key.name], |row| {
        let document = Document {
            key: key.clone(),
            kind: row.get(0)?,
            updated: row.get::<_, i64>(1)?.unsigned_abs(),
            document: row.get(2)?,
            code: row.get(3)?,
        };
        Ok((document, row.get::<_, i64>(4)?.unsigned_abs()))
    });
    Ok(found.optional()?)
}

fn documents(connection: &Connection, listing: &Listing) -> Result<Vec<Document>, Fault> {
    let sql = "SELECT path, name, kind, updated, document FROM ow_entities WHERE kind = :kind
               AND (:namespace IS NULL OR namespace = :namespace)
               AND (:path IS NULL OR path = :path)
               ORDER BY updated DESC, path, name LIMIT :limit OFFSET :skip";
    let path = listing.path();
    let params = named_params! {
        ":kind": listing.kind, ":namespace": listing.namespace, ":path": path,
        ":limit": signed(listing.limit), ":skip": signed(listing.skip),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, |row| {
        Ok(Document {
            key: Key {
                path: row.get(0)?,
                name: row.get(1)?,
            },
            kind: row.get(2)?,
            updated: row.get::<_, i64>(3)?.unsigned_abs(),
            document: row.get(4)?,
            code: None,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Query {
    /// Only what is asked for stands in the text, so that an index serves it.
    fn condition(&self) -> &'static str {
        match (&self.name, &self.package) {
            (None, None) => {
                "WHERE namespace = ?1 AND start BETWEEN ?2 AND ?3 AND ?4 IS NULL AND ?5 IS NULL"
            }
            (Some(_), None) => {
                "WHERE namespace = ?1 AND start BETWEEN ?2 AND ?3 AND name = ?4 AND ?5 IS NULL"
            }
            (None, Some(_)) => {
                "WHERE namespace = ?1 AND start BETWEEN ?2 AND ?3 AND ?4 IS NULL AND package = ?5"
            }
            (Some(_), Some(_)) => {
                "WHERE namespace = ?1 AND start BETWEEN ?2 AND ?3 AND name = ?4 AND package = ?5"
            }
        }
    }
}

fn params_of(query: &Query) -> impl rusqlite::Params + '_ {
    let since = signed(query.since.unwrap_or(0));
    let upto = signed(query.upto.unwrap_or(u64::MAX));
    (&query.namespace, since, upto, &query.name, &query.package)
}

fn activations(connection: &Connection, query: &Query) -> Result<Vec<Activation>, Fault> {
    let sql = format!(
        "SELECT activation, namespace, name, package, start, document FROM ow_records {}
         ORDER BY start DESC, activation DESC LIMIT {} OFFSET {}",
        query.condition(),
        signed(query.limit),
        signed(query.skip)
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params_of(query), activation)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn activation(row: &Row<'_>) -> rusqlite::Result<Activation> {
    Ok(Activation {
        activation: row.get(0)?,
        namespace: row.get(1)?,
        name: row.get(2)?,
        package: row.get(3)?,
        start: row.get::<_, i64>(4)?.unsigned_abs(),
        document: row.get(5)?,
    })
}

impl writer::Write for Commit {
    type Answer = Result<(), Refused>;

    fn write(&self, tx: &Tx<'_>) -> Result<Self::Answer, Fault> {
        // All checks come first: what is refused has written nothing.
        for write in &self.writes {
            if let Some(refused) = conflict(tx, write)? {
                return Ok(Err(refused));
            }
        }
        for admission in &self.admit {
            if let Some(refused) = known(tx, admission)? {
                return Ok(Err(refused));
            }
        }
        for write in &self.writes {
            apply(tx, write)?;
        }
        for admission in &self.admit {
            admit(tx, admission)?;
        }
        for activation in &self.begin {
            let sql = "UPDATE ow_admissions SET begun = 1 WHERE activation = ?1";
            tx.execute(sql, [activation])?;
        }
        for activation in &self.finish {
            finish(tx, activation)?;
        }
        Ok(Ok(()))
    }
}

fn conflict(tx: &Tx<'_>, write: &Write) -> Result<Option<Refused>, Fault> {
    let (key, expected) = match write {
        Write::Put { document, expected } => (&document.key, *expected),
        Write::Delete { key, expected } => (key, Some(*expected)),
    };
    let sql = "SELECT revision FROM ow_entities WHERE path = ?1 AND name = ?2";
    let mut statement = tx.connection.prepare_cached(sql)?;
    let found = statement.query_row([&key.path, &key.name], |row| row.get::<_, i64>(0));
    let found = found.optional()?.map(i64::unsigned_abs);
    Ok((found != expected).then(|| Refused::Conflict(key.clone())))
}

fn known(tx: &Tx<'_>, admission: &Admission) -> Result<Option<Refused>, Fault> {
    let Some(word) = &admission.idempotency else {
        return Ok(None);
    };
    let found = keyed(tx.connection, &admission.namespace, word)?;
    let other = found.filter(|found| *found != admission.activation);
    Ok(other.map(Refused::Known))
}

fn keyed(
    connection: &Connection,
    namespace: &str,
    word: &str,
) -> Result<Option<String>, rusqlite::Error> {
    let sql = "SELECT activation FROM ow_keys WHERE namespace = ?1 AND word = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    statement
        .query_row([namespace, word], |row| row.get(0))
        .optional()
}

fn apply(tx: &Tx<'_>, write: &Write) -> Result<(), Fault> {
    match write {
        Write::Put { document, .. } => {
            tx.execute(
                "UPDATE meta SET value = value + 1 WHERE key = 'ow_revision'",
                [],
            )?;
            let sql = "INSERT INTO ow_entities
                           (path, name, kind, namespace, updated, revision, document, code)
                       VALUES (?1, ?2, ?3, ?4, ?5,
                           (SELECT value FROM meta WHERE key = 'ow_revision'), ?6, ?7)
                       ON CONFLICT (path, name) DO UPDATE SET kind = excluded.kind,
                           updated = excluded.updated, revision = excluded.revision,
                           document = excluded.document, code = excluded.code";
            let key = &document.key;
            let params = params![
                key.path,
                key.name,
                document.kind,
                key.namespace(),
                signed(document.updated),
                document.document,
                document.code
            ];
            tx.execute(sql, params)?;
        }
        Write::Delete { key, .. } => {
            let sql = "DELETE FROM ow_entities WHERE path = ?1 AND name = ?2";
            tx.execute(sql, [&key.path, &key.name])?;
        }
    }
    Ok(())
}

fn admit(tx: &Tx<'_>, admission: &Admission) -> Result<(), Fault> {
    let sql = "INSERT INTO ow_admissions (activation, namespace, request, begun, idempotency)
               SELECT ?1, ?2, ?3, ?4, ?5
               WHERE NOT EXISTS (SELECT 1 FROM ow_records WHERE activation = ?1)
               ON CONFLICT (activation) DO NOTHING";
    let Admission {
        activation,
        namespace,
        request,
        begun,
        idempotency,
    } = admission;
    let params = params![activation, namespace, request, begun, idempotency];
    if tx.execute(sql, params)? > 0 && idempotency.is_some() {
        let sql = "INSERT INTO ow_keys (namespace, word, activation) VALUES (?1, ?2, ?3)
                   ON CONFLICT (namespace, word) DO NOTHING";
        tx.execute(sql, params![namespace, idempotency, activation])?;
    }
    Ok(())
}

fn finish(tx: &Tx<'_>, record: &Activation) -> Result<(), Fault> {
    let sql = "DELETE FROM ow_admissions WHERE activation = ?1";
    tx.execute(sql, [&record.activation])?;
    let sql = "INSERT INTO ow_records (activation, namespace, name, package, start, document)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (activation) DO NOTHING";
    let params = params![
        record.activation,
        record.namespace,
        record.name,
        record.package,
        signed(record.start),
        record.document
    ];
    tx.execute(sql, params)?;
    Ok(())
}

impl writer::Write for Keep {
    type Answer = u64;

    fn write(&self, tx: &Tx<'_>) -> Result<u64, Fault> {
        let count = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
            let mut statement = tx.connection.prepare_cached(sql)?;
            statement.query_row(params, |row| row.get::<_, i64>(0))
        };
        let all = count("SELECT count(*) FROM ow_records", &[])?.unsigned_abs();
        let since = signed(self.since);
        let old = count(
            "SELECT count(*) FROM ow_records WHERE start < ?1",
            &[&since],
        )?;
        // In the order in which they are looked at, both are the first so many.
        let gone = all.saturating_sub(self.most).max(old.unsigned_abs());
        let gone = signed(gone.min(self.limit));
        if gone == 0 {
            return Ok(0);
        }
        let oldest = "SELECT activation FROM ow_records
                      ORDER BY start, namespace, activation LIMIT ?1";
        let keys = format!("DELETE FROM ow_keys WHERE activation IN ({oldest})");
        tx.execute(&keys, [gone])?;
        let records = format!("DELETE FROM ow_records WHERE activation IN ({oldest})");
        Ok(tx.execute(&records, [gone])? as u64)
    }
}

impl writer::Write for User {
    type Answer = ();

    fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        let sql = "INSERT INTO ow_users (namespace, uuid, key) VALUES (?1, ?2, ?3)
                   ON CONFLICT (namespace) DO UPDATE SET uuid = excluded.uuid, key = excluded.key";
        tx.execute(sql, [&self.namespace, &self.uuid, &self.key])?;
        Ok(())
    }
}

struct DeleteUser(String);

impl writer::Write for DeleteUser {
    type Answer = bool;

    fn write(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let sql = "DELETE FROM ow_users WHERE namespace = ?1";
        Ok(tx.execute(sql, [&self.0])? > 0)
    }
}
