//! The body of every error that the API itself reports.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Other;

/// `{"error": "…", "code": "…"}`. What tells it from the result of an action that failed is
/// `code`, which is why no activation may ever have such a member beside `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: String,
    /// The transaction's identifier; a number in hosts of old.
    pub code: Value,
    /// What else was said.
    #[serde(flatten)]
    pub other: Other,
}

impl ErrorBody {
    /// An error with the transaction that met it.
    pub fn new(error: impl Into<String>, transaction: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            code: Value::String(transaction.into()),
            other: Other::new(),
        }
    }

    /// Reads an answer's body; none where it is no error of the API.
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// The transaction's identifier as text.
    pub fn transaction(&self) -> String {
        match &self.code {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_body_with_a_code_is_an_error_of_the_api() {
        let body = ErrorBody::read(br#"{"error":"no","code":"abc","more":1}"#).unwrap();
        assert_eq!(
            (body.transaction().as_str(), &body.other["more"]),
            ("abc", &1.into())
        );
        assert_eq!(
            ErrorBody::read(br#"{"error":"no","code":7}"#)
                .unwrap()
                .transaction(),
            "7"
        );
        for text in [
            r#"{"error":"from the action"}"#,
            r#"{"code":"a"}"#,
            "[]",
            "<html>",
        ] {
            assert_eq!(ErrorBody::read(text.as_bytes()), None, "{text}");
        }
    }
}
