//! From the bytes of one delivery to an event, or to the reason why it is none. Pure.
//!
//! What the configuration names goes before what the wire says. Nothing here keeps more of a
//! delivery than its limits allow, and no reason repeats its bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_core::Json;
use conche_core::json::{self, Limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::intake::NewEvent;

/// The longest id, type or subject in bytes: they are keys, and shown in lists.
const TEXT_MAX: usize = 1024;

/// So much of what cannot be decoded is kept in the event that is made of it.
const RAW_MAX: usize = 64 << 10;

/// How the bytes of a delivery become an event's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::sources) enum Payload {
    /// The text is JSON and is the data as it is.
    #[default]
    Json,
    /// The text is UTF-8; the data is that text as a JSON string.
    Text,
}

/// What the configuration says of a source's events.
#[derive(Debug, Clone, Default)]
pub(in crate::sources) struct Naming {
    pub(in crate::sources) event_type: Option<String>,
    pub(in crate::sources) event_type_from: Option<String>,
    pub(in crate::sources) id_from: Option<String>,
    pub(in crate::sources) subject_from: Option<String>,
    pub(in crate::sources) invalid_event_type: Option<String>,
    pub(in crate::sources) payload: Payload,
}

/// How deliveries are read.
#[derive(Debug, Clone)]
pub(in crate::sources) struct Format {
    naming: Naming,
    limits: Limits,
}

/// What the wire itself says of a delivery.
#[derive(Debug, Clone, Default)]
pub(in crate::sources) struct Envelope {
    /// The id that the sender or the broker gave it.
    pub(in crate::sources) id: Option<String>,
    /// The topic, subject, routing key or file name.
    pub(in crate::sources) subject: Option<String>,
}

/// Why a delivery is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::sources) enum Reject {
    #[error(transparent)]
    Json(#[from] json::Error),
    #[error("the text is not UTF-8")]
    NotText,
    #[error("it has {found} bytes; at most {limit} are allowed")]
    TooLarge { found: usize, limit: usize },
    #[error("there is no {what} at {pointer}")]
    Missing { what: &'static str, pointer: String },
    #[error("the {what} must be 1 to {TEXT_MAX} bytes without control characters")]
    Unusable { what: &'static str },
    #[error("types that begin with `conche.` are Conche's own")]
    Reserved,
}

impl Format {
    /// Checks what can be checked before the first delivery; the message names the setting.
    pub(in crate::sources) fn new(naming: Naming, limits: Limits) -> Result<Self, String> {
        if naming.event_type.is_some() == naming.event_type_from.is_some() {
            return Err("write exactly one of `event_type` and `event_type_from`".to_owned());
        }
        for name in [&naming.event_type, &naming.invalid_event_type]
            .into_iter()
            .flatten()
        {
            typed(name.clone()).map_err(|wrong| format!("the event type `{name}`: {wrong}"))?;
        }
        for pointer in [
            &naming.event_type_from,
            &naming.id_from,
            &naming.subject_from,
        ]
        .into_iter()
        .flatten()
        {
            if !pointer.starts_with('/') {
                return Err(format!(
                    "`{pointer}` is not a JSON Pointer: each key has a `/` before it, like /items/0/id"
                ));
            }
            if naming.payload == Payload::Text {
                return Err(format!(
                    "`{pointer}` points into JSON: it can't go with `payload: text`"
                ));
            }
        }
        Ok(Self { naming, limits })
    }

    /// Reads one delivery. What is configured goes before what the wire says.
    pub(in crate::sources) fn decode(
        &self,
        bytes: &[u8],
        envelope: Envelope,
    ) -> Result<NewEvent, Reject> {
        let naming = &self.naming;
        let data = match naming.payload {
            Payload::Json => Json::parse(bytes, self.limits)?,
            Payload::Text => self.text(bytes)?,
        };
        let pointed = [
            &naming.event_type_from,
            &naming.id_from,
            &naming.subject_from,
        ];
        let tree: Value = if pointed.iter().any(|pointer| pointer.is_some()) {
            data.read()?
        } else {
            Value::Null
        };
        let find = |what, pointer: &Option<String>| {
            let pointer = pointer.as_deref();
            pointer
                .map(|pointer| find(&tree, what, pointer))
                .transpose()
        };
        let found = find("type", &naming.event_type_from)?;
        let event_type = typed(
            found
                .or_else(|| naming.event_type.clone())
                .unwrap_or_default(),
        )?;
        let id = find("id", &naming.id_from)?.or(envelope.id);
        // A name that the wire happens to have and that cannot be shown is no reason to lose
        // the event.
        let named = envelope
            .subject
            .and_then(|subject| plain("subject", subject).ok());
        let subject = find("subject", &naming.subject_from)?
            .map(|subject| plain("subject", subject))
            .transpose()?
            .or(named);
        Ok(NewEvent {
            id: id.map(|id| plain("id", id)).transpose()?,
            event_type,
            subject,
            time: None,
            data,
        })
    }

    fn text(&self, bytes: &[u8]) -> Result<Json, Reject> {
        if bytes.len() > self.limits.bytes {
            return Err(Reject::TooLarge {
                found: bytes.len(),
                limit: self.limits.bytes,
            });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Reject::NotText)?;
        Ok(Json::from_value(text)?)
    }

    /// The event that is made of what cannot be decoded, where the source is configured so.
    /// It has the id of the delivery, so that it is one event however often it is delivered.
    pub(in crate::sources) fn invalid(
        &self,
        bytes: &[u8],
        envelope: Envelope,
        reject: &Reject,
    ) -> Option<NewEvent> {
        let kept = &bytes[..bytes.len().min(RAW_MAX)];
        let data = serde_json::json!({
            "reason": reject.to_string(),
            "bytes": bytes.len(),
            "raw_base64": STANDARD.encode(kept),
        });
        Some(NewEvent {
            id: envelope.id.and_then(|id| plain("id", id).ok()),
            event_type: self.naming.invalid_event_type.clone()?,
            subject: envelope
                .subject
                .and_then(|text| plain("subject", text).ok()),
            time: None,
            data: Json::from(&data),
        })
    }
}

fn find(tree: &Value, what: &'static str, pointer: &str) -> Result<String, Reject> {
    match tree.pointer(pointer) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => Err(Reject::Missing {
            what,
            pointer: pointer.to_owned(),
        }),
    }
}

/// A text that can be an id or a subject: it is a key, and shown in lists.
pub(in crate::sources) fn plain(what: &'static str, text: String) -> Result<String, Reject> {
    if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(Reject::Unusable { what });
    }
    Ok(text)
}

/// A name that can be an event's type.
pub(in crate::sources) fn typed(name: String) -> Result<String, Reject> {
    let name = plain("type", name)?;
    if name.starts_with("conche.") {
        return Err(Reject::Reserved);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format(naming: Naming) -> Format {
        Format::new(
            naming,
            Limits {
                bytes: 64,
                depth: 4,
            },
        )
        .unwrap()
    }

    fn fixed(payload: Payload) -> Naming {
        Naming {
            event_type: Some("t".to_owned()),
            invalid_event_type: Some("t.invalid".to_owned()),
            payload,
            ..Naming::default()
        }
    }

    fn pointed() -> Naming {
        Naming {
            event_type_from: Some("/t".to_owned()),
            id_from: Some("/n/id".to_owned()),
            subject_from: Some("/s".to_owned()),
            ..Naming::default()
        }
    }

    #[test]
    fn what_pointers_name_goes_before_what_the_wire_says() {
        let envelope = Envelope {
            id: Some("wire".to_owned()),
            subject: Some("topic".to_owned()),
        };
        let body = br#"{"t":"a.b","n":{"id":7},"s":"x"}"#;
        let event = format(pointed()).decode(body, envelope.clone()).unwrap();
        assert_eq!(
            (event.event_type.as_str(), event.id, event.subject),
            ("a.b", Some("7".to_owned()), Some("x".to_owned()))
        );
        assert_eq!(event.data.as_str().as_bytes(), body);
        let event = format(fixed(Payload::Text))
            .decode(b"a \"b\"", envelope)
            .unwrap();
        assert_eq!(event.data.as_str(), r#""a \"b\"""#);
        assert_eq!(
            (event.id.as_deref(), event.subject.as_deref()),
            (Some("wire"), Some("topic"))
        );
    }

    #[test]
    fn a_wires_name_that_cannot_be_a_subject_is_left_out() {
        for subject in [
            "x".repeat(TEXT_MAX + 1),
            "tab\tname".to_owned(),
            String::new(),
        ] {
            let envelope = Envelope {
                id: None,
                subject: Some(subject),
            };
            let event = format(fixed(Payload::Json)).decode(b"1", envelope).unwrap();
            assert_eq!(event.subject, None);
        }
    }

    #[test]
    fn what_does_not_fit_is_rejected_with_the_reason() {
        let table: [(&[u8], Naming, &str); 7] = [
            (b"{", fixed(Payload::Json), "not a JSON text"),
            (b"[[[[[]]]]]", fixed(Payload::Json), "deeper"),
            (&[b'1'; 65], fixed(Payload::Json), "65 bytes"),
            (&[b'1'; 65], fixed(Payload::Text), "65 bytes"),
            (b"\xff", fixed(Payload::Text), "UTF-8"),
            (b"{}", pointed(), "no type at /t"),
            (
                br#"{"t":"conche.run.failed","n":{"id":1},"s":"x"}"#,
                pointed(),
                "Conche's own",
            ),
        ];
        for (body, naming, expected) in table {
            let reject = format(naming)
                .decode(body, Envelope::default())
                .unwrap_err();
            assert!(reject.to_string().contains(expected), "{reject}");
        }
    }

    #[test]
    fn what_is_undecodable_can_be_an_event_with_the_id_of_its_delivery() {
        let envelope = Envelope {
            id: Some("i".to_owned()),
            subject: None,
        };
        let format = format(fixed(Payload::Json));
        let event = format
            .invalid(b"\xff{", envelope, &Reject::NotText)
            .unwrap();
        let data: Value = event.data.read().unwrap();
        assert_eq!(
            (event.event_type.as_str(), event.id.as_deref()),
            ("t.invalid", Some("i"))
        );
        assert_eq!(
            (&data["bytes"], &data["raw_base64"]),
            (&2.into(), &"/3s=".into())
        );
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let table = [
            (Naming::default(), "exactly one"),
            (
                Naming {
                    id_from: Some("id".to_owned()),
                    ..fixed(Payload::Json)
                },
                "JSON Pointer",
            ),
            (
                Naming {
                    id_from: Some("/id".to_owned()),
                    ..fixed(Payload::Text)
                },
                "payload: text",
            ),
            (
                Naming {
                    event_type: Some("conche.x".to_owned()),
                    ..Naming::default()
                },
                "Conche's own",
            ),
        ];
        for (naming, expected) in table {
            let wrong = Format::new(naming, Limits::default()).unwrap_err();
            assert!(wrong.contains(expected), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_fail_otherwise_than_by_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            for naming in [fixed(Payload::Json), fixed(Payload::Text), pointed()] {
                let format = format(naming);
                if let Err(reject) = format.decode(&bytes, Envelope::default()) {
                    prop_assert!(!reject.to_string().is_empty());
                }
            }
        }
    }
}
