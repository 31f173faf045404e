//! The record of what was done by whom, to look at and to check.

use axum::Json as Answer;
use axum::extract::State;
use conche_core::{Digest, Json};
use conche_store::Recorded;
use conche_store::audit::Mark;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Shared;
use crate::extract::{Query, rows_at_most};
use crate::problem::Problem;

/// Which acts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// After this number, oldest first. Default: the newest page, oldest first within it.
    after: Option<u64>,
    /// The page that ends before this number; not with `after`.
    before: Option<u64>,
    /// Rows at most. Default: 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// A recorded act.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordedAct)]
pub(crate) struct RecordedOut {
    /// Its number, from 1 without gaps.
    seq: u64,
    /// The SHA-256 of the hash of the row before and this entry's canonical JSON.
    #[schema(value_type = String)]
    hash: Digest,
    /// The act and its number, in the canonical JSON that the hash is of.
    #[schema(value_type = Object)]
    entry: Json,
}

impl From<Recorded> for RecordedOut {
    fn from(row: Recorded) -> Self {
        // A text that is no JSON is shown as a text: the check says what is wrong with it.
        let entry = Json::parse(row.text.as_bytes(), conche_core::json::Limits::default());
        Self {
            seq: row.seq,
            hash: row.hash,
            entry: entry.unwrap_or_else(|_| Json::from(&serde_json::Value::String(row.text))),
        }
    }
}

/// A place in the chain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mark)]
pub(crate) struct MarkOut {
    /// The number of the row; 0 before the first.
    seq: u64,
    /// Its hash.
    #[schema(value_type = String)]
    hash: Digest,
}

impl From<Mark> for MarkOut {
    fn from(Mark { seq, hash }: Mark) -> Self {
        Self { seq, hash }
    }
}

/// A page of the record, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// The acts.
    acts: Vec<RecordedOut>,
    /// Give it as `before` for the page of older ones; `null` on the oldest.
    next: Option<u64>,
    /// The last row that retention removed.
    checkpoint: MarkOut,
    /// The last row of all.
    head: MarkOut,
}

/// Lists what was done by whom.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", operation_id = "list_acts", params(AuditQuery),
    responses((status = 200, body = AuditPage, description = "A page."))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    Query(query): Query<AuditQuery>,
) -> Result<Answer<AuditPage>, Problem> {
    let limit = rows_at_most(query.limit)?;
    let store = api.engine.store();
    let (after, limit) = match (query.after, query.before) {
        (Some(_), Some(_)) => {
            let detail = "give 'after' or 'before', not both";
            return Err(Problem::new(&crate::codes::INVALID_QUERY, detail));
        }
        (Some(after), None) => (after, limit),
        (None, before) => {
            let end = match before {
                Some(before) => before,
                None => store.acts(u64::MAX, 0).await?.head.seq.saturating_add(1),
            };
            let after = end.saturating_sub(u64::from(limit) + 1);
            let count = end.saturating_sub(after + 1);
            (after, u32::try_from(count).unwrap_or(limit))
        }
    };
    let found = store.acts(after, limit).await?;
    let first = found.rows.first().map(|row| row.seq);
    Ok(Answer(AuditPage {
        next: first.filter(|first| *first > found.checkpoint.seq + 1),
        acts: found.rows.into_iter().map(Into::into).collect(),
        checkpoint: found.checkpoint.into(),
        head: found.head.into(),
    }))
}
