//! Named lists: entries by list and key, kept until they are replaced, removed or over.

use std::sync::Arc;

use conche_core::{Json, Timestamp};

use super::given::at;
use crate::{ListEntry, Retention, Store};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    an_entry_is_replaced_and_removed_by_its_key(&*open().await).await;
    entries_are_read_in_order_from_any_of_them_on(&*open().await).await;
    retention_removes_entries_that_are_over(&*open().await).await;
}

fn entry(list: &str, key: &str, expires_at: Option<Timestamp>) -> ListEntry {
    ListEntry {
        list: list.to_owned(),
        key: key.to_owned(),
        value: Json::from(&serde_json::json!({ "why": key })),
        put_at: at(0),
        expires_at,
    }
}

async fn put(store: &dyn Store, entry: &ListEntry) {
    assert_eq!(store.put_entry(entry.clone()).await, Ok(()));
}

async fn all(store: &dyn Store) -> Vec<ListEntry> {
    let all = store.entries(None, 100).await;
    all.expect("entries can be listed")
}

async fn an_entry_is_replaced_and_removed_by_its_key(store: &dyn Store) {
    let stays = entry("blocked", "1.2.3.4", None);
    put(store, &stays).await;
    let other = entry("watched", "1.2.3.4", Some(at(9)));
    put(store, &other).await;
    assert_eq!(all(store).await, [stays.clone(), other.clone()]);
    let replaced = ListEntry {
        value: Json::null(),
        put_at: at(1),
        expires_at: Some(at(5)),
        ..stays
    };
    put(store, &replaced).await;
    assert_eq!(all(store).await, [replaced, other.clone()]);
    assert_eq!(store.remove_entry("blocked", "1.2.3.4").await, Ok(true));
    assert_eq!(store.remove_entry("blocked", "1.2.3.4").await, Ok(false));
    assert_eq!(all(store).await, [other]);
}

async fn entries_are_read_in_order_from_any_of_them_on(store: &dyn Store) {
    for (list, key) in [("b", "1"), ("a", "2"), ("a", "1"), ("c", "")] {
        put(store, &entry(list, key, None)).await;
    }
    let mut after = None;
    let mut found = Vec::new();
    loop {
        let page = store.entries(after, 2).await.expect("it is read");
        let Some(last) = page.last() else { break };
        after = Some((last.list.clone(), last.key.clone()));
        found.extend(page.into_iter().map(|entry| entry.list + &entry.key));
    }
    assert_eq!(found, ["a1", "a2", "b1", "c"]);
}

async fn retention_removes_entries_that_are_over(store: &dyn Store) {
    for (key, expires_at) in [("1", Some(at(5))), ("2", Some(at(6))), ("3", None)] {
        put(store, &entry("blocked", key, expires_at)).await;
    }
    let retention = Retention {
        events_before: at(0),
        runs_before: at(0),
        dedup_before: at(0),
        ended_before: at(5),
        limit: 100,
    };
    let expired = store.expire(retention).await.expect("it expires");
    assert_eq!(expired.ended, 1);
    let left: Vec<String> = all(store).await.into_iter().map(|left| left.key).collect();
    assert_eq!(left, ["2", "3"]);
}
