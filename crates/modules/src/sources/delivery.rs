//! What all sources that fetch or listen share: from the bytes of one delivery (a line, a
//! message) to an event, and the patient way in.
//!
//! [`Format::decode`] is pure. [`Entrance::accept`] waits as long as the intake refuses for
//! now, so that whoever calls it neither reads on nor acknowledges meanwhile: that is all the
//! back-pressure there is. What cannot be decoded is counted, told in the log a few times a
//! minute at most, and made an event where the source is configured so; it is never tried again.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_core::Json;
use conche_core::json::{self, Limits};
use conche_runtime::supervisor::Stop;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::intake::{Batch, Intake, NewEvent, Receipt, Refusal};

/// The longest id, type or subject in bytes: they are keys, and shown in lists.
const TEXT_MAX: usize = 1024;

/// So much of what cannot be decoded is kept in the event that is made of it.
const RAW_MAX: usize = 64 << 10;

/// One line of log for so long, however much is refused meanwhile.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The waits while the store cannot be written: from the first, doubled up to the last.
const STORE_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How the bytes of a delivery become an event's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Payload {
    /// The text is JSON and is the data as it is.
    #[default]
    Json,
    /// The text is UTF-8; the data is that text as a JSON string.
    Text,
}

/// What the configuration says of a source's events.
#[derive(Debug, Clone, Default)]
pub(super) struct Naming {
    pub(super) event_type: Option<String>,
    pub(super) event_type_from: Option<String>,
    pub(super) id_from: Option<String>,
    pub(super) subject_from: Option<String>,
    pub(super) invalid_event_type: Option<String>,
    pub(super) payload: Payload,
}

/// How deliveries are read.
#[derive(Debug, Clone)]
pub(super) struct Format {
    naming: Naming,
    limits: Limits,
}

/// What the wire itself says of a delivery.
#[derive(Debug, Clone, Default)]
pub(super) struct Envelope {
    /// The id that the sender or the broker gave it.
    pub(super) id: Option<String>,
    /// The topic, subject, routing key or file name.
    pub(super) subject: Option<String>,
}

/// Why a delivery is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reject {
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
    pub(super) fn new(naming: Naming, limits: Limits) -> Result<Self, String> {
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
    pub(super) fn decode(&self, bytes: &[u8], envelope: Envelope) -> Result<NewEvent, Reject> {
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
        let subject = find("subject", &naming.subject_from)?.or(envelope.subject);
        Ok(NewEvent {
            id: id.map(|id| plain("id", id)).transpose()?,
            event_type,
            subject: subject
                .map(|subject| plain("subject", subject))
                .transpose()?,
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
    pub(super) fn invalid(
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

fn plain(what: &'static str, text: String) -> Result<String, Reject> {
    if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(Reject::Unusable { what });
    }
    Ok(text)
}

fn typed(name: String) -> Result<String, Reject> {
    let name = plain("type", name)?;
    if name.starts_with("conche.") {
        return Err(Reject::Reserved);
    }
    Ok(name)
}

/// Counts what a source could not use, and says so in the log now and then.
#[derive(Debug)]
pub(super) struct Rejects {
    source: String,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    total: u64,
    last: Option<Instant>,
}

impl Rejects {
    pub(super) fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            told: Mutex::default(),
        }
    }

    /// Counts one; `place` says where it came from. A sender's bytes are never logged.
    fn count(&self, place: &dyn Display, reason: &dyn Display) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.total += 1;
        if told.last.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
            told.last = Some(Instant::now());
            tracing::warn!(
                source = %self.source, %place, %reason, refused_so_far = told.total,
                "a delivery cannot be used"
            );
        }
    }
}

/// The source is to stop: nothing was accepted, so nothing may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the source is stopping")]
pub(super) struct Stopping;

/// Why events were not accepted for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Stopping(#[from] Stopping),
    /// The events themselves are not acceptable, and never will be.
    #[error("{0}")]
    Invalid(String),
}

/// One source's way in.
pub(super) struct Entrance<'a> {
    pub(super) source: &'a str,
    pub(super) intake: &'a dyn Intake,
    pub(super) stop: &'a Stop,
    pub(super) rejects: &'a Rejects,
}

impl Entrance<'_> {
    /// Hands events and cursor over in one transaction, waiting as long as they are refused
    /// for now. When it returns `Ok`, they are on disk.
    pub(super) async fn accept(
        &self,
        events: Vec<NewEvent>,
        cursor: Option<String>,
    ) -> Result<Vec<Receipt>, Refused> {
        let mut wait = STORE_WAITS.0;
        loop {
            let batch = Batch {
                source: self.source.to_owned(),
                events: events.clone(),
                cursor: cursor.clone(),
            };
            let pause = match self.intake.accept(batch).await {
                Ok(receipts) => return Ok(receipts),
                Err(Refusal::Stopping) => return Err(Stopping.into()),
                Err(Refusal::Invalid(reason)) => return Err(Refused::Invalid(reason)),
                Err(Refusal::Busy { retry_after }) => retry_after,
                Err(Refusal::Unavailable(reason)) => {
                    tracing::warn!(source = %self.source, %reason, "events wait for the store");
                    wait = wait.saturating_mul(2).min(STORE_WAITS.1);
                    wait
                }
            };
            self.pause(pause).await?;
        }
    }

    /// Like [`accept`](Self::accept) for events that came together by chance: the ones that
    /// the intake will never take are counted and left out.
    pub(super) async fn accept_usable(
        &self,
        events: Vec<NewEvent>,
        cursor: Option<String>,
    ) -> Result<(), Stopping> {
        match self.accept(events.clone(), cursor.clone()).await {
            Ok(_) => return Ok(()),
            Err(Refused::Stopping(stopping)) => return Err(stopping),
            Err(Refused::Invalid(_)) => {}
        }
        for event in events {
            let place = event.id.clone().unwrap_or_default();
            match self.accept(vec![event], None).await {
                Ok(_) => {}
                Err(Refused::Stopping(stopping)) => return Err(stopping),
                Err(Refused::Invalid(reason)) => self.refuse(&place, &reason),
            }
        }
        match self.accept(Vec::new(), cursor).await {
            Ok(_) => Ok(()),
            Err(Refused::Stopping(stopping)) => Err(stopping),
            Err(Refused::Invalid(reason)) => {
                self.refuse(&"cursor", &reason);
                Ok(())
            }
        }
    }

    /// Waits; shorter where the source is to stop.
    pub(super) async fn pause(&self, length: Duration) -> Result<(), Stopping> {
        tokio::select! {
            () = self.stop.requested() => Err(Stopping),
            () = tokio::time::sleep(length) => Ok(()),
        }
    }

    /// Counts a delivery that cannot be used, in the metrics and, now and then, in the log.
    pub(super) fn refuse(&self, place: &dyn Display, reason: &dyn Display) {
        self.intake.refused(self.source, "unusable");
        self.rejects.count(place, reason);
    }

    /// One delivery becomes one event, that of an undecodable one, or none.
    pub(super) fn decode(
        &self,
        format: &Format,
        bytes: &[u8],
        envelope: Envelope,
    ) -> Result<NewEvent, Option<NewEvent>> {
        format.decode(bytes, envelope.clone()).map_err(|reject| {
            let place = envelope.subject.clone().unwrap_or_default();
            self.refuse(&place, &reject);
            format.invalid(bytes, envelope, &reject)
        })
    }
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
