//! The key by which a caller names what it asks for, to ask again without its happening twice.
//!
//! A key belongs to what is invoked or fired; with another it's another key. The id of an
//! activation that was asked for with a key ends in a digest of the arguments, so that the same
//! key with others is noticed, and nothing of them needs to be kept for that.

use std::fmt::Display;

use conche_openwhisk::model::ActivationId;
use http::StatusCode;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::new_id;
use crate::refusal::Refusal;

/// The bits of an id that are random: what comes before them alone never comes twice.
const END: u128 = (1 << 32) - 1;

/// What a caller named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// The key with what it is for.
    pub(crate) word: String,
    end: u128,
}

impl Named {
    /// `verb` tells an invocation from a firing.
    pub(crate) fn new(key: &str, verb: &str, what: impl Display, arguments: &Value) -> Self {
        let digest = digest(&SHA256, arguments.to_string().as_bytes());
        let end = digest.as_ref().iter().take(4);
        let end = end.fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        Self {
            word: word(key, verb, what),
            end: end & END,
        }
    }

    /// An identifier that no activation has, and which remembers the arguments.
    pub(crate) fn new_id(&self) -> ActivationId {
        let id = bits(&new_id()).unwrap_or_default();
        ActivationId::of(id & !END | self.end)
    }

    /// The activation that has the key already, where its arguments were these.
    pub(crate) fn known(&self, activation: &str) -> Result<ActivationId, Refusal> {
        let id = ActivationId::parse(activation)?;
        if bits(&id).is_some_and(|bits| bits & END == self.end) {
            return Ok(id);
        }
        Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The header Idempotency-Key was sent before with other arguments.",
        ))
    }
}

/// A key with what it is for, as it is stored.
pub(crate) fn word(key: &str, verb: &str, what: impl Display) -> String {
    format!("{verb} {what} {key}")
}

fn bits(id: &ActivationId) -> Option<u128> {
    u128::from_str_radix(id.as_str(), 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(arguments: &Value) -> Named {
        Named::new("k", "invoke", "/guest/a", arguments)
    }

    #[test]
    fn an_id_remembers_the_arguments_and_is_new_each_time() {
        let one = named(&json!({ "a": 1 }));
        let (first, second) = (one.new_id(), one.new_id());
        assert_ne!(first, second);
        assert_eq!(one.known(first.as_str()).ok(), Some(first.clone()));
        let other = named(&json!({ "a": 2 })).known(first.as_str());
        assert_eq!(
            other.err().map(|refusal| refusal.status.as_u16()),
            Some(422)
        );
    }
}
