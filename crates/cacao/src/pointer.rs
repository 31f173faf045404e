//! JSON Pointers (RFC 6901): where something stands in a document.
//!
//! A pointer is a list of keys until it is written, so that a check can go one step further
//! without escaping, and a reader of the text can compare key by key.

use std::fmt;

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
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(Vec<Key>);

impl Pointer {
    /// The whole document.
    pub const fn top() -> Self {
        Self(Vec::new())
    }

    /// A pointer made of its keys.
    pub fn of(keys: impl IntoIterator<Item = Key>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// One step further in.
    pub fn then(&self, key: impl Into<Key>) -> Self {
        let mut keys = Vec::with_capacity(self.0.len() + 1);
        keys.extend_from_slice(&self.0);
        keys.push(key.into());
        Self(keys)
    }

    /// Its keys, from the outside in.
    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// What stands there in a document.
    pub fn look<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |at, key| match key {
            Key::Name(name) => at.get(name),
            Key::Index(index) => at.get(index),
        })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|key| match key {
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
