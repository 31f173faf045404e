//! Playbooks: every version as it was written, and none changed unless that is asked for.

use std::sync::Arc;

use super::given::at;
use super::ledger::act;
use crate::{Change, Error, PlaybookPut, PlaybookRow, Store};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    every_version_is_kept_as_it_was_written(&*open().await).await;
    a_version_has_one_content(&*open().await).await;
    a_version_is_replaced_where_that_is_asked_for(&*open().await).await;
    all_versions_of_a_playbook_go_together(&*open().await).await;
    a_change_of_a_playbook_is_recorded_with_its_act(&*open().await).await;
}

/// A version of a playbook, put so many seconds after the beginning of 2026.
pub fn playbook(id: &str, modified: &str, seconds: u64) -> PlaybookRow {
    PlaybookRow {
        id: id.to_owned(),
        modified: modified.to_owned(),
        text: format!("{{ \"id\":\"{id}\",\n\t\"modified\": \"{modified}\", \"ä\": 1.0 }}\n"),
        owner: "ann".to_owned(),
        put_at: at(seconds),
    }
}

const fn once(row: PlaybookRow) -> PlaybookPut {
    PlaybookPut {
        row,
        replace: false,
    }
}

async fn every_version_is_kept_as_it_was_written(store: &dyn Store) {
    let (newer, older) = (playbook("b", "2026-02", 0), playbook("b", "2026-01", 1));
    let other = playbook("a", "2026-03", 2);
    for row in [&newer, &older, &other] {
        assert_eq!(store.put_playbook(once(row.clone())).await, Ok(true));
    }
    assert_eq!(store.playbooks().await, Ok(vec![other, older, newer]));
}

async fn a_version_has_one_content(store: &dyn Store) {
    let first = playbook("a", "2026-01", 0);
    assert_eq!(store.put_playbook(once(first.clone())).await, Ok(true));
    let again = playbook("a", "2026-01", 9);
    assert_eq!(store.put_playbook(once(again)).await, Ok(false));
    let other = PlaybookRow {
        text: "{}".to_owned(),
        ..playbook("a", "2026-01", 9)
    };
    let refused = store.put_playbook(once(other)).await;
    let kind = "playbook";
    assert!(
        matches!(&refused, Err(Error::Exists { kind: found, .. }) if *found == kind),
        "{refused:?}"
    );
    assert_eq!(store.playbooks().await, Ok(vec![first]));
}

async fn a_version_is_replaced_where_that_is_asked_for(store: &dyn Store) {
    let first = playbook("a", "2026-01", 0);
    assert_eq!(store.put_playbook(once(first)).await, Ok(true));
    let row = PlaybookRow {
        text: "{}".to_owned(),
        owner: "bob".to_owned(),
        ..playbook("a", "2026-01", 9)
    };
    for changes in [true, false] {
        let put = PlaybookPut {
            row: row.clone(),
            replace: true,
        };
        assert_eq!(store.put_playbook(put).await, Ok(changes));
    }
    assert_eq!(store.playbooks().await, Ok(vec![row]));
}

async fn all_versions_of_a_playbook_go_together(store: &dyn Store) {
    let stays = playbook("b", "2026-01", 0);
    let goes = ["2026-01", "2026-02"].map(|modified| playbook("a", modified, 0));
    for row in goes.into_iter().chain([stays.clone()]) {
        assert_eq!(store.put_playbook(once(row)).await, Ok(true));
    }
    assert_eq!(store.delete_playbook("a").await, Ok(true));
    assert_eq!(store.delete_playbook("a").await, Ok(false));
    assert_eq!(store.playbooks().await, Ok(vec![stays]));
}

async fn a_change_of_a_playbook_is_recorded_with_its_act(store: &dyn Store) {
    let row = playbook("a", "2026-01", 0);
    let put = |row: &PlaybookRow| Change::PutPlaybook(once(row.clone()));
    let delete = || Change::DeletePlaybook("a".to_owned());
    for (change, changes) in [
        (put(&row), true),
        (put(&row), false),
        (delete(), true),
        (delete(), false),
    ] {
        assert_eq!(store.change(change, act("a", 0)).await, Ok(changes));
    }
    assert_eq!(store.change(put(&row), act("a", 0)).await, Ok(true));
    let other = PlaybookRow {
        text: "{}".to_owned(),
        ..row.clone()
    };
    let refused = store.change(put(&other), act("a", 0)).await;
    assert!(matches!(refused, Err(Error::Exists { .. })), "{refused:?}");
    assert_eq!(store.playbooks().await, Ok(vec![row]));
    let acts = store.acts(0, 10).await.expect("acts can be read");
    assert_eq!(acts.rows.len(), 3, "what changed nothing leaves no act");
}
