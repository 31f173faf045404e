//! What playbooks ask people: listed, and answered by those who may.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::{Extension, Json as Answer};
use conche_core::run::{Answer as Given, Question, RunState, Status, VisitNo, VisitState};
use conche_core::{Json, RunId, Timestamp};
use conche_engine::By;
use conche_store::{Error, Page, RunFilter, RunRow, Store};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Shared;
use crate::actor::{Actor, settle};
use crate::extract::{Body, Id, NoQuery, Query, cut, page};
use crate::problem::Problem;
use crate::runs::signals::{Taken, taken};

/// Which runs that ask.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ApprovalQuery {
    /// Of runs older than this: `next` of the page before.
    #[param(value_type = Option<String>, format = "uuid")]
    before: Option<RunId>,
    /// Runs at most. Default: 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Something that a person is asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Approval {
    /// The run that asks.
    #[schema(value_type = String, format = "uuid")]
    run_id: RunId,
    /// The playbook that it follows.
    playbook: String,
    /// The visit to answer.
    #[schema(value_type = u32)]
    visit: VisitNo,
    /// The step that asks.
    step: String,
    /// What is asked: `text`, the `parties`, and the `answers` wanted with their types.
    #[schema(value_type = Object)]
    question: Question,
    /// When it counts as failed.
    #[schema(value_type = String, format = "date-time")]
    until: Timestamp,
}

/// What people are asked, the newest run first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApprovalPage {
    /// The questions.
    approvals: Vec<Approval>,
    /// Give it as `before` for the next page; `null` on the last.
    #[schema(value_type = Option<String>, format = "uuid")]
    next: Option<RunId>,
}

/// Lists what people are asked.
#[utoipa::path(
    get, path = "/api/v1/approvals", tag = "approvals", operation_id = "list_approvals",
    params(ApprovalQuery),
    responses((status = 200, body = ApprovalPage, description = "A page."))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    Query(query): Query<ApprovalQuery>,
) -> Result<Answer<ApprovalPage>, Problem> {
    let page = page(query.before, query.limit)?;
    let store = api.engine.store();
    let mut rows = asking(&**store, page).await?;
    let next = cut(&mut rows, page, |row| row.run);
    let mut approvals = Vec::new();
    for row in rows {
        let records = store.whole_journal(row.run).await?;
        // A journal that does not fold is told of with its run, not here.
        if let Ok(state) = RunState::fold(row.run, records) {
            approvals.extend(asked(&row.name, &state));
        }
    }
    Ok(Answer(ApprovalPage { approvals, next }))
}

/// Runs that may ask something, newest first: one that is paused asks still.
pub(crate) async fn asking(store: &dyn Store, page: Page<RunId>) -> Result<Vec<RunRow>, Error> {
    let mut rows = Vec::new();
    for status in [Status::AwaitingAnswer, Status::Paused] {
        let filter = RunFilter {
            status: Some(status),
            ..RunFilter::default()
        };
        rows.extend(store.runs(filter, page).await?);
    }
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.run));
    rows.truncate(page.limit as usize);
    Ok(rows)
}

fn asked(playbook: &str, state: &RunState) -> Vec<Approval> {
    let visits = state.live_visits().into_iter();
    let asking = visits.filter_map(|(number, visit)| match &visit.state {
        VisitState::Asked { question, until } => Some(Approval {
            run_id: state.run(),
            playbook: playbook.to_owned(),
            visit: number,
            step: visit.step.to_string(),
            question: question.clone(),
            until: *until,
        }),
        _ => None,
    });
    asking.collect()
}

/// What a person answers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerIn {
    /// The visit that is answered. Default: the one that asks, in a run that asked nothing else
    /// before; another run says in a 409 which visits ask.
    #[schema(value_type = Option<u32>)]
    visit: Option<VisitNo>,
    /// Values by variable, with the underscores. Default: none.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    values: BTreeMap<String, Json>,
    /// Set where it was not done, or not well: why. The step fails then.
    failed: Option<String>,
}

/// Answers what a run asks.
#[utoipa::path(
    post, path = "/api/v1/runs/{id}/answers", tag = "approvals", operation_id = "answer_run",
    params(("id" = String, Path, format = "uuid", description = "The run.")),
    request_body = AnswerIn,
    responses((status = 202, body = crate::runs::signals::Signalled, description = "The run is told."))
)]
pub(crate) async fn answer(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Id(run): Id<RunId>,
    _: NoQuery,
    Body(body): Body<AnswerIn>,
) -> Result<Taken, Problem> {
    let act = actor.act(&api, "run.answer", run.to_string());
    let by = By::recorded(act.clone()).known_as(actor.identity(&api));
    let given = Given {
        values: body.values,
        failed: body.failed,
    };
    let told = api.engine.answer(run, body.visit, given, by).await;
    settle(&api, act, told).await?;
    Ok(taken(run))
}
