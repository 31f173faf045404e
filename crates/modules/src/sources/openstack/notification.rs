//! One notification of oslo.messaging, from its bytes to an event. Pure.
//!
//! The wire holds an envelope (`oslo.version`, `oslo.message`) whose message is JSON within a
//! string; the older driver `messaging` sends the message bare. The event's data is what CSF
//! made of it: both merged. Of Nova there are two kinds, versioned (`instance.create.end`, the
//! payload an object that says its version) and legacy (`compute.instance.create.end`);
//! `payload_flat` is the payload without the versions' wrapping, the same way for both.

use conche_core::json::Limits;
use conche_core::{Json, Timestamp, json};
use serde_json::{Map, Value};

use super::mask::mask;
use crate::intake::NewEvent;
use crate::sources::delivery::{Reject, plain};

/// The message within the envelope.
const MESSAGE: &str = "oslo.message";

/// Ends the name under which a versioned object has its members: `nova_object.data`.
const WRAPPED: &str = "_object.data";

/// Members of a payload that say what a notification is about, the first that is there.
const SUBJECTS: [&str; 4] = ["uuid", "instance_id", "volume_id", "resource_info"];

/// A notification, its secrets not masked yet.
#[derive(Debug)]
pub(super) struct Notification {
    /// The envelope's own members and the message's text; none where the message came bare.
    envelope: Option<(Map<String, Value>, String)>,
    message: Map<String, Value>,
    event_type: String,
    limits: Limits,
}

impl Notification {
    pub(super) fn read(bytes: &[u8], limits: Limits) -> Result<Self, Reject> {
        let mut outer = object(bytes, limits, "")?;
        let (envelope, message) = match outer.remove(MESSAGE) {
            Some(Value::String(text)) => {
                let message = object(text.as_bytes(), limits, "/oslo.message")?;
                (Some((outer, text)), message)
            }
            Some(_) => return Err(missing("text", "/oslo.message")),
            None => (None, outer),
        };
        let event_type = message.get("event_type").and_then(Value::as_str);
        Ok(Self {
            event_type: event_type
                .ok_or_else(|| missing("text", "/event_type"))?
                .to_owned(),
            envelope,
            message,
            limits,
        })
    }

    /// What happened, in the service's words.
    pub(super) fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The event, without what must not be stored.
    pub(super) fn event(mut self, event_type: &str) -> Result<NewEvent, Reject> {
        mask(&mut self.message);
        if let Some((_, text)) = &mut self.envelope {
            // The text that came holds what is masked, and may hold it under a name that
            // comes twice, of which only the last was seen.
            Json::from_value(&self.message)?.as_str().clone_into(text);
        }
        let text = |name: &str| {
            let text = self.message.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let flat = flat(self.message.get("payload").unwrap_or(&Value::Null));
        let id = text("_unique_id").or_else(|| text("message_id"));
        let subject = SUBJECTS.iter().find_map(|name| flat.get(name)?.as_str());
        let subject = subject.map(str::to_owned).or_else(|| text("publisher_id"));
        let time = text("timestamp").and_then(|text| time(&text));
        Ok(NewEvent {
            event_type: event_type.to_owned(),
            id: id.map(|id| plain("id", id)).transpose()?,
            // One that cannot be shown is no reason to lose the event.
            subject: subject.and_then(|subject| plain("subject", subject).ok()),
            time,
            data: self.data(flat)?,
        })
    }

    /// Envelope and message merged, as CSF had it, and the unwrapped payload.
    fn data(self, flat: Value) -> Result<Json, Reject> {
        let mut data = Map::new();
        if let Some((mut envelope, text)) = self.envelope {
            mask(&mut envelope);
            data.extend(envelope);
            data.insert(MESSAGE.to_owned(), text.into());
        }
        data.extend(self.message);
        data.insert("payload_flat".to_owned(), flat);
        let data = Json::from_value(&data)?;
        let (found, limit) = (data.as_str().len(), self.limits.bytes);
        if found > limit {
            return Err(json::Error::TooLarge { found, limit }.into());
        }
        Ok(data)
    }
}

fn object(bytes: &[u8], limits: Limits, pointer: &str) -> Result<Map<String, Value>, Reject> {
    match Json::parse(bytes, limits)?.read()? {
        Value::Object(members) => Ok(members),
        _ => Err(missing("object", pointer)),
    }
}

fn missing(what: &'static str, pointer: &str) -> Reject {
    Reject::Missing {
        what,
        pointer: if pointer.is_empty() {
            "the top"
        } else {
            pointer
        }
        .to_owned(),
    }
}

/// Versioned objects are replaced by their members, at any depth.
fn flat(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let wrapped = members.iter().find(|(name, _)| name.ends_with(WRAPPED));
            if let Some((_, inner)) = wrapped {
                return flat(inner);
            }
            let members = members.iter();
            Value::Object(
                members
                    .map(|(name, value)| (name.clone(), flat(value)))
                    .collect(),
            )
        }
        Value::Array(items) => items.iter().map(flat).collect(),
        other => other.clone(),
    }
}

/// `2026-01-02 03:04:05.678901`, with or without the fraction, in UTC though it does not say so.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.replacen(' ', "T", 1);
    text.parse().or_else(|_| format!("{text}Z").parse()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn decoded(bytes: &[u8]) -> Result<NewEvent, Reject> {
        let limits = Limits {
            bytes: 4096,
            depth: 8,
        };
        Notification::read(bytes, limits)?.event("compute_event")
    }

    fn enveloped(message: &Value) -> Vec<u8> {
        let envelope = json!({ "oslo.version": "2.0", "oslo.message": message.to_string() });
        envelope.to_string().into_bytes()
    }

    fn versioned() -> Value {
        let fault = json!({ "nova_object.name": "ExceptionPayload", "nova_object.data": { "exception": "E" } });
        let payload = json!({ "nova_object.name": "P", "nova_object.data": { "uuid": "i-1", "fault": fault, "ips": [fault] } });
        json!({
            "event_type": "instance.create.error", "publisher_id": "nova-compute:h",
            "timestamp": "2026-01-02 03:04:05.678901", "_unique_id": "u-1", "payload": payload,
            "_context_auth_token": "gAAAAA",
        })
    }

    #[test]
    fn envelope_and_message_are_merged_and_objects_unwrapped() {
        let event = decoded(&enveloped(&versioned())).unwrap();
        let data: Value = event.data.read().unwrap();
        assert_eq!(
            (event.id.as_deref(), event.subject.as_deref()),
            (Some("u-1"), Some("i-1"))
        );
        assert_eq!(
            event.time.unwrap().to_string(),
            "2026-01-02T03:04:05.678901Z"
        );
        assert_eq!(data["oslo.version"], "2.0");
        assert_eq!(data["event_type"], "instance.create.error");
        assert_eq!(data["payload"], versioned()["payload"]);
        let fault = json!({ "exception": "E" });
        let expected = json!({ "uuid": "i-1", "fault": fault, "ips": [fault] });
        assert_eq!(data["payload_flat"], expected);
        assert!(!event.data.as_str().contains("gAAAAA"));
        let text = data["oslo.message"].as_str().unwrap();
        assert!(text.contains(r#""_context_auth_token":"***""#), "{text}");
    }

    #[test]
    fn a_secret_under_a_name_that_comes_twice_is_not_kept() {
        for came in [
            r#"{ "event_type": "x", "auth_token": "S3cret", "auth_token": null }"#,
            r#"{ "event_type": "x", "a": { "token": "S3cret" }, "a": {} }"#,
            r#"{ "event_type": "x", "payload": [{ "password": "S3cret", "password": "" }] }"#,
        ] {
            let bare = decoded(came.as_bytes()).unwrap();
            let within = json!({ "oslo.message": came, "oslo.version": "2.0" });
            let within = decoded(within.to_string().as_bytes()).unwrap();
            for event in [bare, within] {
                assert!(!event.data.as_str().contains("S3cret"), "{came}");
            }
        }
    }

    #[test]
    fn a_bare_legacy_message_is_read_as_well() {
        let message = json!({
            "event_type": "compute.instance.create.end", "publisher_id": "compute.h", "message_id": "m",
            "timestamp": "2026-01-02 03:04:05", "payload": { "instance_id": "i-2", "admin_password": "p" },
        });
        let event = decoded(message.to_string().as_bytes()).unwrap();
        let data: Value = event.data.read().unwrap();
        let expected = json!({ "instance_id": "i-2", "admin_password": "***" });
        assert_eq!(
            (&data["payload"], &data["payload_flat"]),
            (&expected, &expected)
        );
        assert_eq!(
            (event.id.as_deref(), event.subject.as_deref()),
            (Some("m"), Some("i-2"))
        );
        assert_eq!(event.time.unwrap().to_string(), "2026-01-02T03:04:05Z");
        assert!(data.get("oslo.message").is_none());
    }

    #[test]
    fn csf_bug_4_what_is_no_notification_is_refused_with_the_reason() {
        let mut id = versioned();
        id["_unique_id"] = "a\nb".into();
        let table = [
            (b"{".to_vec(), "not a JSON text"),
            (b"[1]".to_vec(), "no object at the top"),
            (b"{}".to_vec(), "no text at /event_type"),
            (
                br#"{"oslo.message":{}}"#.to_vec(),
                "no text at /oslo.message",
            ),
            (
                br#"{"oslo.message":"3"}"#.to_vec(),
                "no object at /oslo.message",
            ),
            (br#"{"oslo.message":"{"}"#.to_vec(), "not a JSON text"),
            (
                enveloped(&json!({ "event_type": 7 })),
                "no text at /event_type",
            ),
            (enveloped(&id), "without control characters"),
            (enveloped(&json!([[[[[[[[[1]]]]]]]]])), "deeper"),
            (
                enveloped(&json!({ "event_type": "x", "p": "y".repeat(2048) })),
                "bytes",
            ),
        ];
        for (bytes, expected) in table {
            let reject = decoded(&bytes).unwrap_err().to_string();
            assert!(reject.contains(expected), "{reject}");
        }
        let odd = json!({ "event_type": "instance.x", "payload": 7, "timestamp": "soon", "_unique_id": 3 });
        let event = decoded(&enveloped(&odd)).unwrap();
        assert_eq!((event.id, event.subject, event.time), (None, None, None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail_otherwise_than_by_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..128), text in "[{}\\[\\]\":a-z.,]{0,60}") {
            for bytes in [bytes, json!({ "oslo.message": text }).to_string().into_bytes()] {
                if let Err(reject) = decoded(&bytes) {
                    prop_assert!(!reject.to_string().is_empty());
                }
            }
        }
    }
}
