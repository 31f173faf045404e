//! JSON Pointers (RFC 6901): where something stands in a document.
//!
//! A pointer is a chain of keys until it is written, so that a check can go one step further
//! without escaping, and a reader of the text can compare key by key. Pointers share what is
//! before their last key: going one step further costs as much as that key, however deep and
//! however long the names on the way are.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

/// One step of a pointer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A member of an object.
    Name(String),
    /// An element of an array, from 0.
    Index(usize),
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<usize> for Key {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A place in a JSON document; the empty pointer is the whole of it.
#[derive(Clone, Default)]
pub struct Pointer(Option<Arc<Last>>);

/// The last key of a pointer, and what is before it.
struct Last {
    before: Pointer,
    key: Key,
}

impl Pointer {
    /// The whole document.
    pub const fn top() -> Self {
        Self(None)
    }

    /// A pointer made of its keys.
    pub fn of(keys: impl IntoIterator<Item = Key>) -> Self {
        let keys = keys.into_iter();
        keys.fold(Self::top(), |before, key| before.then(key))
    }

    /// A pointer as RFC 6901 writes it, by the value that it leads into: whether a number is an
    /// index or a name is said by what stands there. None where it leads nowhere.
    ///
    /// ```
    /// use conche_cacao::Pointer;
    ///
    /// let value = serde_json::json!({"a/b": [{"0": 1}]});
    /// let pointer = Pointer::leading("/a~1b/0/0", &value).expect("it leads there");
    /// assert_eq!(pointer.look(&value), Some(&serde_json::json!(1)));
    /// assert_eq!(Pointer::leading("/a", &value), None);
    /// ```
    pub fn leading(written: &str, value: &Value) -> Option<Self> {
        let keys = match written.strip_prefix('/') {
            Some(keys) => keys.split('/'),
            None => return written.is_empty().then(Self::top),
        };
        let mut at = (Self::top(), value);
        for key in keys {
            let name = key.replace("~1", "/").replace("~0", "~");
            at = match at.1 {
                Value::Array(items) => {
                    let index: usize = name.parse().ok()?;
                    (at.0.then(index), items.get(index)?)
                }
                value => (at.0.then(name.as_str()), value.get(&name)?),
            };
        }
        Some(at.0)
    }

    /// One step further in.
    pub fn then(&self, key: impl Into<Key>) -> Self {
        let (before, key) = (self.clone(), key.into());
        Self(Some(Arc::new(Last { before, key })))
    }

    /// What another pointer leads to from here.
    pub fn join(&self, further: &Self) -> Self {
        let keys = further.keys().into_iter().cloned();
        keys.fold(self.clone(), |before, key| before.then(key))
    }

    /// Its keys, from the outside in.
    pub fn keys(&self) -> Vec<&Key> {
        let last = std::iter::successors(self.0.as_deref(), |last| last.before.0.as_deref());
        let mut keys: Vec<&Key> = last.map(|last| &last.key).collect();
        keys.reverse();
        keys
    }

    /// Whether it leads into a member of the document.
    pub fn is_within(&self, name: &str) -> bool {
        let first = self.keys().first().copied();
        matches!(first, Some(Key::Name(first)) if first == name)
    }

    /// What stands there in a document.
    pub fn look<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.keys()
            .into_iter()
            .try_fold(value, |at, key| match key {
                Key::Name(name) => at.get(name),
                Key::Index(index) => at.get(index),
            })
    }
}

impl PartialEq for Pointer {
    fn eq(&self, other: &Self) -> bool {
        self.keys() == other.keys()
    }
}

impl Eq for Pointer {}

impl PartialOrd for Pointer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pointer {
    fn cmp(&self, other: &Self) -> Ordering {
        self.keys().cmp(&other.keys())
    }
}

impl Hash for Pointer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.keys().hash(state);
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pointer").field(&self.keys()).finish()
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keys().into_iter().try_for_each(|key| match key {
            Key::Index(index) => write!(f, "/{index}"),
            Key::Name(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_escaped_as_rfc_6901_says() {
        let pointer = Pointer::top().then("a/b").then(0).then("m~n");
        assert_eq!(pointer.to_string(), "/a~1b/0/m~0n");
        assert_eq!(Pointer::top().to_string(), "");
    }

    #[test]
    fn a_pointer_finds_what_it_names() {
        let value = json!({"a": [{"b": 1}]});
        let there = Pointer::top().then("a").then(0).then("b");
        assert_eq!(there.look(&value), Some(&json!(1)));
        assert_eq!(there.then("c").look(&value), None);
    }
}
