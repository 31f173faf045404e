//! Who may call: one pair of credentials for each namespace, compared in constant time.
//!
//! Credentials are made at random. The well-known ones of OpenWhisk's documentation are there
//! only where the host is told to be for development, and go away when it no longer is.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use conche_openwhisk::model::{Messages, Name};
use http::{HeaderMap, StatusCode, header};
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;

use crate::refusal::Refusal;
use crate::store::{self, Store, User};

/// The namespace whose packages come with the host.
pub(crate) const SYSTEM: &str = "whisk.system";
/// The namespace that a new host has.
pub const FIRST: &str = "guest";

/// Namespace, name part and password of the users that everybody knows.
const WELL_KNOWN: [(&str, &str, &str); 2] = [
    (
        FIRST,
        "23bc46b1-71f6-4ed5-8c54-816aa4f8c502",
        "123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP",
    ),
    (
        SYSTEM,
        "789c46b1-71f6-4ed5-8c54-816aa4f8c502",
        "abczO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP",
    ),
];

const KEY_LENGTH: usize = 64;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Why there is no such user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] conche_openwhisk::model::NameError),
    /// The namespace is there already, or is the host's own.
    #[error("the namespace '{0}' is taken")]
    Taken(String),
    /// No credentials can be made.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
    /// They cannot be stored.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Who sends a request from within this process. It is put beside a request by code: nothing
/// that comes by a listener can bring it.
#[derive(Debug, Clone)]
pub(crate) struct Trusted(pub(crate) Arc<User>);

/// Everybody who may call.
#[derive(Debug, Default)]
pub(crate) struct Users {
    by_uuid: RwLock<HashMap<String, Arc<User>>>,
}

impl Users {
    /// Reads the users of a store. One that has none gets the first.
    pub(crate) async fn load(store: &dyn Store, development: bool) -> Result<Self, Error> {
        let mut users = store.users().await?;
        if development {
            for (namespace, uuid, key) in WELL_KNOWN {
                let known = user(namespace, uuid, key);
                users.retain(|user| user.namespace != namespace);
                store.put_user(known.clone()).await?;
                users.push(known);
            }
        } else {
            for (namespace, _, key) in WELL_KNOWN {
                if users.iter().any(|user| user.key == key) {
                    store.delete_user(namespace).await?;
                    users.retain(|user| user.key != key);
                }
            }
        }
        if users.is_empty() {
            let first = generate(FIRST)?;
            store.put_user(first.clone()).await?;
            users.push(first);
        }
        let by_uuid = users.into_iter().map(Arc::new);
        let by_uuid = by_uuid.map(|user| (user.uuid.clone(), user)).collect();
        Ok(Self {
            by_uuid: RwLock::new(by_uuid),
        })
    }

    /// Adds a namespace with new credentials.
    pub(crate) async fn add(&self, store: &dyn Store, namespace: &str) -> Result<User, Error> {
        let name = conche_openwhisk::model::check_namespace(namespace)?;
        if name.is_own_namespace() || namespace == SYSTEM || self.of(namespace).is_some() {
            return Err(Error::Taken(namespace.to_owned()));
        }
        let user = generate(namespace)?;
        store.put_user(user.clone()).await?;
        let mut all = self.by_uuid.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(user.uuid.clone(), Arc::new(user.clone()));
        Ok(user)
    }

    /// Everybody, by namespace.
    pub(crate) fn all(&self) -> Vec<Arc<User>> {
        let all = self.by_uuid.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = all.values().cloned().collect();
        all.sort_by(|one, other| one.namespace.cmp(&other.namespace));
        all
    }

    /// The user of a namespace.
    pub(crate) fn of(&self, namespace: &str) -> Option<Arc<User>> {
        let all = self.by_uuid.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = all.values();
        all.find(|user| user.namespace == namespace).cloned()
    }

    /// Whose credentials these are.
    pub(crate) fn authenticate(&self, uuid: &str, key: &str) -> Option<Arc<User>> {
        let found = {
            let all = self.by_uuid.read().unwrap_or_else(PoisonError::into_inner);
            all.get(uuid).cloned()
        };
        // An unknown name takes as long as a wrong password.
        let wanted = found.as_ref().map_or("", |user| user.key.as_str());
        let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let same = digest(wanted).as_ref().ct_eq(digest(key).as_ref());
        found.filter(|user| bool::from(same) && !user.key.is_empty())
    }

    /// Who sent a request.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Arc<User>, Refusal> {
        let refuse = |text| Refusal::new(StatusCode::UNAUTHORIZED, text);
        let given = headers.get(header::AUTHORIZATION);
        let given = given.ok_or_else(|| refuse(Messages::NO_CREDENTIALS))?;
        let pair = given.to_str().ok().and_then(basic);
        pair.and_then(|(uuid, key)| self.authenticate(&uuid, &key))
            .ok_or_else(|| refuse(Messages::BAD_CREDENTIALS))
    }
}

/// The two parts of Basic credentials.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, rest) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(rest.trim()).ok()?;
    let (uuid, key) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((uuid.to_owned(), key.to_owned()))
}

/// The namespace that a word of a path means to a caller.
pub(crate) fn namespace(word: &str, who: &User) -> Result<Name, Refusal> {
    let named = conche_openwhisk::model::check_namespace(word)?;
    if named.is_own_namespace() {
        return Ok(Name::parse(&who.namespace)?);
    }
    Ok(named)
}

/// Whether what is in a namespace is the caller's to see and change. `entity` is its name there.
pub(crate) fn own(who: &User, namespace: &Name, entity: &str) -> Result<(), Refusal> {
    if who.namespace == namespace.as_str() {
        return Ok(());
    }
    Err(Refusal::forbidden(&format!("{namespace}/{entity}")))
}

fn user(namespace: &str, uuid: &str, key: &str) -> User {
    User {
        namespace: namespace.to_owned(),
        uuid: uuid.to_owned(),
        key: key.to_owned(),
    }
}

fn generate(namespace: &str) -> Result<User, Error> {
    let random = SystemRandom::new();
    let mut uuid = [0; 16];
    random.fill(&mut uuid).map_err(|_| Error::NoRandomness)?;
    let uuid = uuid::Builder::from_random_bytes(uuid).into_uuid();
    let mut key = String::with_capacity(KEY_LENGTH);
    while key.len() < KEY_LENGTH {
        let mut byte = [0];
        random.fill(&mut byte).map_err(|_| Error::NoRandomness)?;
        // What is above the last multiple of 62 would make the first letters likelier.
        if byte[0] < 248 {
            key.push(char::from(LETTERS[usize::from(byte[0] % 62)]));
        }
    }
    Ok(user(namespace, &uuid.to_string(), &key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, Users as _};

    #[tokio::test]
    async fn well_known_credentials_are_there_for_development_only() {
        let store = MemoryStore::new();
        let [guest, system] = WELL_KNOWN;
        let users = Users::load(&store, true).await.unwrap();
        assert!(users.authenticate(guest.1, guest.2).is_some());
        assert!(users.authenticate(system.1, system.2).is_some());
        let users = Users::load(&store, false).await.unwrap();
        assert!(users.authenticate(guest.1, guest.2).is_none());
        let [made] = &users.all()[..] else {
            panic!("one user");
        };
        assert_eq!(
            (made.namespace.as_str(), made.key.len()),
            (FIRST, KEY_LENGTH)
        );
        let again = Users::load(&store, false).await.unwrap();
        assert_eq!(again.all(), users.all(), "credentials outlast a restart");
        assert_eq!(store.users().await.map(|all| all.len()), Ok(1));
    }

    #[tokio::test]
    async fn only_whole_and_right_credentials_are_taken() {
        let store = MemoryStore::new();
        let users = Users::load(&store, false).await.unwrap();
        let user = users.add(&store, "ann").await.unwrap();
        let caller = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            users.caller(&headers).map(|user| user.namespace.clone())
        };
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        let right = format!("{}:{}", user.uuid, user.key);
        assert_eq!(caller(&basic(&right)), Ok("ann".to_owned()));
        for wrong in [
            basic(&format!("{right}x")),
            basic(&format!("{}:", user.uuid)),
            basic(&format!("nobody:{}", user.key)),
            basic(&user.uuid),
            format!("Bearer {}", user.key),
            "Basic !!!".to_owned(),
        ] {
            let refused = caller(&wrong).unwrap_err();
            assert_eq!(refused.text, Messages::BAD_CREDENTIALS);
        }
        let refused = users.caller(&HeaderMap::new()).unwrap_err();
        assert_eq!(refused.text, Messages::NO_CREDENTIALS);
    }

    #[tokio::test]
    async fn a_namespace_is_given_once_and_the_hosts_own_never() {
        let store = MemoryStore::new();
        let users = Users::load(&store, false).await.unwrap();
        for name in [FIRST, SYSTEM, "_", "a/b", ""] {
            assert!(users.add(&store, name).await.is_err(), "{name}");
        }
    }
}
