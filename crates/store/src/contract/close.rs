//! Closing: what came before is done, what comes after is refused.

use std::sync::Arc;

use super::given::{self, acceptance, at, intake};
use crate::{Claim, Error, Store};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    a_closed_store_refuses(&*open().await).await;
    what_was_asked_before_is_answered(&*open().await).await;
}

async fn a_closed_store_refuses(store: &dyn Store) {
    let run = given::due_run(store, at(0)).await;
    assert_eq!(store.close().await, Ok(()));
    assert_eq!(store.close().await, Ok(()), "closing again changes nothing");
    let (node, now, limit) = (given::node(), at(0), 1);
    let refusals = [
        store
            .accept(intake(vec![acceptance("x", "1", at(0))], at(0)))
            .await
            .err(),
        store.claim(Claim { node, now, limit }).await.err(),
        store.run(run).await.err(),
        store.counts().await.err(),
        store.cursor("x").await.err(),
        store.next_due().await.err(),
        store.check().await.err(),
    ];
    for refusal in refusals {
        assert!(
            matches!(refusal, Some(Error::Unavailable(_))),
            "{refusal:?}"
        );
    }
}

async fn what_was_asked_before_is_answered(store: &dyn Store) {
    let asked = store.accept(intake(vec![acceptance("x", "1", at(0))], at(0)));
    // Polled in this order, so the request is made before the close.
    let (accepted, closed) = tokio::join!(biased; asked, store.close());
    assert_eq!(closed, Ok(()));
    assert!(accepted.is_ok(), "{accepted:?}");
}
