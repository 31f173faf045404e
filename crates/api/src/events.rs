//! Events: handed in, listed, looked at.

use axum::Json as Answer;
use axum::extract::State;
use conche_core::{EventId, Json, Timestamp};
use conche_modules::{Batch, Intake as _, NewEvent, Receipt};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::extract::{Body, NoQuery};
use crate::problem::Problem;
use crate::{Shared, codes};

/// The source of events that name none.
const SOURCE: &str = "api";
/// The source of Conche's own events.
const OWN_SOURCE: &str = "conche";
/// Bytes of an id, a type, a source or a subject.
const WORD_BYTES_MAX: usize = 256;

/// An event to hand in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventIn {
    /// The sender's id: a second event with the same source and id is the same event. Default:
    /// the header `Idempotency-Key`, else every delivery is a new event.
    id: Option<String>,
    /// What it came through. Default: `api`.
    source: Option<String>,
    /// What happened, e.g. `k8s.pod.created`.
    #[serde(rename = "type")]
    event_type: String,
    /// What it happened to.
    subject: Option<String>,
    /// When it happened. Default: now.
    #[schema(value_type = Option<String>, format = "date-time")]
    time: Option<Timestamp>,
    /// The payload. Default: `null`.
    #[schema(value_type = serde_json::Value)]
    data: Option<Json>,
}

/// An event that is on disk, with the runs that it triggered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// Our name for it.
    #[schema(value_type = String, format = "uuid")]
    event_id: EventId,
    /// Whether it was accepted before; then this names the event accepted then, and no run was started.
    duplicate: bool,
}

impl From<Receipt> for Accepted {
    fn from(receipt: Receipt) -> Self {
        Self {
            event_id: receipt.event,
            duplicate: receipt.duplicate,
        }
    }
}

/// Takes an event in.
///
/// When the answer comes, the event is on disk together with the runs that it triggers.
#[utoipa::path(
    post, path = "/api/v1/events", tag = "events", operation_id = "send_event",
    params(("Idempotency-Key" = Option<String>, Header, description = "The event's id, where the body has none.")),
    request_body = EventIn,
    responses((status = 202, body = Accepted, description = "Accepted, durably."))
)]
pub(crate) async fn send(
    State(api): State<Shared>,
    _: NoQuery,
    headers: HeaderMap,
    Body(event): Body<EventIn>,
) -> Result<
    (
        StatusCode,
        [(header::HeaderName, String); 1],
        Answer<Accepted>,
    ),
    Problem,
> {
    let batch = event.into_batch(&headers)?;
    let receipt = api.engine.accept(batch).await?.into_iter().next();
    let receipt = receipt.ok_or_else(|| Problem::new(&codes::INTERNAL, "nothing was accepted"))?;
    let location = format!("/api/v1/events/{}", receipt.event);
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Answer(receipt.into()),
    ))
}

impl EventIn {
    fn into_batch(self, headers: &HeaderMap) -> Result<Batch, Problem> {
        let id = match self.id {
            Some(id) => Some(id),
            None => idempotency_key(headers)?,
        };
        let source = self.source.unwrap_or_else(|| SOURCE.to_owned());
        let words = [
            ("id", id.as_deref()),
            ("source", Some(&*source)),
            ("type", Some(&*self.event_type)),
            ("subject", self.subject.as_deref()),
        ];
        for (name, word) in words {
            check_word(name, word)?;
        }
        if source == OWN_SOURCE {
            let detail = "the source 'conche' is reserved for events that Conche emits itself";
            return Err(Problem::new(&codes::EVENT_REFUSED, detail));
        }
        let event = NewEvent {
            id,
            event_type: self.event_type,
            subject: self.subject,
            time: self.time,
            data: self.data.unwrap_or_else(Json::null),
        };
        Ok(Batch {
            source,
            events: vec![event],
            cursor: None,
        })
    }
}

fn check_word(name: &str, word: Option<&str>) -> Result<(), Problem> {
    let refuse = |fault: &str| {
        let detail = format!("'{name}' {fault}");
        Err(Problem::new(&codes::EVENT_REFUSED, detail))
    };
    match word {
        Some("") => refuse("is empty: give a value or leave it out"),
        Some(word) if word.len() > WORD_BYTES_MAX => {
            refuse(&format!("has more than {WORD_BYTES_MAX} bytes"))
        }
        Some(word) if word.chars().any(char::is_control) => refuse("holds a control character"),
        _ => Ok(()),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if !value.is_empty() && value.to_str().is_ok() => {
            Ok(value.to_str().ok().map(str::to_owned))
        }
        _ => Err(Problem::new(
            &codes::INVALID_HEADER,
            "Idempotency-Key is given once, in visible ASCII characters",
        )),
    }
}
