//! Words of operators to runs. Each is stored before it is answered; the run takes it up
//! when it comes to it, so the answer is 202 and the run shows what became of it.

use axum::extract::State;
use axum::{Extension, Json as Answer};
use conche_core::run::{self, VisitNo};
use conche_core::{Json, RunId};
use conche_engine::By;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::actor::{Actor, settle};
use crate::extract::{Id, NoQuery, OptionalBody};
use crate::problem::Problem;
use crate::{Shared, codes};

/// Why a run is to end.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {
    /// For the journal.
    reason: Option<String>,
}

/// From where a run is to go on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// The visit to start from. Default: the last that failed.
    #[schema(value_type = Option<u32>)]
    visit: Option<VisitNo>,
}

/// Why a run is to pause.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pause {
    /// For the journal.
    reason: Option<String>,
}

/// How a run is to go on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    /// The visit decided on. Default: the one that needs attention, in a run that needed it only
    /// once; another run says in a 409 which visits do.
    #[schema(value_type = Option<u32>)]
    visit: Option<VisitNo>,
    /// The decision about an attempt whose effect is unknown. Without one the end of a pause is
    /// meant.
    resolution: Option<Resolution>,
}

/// What a person decided about an attempt whose effect is unknown.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Resolution {
    /// Do it, with the same key.
    Repeat,
    /// It did happen: go on with this output.
    Succeeded {
        /// What the action would have returned: an object.
        #[schema(value_type = Object)]
        output: Json,
    },
    /// Count it as failed.
    Failed {
        /// Why.
        reason: String,
    },
}

impl TryFrom<Resolution> for run::Resolution {
    type Error = Problem;

    fn try_from(resolution: Resolution) -> Result<Self, Problem> {
        match resolution {
            Resolution::Repeat => Ok(Self::Repeat),
            Resolution::Succeeded { output } if output.is_object() => {
                Ok(Self::Succeeded { output })
            }
            Resolution::Succeeded { .. } => Err(Problem::new(
                &codes::INVALID_BODY,
                "resolution.succeeded.output must be an object, as actions return them",
            )),
            Resolution::Failed { reason } => Ok(Self::Failed { reason }),
        }
    }
}

/// A word that is stored for its run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Signalled {
    /// The run.
    #[schema(value_type = String, format = "uuid")]
    run_id: RunId,
}

pub(crate) type Taken = (StatusCode, Answer<Signalled>);

pub(crate) const fn taken(run_id: RunId) -> Taken {
    (StatusCode::ACCEPTED, Answer(Signalled { run_id }))
}

/// Ends a run: nothing new is started, attempts under way are stopped.
#[utoipa::path(
    post, path = "/api/v1/runs/{id}/cancel", tag = "runs", operation_id = "cancel_run",
    params(("id" = String, Path, format = "uuid", description = "The run.")),
    request_body = Option<Cancel>,
    responses((status = 202, body = Signalled, description = "The run is told."))
)]
pub(crate) async fn cancel(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Id(run): Id<RunId>,
    _: NoQuery,
    OptionalBody(body): OptionalBody<Cancel>,
) -> Result<Taken, Problem> {
    let act = actor.act(&api, "run.cancel", run.to_string());
    let by = By::recorded(act.clone());
    let told = api.engine.cancel(run, by, body.reason).await;
    settle(&api, act, told).await?;
    Ok(taken(run))
}

/// Has a run that is over go on from one of its steps.
#[utoipa::path(
    post, path = "/api/v1/runs/{id}/retry", tag = "runs", operation_id = "retry_run",
    params(("id" = String, Path, format = "uuid", description = "The run.")),
    request_body = Option<Retry>,
    responses((status = 202, body = Signalled, description = "The run is told."))
)]
pub(crate) async fn retry(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Id(run): Id<RunId>,
    _: NoQuery,
    OptionalBody(body): OptionalBody<Retry>,
) -> Result<Taken, Problem> {
    let act = actor.act(&api, "run.retry", run.to_string());
    let by = By::recorded(act.clone()).known_as(actor.identity(&api));
    let told = api.engine.retry(run, body.visit, by).await;
    settle(&api, act, told).await?;
    Ok(taken(run))
}

/// Has a run begin nothing more until it is resumed; what is under way comes to its end.
#[utoipa::path(
    post, path = "/api/v1/runs/{id}/pause", tag = "runs", operation_id = "pause_run",
    params(("id" = String, Path, format = "uuid", description = "The run.")),
    request_body = Option<Pause>,
    responses((status = 202, body = Signalled, description = "The run is told."))
)]
pub(crate) async fn pause(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Id(run): Id<RunId>,
    _: NoQuery,
    OptionalBody(body): OptionalBody<Pause>,
) -> Result<Taken, Problem> {
    let act = actor.act(&api, "run.pause", run.to_string());
    let by = By::recorded(act.clone());
    let told = api.engine.pause(run, by, body.reason).await;
    settle(&api, act, told).await?;
    Ok(taken(run))
}

/// Ends the pause of a run; with a resolution, decides how one that needs attention goes on.
#[utoipa::path(
    post, path = "/api/v1/runs/{id}/resume", tag = "runs", operation_id = "resume_run",
    params(("id" = String, Path, format = "uuid", description = "The run.")),
    request_body = Option<Resume>,
    responses((status = 202, body = Signalled, description = "The run is told."))
)]
pub(crate) async fn resume(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Id(run): Id<RunId>,
    _: NoQuery,
    OptionalBody(body): OptionalBody<Resume>,
) -> Result<Taken, Problem> {
    let resolution = body.resolution.map(TryInto::try_into).transpose()?;
    let mut act = actor.act(&api, "run.resume", run.to_string());
    let after = if resolution.is_some() {
        "attention"
    } else {
        "pause"
    };
    act.detail.insert("after".to_owned(), after.to_owned());
    let by = By::recorded(act.clone());
    let told = match resolution {
        Some(resolution) => api.engine.resume(run, body.visit, resolution, by).await,
        None if body.visit.is_some() => {
            let detail = "a visit needs a resolution; a pause is of the whole run";
            return Err(Problem::new(&codes::INVALID_BODY, detail));
        }
        None => api.engine.unpause(run, by).await,
    };
    settle(&api, act, told).await?;
    Ok(taken(run))
}
