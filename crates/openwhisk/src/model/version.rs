//! The version of an entity.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `major.minor.patch`. Kept as it was written; hosts take [`Version::whole`] and count the patch
/// up at every change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// The version with these parts.
    pub fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self(format!("{major}.{minor}.{patch}"))
    }

    /// Its parts; a part that is not written is 0. None where it is none.
    pub fn parts(&self) -> Option<(u32, u32, u32)> {
        let mut parts = [0_u32; 3];
        let written: Vec<&str> = self.0.split('.').collect();
        if written.len() > parts.len() {
            return None;
        }
        for (part, text) in parts.iter_mut().zip(&written) {
            *part = text.parse().ok()?;
        }
        let [major, minor, patch] = parts;
        (parts != [0, 0, 0]).then_some((major, minor, patch))
    }

    /// The version with all its parts; none where it is none.
    pub fn whole(&self) -> Option<Self> {
        let (major, minor, patch) = self.parts()?;
        Some(Self::new(major, minor, patch))
    }

    /// The version after this one; the first where this is none.
    pub fn next(&self) -> Self {
        match self.parts() {
            Some((major, minor, patch)) => Self::new(major, minor, patch.saturating_add(1)),
            None => Self::default(),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Version {
    /// `0.0.1`, the first.
    fn default() -> Self {
        Self::new(0, 0, 1)
    }
}

impl From<String> for Version {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_version_counts_the_patch() {
        let next = |text: &str| Version::from(text.to_owned()).next().to_string();
        assert_eq!(Version::default().to_string(), "0.0.1");
        assert_eq!(
            (next("0.0.1").as_str(), next("1.2.9").as_str()),
            ("0.0.2", "1.2.10")
        );
        assert_eq!((next("2").as_str(), next("x").as_str()), ("2.0.1", "0.0.1"));
        for text in ["", "0.0.0", "1.2.3.4", "a.b.c", "-1.0.0"] {
            assert_eq!(Version::from(text.to_owned()).parts(), None, "{text}");
        }
        for (text, whole) in [("1.2.3", "1.2.3"), ("1.2", "1.2.0"), ("7", "7.0.0")] {
            let made = Version::from(text.to_owned()).whole();
            assert_eq!(made, Some(Version::from(whole.to_owned())));
        }
    }
}
