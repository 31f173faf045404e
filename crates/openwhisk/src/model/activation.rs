//! Activations: the record of what was invoked or fired.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EntityPath, KeyValues, Name, Other, Version};

/// The characters of an identifier.
const ID_LENGTH: usize = 32;

/// An activation's identifier: 32 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActivationId(String);

/// Why a text is no activation's identifier. The texts are those of upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActivationIdError {
    /// It has another length.
    #[error("Activation id length is {0} but must be 32.")]
    Length(usize),
    /// It has characters that none has.
    #[error("The activation id is not valid.")]
    Characters,
}

impl ActivationId {
    /// Reads an identifier.
    pub fn parse(text: &str) -> Result<Self, ActivationIdError> {
        let length = text.chars().count();
        if length != ID_LENGTH {
            return Err(ActivationIdError::Length(length));
        }
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.bytes().all(is_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ActivationIdError::Characters)
        }
    }

    /// The identifier that 128 bits make.
    pub fn of(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ActivationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ActivationId {
    type Err = ActivationIdError;

    fn from_str(text: &str) -> Result<Self, ActivationIdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ActivationId {
    type Error = ActivationIdError;

    fn try_from(text: String) -> Result<Self, ActivationIdError> {
        Self::parse(&text)
    }
}

impl From<ActivationId> for String {
    fn from(id: ActivationId) -> Self {
        id.0
    }
}

/// `{"activationId": "…"}`: the answer of whoever does not wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// What to ask for later.
    pub activation_id: ActivationId,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// An activation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Activation {
    /// The namespace of whoever invoked it, never that of the package.
    pub namespace: EntityPath,
    /// The simple name of what was invoked.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// Always false.
    #[serde(default)]
    pub publish: bool,
    /// Who invoked it.
    #[serde(default)]
    pub subject: String,
    /// Its identifier.
    pub activation_id: ActivationId,
    /// When it began, in milliseconds since 1970.
    pub start: i64,
    /// When it ended; triggers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// How long it took in milliseconds: initialisation and run, of sequences the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<i64>,
    /// The activation of the sequence or composition that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<ActivationId>,
    /// What came of it.
    pub response: Response,
    /// Lines of the log; of sequences the activations of its parts. Always empty in the answer
    /// to a blocking invocation.
    #[serde(default)]
    pub logs: Vec<String>,
    /// Annotations.
    #[serde(default)]
    pub annotations: KeyValues,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// What came of an activation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Its class.
    pub status: Status,
    /// Whether that is [`Status::Success`].
    pub success: bool,
    /// The result: an object or list; `{"error": …}` alone where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The size of the result in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// The class of what came of an activation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Status {
    /// A result without `error`.
    Success,
    /// A result with `error`: what the action itself says.
    ApplicationError,
    /// The action crashed, did not start, or took too much.
    DeveloperError,
    /// The platform failed.
    InternalError,
    /// Another word.
    Other(String),
}

impl Status {
    /// The text of the record.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Success => "success",
            Self::ApplicationError => "application error",
            Self::DeveloperError => "action developer error",
            Self::InternalError => "whisk internal error",
            Self::Other(word) => word,
        }
    }

    /// The code, as lists have it in `statusCode`; none for a word that is not known.
    pub fn code(&self) -> Option<u8> {
        match self {
            Self::Success => Some(0),
            Self::ApplicationError => Some(1),
            Self::DeveloperError => Some(2),
            Self::InternalError => Some(3),
            Self::Other(_) => None,
        }
    }

    /// The class with this code.
    pub fn of_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Success),
            1 => Some(Self::ApplicationError),
            2 => Some(Self::DeveloperError),
            3 => Some(Self::InternalError),
            _ => None,
        }
    }

    /// The HTTP status of a blocking invocation that ends so.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::Success => 200,
            Self::ApplicationError | Self::DeveloperError => 502,
            Self::InternalError | Self::Other(_) => 500,
        }
    }
}

impl From<String> for Status {
    fn from(text: String) -> Self {
        match text.as_str() {
            "success" => Self::Success,
            "application error" => Self::ApplicationError,
            "action developer error" => Self::DeveloperError,
            "whisk internal error" => Self::InternalError,
            _ => Self::Other(text),
        }
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        match status {
            Status::Other(word) => word,
            known => known.as_str().to_owned(),
        }
    }
}

/// An activation in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivationSummary {
    /// The namespace of whoever invoked it.
    pub namespace: EntityPath,
    /// The simple name of what was invoked.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// Always false.
    #[serde(default)]
    pub publish: bool,
    /// Annotations.
    #[serde(default)]
    pub annotations: KeyValues,
    /// Its identifier.
    pub activation_id: ActivationId,
    /// When it began, in milliseconds since 1970.
    pub start: i64,
    /// When it ended; triggers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// How long it took in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<i64>,
    /// The activation of the sequence or composition that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<ActivationId>,
    /// The class of what came of it: [`Status::of_code`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u8>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// The answer to `GET …/logs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Logs {
    /// Lines of the log.
    pub logs: Vec<String>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// What the log of a fired trigger says of one rule; each is one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleLog {
    /// `namespace/rule`.
    pub rule: String,
    /// `namespace/[package/]action`.
    pub action: String,
    /// 0 where the action was invoked.
    pub status_code: u8,
    /// Whether the action was invoked.
    pub success: bool,
    /// The activation of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_id: Option<ActivationId>,
    /// Why it was not invoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

impl Activation {
    /// The item of a list for this activation. One that has not ended says no class.
    pub fn summary(&self) -> ActivationSummary {
        let code = self.response.status.code();
        ActivationSummary {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            publish: self.publish,
            annotations: self.annotations.clone(),
            activation_id: self.activation_id.clone(),
            start: self.start,
            end: self.end,
            duration: self.duration,
            cause: self.cause.clone(),
            status_code: code.filter(|_| self.end.is_some()),
            other: Other::new(),
        }
    }

    /// Whether the action had to be initialised first.
    pub fn is_cold(&self) -> bool {
        self.annotations.get("initTime").is_some()
    }

    /// The time between acceptance and the action's begin, in milliseconds.
    pub fn wait_time(&self) -> Option<i64> {
        self.annotations.get("waitTime").and_then(Value::as_i64)
    }

    /// What the result says of a failure: its `error`.
    pub fn error(&self) -> Option<&Value> {
        self.response.result.as_ref()?.get("error")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_32_hexadecimal_digits() {
        let text = "0123456789abcdef0123456789abcdef";
        assert_eq!(ActivationId::parse(text).unwrap().as_str(), text);
        let refusal = |text: &str| ActivationId::parse(text).unwrap_err().to_string();
        assert_eq!(refusal("abc"), "Activation id length is 3 but must be 32.");
        assert_eq!(
            refusal(&text.to_uppercase()),
            "The activation id is not valid."
        );
        assert_eq!(
            refusal(&text.replace('0', "g")),
            "The activation id is not valid."
        );
        assert_eq!(
            ActivationId::parse(ActivationId::of(7).as_str()),
            Ok(ActivationId::of(7))
        );
    }

    #[test]
    fn every_class_has_its_text_code_and_http_status() {
        let table = [
            ("success", 0, 200),
            ("application error", 1, 502),
            ("action developer error", 2, 502),
            ("whisk internal error", 3, 500),
        ];
        for (text, code, http) in table {
            let status = Status::from(text.to_owned());
            assert_eq!(status.code(), Some(code));
            assert_eq!((status.as_str(), status.http_status()), (text, http));
            assert_eq!(Status::of_code(code), Some(status));
        }
        let odd = Status::from("application_error".to_owned());
        assert_eq!((odd.code(), odd.as_str()), (None, "application_error"));
        assert_eq!(Status::of_code(4), None);
    }
}
