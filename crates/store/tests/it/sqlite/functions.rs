//! What the embedded OpenWhisk host keeps. Its own contract is held against this store where
//! both come together, in `conche`; here is what only the store can tell.

use conche_core::Timestamp;
use conche_store::RunStore as _;
use conche_store::functions::{
    Activation, Admission, Commit, Document, Keep, Key, Query, Refused, Write,
};
use conche_store::sqlite::{SqliteConfig, backup, restore};

use super::{folder, open};

fn key(name: &str) -> Key {
    Key {
        path: "guest/tools".to_owned(),
        name: name.to_owned(),
    }
}

fn put(name: &str, expected: Option<u64>) -> Write {
    let document = Document {
        key: key(name),
        kind: "action".to_owned(),
        updated: 1,
        document: "{}".to_owned(),
        code: Some("code".to_owned()),
    };
    Write::Put { document, expected }
}

pub(crate) fn admission(id: &str, word: Option<&str>) -> Admission {
    Admission {
        activation: id.to_owned(),
        namespace: "guest".to_owned(),
        request: r#"{"action":"echo"}"#.to_owned(),
        begun: false,
        idempotency: word.map(str::to_owned),
    }
}

fn over(id: &str, start: u64) -> Activation {
    Activation {
        activation: id.to_owned(),
        namespace: "guest".to_owned(),
        name: "echo".to_owned(),
        package: None,
        start,
        document: "{}".to_owned(),
    }
}

fn all() -> Query {
    Query {
        namespace: "guest".to_owned(),
        limit: 10,
        ..Query::default()
    }
}

#[tokio::test]
async fn a_revision_is_never_given_twice_and_a_refused_commit_changed_nothing() {
    let folder = folder();
    let store = open(&SqliteConfig::new(folder.path()));
    let functions = store.functions();
    let commit = |writes| Commit {
        writes,
        ..Commit::default()
    };
    let made = functions.commit(commit(vec![put("a", None)])).await;
    assert_eq!(made, Ok(Ok(())));
    let (_, first) = functions.document(key("a")).await.unwrap().unwrap();
    // The second write of the commit is refused, so the first one has not happened either.
    let refused = functions
        .commit(commit(vec![put("b", None), put("a", None)]))
        .await;
    assert_eq!(refused, Ok(Err(Refused::Conflict(key("a")))));
    assert_eq!(functions.document(key("b")).await, Ok(None));
    let delete = Write::Delete {
        key: key("a"),
        expected: first,
    };
    assert_eq!(functions.commit(commit(vec![delete])).await, Ok(Ok(())));
    let made = functions.commit(commit(vec![put("a", None)])).await;
    assert_eq!(made, Ok(Ok(())));
    let (again, second) = functions.document(key("a")).await.unwrap().unwrap();
    assert!(second > first, "{second} after {first}");
    assert_eq!(again.code.as_deref(), Some("code"));
}

#[tokio::test]
async fn what_is_over_is_listed_newest_first_and_goes_oldest_first_with_its_key() {
    let folder = folder();
    let config = SqliteConfig::new(folder.path());
    let store = open(&config);
    let functions = store.functions();
    let commit = Commit {
        admit: vec![admission("a", Some("word")), admission("b", None)],
        begin: vec!["b".to_owned()],
        finish: vec![over("a", 10), over("c", 30), over("d", 20)],
        ..Commit::default()
    };
    assert_eq!(functions.commit(commit).await, Ok(Ok(())));
    let other = Commit {
        admit: vec![admission("e", Some("word"))],
        ..Commit::default()
    };
    let known = functions.commit(other.clone()).await;
    assert_eq!(known, Ok(Err(Refused::Known("a".to_owned()))));
    assert_eq!(store.close().await, Ok(()));

    let store = open(&config);
    let functions = store.functions();
    let open = functions.unfinished(10).await.unwrap();
    let open: Vec<_> = open
        .iter()
        .map(|one| (&*one.activation, one.begun))
        .collect();
    assert_eq!(open, [("b", true)]);
    let listed = functions.activations(all()).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|one| &*one.activation).collect();
    assert_eq!(ids, ["c", "d", "a"]);
    let keep = Keep {
        since: 0,
        most: 2,
        limit: 10,
    };
    assert_eq!(functions.expire(keep).await, Ok(1));
    assert_eq!(functions.count_activations(all()).await, Ok(2));
    assert_eq!(functions.commit(other).await, Ok(Ok(())), "the key is free");
}

#[tokio::test]
async fn what_was_accepted_before_a_copy_is_not_begun_where_that_is_put_back() {
    let (from, elsewhere, to) = (folder(), folder(), folder());
    let store = open(&SqliteConfig::new(from.path()));
    let commit = Commit {
        admit: vec![admission("a", None)],
        ..Commit::default()
    };
    assert_eq!(store.functions().commit(commit).await, Ok(Ok(())));
    let copy = elsewhere.path().join("copy");
    let now = Timestamp::from_second(100).unwrap();
    backup(from.path(), &copy, now).expect("a copy is written");
    restore(&copy, to.path(), None, now).expect("it is put back");
    let restored = open(&SqliteConfig::new(to.path()));
    let open = restored.functions().unfinished(10).await.unwrap();
    assert!(open[0].begun, "it may have been carried out since");
}
