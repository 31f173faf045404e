//! Whole collections, page by page, as streams.
//!
//! Pages are counted from the newest. What is added meanwhile moves the others, so that one may
//! come twice and what is removed may leave another out: the API has no better way. For
//! activations `upto` holds the end still.

use futures_util::stream::{self, Stream, TryStreamExt as _};

use super::{Client, Error};
use crate::model::{
    ActivationQuery, ActivationSummary, EntityKind, EntityPath, LIST_MAX, ListQuery,
};

impl Client {
    /// All of a collection, newest first.
    pub fn all<E: EntityKind>(
        &self,
        within: &EntityPath,
    ) -> impl Stream<Item = Result<E::Summary, Error>> + Send {
        let (client, within) = (self.clone(), within.clone());
        pages(move |skip| {
            let (client, within) = (client.clone(), within.clone());
            async move {
                let query = ListQuery {
                    limit: Some(LIST_MAX),
                    skip: Some(skip),
                };
                client.list::<E>(&within, query).await
            }
        })
    }

    /// All activations that a query finds, newest first; its `limit` and `skip` do not count.
    pub fn all_activations(
        &self,
        query: &ActivationQuery,
    ) -> impl Stream<Item = Result<ActivationSummary, Error>> + Send {
        let (client, query) = (self.clone(), query.clone());
        pages(move |skip| {
            let client = client.clone();
            let query = ActivationQuery {
                limit: Some(LIST_MAX),
                skip: Some(skip),
                ..query.clone()
            };
            async move { client.activations(&query).await }
        })
    }
}

/// Asks for pages until one is not full.
fn pages<T, F, P>(page: P) -> impl Stream<Item = Result<T, Error>> + Send
where
    T: Send,
    F: Future<Output = Result<Vec<T>, Error>> + Send,
    P: Fn(u32) -> F + Send,
{
    let read = stream::try_unfold((page, Some(0)), |(page, skip)| async move {
        let Some(skip) = skip else {
            return Ok::<_, Error>(None);
        };
        let items = page(skip).await?;
        let is_full = items.len() >= LIST_MAX as usize;
        let next = is_full.then(|| skip.saturating_add(LIST_MAX));
        let items = stream::iter(items.into_iter().map(Ok::<T, Error>));
        Ok(Some((items, (page, next))))
    });
    read.try_flatten()
}
