//! Activations: accepted once, begun once, over once; listed newest first; removed when old.

use std::sync::Arc;

use super::{admission, admit, finish, record};
use crate::store::{Commit, Error, Keep, Query, Record, Store};

/// Every check of this group.
pub(super) async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    what_is_accepted_stays_until_it_is_over(&*open().await).await;
    an_idempotency_key_means_one_activation(&*open().await).await;
    what_is_over_is_not_accepted_once_more(&*open().await).await;
    what_is_accepted_and_over_at_once_leaves_its_key(&*open().await).await;
    records_are_listed_newest_first_by_what_is_asked(&*open().await).await;
    a_record_is_seen_in_its_namespace_only(&*open().await).await;
    the_old_and_the_surplus_are_removed(&*open().await).await;
}

async fn what_is_accepted_stays_until_it_is_over(store: &dyn Store) {
    for id in ["b", "a", "c"] {
        assert_eq!(store.commit(admit(admission(id, None))).await, Ok(()));
    }
    let begin = Commit {
        begin: vec!["a".to_owned()],
        ..Commit::default()
    };
    assert_eq!(store.commit(begin).await, Ok(()));
    let mut begun = admission("a", None);
    begun.begun = true;
    let all = vec![admission("b", None), begun.clone(), admission("c", None)];
    assert_eq!(store.unfinished(9).await, Ok(all), "in the order of coming");
    assert_eq!(store.unfinished(1).await.map(|some| some.len()), Ok(1));
    assert_eq!(store.commit(finish(record("b", "n", 1))).await, Ok(()));
    let left = vec![begun, admission("c", None)];
    assert_eq!(store.unfinished(9).await, Ok(left));
}

async fn an_idempotency_key_means_one_activation(store: &dyn Store) {
    let known = Err(Error::Known {
        activation: "a".to_owned(),
    });
    let first = admission("a", Some("k"));
    assert_eq!(store.commit(admit(first.clone())).await, Ok(()));
    assert_eq!(store.commit(admit(first)).await, Ok(()), "the same again");
    let second = admit(admission("b", Some("k")));
    assert_eq!(store.commit(second.clone()).await, known);
    assert_eq!(store.commit(finish(record("a", "n", 1))).await, Ok(()));
    assert_eq!(store.commit(second).await, known, "also when it is over");
    let mut elsewhere = admission("c", Some("k"));
    "other".clone_into(&mut elsewhere.namespace);
    assert_eq!(store.commit(admit(elsewhere)).await, Ok(()));
    let known = async |namespace, key| store.known(namespace, key).await;
    assert_eq!(known("guest", "k").await, Ok(Some("a".to_owned())));
    assert_eq!(known("other", "k").await, Ok(Some("c".to_owned())));
    assert_eq!(known("guest", "another").await, Ok(None));
}

async fn what_is_over_is_not_accepted_once_more(store: &dyn Store) {
    assert_eq!(store.commit(finish(record("a", "n", 1))).await, Ok(()));
    assert_eq!(store.commit(admit(admission("a", None))).await, Ok(()));
    assert_eq!(store.unfinished(9).await, Ok(vec![]));
    let later = finish(record("a", "another", 2));
    assert_eq!(store.commit(later).await, Ok(()));
    let found = store.activation("guest", "a").await;
    assert_eq!(found, Ok(Some(record("a", "n", 1))), "the first stays");
}

async fn what_is_accepted_and_over_at_once_leaves_its_key(store: &dyn Store) {
    let both = |id: &str| Commit {
        admit: vec![admission(id, Some("k"))],
        finish: vec![record(id, "n", 1)],
        ..Commit::default()
    };
    assert_eq!(store.commit(both("a")).await, Ok(()));
    assert_eq!(store.unfinished(9).await, Ok(vec![]));
    let known = Err(Error::Known {
        activation: "a".to_owned(),
    });
    assert_eq!(store.commit(both("b")).await, known);
    assert_eq!(store.activation("guest", "b").await, Ok(None));
}

async fn records_are_listed_newest_first_by_what_is_asked(store: &dyn Store) {
    let packaged = Record {
        package: Some("p".to_owned()),
        ..record("d", "n", 4)
    };
    for record in [
        record("a", "n", 1),
        record("b", "m", 2),
        record("c", "n", 3),
        packaged,
    ] {
        assert_eq!(store.commit(finish(record)).await, Ok(()));
    }
    let ids = async |query: Query| {
        let found = store.activations(&query).await.expect("records are listed");
        let count = store.count_activations(&query).await;
        let count = count.expect("records are counted");
        assert!(count >= found.len() as u64, "{count}");
        found
            .into_iter()
            .map(|record| record.activation)
            .collect::<String>()
    };
    let all = Query {
        namespace: "guest".to_owned(),
        limit: 9,
        ..Query::default()
    };
    assert_eq!(ids(all.clone()).await, "dcba");
    let (since, upto) = (Some(2), Some(3));
    assert_eq!(
        ids(Query {
            since,
            upto,
            ..all.clone()
        })
        .await,
        "cb"
    );
    let none = Query {
        since: Some(5),
        upto: Some(2),
        ..all.clone()
    };
    assert_eq!(ids(none).await, "");
    let name = Some("n".to_owned());
    assert_eq!(
        ids(Query {
            name: name.clone(),
            ..all.clone()
        })
        .await,
        "dca"
    );
    let package = Some("p".to_owned());
    assert_eq!(
        ids(Query {
            name,
            package,
            ..all.clone()
        })
        .await,
        "d"
    );
    assert_eq!(
        ids(Query {
            skip: 1,
            limit: 2,
            ..all.clone()
        })
        .await,
        "cb"
    );
    assert_eq!(store.count_activations(&all).await, Ok(4));
}

async fn a_record_is_seen_in_its_namespace_only(store: &dyn Store) {
    assert_eq!(store.commit(finish(record("a", "n", 1))).await, Ok(()));
    assert_eq!(store.activation("other", "a").await, Ok(None));
    let query = Query {
        namespace: "other".to_owned(),
        limit: 9,
        ..Query::default()
    };
    assert_eq!(store.activations(&query).await, Ok(vec![]));
}

async fn the_old_and_the_surplus_are_removed(store: &dyn Store) {
    let keyed = admission("a", Some("k"));
    assert_eq!(store.commit(admit(keyed)).await, Ok(()));
    for (id, start) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        assert_eq!(store.commit(finish(record(id, "n", start))).await, Ok(()));
    }
    assert_eq!(store.commit(admit(admission("waits", None))).await, Ok(()));
    let keep = |since, most, limit| Keep { since, most, limit };
    assert_eq!(store.expire(keep(0, 9, 9)).await, Ok(0));
    assert_eq!(store.expire(keep(3, 9, 1)).await, Ok(1), "some at a time");
    assert_eq!(store.activation("guest", "a").await, Ok(None));
    let again = admit(admission("e", Some("k")));
    assert_eq!(store.commit(again).await, Ok(()), "its key is free again");
    assert_eq!(store.expire(keep(3, 9, 9)).await, Ok(1));
    assert_eq!(store.expire(keep(0, 1, 9)).await, Ok(1));
    let left = store.activation("guest", "d").await;
    assert_eq!(left, Ok(Some(record("d", "n", 4))));
    assert_eq!(
        store.unfinished(9).await.map(|all| all.len()),
        Ok(2),
        "what is not over is kept"
    );
}
