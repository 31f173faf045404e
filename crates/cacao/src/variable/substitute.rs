//! Values in the place of references.
//!
//! The text is walked once. What was put in is never looked at again, so that a value that
//! looks like a reference stays the text that it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use thiserror::Error;

use super::quote::{self, Quoter, Quoting};
use super::reference::{Reference, references};
use super::{Value, Variables};
use crate::pointer::{Key, Pointer};

/// The most bytes that come of one text or document where nothing else is said.
pub const LENGTH_MAX: usize = 16 << 20;

/// Why a text cannot be filled in.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Error {
    /// A reference to a variable that nobody declared.
    #[error("there is no variable `{name}` (byte {at})")]
    Undeclared {
        /// The name.
        name: String,
        /// Where the reference stands, in bytes.
        at: usize,
    },
    /// A reference to a variable that has no value yet, where text is needed.
    #[error("`{name}` has no value (byte {at})")]
    NoValue {
        /// The name.
        name: String,
        /// Where the reference stands, in bytes.
        at: usize,
    },
    /// A value that cannot be written where its reference stands.
    #[error("the value of `{name}` cannot be written here: {reason} (byte {at})")]
    Refused {
        /// The name.
        name: String,
        /// Where the reference stands, in bytes.
        at: usize,
        /// Why not.
        reason: quote::Error,
    },
    /// More text than is allowed.
    #[error("more than {limit} bytes would come of it")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// Two members of an object would have the same name.
    #[error("two members would have the name \"{0}\"")]
    Twice(String),
    /// What is called base64 is none.
    #[error("this is no base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Something is wrong with one text of a document.
    #[error("{source} at {pointer}")]
    Within {
        /// Which text.
        pointer: Pointer,
        /// What is wrong with it.
        source: Box<Error>,
    },
}

/// Puts the values of variables in the place of references.
#[derive(Clone, Copy)]
pub struct Substitution<'v> {
    variables: &'v dyn Variables,
    limit: usize,
}

impl<'v> Substitution<'v> {
    /// A substitution by these variables.
    pub const fn new(variables: &'v dyn Variables) -> Self {
        Self {
            variables,
            limit: LENGTH_MAX,
        }
    }

    /// With another limit than [`LENGTH_MAX`] for what comes of one text or document.
    pub const fn within(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Fills in a text; values are written as its kind needs it.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use conche_cacao::variable::{Quoting, Substitution, Type, Variable};
    ///
    /// let user = Variable::new(Type::String, Some(Type::String.parse("eve; reboot")?));
    /// let variables = BTreeMap::from([("__user__", user)]);
    /// let substitution = Substitution::new(&variables);
    /// assert_eq!(
    ///     substitution.text("usermod -L __user__:value", Quoting::PosixShell)?,
    ///     "usermod -L 'eve; reboot'"
    /// );
    /// assert_eq!(
    ///     substitution.text("/users/__user__:value/keys", Quoting::PathSegment)?,
    ///     "/users/eve%3B%20reboot/keys"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn text(&self, text: &str, quoting: Quoting) -> Result<String, Error> {
        let mut left = self.limit;
        self.fill(text, quoting, &mut left)
    }

    /// Fills in the texts of a JSON document and the names of its members. A text that is one
    /// reference and nothing else becomes the value with its type (null if it has none);
    /// within a longer text or a name, a value is text.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use conche_cacao::variable::{Substitution, Type, Variable};
    /// use serde_json::json;
    ///
    /// let port = Variable::new(Type::Integer, Some(Type::Integer.parse("443")?));
    /// let variables = BTreeMap::from([("__port__", port)]);
    /// let body = json!({"port": "__port__:value", "rule": "tcp/__port__:value"});
    /// assert_eq!(
    ///     Substitution::new(&variables).json(&body)?,
    ///     json!({"port": 443, "rule": "tcp/443"})
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn json(&self, document: &Json) -> Result<Json, Error> {
        let mut left = self.limit;
        let mut path = Vec::new();
        self.tree(document, &mut path, &mut left)
            .map_err(|source| match source {
                Error::TooLong { .. } => source,
                source => Error::Within {
                    pointer: Pointer::of(path),
                    source: Box::new(source),
                },
            })
    }

    /// Fills in text that is written as base64, and writes it as base64 again. What is not
    /// text (UTF-8) is left as it is.
    pub fn base64(&self, encoded: &str, quoting: Quoting) -> Result<String, Error> {
        let decoded = STANDARD.decode(encoded)?;
        let Ok(text) = String::from_utf8(decoded) else {
            return Ok(encoded.to_owned());
        };
        Ok(STANDARD.encode(self.text(&text, quoting)?))
    }

    fn fill(&self, text: &str, quoting: Quoting, left: &mut usize) -> Result<String, Error> {
        let declared = |name: &str| self.variables.variable(name).is_some();
        let mut quoter = Quoter::new(quoting);
        let mut filled = String::new();
        let mut at = 0;
        let found: Vec<Reference<'_>> = references(text, &declared).collect();
        let refused = |reference: &Reference<'_>, reason| Error::Refused {
            name: reference.name.to_owned(),
            at: reference.at,
            reason,
        };
        for reference in &found {
            let before = &text[at..reference.at];
            quoter.pass(before);
            self.push(&mut filled, before, left)?;
            let value = self.value(*reference)?.ok_or_else(|| Error::NoValue {
                name: reference.name.to_owned(),
                at: reference.at,
            })?;
            let text = value.to_string();
            let quoted = quoter.quote(value, &text);
            let quoted = quoted.map_err(|reason| refused(reference, reason))?;
            self.push(&mut filled, &quoted, left)?;
            at = reference.end();
        }
        quoter.pass(&text[at..]);
        quoter.end();
        if let Some((reference, reason)) = quoter.fault()
            && let Some(reference) = found.get(reference)
        {
            return Err(refused(reference, reason));
        }
        self.push(&mut filled, &text[at..], left)?;
        Ok(filled)
    }

    /// After an error, `path` is the place of the text.
    fn tree(&self, json: &Json, path: &mut Vec<Key>, left: &mut usize) -> Result<Json, Error> {
        match json {
            Json::String(text) => match self.whole(text)? {
                Some(typed) => {
                    let length = typed.to_string().len();
                    *left = left.checked_sub(length).ok_or(self.too_long())?;
                    Ok(typed)
                }
                None => self.fill(text, Quoting::Plain, left).map(Json::String),
            },
            Json::Array(items) => {
                let mut filled = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    path.push(Key::Index(index));
                    filled.push(self.tree(item, path, left)?);
                    path.pop();
                }
                Ok(Json::Array(filled))
            }
            Json::Object(members) => {
                let mut filled = serde_json::Map::new();
                for (name, member) in members {
                    path.push(Key::Name(name.clone()));
                    let name = self.fill(name, Quoting::Plain, left)?;
                    let member = self.tree(member, path, left)?;
                    if filled.contains_key(&name) {
                        return Err(Error::Twice(name));
                    }
                    filled.insert(name, member);
                    path.pop();
                }
                Ok(Json::Object(filled))
            }
            other => Ok(other.clone()),
        }
    }

    /// The typed value of a text that is one reference and nothing else.
    fn whole(&self, text: &str) -> Result<Option<Json>, Error> {
        let declared = |name: &str| self.variables.variable(name).is_some();
        let first = references(text, &declared).next();
        match first.filter(|only| only.at == 0 && only.end() == text.len()) {
            None => Ok(None),
            Some(only) => Ok(Some(self.value(only)?.map_or(Json::Null, Value::to_json))),
        }
    }

    fn value(&self, reference: Reference<'_>) -> Result<Option<&'v Value>, Error> {
        match self.variables.variable(reference.name) {
            Some(variable) => Ok(variable.value.as_ref()),
            None => Err(Error::Undeclared {
                name: reference.name.to_owned(),
                at: reference.at,
            }),
        }
    }

    fn push(&self, filled: &mut String, piece: &str, left: &mut usize) -> Result<(), Error> {
        *left = left.checked_sub(piece.len()).ok_or(self.too_long())?;
        filled.push_str(piece);
        Ok(())
    }

    const fn too_long(&self) -> Error {
        Error::TooLong { limit: self.limit }
    }
}

#[cfg(test)]
mod tests;
