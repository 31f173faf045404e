//! JSON Pointers (RFC 6901), looked up in text: what they don't name is not read.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

/// A JSON Pointer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer {
    text: String,
    keys: Vec<String>,
}

impl Pointer {
    /// Reads RFC 6901 text: empty, or `/` before each key, `~0` for `~` and `~1` for `/`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let keys = match text.strip_prefix('/') {
            None if text.is_empty() => Vec::new(),
            None => return None,
            Some(rest) => rest
                .split('/')
                .map(|key| key.replace("~1", "/").replace("~0", "~"))
                .collect(),
        };
        Some(Self {
            text: text.to_owned(),
            keys,
        })
    }

    /// As it is written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The value it names. Of members of one name the last counts, as in JavaScript.
    pub(super) fn find<'a>(&self, whole: &'a RawValue) -> Option<&'a RawValue> {
        self.keys.iter().try_fold(whole, |value, key| {
            let text = value.get();
            if text.starts_with('[') {
                let index = index(key)?;
                let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                elements.get(index).copied()
            } else {
                let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).ok()?;
                members.get(key.as_str()).copied()
            }
        })
    }
}

/// An array index of RFC 6901: no sign, no leading zero.
fn index(key: &str) -> Option<usize> {
    let plain = key.bytes().all(|byte| byte.is_ascii_digit());
    let padded = key.len() > 1 && key.starts_with('0');
    (plain && !padded).then(|| key.parse().ok()).flatten()
}
