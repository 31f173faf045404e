//! Definitions and reactions: kept as they were put.

use std::sync::Arc;

use conche_core::Digest;

use super::given::at;
use crate::{DefinitionText, Error, ReactionRow, Store};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    a_definition_is_kept_as_it_was_put(&*open().await).await;
    a_text_of_another_digest_is_refused(&*open().await).await;
    a_reaction_replaces_the_one_of_its_name(&*open().await).await;
}

fn definition(text: &str) -> DefinitionText {
    DefinitionText {
        digest: Digest::of(text.as_bytes()),
        kind: "reaction".to_owned(),
        name: "scan".to_owned(),
        text: text.to_owned(),
    }
}

async fn a_definition_is_kept_as_it_was_put(store: &dyn Store) {
    for text in ["{\"name\":\"scan\"}", "{\"name\":\"scän\",\"v\":2}"] {
        let put = definition(text);
        for _ in 0..2 {
            assert_eq!(store.put_definition(put.clone()).await, Ok(()));
            assert_eq!(store.definition(put.digest).await, Ok(put.clone()));
        }
    }
}

async fn a_text_of_another_digest_is_refused(store: &dyn Store) {
    let wrong = DefinitionText {
        text: "another".to_owned(),
        ..definition("one")
    };
    let digest = wrong.digest;
    let refused = store.put_definition(wrong).await;
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    assert!(store.definition(digest).await.is_err());
}

async fn a_reaction_replaces_the_one_of_its_name(store: &dyn Store) {
    let reaction = |name: &str, text: &str, seconds| ReactionRow {
        name: name.to_owned(),
        text: text.to_owned(),
        updated_at: at(seconds),
    };
    let (b, a) = (reaction("b", "1", 0), reaction("a", "2", 1));
    for row in [&b, &a] {
        assert_eq!(store.put_reaction(row.clone()).await, Ok(()));
    }
    let both = vec![a.clone(), b];
    assert_eq!(store.reactions().await, Ok(both));
    let newer = reaction("b", "3", 2);
    assert_eq!(store.put_reaction(newer.clone()).await, Ok(()));
    assert_eq!(store.reactions().await, Ok(vec![a, newer.clone()]));
    assert_eq!(store.delete_reaction("a").await, Ok(true));
    assert_eq!(store.delete_reaction("a").await, Ok(false));
    assert_eq!(store.reactions().await, Ok(vec![newer]));
}
