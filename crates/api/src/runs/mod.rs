//! Runs: listed, looked at, acted on, watched.

pub(crate) mod signals;
mod steps;
pub(crate) mod tail;

use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::State;
use conche_core::run::{Entry, Record};
use conche_core::{Digest, EventId, Json, RunId, Timestamp, run};
use conche_store::{Page, RunFilter, RunRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::steps::StepOut;
use crate::Shared;
use crate::extract::{Id, NoQuery, PAGE_MAX, Query, cut, page, rows_at_most};
use crate::problem::Problem;

/// One word for the state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Being worked on, or waiting for a timer.
    Running,
    /// Waiting for a person who was asked.
    AwaitingAnswer,
    /// Waiting for a person, since nobody else can say how to go on.
    NeedsAttention,
    /// Paused by a person: nothing is begun.
    Paused,
    /// Ending.
    Cancelling,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Ended on request.
    Cancelled,
}

impl From<run::Status> for Status {
    fn from(status: run::Status) -> Self {
        match status {
            run::Status::Running => Self::Running,
            run::Status::AwaitingAnswer => Self::AwaitingAnswer,
            run::Status::NeedsAttention => Self::NeedsAttention,
            run::Status::Paused => Self::Paused,
            run::Status::Cancelling => Self::Cancelling,
            run::Status::Succeeded => Self::Succeeded,
            run::Status::Failed => Self::Failed,
            run::Status::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Status> for run::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Running => Self::Running,
            Status::AwaitingAnswer => Self::AwaitingAnswer,
            Status::NeedsAttention => Self::NeedsAttention,
            Status::Paused => Self::Paused,
            Status::Cancelling => Self::Cancelling,
            Status::Succeeded => Self::Succeeded,
            Status::Failed => Self::Failed,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

/// With what the identifiers of playbooks begin.
const PLAYBOOK: &str = "playbook--";

/// A run at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub(crate) struct RunOut {
    /// The run.
    #[schema(value_type = String, format = "uuid")]
    run_id: RunId,
    /// One word.
    status: Status,
    /// Why it failed, was cancelled, is paused or needs attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The name of what it follows.
    definition: String,
    /// What people call the playbook that it follows, as far as that is at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    playbook_name: Option<String>,
    /// The version of it.
    #[schema(value_type = String)]
    digest: Digest,
    /// The event that triggered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    event_id: Option<EventId>,
    /// When it began.
    #[schema(value_type = String, format = "date-time")]
    started_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    finished_at: Option<Timestamp>,
    /// When it is given up.
    #[schema(value_type = String, format = "date-time")]
    deadline: Timestamp,
    /// When it is looked at again; absent while it is worked on and when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    due: Option<Timestamp>,
    /// Whether a node works on it now.
    held: bool,
    /// Records in its journal.
    version: u64,
}

impl From<RunRow> for RunOut {
    fn from(row: RunRow) -> Self {
        Self {
            run_id: row.run,
            status: row.summary.status.into(),
            reason: row.summary.reason,
            definition: row.name,
            playbook_name: None,
            digest: row.definition,
            event_id: row.event,
            started_at: row.started_at,
            finished_at: row.summary.finished_at,
            deadline: row.summary.deadline,
            due: row.due,
            held: row.held,
            version: row.version,
        }
    }
}

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RunQuery {
    /// Exactly this status.
    status: Option<Status>,
    /// Runs of the reaction of this name.
    reaction: Option<String>,
    /// Runs that this event triggered.
    #[param(value_type = Option<String>, format = "uuid")]
    event: Option<EventId>,
    /// Older than this run: `next` of the page before.
    #[param(value_type = Option<String>, format = "uuid")]
    before: Option<RunId>,
    /// Rows at most. Default: 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// A page of runs, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunPage {
    /// The runs.
    runs: Vec<RunOut>,
    /// Give it as `before` for the next page; `null` on the last.
    #[schema(value_type = Option<String>, format = "uuid")]
    next: Option<RunId>,
}

/// Lists runs, newest first.
#[utoipa::path(
    get, path = "/api/v1/runs", tag = "runs", operation_id = "list_runs", params(RunQuery),
    responses((status = 200, body = RunPage, description = "A page."))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    Query(query): Query<RunQuery>,
) -> Result<Answer<RunPage>, Problem> {
    let page = page(query.before, query.limit)?;
    let filter = RunFilter {
        status: query.status.map(Into::into),
        name: query.reaction,
        event: query.event,
    };
    let mut rows = api.engine.store().runs(filter, page).await?;
    let next = cut(&mut rows, page, |row| row.run);
    let runs = named(&api, rows).await;
    Ok(Answer(RunPage { runs, next }))
}

/// The newest runs of an event, as many as a page can have.
pub(crate) async fn of_event(api: &Shared, event: EventId) -> Result<Vec<RunOut>, Problem> {
    let filter = RunFilter {
        event: Some(event),
        ..RunFilter::default()
    };
    let page = Page {
        before: None,
        limit: PAGE_MAX,
    };
    let runs = api.engine.store().runs(filter, page).await?;
    Ok(named(api, runs).await)
}

/// Runs, those of playbooks with what these are called.
async fn named(api: &Shared, rows: Vec<RunRow>) -> Vec<RunOut> {
    let ids = rows.iter().map(|row| &*row.name);
    let ids = ids.filter(|name| name.starts_with(PLAYBOOK)).collect();
    let names = api.engine.playbook_names(&ids).await;
    let out = |row: RunRow| RunOut {
        playbook_name: names.get(&row.name).cloned(),
        ..row.into()
    };
    rows.into_iter().map(out).collect()
}

/// A run with its steps.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunDetail {
    #[serde(flatten)]
    run: RunOut,
    /// What it waits for that is neither a time nor a person: its turn, a place at a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
    /// Every visit of a step, in the order in which they were entered.
    steps: Vec<StepOut>,
    /// Variables by name.
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    variables: BTreeMap<String, Json>,
    /// Whether inputs, outputs and console lines were left out of the later steps because
    /// they are large; the journal has them all.
    truncated: bool,
    /// Set where the journal cannot be read: then there are no steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    journal_fault: Option<String>,
}

/// Shows a run with its steps, as its journal tells them.
#[utoipa::path(
    get, path = "/api/v1/runs/{id}", tag = "runs", operation_id = "show_run",
    params(("id" = String, Path, format = "uuid", description = "The run.")),
    responses((status = 200, body = RunDetail, description = "The run."))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Id(run): Id<RunId>,
    _: NoQuery,
) -> Result<Answer<RunDetail>, Problem> {
    let row = api.engine.store().run(run).await?;
    let ids = [&*row.name].into();
    let names = api.engine.playbook_names(&ids).await;
    let out = RunOut {
        playbook_name: names.into_values().next(),
        ..row.into()
    };
    let folded = steps::read(&api, run).await?;
    Ok(Answer(RunDetail {
        run: out,
        waits_for: api.engine.waits_for(run),
        steps: folded.steps,
        variables: folded.variables,
        truncated: folded.truncated,
        journal_fault: folded.fault,
    }))
}

/// Which part of a journal.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JournalQuery {
    /// The version before the first record: `next` of the page before. Default: 0.
    #[serde(default)]
    #[param(value_type = Option<u64>)]
    from: u64,
    /// Records at most. Default: 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// A page of a journal, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JournalPage {
    /// The records.
    records: Vec<RecordOut>,
    /// Give it as `from` for the next page; `null` where this one has the last record so far.
    next: Option<u64>,
}

/// One record of a journal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Record)]
pub(crate) struct RecordOut {
    /// The version of the run with this record: its number, from 1.
    version: u64,
    /// When it was recorded.
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
    /// What was recorded: an object with one member, named after the kind of entry.
    #[schema(value_type = serde_json::Value)]
    entry: Entry,
}

impl RecordOut {
    /// Numbers records that follow the version `from`.
    fn number(from: u64, records: Vec<Record>) -> impl Iterator<Item = Self> {
        (from + 1..).zip(records).map(|(version, record)| Self {
            version,
            at: record.at,
            entry: record.entry,
        })
    }
}

/// Shows the journal of a run.
#[utoipa::path(
    get, path = "/api/v1/runs/{id}/journal", tag = "runs", operation_id = "show_journal",
    params(("id" = String, Path, format = "uuid", description = "The run."), JournalQuery),
    responses((status = 200, body = JournalPage, description = "A page."))
)]
pub(crate) async fn journal(
    State(api): State<Shared>,
    Id(run): Id<RunId>,
    Query(query): Query<JournalQuery>,
) -> Result<Answer<JournalPage>, Problem> {
    let limit = rows_at_most(query.limit)? as usize;
    let mut journal = api.engine.store().journal(run, query.from).await?;
    // A page ends sooner where its records are large.
    let more = journal.more || journal.records.len() > limit;
    journal.records.truncate(limit);
    Ok(Answer(JournalPage {
        next: more.then(|| query.from + journal.records.len() as u64),
        records: RecordOut::number(query.from, journal.records).collect(),
    }))
}
