//! Events: handed in, listed, looked at.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::{Extension, Json as Answer};
use conche_core::RunId;
use conche_core::{EventId, Json, Timestamp};
use conche_modules::{Batch, NewEvent, Receipt};
use conche_store::{EventFilter, EventRow, Fate, Note};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::actor::{Actor, record};
use crate::extract::{Body, Id, NoQuery, Query, cut, page};
use crate::problem::Problem;
use crate::runs::{self, RunOut};
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
#[schema(as = NewEvent)]
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
    #[schema(value_type = Option<serde_json::Value>)]
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
    Extension(actor): Extension<Actor>,
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
    let batch = event.into_batch(&headers, &api.sources)?;
    let receipts = api.engine.accept_from(batch, actor.person(&api)).await?;
    let receipt = receipts.into_iter().next();
    let receipt = receipt.ok_or_else(|| Problem::new(&codes::INTERNAL, "nothing was accepted"))?;
    // Where nobody is known the event's own row says as much.
    if actor.is_known(&api) && !receipt.duplicate {
        let act = actor.act(&api, "event.send", receipt.event.to_string());
        record(&api, act).await;
    }
    let location = format!("/api/v1/events/{}", receipt.event);
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Answer(receipt.into()),
    ))
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// Exactly this type.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Exactly this source.
    source: Option<String>,
    /// Received at or after.
    #[param(value_type = Option<String>, format = "date-time")]
    since: Option<Timestamp>,
    /// Older than this event: `next` of the page before.
    #[param(value_type = Option<String>, format = "uuid")]
    before: Option<EventId>,
    /// Rows at most. Default: 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// An event without its payload.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventOut {
    /// Our name for it.
    #[schema(value_type = String, format = "uuid")]
    event_id: EventId,
    /// The sender's id.
    id: String,
    /// What it came through.
    source: String,
    /// What happened.
    #[serde(rename = "type")]
    event_type: String,
    /// What it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// When it happened, by the sender's clock.
    #[schema(value_type = String, format = "date-time")]
    time: Timestamp,
    /// When it was accepted.
    #[schema(value_type = String, format = "date-time")]
    received_at: Timestamp,
    /// The run of ours that emitted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    cause: Option<RunId>,
    /// How many runs of ours stand between it and the outside.
    depth: u16,
    /// What became of each reaction that it triggered and that did not simply run.
    notes: Vec<NoteOut>,
}

/// What became of one reaction to an event, where it did not simply run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Note)]
pub(crate) struct NoteOut {
    /// The reaction.
    reaction: String,
    #[serde(flatten)]
    fate: FateOut,
}

/// What became of the run that an event was to start.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "became", rename_all = "snake_case")]
#[schema(as = Fate)]
pub(crate) enum FateOut {
    /// It never will be.
    Suppressed {
        /// By which control: `dedup` or `throttle`.
        by: &'static str,
        /// Events of its key are suppressed until then.
        #[schema(value_type = String, format = "date-time")]
        until: Timestamp,
    },
    /// The event waits with a run that is to begin.
    Waits {
        /// For which control: `debounce` or `group`.
        by: &'static str,
        /// The run. It is shown once it has begun.
        #[schema(value_type = String, format = "uuid")]
        with: RunId,
        /// When it was to begin, as far as was known when the event came.
        #[schema(value_type = String, format = "date-time")]
        until: Timestamp,
        /// Whether the event is the first that waits with it.
        first: bool,
    },
    /// It ran: the control had no room for another key.
    Uncontrolled {
        /// Which control.
        by: &'static str,
    },
}

impl NoteOut {
    /// `None` for what simply ran, of which there is nothing to tell.
    fn of(Note { reaction, fate }: Note) -> Option<Self> {
        let fate = match fate {
            Fate::Born => return None,
            Fate::Suppressed { by, until } => FateOut::Suppressed {
                by: by.as_str(),
                until,
            },
            Fate::Waits {
                by,
                with,
                until,
                first,
            } => FateOut::Waits {
                by: by.as_str(),
                with,
                until,
                first,
            },
            Fate::Uncontrolled { by } => FateOut::Uncontrolled { by: by.as_str() },
        };
        Some(Self { reaction, fate })
    }
}

/// A page of events, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// The events.
    events: Vec<EventOut>,
    /// Give it as `before` for the next page; `null` on the last.
    #[schema(value_type = Option<String>, format = "uuid")]
    next: Option<EventId>,
}

/// An event with its payload and its runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventDetail {
    #[serde(flatten)]
    event: EventOut,
    /// The payload as it was sent.
    #[schema(value_type = serde_json::Value)]
    data: Json,
    /// The runs that it triggered, newest first; the 500 newest where there are more.
    runs: Vec<RunOut>,
}

impl From<EventRow> for EventOut {
    fn from(
        EventRow {
            event,
            received_at,
            notes,
        }: EventRow,
    ) -> Self {
        Self {
            event_id: event.event_id,
            id: event.id,
            source: event.source,
            event_type: event.event_type,
            subject: event.subject,
            time: event.time,
            received_at,
            cause: event.cause,
            depth: event.depth,
            notes: notes.into_iter().filter_map(NoteOut::of).collect(),
        }
    }
}

/// Lists events, newest first, without their payloads.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "list_events", params(EventQuery),
    responses((status = 200, body = EventPage, description = "A page."))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    Query(query): Query<EventQuery>,
) -> Result<Answer<EventPage>, Problem> {
    let page = page(query.before, query.limit)?;
    let filter = EventFilter {
        event_type: query.event_type,
        source: query.source,
        since: query.since,
    };
    let mut rows = api.engine.store().events(filter, page).await?;
    let next = cut(&mut rows, page, |row| row.event.event_id);
    let events = rows.into_iter().map(Into::into).collect();
    Ok(Answer(EventPage { events, next }))
}

/// Shows an event with its payload and its runs.
#[utoipa::path(
    get, path = "/api/v1/events/{id}", tag = "events", operation_id = "show_event",
    params(("id" = String, Path, format = "uuid", description = "The event.")),
    responses((status = 200, body = EventDetail, description = "The event."))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Id(event): Id<EventId>,
    _: NoQuery,
) -> Result<Answer<EventDetail>, Problem> {
    let row = api.engine.store().event(event).await?;
    Ok(Answer(EventDetail {
        data: row.event.data.clone(),
        event: row.into(),
        runs: runs::of_event(&api, event).await?,
    }))
}

impl EventIn {
    fn into_batch(
        self,
        headers: &HeaderMap,
        taken: &BTreeMap<String, &'static str>,
    ) -> Result<Batch, Problem> {
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
        if taken.contains_key(&source) {
            // Else whoever may send could use up the ids of another's events, which would then be lost.
            let detail =
                format!("'{source}' is a configured source: its events come through it only");
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

/// The header `Idempotency-Key`, where it is there.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
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
