//! Live views as server-sent events.
//!
//! The view of one run reads its journal and takes the engine's changes only as a hint that
//! there is more of it, so it can be slow, be cut off and resumed without losing a record.
//! The view of all runs has no journal to go back to: it says how many changes it missed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as Message, KeepAlive, KeepAliveStream, Sse};
use conche_core::run::Summary;
use conche_core::{EventId, RunId};
use conche_engine::Change;
use conche_runtime::supervisor::{Stage, Stop};
use futures_util::Stream;
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use http::HeaderMap;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use utoipa::ToSchema;

use super::{RecordOut, Status};
use crate::extract::{Id, NoQuery};
use crate::problem::Problem;
use crate::{Shared, codes};

/// How often the journal is looked at without a hint: another node may have written it.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a client is asked to wait when there is no room for its view.
const TAIL_WAIT: Duration = Duration::from_secs(10);

/// A stream of messages, with comments in between that keep it alive.
pub(crate) type Messages = Sse<KeepAliveStream<BoxStream<'static, Result<Message, Infallible>>>>;

/// How a run ended: the last message of its view.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct End {
    /// One word.
    status: Status,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<Summary> for End {
    fn from(summary: Summary) -> Self {
        Self {
            status: summary.status.into(),
            reason: summary.reason,
        }
    }
}

/// What was committed to a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub(crate) struct ChangeOut {
    /// The run.
    #[schema(value_type = String, format = "uuid")]
    run_id: RunId,
    /// The name of what it follows.
    definition: String,
    /// The event that triggered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    event_id: Option<EventId>,
    /// One word.
    status: Status,
    /// Why it failed, was cancelled or needs attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Records in its journal now.
    version: u64,
    /// The kinds of the new records.
    entries: Vec<&'static str>,
}

impl From<&Change> for ChangeOut {
    fn from(change: &Change) -> Self {
        let records = &change.records;
        Self {
            run_id: change.run,
            definition: change.name.clone(),
            event_id: change.event,
            status: change.summary.status.into(),
            reason: change.summary.reason.clone(),
            version: change.from + records.len() as u64,
            entries: records.iter().map(|record| record.entry.name()).collect(),
        }
    }
}

/// Changes that a slow reader did not get.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Missed {
    /// How many.
    changes: u64,
}

/// Shows the journal of a run as it grows.
///
/// Messages: `record` (a record; its id is the version), then `end` when the run is over.
/// A client that comes back with `Last-Event-ID` gets what followed.
#[utoipa::path(
    get, path = "/api/v1/runs/{id}/tail", tag = "runs", operation_id = "tail_run",
    params(
        ("id" = String, Path, format = "uuid", description = "The run."),
        ("Last-Event-ID" = Option<u64>, Header, description = "The version of the last record received."),
    ),
    responses((status = 200, content_type = "text/event-stream", body = String,
        description = "Server-sent events; the data of each is JSON: Record or End."))
)]
pub(crate) async fn one(
    State(api): State<Shared>,
    Id(run): Id<RunId>,
    headers: HeaderMap,
    _: NoQuery,
) -> Result<Messages, Problem> {
    let view = RunView::open(api, run, last_event_id(&headers)?).await?;
    Ok(messages(unfold(view, |mut view| async {
        view.next().await.map(|message| (Ok(message), view))
    })))
}

/// Shows what happens to all runs from now on.
///
/// Messages: `change`, and `missed` with a count where the reader was too slow.
#[utoipa::path(
    get, path = "/api/v1/tail", tag = "runs", operation_id = "tail_runs",
    responses((status = 200, content_type = "text/event-stream", body = String,
        description = "Server-sent events; the data of each is JSON: Change or Missed."))
)]
pub(crate) async fn all(State(api): State<Shared>, _: NoQuery) -> Result<Messages, Problem> {
    let view = AllView {
        _room: room(&api)?,
        stop: api.tasks.stop(Stage::Api),
        changes: api.engine.tail(),
    };
    Ok(messages(unfold(view, |mut view| async {
        view.next().await.map(|message| (Ok(message), view))
    })))
}

fn room(api: &Shared) -> Result<OwnedSemaphorePermit, Problem> {
    api.tails.clone().try_acquire_owned().map_err(|_| {
        Problem::new(&codes::TOO_MANY_TAILS, "no further live view can be opened")
            .retry_after(TAIL_WAIT)
    })
}

fn messages(stream: impl Stream<Item = Result<Message, Infallible>> + Send + 'static) -> Messages {
    Sse::new(stream.boxed()).keep_alive(KeepAlive::default())
}

fn last_event_id(headers: &HeaderMap) -> Result<u64, Problem> {
    let mut values = headers.get_all("last-event-id").iter();
    let version = match (values.next(), values.next()) {
        (None, _) => Some(0),
        (Some(value), None) => value.to_str().ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    version.ok_or_else(|| {
        Problem::new(
            &codes::INVALID_HEADER,
            "Last-Event-ID is the version of a record: a number, given once",
        )
    })
}

fn message<T: Serialize>(kind: &str, data: &T) -> Message {
    let message = Message::default().event(kind);
    match serde_json::to_string(data) {
        Ok(text) => message.data(text),
        Err(error) => message.comment(error.to_string()),
    }
}

/// The view of one run.
struct RunView {
    api: Shared,
    run: RunId,
    /// The version of the last record handed on.
    sent: u64,
    changes: broadcast::Receiver<Arc<Change>>,
    ready: VecDeque<Message>,
    over: bool,
    stop: Stop,
    _room: OwnedSemaphorePermit,
}

impl RunView {
    async fn open(api: Shared, run: RunId, sent: u64) -> Result<Self, Problem> {
        let version = api.engine.store().run(run).await?.version;
        if sent > version {
            let detail = format!("Last-Event-ID is {sent}, but the run has {version} records");
            return Err(Problem::new(&codes::INVALID_HEADER, detail));
        }
        Ok(Self {
            _room: room(&api)?,
            stop: api.tasks.stop(Stage::Api),
            // Subscribed before the journal is read, so that nothing falls in between.
            changes: api.engine.tail(),
            api,
            run,
            sent,
            ready: VecDeque::new(),
            over: false,
        })
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            if self.over {
                return None;
            }
            // A client that is cut off comes back by itself, with what it has.
            self.read().await.ok()?;
            if self.ready.is_empty() && !self.more().await {
                return None;
            }
        }
    }

    /// Gets ready what the journal has beyond what was sent.
    async fn read(&mut self) -> Result<(), conche_store::Error> {
        // The row first: a run that is over at this version has no record beyond it.
        let row = self.api.engine.store().run(self.run).await?;
        let journal = self.api.engine.store().journal(self.run, self.sent).await?;
        for record in RecordOut::number(self.sent, journal.records) {
            self.sent = record.version;
            let message = message("record", &record).id(record.version.to_string());
            self.ready.push_back(message);
        }
        if row.summary.status.is_finished() && row.version == self.sent {
            self.over = true;
            let end = message("end", &End::from(row.summary));
            self.ready.push_back(end.id(self.sent.to_string()));
        }
        Ok(())
    }

    /// Waits until there may be more. `false` when the server stops.
    async fn more(&mut self) -> bool {
        let run = self.run;
        let changed = async {
            loop {
                match self.changes.recv().await {
                    Ok(change) if change.run == run => return true,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return true,
                    Err(RecvError::Closed) => return false,
                }
            }
        };
        tokio::select! {
            () = self.stop.requested() => false,
            changed = tokio::time::timeout(LOOK_EVERY, changed) => changed.unwrap_or(true),
        }
    }
}

/// The view of all runs.
struct AllView {
    changes: broadcast::Receiver<Arc<Change>>,
    stop: Stop,
    _room: OwnedSemaphorePermit,
}

impl AllView {
    async fn next(&mut self) -> Option<Message> {
        let change = tokio::select! {
            () = self.stop.requested() => return None,
            change = self.changes.recv() => change,
        };
        match change {
            Ok(change) => Some(message("change", &ChangeOut::from(&*change))),
            Err(RecvError::Lagged(changes)) => Some(message("missed", &Missed { changes })),
            Err(RecvError::Closed) => None,
        }
    }
}
