//! Lists of entities: one page, or how many there are.

use axum::Json;
use axum::response::{IntoResponse, Response};
use conche_openwhisk::model::{Collection, Count, EntityKind, Name};

use super::query::Query;
use crate::entities::{Kept, read};
use crate::host::Inner;
use crate::refusal::Refusal;
use crate::store::Listing;

/// What a request wants of a collection.
pub(super) struct Wanted {
    pub(super) listing: Listing,
    pub(super) count: bool,
}

/// Reads `limit`, `skip` and `count`.
pub(super) fn wanted<T: Kept + EntityKind>(
    query: &Query,
    namespace: &Name,
) -> Result<Wanted, Refusal> {
    let (limit, skip) = query.page(T::COLLECTION)?;
    Ok(Wanted {
        listing: Listing {
            namespace: Some(namespace.to_string()),
            skip,
            ..Listing::all(T::KIND, limit)
        },
        count: query.flag("count", false)?,
    })
}

/// The answer: `{"<collection>": n}` or the items as `summary` shows them.
pub(super) async fn answer<T: Kept + EntityKind>(
    host: &Inner,
    wanted: &Wanted,
    summary: impl Fn(T) -> T::Summary,
) -> Result<Response, Refusal> {
    if wanted.count {
        let all = Listing {
            limit: usize::MAX,
            ..wanted.listing.clone()
        };
        let count = host.store.count(&all).await?;
        return Ok(counted(T::COLLECTION, count, wanted.listing.skip));
    }
    let found = host.store.list(&wanted.listing).await?;
    let items: Result<Vec<T::Summary>, Refusal> = found
        .into_iter()
        .map(|entity| read::<T>(entity).map(&summary))
        .collect();
    Ok(Json(items?).into_response())
}

/// `{"<collection>": n}`, without those that are skipped.
pub(super) fn counted(collection: Collection, count: u64, skip: usize) -> Response {
    let count = count.saturating_sub(skip as u64);
    Json(Count::of(collection, count)).into_response()
}
