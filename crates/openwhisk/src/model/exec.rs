//! What an action executes.

use serde::{Deserialize, Serialize};

use super::Other;

/// `kind` of actions that run an image.
const BLACKBOX: &str = "blackbox";
/// `kind` of sequences.
const SEQUENCE: &str = "sequence";

/// What an action executes. The `kind` says which: `blackbox`, `sequence`, or a runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub enum Exec {
    /// Code for a runtime.
    Code(Code),
    /// An image of one's own.
    Blackbox(Blackbox),
    /// Other actions, one after the other.
    Sequence(Sequence),
}

/// Code for a runtime.
#[derive(Debug, Clone, PartialEq)]
pub struct Code {
    /// `family:version` or `family:default`.
    pub kind: String,
    /// The code, as text or base64; absent where it was not asked for.
    pub code: Option<String>,
    /// Whether the code is base64; hosts compute it ([`is_binary`]) and don't believe what is
    /// sent.
    pub binary: Option<bool>,
    /// The entry point; the runtime has a default.
    pub main: Option<String>,
    /// Properties that are not known here.
    pub other: Other,
}

/// An image of one's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Blackbox {
    /// The image's reference.
    pub image: String,
    /// What the image is to run, where it takes code.
    pub code: Option<String>,
    /// Whether the code is base64.
    pub binary: Option<bool>,
    /// The entry point.
    pub main: Option<String>,
    /// Properties that are not known here.
    pub other: Other,
}

/// Other actions, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// Their names, as they were written: `/ns/[pkg/]name`.
    pub components: Vec<String>,
    /// Properties that are not known here.
    pub other: Other,
}

impl Exec {
    /// Code for a runtime.
    pub fn code(kind: impl Into<String>, code: impl Into<String>) -> Self {
        Self::Code(Code {
            kind: kind.into(),
            code: Some(code.into()),
            binary: None,
            main: None,
            other: Other::new(),
        })
    }

    /// A sequence of actions.
    pub fn sequence<T: Into<String>>(components: impl IntoIterator<Item = T>) -> Self {
        Self::Sequence(Sequence {
            components: components.into_iter().map(Into::into).collect(),
            other: Other::new(),
        })
    }

    /// `kind` as it is written.
    pub fn kind(&self) -> &str {
        match self {
            Self::Code(code) => &code.kind,
            Self::Blackbox(_) => BLACKBOX,
            Self::Sequence(_) => SEQUENCE,
        }
    }

    /// Whether it holds code in base64.
    pub fn is_binary(&self) -> bool {
        match self {
            Self::Code(Code { binary, code, .. })
            | Self::Blackbox(Blackbox { binary, code, .. }) => {
                binary.unwrap_or_else(|| code.as_deref().is_some_and(is_binary))
            }
            Self::Sequence(_) => false,
        }
    }

    /// The code, where there is some.
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Code(Code { code, .. }) | Self::Blackbox(Blackbox { code, .. }) => {
                code.as_deref()
            }
            Self::Sequence(_) => None,
        }
    }

    /// The same without the code, as `?code=false` has it.
    #[must_use]
    pub fn without_code(mut self) -> Self {
        if let Self::Code(Code { code, .. }) | Self::Blackbox(Blackbox { code, .. }) = &mut self {
            *code = None;
        }
        self
    }
}

/// Whether hosts take code for base64: its length is a multiple of 4 and all of it is of that
/// alphabet. So a short text such as `abcd` counts as binary; that is upstream's rule.
pub fn is_binary(code: &str) -> bool {
    let text = code.trim();
    let end = text.trim_end_matches('=');
    let padding = text.len() - end.len();
    let of_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    !text.is_empty() && text.len().is_multiple_of(4) && padding <= 2 && end.bytes().all(of_base64)
}

/// All forms at once, as they are written.
#[derive(Clone, Serialize, Deserialize)]
struct Wire {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binary: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    main: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    components: Option<Vec<String>>,
    #[serde(flatten)]
    other: Other,
}

impl From<Wire> for Exec {
    fn from(wire: Wire) -> Self {
        let mut other = wire.other;
        let mut keep = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                other.insert(name.to_owned(), value);
            }
        };
        match wire.kind.as_str() {
            SEQUENCE => {
                keep("code", wire.code.map(Into::into));
                keep("image", wire.image.map(Into::into));
                keep("main", wire.main.map(Into::into));
                keep("binary", wire.binary.map(Into::into));
                Self::Sequence(Sequence {
                    components: wire.components.unwrap_or_default(),
                    other,
                })
            }
            BLACKBOX => {
                keep("components", wire.components.map(Into::into));
                Self::Blackbox(Blackbox {
                    image: wire.image.unwrap_or_default(),
                    code: wire.code,
                    binary: wire.binary,
                    main: wire.main,
                    other,
                })
            }
            _ => {
                keep("components", wire.components.map(Into::into));
                keep("image", wire.image.map(Into::into));
                Self::Code(Code {
                    kind: wire.kind,
                    code: wire.code,
                    binary: wire.binary,
                    main: wire.main,
                    other,
                })
            }
        }
    }
}

impl From<Exec> for Wire {
    fn from(exec: Exec) -> Self {
        let kind = exec.kind().to_owned();
        let empty = Self {
            kind,
            code: None,
            binary: None,
            image: None,
            main: None,
            components: None,
            other: Other::new(),
        };
        match exec {
            Exec::Code(code) => Self {
                code: code.code,
                binary: code.binary,
                main: code.main,
                other: code.other,
                ..empty
            },
            Exec::Blackbox(blackbox) => Self {
                image: Some(blackbox.image),
                code: blackbox.code,
                binary: blackbox.binary,
                main: blackbox.main,
                other: blackbox.other,
                ..empty
            },
            Exec::Sequence(sequence) => Self {
                components: Some(sequence.components),
                other: sequence.other,
                ..empty
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_is_written_as_it_was_read() {
        for wire in [
            json!({ "kind": "nodejs:20", "code": "function main(){}", "binary": false }),
            json!({ "kind": "java:8", "code": "UEsD", "binary": true, "main": "a.B", "x": 1 }),
            json!({ "kind": "python:3.10", "binary": false, "image": "odd", "components": ["/a/b"] }),
            json!({ "kind": "blackbox", "image": "me/it:1", "binary": false }),
            json!({ "kind": "sequence", "components": ["/_/a", "/_/p/b"] }),
            json!({ "kind": "sequence", "components": [], "binary": false }),
        ] {
            let exec: Exec = serde_json::from_value(wire.clone()).unwrap();
            assert_eq!(serde_json::to_value(&exec).unwrap(), wire);
            assert_eq!(exec.kind(), wire["kind"]);
        }
    }

    #[test]
    fn code_is_binary_when_it_looks_like_base64() {
        for code in ["abcd", "UEsDBAo=", "aa==", "ab+/"] {
            assert!(is_binary(code), "{code}");
        }
        for code in ["", "abc", "a===", "function main() {}", "ab-_", "ab=c"] {
            assert!(!is_binary(code), "{code}");
        }
    }
}
