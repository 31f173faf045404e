//! Entities: written only at the expected revision, all of a commit or nothing, listed newest
//! first.

use std::sync::Arc;

use super::{admission, entity, put, record};
use crate::store::{Commit, Error, Key, Kind, Listing, Store, Stored, Write};

/// Every check of this group.
pub(super) async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    an_entity_is_read_as_it_was_written(&*open().await).await;
    only_the_expected_revision_is_replaced_or_removed(&*open().await).await;
    a_commit_happens_as_a_whole_or_not_at_all(&*open().await).await;
    lists_are_newest_first_and_without_code(&*open().await).await;
    a_list_is_of_one_kind_namespace_and_package(&*open().await).await;
}

async fn read(store: &dyn Store, key: &Key) -> Stored {
    let found = store.entity(key).await.expect("entities can be read");
    found.expect("the entity is there")
}

async fn an_entity_is_read_as_it_was_written(store: &dyn Store) {
    let action = entity("guest/p q", "a.b@c", Kind::Action, 7);
    assert_eq!(store.commit(put(action.clone(), None)).await, Ok(()));
    assert_eq!(read(store, &action.key).await.entity, action);
    let other = Key::new("guest", "a.b@c");
    assert_eq!(store.entity(&other).await, Ok(None));
}

async fn only_the_expected_revision_is_replaced_or_removed(store: &dyn Store) {
    let first = entity("guest", "a", Kind::Trigger, 1);
    let key = first.key.clone();
    let conflict = Err(Error::Conflict(key.clone()));
    assert_eq!(store.commit(put(first.clone(), None)).await, Ok(()));
    assert_eq!(
        store.commit(put(first.clone(), None)).await,
        conflict,
        "a name means one entity"
    );
    let revision = read(store, &key).await.revision;
    let second = entity("guest", "a", Kind::Rule, 2);
    let replace = put(second.clone(), Some(revision));
    assert_eq!(store.commit(replace.clone()).await, Ok(()));
    assert_eq!(store.commit(replace).await, conflict, "the race is lost");
    let delete = |expected| Commit {
        writes: vec![Write::Delete {
            key: key.clone(),
            expected,
        }],
        ..Commit::default()
    };
    assert_eq!(store.commit(delete(revision)).await, conflict);
    let now = read(store, &key).await;
    assert_eq!(now.entity, second);
    assert_eq!(store.commit(delete(now.revision)).await, Ok(()));
    assert_eq!(store.entity(&key).await, Ok(None));
    assert_eq!(store.commit(delete(now.revision)).await, conflict);
    assert_eq!(store.commit(put(first, None)).await, Ok(()));
    let again = read(store, &key).await.revision;
    assert!(
        again > now.revision,
        "a name that comes back has no revision of before"
    );
}

async fn a_commit_happens_as_a_whole_or_not_at_all(store: &dyn Store) {
    let (one, two) = (
        entity("guest", "one", Kind::Trigger, 1),
        entity("guest", "two", Kind::Rule, 1),
    );
    let both = |expected| Commit {
        writes: vec![
            Write::Put {
                entity: one.clone(),
                expected: None,
            },
            Write::Put {
                entity: two.clone(),
                expected,
            },
        ],
        admit: vec![admission("a1", None)],
        finish: vec![record("f1", "t", 1)],
        ..Commit::default()
    };
    let refused = store.commit(both(Some(99))).await;
    assert_eq!(refused, Err(Error::Conflict(two.key.clone())));
    assert_eq!(store.entity(&one.key).await, Ok(None));
    assert_eq!(store.unfinished(9).await, Ok(vec![]));
    assert_eq!(store.activation("guest", "f1").await, Ok(None));
    assert_eq!(store.commit(both(None)).await, Ok(()));
    assert_eq!(read(store, &one.key).await.entity, one);
    assert_eq!(read(store, &two.key).await.entity, two);
    assert_eq!(store.unfinished(9).await.map(|all| all.len()), Ok(1));
    let found = store.activation("guest", "f1").await;
    assert_eq!(found, Ok(Some(record("f1", "t", 1))));
}

async fn lists_are_newest_first_and_without_code(store: &dyn Store) {
    for (name, updated) in [("old", 1), ("b", 5), ("a", 5), ("new", 9)] {
        let one = entity("guest", name, Kind::Action, updated);
        assert_eq!(store.commit(put(one, None)).await, Ok(()));
    }
    let page = |skip, limit| Listing {
        skip,
        namespace: Some("guest".to_owned()),
        ..Listing::all(Kind::Action, limit)
    };
    let names = async |listing: Listing| {
        let found = store.list(&listing).await.expect("entities can be listed");
        assert!(found.iter().all(|entity| entity.code.is_none()));
        found
            .into_iter()
            .map(|entity| entity.key.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(page(0, 9)).await, ["new", "a", "b", "old"]);
    assert_eq!(names(page(1, 2)).await, ["a", "b"]);
    assert_eq!(names(page(4, 2)).await, [""; 0]);
    assert_eq!(store.count(&page(1, 2)).await, Ok(4), "of all pages");
}

async fn a_list_is_of_one_kind_namespace_and_package(store: &dyn Store) {
    for (path, name, kind) in [
        ("guest", "plain", Kind::Action),
        ("guest/p", "packaged", Kind::Action),
        ("guest/pp", "other", Kind::Action),
        ("guest2", "foreign", Kind::Action),
        ("guest", "p", Kind::Package),
    ] {
        let one = entity(path, name, kind, 1);
        assert_eq!(store.commit(put(one, None)).await, Ok(()));
    }
    let count = async |namespace: Option<&str>, package: Option<&str>, kind| {
        let listing = Listing {
            namespace: namespace.map(str::to_owned),
            package: package.map(str::to_owned),
            ..Listing::all(kind, 9)
        };
        let found = store.list(&listing).await.expect("entities can be listed");
        let count = store.count(&listing).await;
        assert_eq!(count, Ok(found.len() as u64));
        found.len()
    };
    assert_eq!(count(Some("guest"), None, Kind::Action).await, 3);
    assert_eq!(count(Some("guest"), Some("p"), Kind::Action).await, 1);
    assert_eq!(count(Some("guest"), None, Kind::Package).await, 1);
    assert_eq!(count(Some("gues"), None, Kind::Action).await, 0);
    assert_eq!(count(None, None, Kind::Action).await, 4);
}
