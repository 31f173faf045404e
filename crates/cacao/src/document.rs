//! A playbook as it was written.
//!
//! Holds the JSON value with everything in it, known or not, and the text that it was read
//! from: signatures are made over the first, places are found in the second.

use serde_json::Value;

use crate::json::{self, Limits};

/// A JSON document that is, or wants to be, a CACAO playbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    text: Option<String>,
    value: Value,
}

impl Document {
    /// Reads a document with the usual [`Limits`].
    ///
    /// ```
    /// let document = conche_cacao::Document::parse(br#"{"type": "playbook", "x": [1]}"#)?;
    /// assert_eq!(document.value()["x"][0], 1, "what is not known is kept as well");
    ///
    /// let twice = conche_cacao::Document::parse(br#"{"id": "a", "id": "b"}"#);
    /// assert!(twice.is_err(), "nobody can say which id it has");
    /// # Ok::<(), conche_cacao::json::Error>(())
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Self, json::Error> {
        Self::parse_within(bytes, Limits::default())
    }

    /// Reads a document within limits.
    pub fn parse_within(bytes: &[u8], limits: Limits) -> Result<Self, json::Error> {
        let value = json::read(bytes, limits)?;
        let text = String::from_utf8_lossy(bytes).into_owned();
        Ok(Self {
            text: Some(text),
            value,
        })
    }

    /// A document that was made rather than read: its findings have no line and column.
    pub const fn of(value: Value) -> Self {
        Self { text: None, value }
    }

    /// All of it, as it was written.
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// The text that it was read from.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// All of it, to be changed by its owner.
    pub fn into_value(self) -> Value {
        self.value
    }
}
