//! Named lists: what is in them, an entry put, an entry removed.
//!
//! A list is its entries: one without any is none, so that nothing creates or deletes a list.
//! The key of an entry stands in the query or the body and never in the path, since keys are
//! whatever events bring and a path cannot carry all of that (`..`, for one).

use axum::extract::State;
use axum::{Extension, Json as Answer};
use conche_core::span::Span;
use conche_core::{Json, Timestamp};
use conche_engine::NewEntry;
use conche_store::ListEntry;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::Shared;
use crate::actor::{Actor, settle};
use crate::extract::{Body, Name, NoQuery, Query, rows_at_most};
use crate::problem::Problem;

/// The lists that have entries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Lists {
    /// By name.
    lists: Vec<ListOut>,
}

/// A list at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = List)]
pub(crate) struct ListOut {
    /// Its name.
    name: String,
    /// How many entries count now.
    entries: usize,
}

/// Lists the lists that have entries.
#[utoipa::path(
    get, path = "/api/v1/lists", tag = "lists", operation_id = "list_lists",
    responses((status = 200, body = Lists, description = "The lists."))
)]
pub(crate) async fn all(State(api): State<Shared>, _: NoQuery) -> Answer<Lists> {
    let lists = api.engine.lists().into_iter();
    let lists = lists.map(|(name, entries)| ListOut { name, entries });
    Answer(Lists {
        lists: lists.collect(),
    })
}

/// An entry of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListEntry)]
pub(crate) struct EntryOut {
    /// Its key within the list.
    key: String,
    /// What is kept under it.
    #[schema(value_type = serde_json::Value)]
    value: Json,
    /// When it was put.
    #[schema(value_type = String, format = "date-time")]
    put_at: Timestamp,
    /// From when on it counts no more. Default: it counts until it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    expires_at: Option<Timestamp>,
}

impl From<ListEntry> for EntryOut {
    fn from(entry: ListEntry) -> Self {
        Self {
            key: entry.key,
            value: entry.value,
            put_at: entry.put_at,
            expires_at: entry.expires_at,
        }
    }
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntryQuery {
    /// Exactly this key: one entry or none.
    key: Option<String>,
    /// After this key: `next` of the page before.
    after: Option<String>,
    /// Rows at most. Default: 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// A page of entries, by key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListEntries)]
pub(crate) struct Entries {
    /// Those that count now; none where there is no such list.
    entries: Vec<EntryOut>,
    /// Give it as `after` for the next page; `null` on the last.
    next: Option<String>,
}

/// Shows the entries of a list that count now, by key.
#[utoipa::path(
    get, path = "/api/v1/lists/{name}/entries", tag = "lists", operation_id = "list_entries",
    params(("name" = String, Path, description = "The list."), EntryQuery),
    responses((status = 200, body = Entries, description = "A page."))
)]
pub(crate) async fn entries(
    State(api): State<Shared>,
    Name(list): Name,
    Query(query): Query<EntryQuery>,
) -> Result<Answer<Entries>, Problem> {
    let limit = rows_at_most(query.limit)? as usize;
    let mut found = match &query.key {
        Some(key) => api.engine.list_entry(&list, key).into_iter().collect(),
        // One row more, by which it is seen whether another page follows.
        None => api
            .engine
            .list_entries(&list, query.after.as_deref(), limit + 1),
    };
    let is_cut = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| is_cut);
    Ok(Answer(Entries {
        next: last.map(|entry| entry.key.clone()),
        entries: found.into_iter().map(Into::into).collect(),
    }))
}

/// An entry to put.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewListEntry)]
pub(crate) struct EntryIn {
    /// Its key, such as an address; 1 to 200 bytes.
    key: String,
    /// What is kept under it, at most 1 KiB. Default: `true`.
    #[schema(value_type = Option<serde_json::Value>)]
    value: Option<Json>,
    /// How long it counts, such as `1h`. Default: until it is removed.
    #[schema(value_type = Option<String>)]
    ttl: Option<Span>,
}

/// Puts an entry into a list, in place of the one of its key. It is in force, and on disk,
/// when the answer comes. The list need not exist before.
#[utoipa::path(
    put, path = "/api/v1/lists/{name}/entries", tag = "lists", operation_id = "put_list_entry",
    params(("name" = String, Path, description = "The list.")),
    request_body = EntryIn,
    responses((status = 200, body = EntryOut, description = "It is in force."))
)]
pub(crate) async fn put(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Name(list): Name,
    _: NoQuery,
    Body(entry): Body<EntryIn>,
) -> Result<Answer<EntryOut>, Problem> {
    let mut act = actor.act(&api, "list.put", place(&list, &entry.key));
    let ttl = entry.ttl.map(|ttl| ttl.0);
    if let Some(ttl) = ttl {
        let seconds = format!("{}s", ttl.as_secs_f64());
        act.detail.insert("ttl".to_owned(), seconds);
    }
    let entry = NewEntry {
        list,
        key: entry.key,
        value: entry
            .value
            .unwrap_or_else(|| Json::from(&Value::Bool(true))),
        ttl,
    };
    let put = api.engine.put_entry_by(entry, Some(act.clone())).await;
    Ok(Answer(settle(&api, act, put).await?.into()))
}

/// Which entry to remove.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RemoveQuery {
    /// Its key.
    key: String,
}

/// What a removal did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RemovedListEntry)]
pub(crate) struct Removed {
    /// Whether there was such an entry; doing it again finds none.
    removed: bool,
}

/// Takes an entry out of a list. Doing it again changes nothing.
#[utoipa::path(
    delete, path = "/api/v1/lists/{name}/entries", tag = "lists", operation_id = "remove_list_entry",
    params(("name" = String, Path, description = "The list."), RemoveQuery),
    responses((status = 200, body = Removed, description = "There is no such entry any more."))
)]
pub(crate) async fn remove(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Name(list): Name,
    Query(RemoveQuery { key }): Query<RemoveQuery>,
) -> Result<Answer<Removed>, Problem> {
    let act = actor.act(&api, "list.remove", place(&list, &key));
    let done = api
        .engine
        .remove_entry_by(&list, &key, Some(act.clone()))
        .await;
    let removed = settle(&api, act, done).await?;
    Ok(Answer(Removed { removed }))
}

/// An entry as the record names it; what is kept under it is a payload and does not get in.
fn place(list: &str, key: &str) -> String {
    format!("{list}/{key}")
}
