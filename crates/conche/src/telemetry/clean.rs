//! Text on its way out of the process: masked, then cut.
//!
//! Every text of a span or a log record is made here. It is masked before it is cut, since
//! half a secret would be found by nobody. Nothing else in this folder may make a text
//! out of what a journal or a log line holds.

use conche_runtime::secrets::Masker;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

/// Bytes of a text at most: what makes memory for unsent records bounded.
const TEXT_BYTES_MAX: usize = 4096;

/// Makes texts that may leave. Clones share the masker.
#[derive(Debug, Clone)]
pub(crate) struct Clean(Masker);

impl Clean {
    /// Cleans by what this masker knows, then and later.
    pub(crate) fn new(masker: Masker) -> Self {
        Self(masker)
    }

    /// A text without secrets, of at most [`TEXT_BYTES_MAX`] bytes and an ellipsis.
    pub(super) fn text(&self, text: &str) -> String {
        let masked = self.0.mask(text);
        if masked.len() <= TEXT_BYTES_MAX {
            return masked.into_owned();
        }
        format!("{}…", &masked[..masked.floor_char_boundary(TEXT_BYTES_MAX)])
    }

    /// A text as a value.
    pub(super) fn value(&self, text: &str) -> AnyValue {
        AnyValue {
            value: Some(Value::StringValue(self.text(text))),
        }
    }

    /// An attribute that is a text. The key is one of ours.
    pub(super) fn attribute(&self, key: &str, text: &str) -> KeyValue {
        attribute(key, Value::StringValue(self.text(text)))
    }
}

/// An attribute of a value that cannot hold a secret.
pub(super) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// An attribute that is a number.
pub(super) fn number(key: &str, number: u32) -> KeyValue {
    attribute(key, Value::IntValue(number.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_across_the_cut_is_masked_first() {
        let masker = Masker::default();
        masker.learn("key", &"hunter22-hunter22".into());
        let text = format!(
            "{}hunter22-hunter22 and more",
            "x".repeat(TEXT_BYTES_MAX - 9)
        );
        let cleaned = Clean::new(masker).text(&text);
        assert!(!cleaned.contains("hunter"), "{cleaned}");
        assert!(cleaned.ends_with("***key***…"));
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        let text = "ü".repeat(TEXT_BYTES_MAX);
        let cleaned = Clean::new(Masker::default()).text(&text);
        assert!(cleaned.len() <= TEXT_BYTES_MAX + '…'.len_utf8());
        assert!(cleaned.trim_end_matches('…').chars().all(|c| c == 'ü'));
    }
}
