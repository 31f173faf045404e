//! Tokens and acts: a change and its act are one, and the chain of acts is whole.

use std::sync::Arc;

use conche_core::{Digest, Json, RunId};

use super::given::{acceptance, at, id_at, intake};
use crate::audit::{Broken, Chain, Mark};
use crate::{Act, Change, Error, ListEntry, ReactionRow, Signal, Store, TokenId, TokenRow, Who};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    a_change_is_recorded_with_its_act(&*open().await).await;
    a_change_of_a_list_is_recorded_with_its_act(&*open().await).await;
    a_refused_change_leaves_no_act(&*open().await).await;
    what_changes_nothing_leaves_no_act(&*open().await).await;
    a_name_is_one_tokens_until_it_is_revoked(&*open().await).await;
    a_token_is_revoked_once_and_for_all(&*open().await).await;
    the_use_of_a_token_is_noted(&*open().await).await;
    acts_are_numbered_without_gaps_and_chained(&*open().await).await;
    retention_keeps_the_chain_whole(&*open().await).await;
    tokens_that_ended_long_ago_are_removed(&*open().await).await;
}

/// An act on a target, so many seconds after the beginning of 2026.
pub fn act(target: &str, seconds: u64) -> Act {
    Act {
        at: at(seconds),
        detail: [("reason".to_owned(), "\u{1}a \"test\" ä".to_owned())].into(),
        outcome: "done".to_owned(),
        target: target.to_owned(),
        what: "test.done".to_owned(),
        who: Who {
            name: "ann".to_owned(),
            peer: Some("127.0.0.1:1".to_owned()),
            ..Who::default()
        },
    }
}

/// A token of a name, made at `at(0)`.
pub fn token(name: &str) -> TokenRow {
    let id = id_at(at(0));
    TokenRow {
        token: TokenId(id),
        digest: Digest::of(id.as_bytes()),
        name: name.to_owned(),
        role: "viewer".to_owned(),
        created_at: at(0),
        created_by: "ann".to_owned(),
        expires_at: Some(at(100)),
        last_used: None,
        revoked_at: None,
    }
}

/// Checks the whole chain of a store; its head where it is whole.
pub async fn verify(store: &dyn Store) -> Result<Mark, Broken> {
    let all = store.acts(0, u32::MAX).await.expect("acts can be read");
    let mut chain = Chain::new(all.checkpoint);
    all.rows.iter().try_for_each(|row| chain.check(row))?;
    chain.end(all.head)
}

async fn targets(store: &dyn Store) -> Vec<String> {
    let all = store.acts(0, u32::MAX).await.expect("acts can be read");
    let acts = all.rows.iter().map(|row| row.act().expect("it is an act"));
    acts.map(|act| act.target).collect()
}

async fn a_change_is_recorded_with_its_act(store: &dyn Store) {
    let now = at(0);
    let accepted = acceptance("s", "1", now);
    let run = accepted.runs[0].run;
    store
        .accept(intake(vec![accepted], now))
        .await
        .expect("it is accepted");
    let signal = Signal::Cancel {
        by: "ann".to_owned(),
        reason: None,
    };
    let reaction = ReactionRow {
        name: "r".to_owned(),
        text: "1".to_owned(),
        updated_at: now,
    };
    let row = token("t");
    for (change, target) in [
        (Change::PutReaction(reaction.clone()), "put"),
        (
            Change::Signal {
                run,
                signal: signal.clone(),
                expected: None,
                now,
            },
            "signal",
        ),
        (Change::PutToken(row.clone()), "token"),
    ] {
        assert_eq!(store.change(change, act(target, 0)).await, Ok(true));
    }
    assert_eq!(store.reactions().await, Ok(vec![reaction]));
    assert_eq!(store.tokens().await, Ok(vec![row]));
    let signals = store.signals(run).await.expect("they are read");
    assert_eq!(
        signals.into_iter().map(|found| found.1).collect::<Vec<_>>(),
        [signal]
    );
    let delete = Change::DeleteReaction("r".to_owned());
    assert_eq!(store.change(delete, act("delete", 0)).await, Ok(true));
    assert_eq!(store.reactions().await, Ok(Vec::new()));
    assert_eq!(targets(store).await, ["put", "signal", "token", "delete"]);
    assert_eq!(verify(store).await.map(|head| head.seq), Ok(4));
}

async fn a_change_of_a_list_is_recorded_with_its_act(store: &dyn Store) {
    let entry = ListEntry {
        list: "blocked".to_owned(),
        key: "1.2.3.4".to_owned(),
        value: Json::null(),
        put_at: at(0),
        expires_at: Some(at(60)),
    };
    let put = Change::PutEntry(entry.clone());
    assert_eq!(store.change(put, act("put", 0)).await, Ok(true));
    assert_eq!(store.entries(None, 10).await, Ok(vec![entry]));
    let remove = || Change::RemoveEntry {
        list: "blocked".to_owned(),
        key: "1.2.3.4".to_owned(),
    };
    for (removed, target) in [(true, "remove"), (false, "again")] {
        assert_eq!(store.change(remove(), act(target, 1)).await, Ok(removed));
    }
    assert_eq!(store.entries(None, 10).await, Ok(Vec::new()));
    assert_eq!(targets(store).await, ["put", "remove"]);
}

async fn a_refused_change_leaves_no_act(store: &dyn Store) {
    let change = Change::Signal {
        run: RunId::new(id_at(at(0))),
        signal: Signal::Cancel {
            by: "ann".to_owned(),
            reason: None,
        },
        expected: None,
        now: at(0),
    };
    let refused = store.change(change, act("missing", 0)).await;
    assert!(
        matches!(refused, Err(Error::NotFound { .. })),
        "{refused:?}"
    );
    assert!(targets(store).await.is_empty());
}

async fn what_changes_nothing_leaves_no_act(store: &dyn Store) {
    let delete = Change::DeleteReaction("gone".to_owned());
    assert_eq!(store.change(delete, act("gone", 0)).await, Ok(false));
    assert!(targets(store).await.is_empty());
}

async fn a_name_is_one_tokens_until_it_is_revoked(store: &dyn Store) {
    let put = async |row| store.change(Change::PutToken(row), act("t", 0)).await;
    let (first, second) = (token("t"), token("t"));
    assert_eq!(put(first.clone()).await, Ok(true));
    let refused = put(second.clone()).await;
    assert!(
        matches!(refused, Err(Error::Exists { kind: "token", .. })),
        "{refused:?}"
    );
    let revoke = Change::RevokeToken {
        token: first.token,
        at: at(1),
    };
    assert_eq!(store.change(revoke, act("t", 1)).await, Ok(true));
    assert_eq!(put(second).await, Ok(true));
    assert_eq!(targets(store).await.len(), 3);
}

async fn a_token_is_revoked_once_and_for_all(store: &dyn Store) {
    let row = token("t");
    let revoke = async |token, seconds| {
        let at = at(seconds);
        store
            .change(Change::RevokeToken { token, at }, act("t", seconds))
            .await
    };
    let missing = revoke(row.token, 1).await;
    assert!(
        matches!(missing, Err(Error::NotFound { kind: "token", .. })),
        "{missing:?}"
    );
    let put = Change::PutToken(row.clone());
    assert_eq!(store.change(put, act("t", 0)).await, Ok(true));
    assert_eq!(revoke(row.token, 2).await, Ok(true));
    assert_eq!(revoke(row.token, 3).await, Ok(false));
    let revoked_at = Some(at(2));
    assert_eq!(
        store.tokens().await,
        Ok(vec![TokenRow { revoked_at, ..row }])
    );
    assert_eq!(targets(store).await.len(), 2);
}

async fn the_use_of_a_token_is_noted(store: &dyn Store) {
    let row = token("t");
    let put = Change::PutToken(row.clone());
    assert_eq!(store.change(put, act("t", 0)).await, Ok(true));
    for seconds in [5, 4] {
        assert_eq!(store.touch_token(row.token, at(seconds)).await, Ok(()));
    }
    assert_eq!(store.touch_token(token("other").token, at(9)).await, Ok(()));
    let last_used = Some(at(5));
    assert_eq!(
        store.tokens().await,
        Ok(vec![TokenRow { last_used, ..row }])
    );
}

async fn acts_are_numbered_without_gaps_and_chained(store: &dyn Store) {
    assert_eq!(verify(store).await, Ok(Mark::default()));
    for (number, target) in (1..).zip(["a", "b", "c"]) {
        assert_eq!(store.record(act(target, number)).await, Ok(number));
    }
    let all = store.acts(0, 10).await.expect("they are read");
    assert_eq!(all.rows[1].act(), Ok(act("b", 2)));
    assert_eq!(all.head, all.rows[2].mark());
    let some = store.acts(1, 1).await.expect("they are read");
    assert_eq!(some.rows, all.rows[1..2]);
    assert_eq!(verify(store).await, Ok(all.head));
}

async fn retention_keeps_the_chain_whole(store: &dyn Store) {
    for seconds in 0..6 {
        store
            .record(act(&seconds.to_string(), seconds))
            .await
            .expect("it is recorded");
    }
    assert_eq!(store.expire_acts(at(0), 10, at(50)).await, Ok(0));
    assert_eq!(store.expire_acts(at(4), 3, at(50)).await, Ok(3));
    assert_eq!(targets(store).await, ["3", "4", "5", "3"]);
    assert_eq!(verify(store).await.map(|head| head.seq), Ok(7));
    assert_eq!(store.expire_acts(at(100), 10, at(60)).await, Ok(4));
    assert_eq!(targets(store).await, ["7"]);
    assert_eq!(verify(store).await.map(|head| head.seq), Ok(8));
    assert_eq!(store.record(act("on", 70)).await, Ok(9));
    assert_eq!(verify(store).await.map(|head| head.seq), Ok(9));
}

async fn tokens_that_ended_long_ago_are_removed(store: &dyn Store) {
    let revoked = TokenRow {
        expires_at: None,
        revoked_at: Some(at(10)),
        ..token("revoked")
    };
    let endless = TokenRow {
        expires_at: None,
        ..token("endless")
    };
    for row in [token("expired"), revoked, endless] {
        let put = Change::PutToken(row);
        assert_eq!(store.change(put, act("t", 0)).await, Ok(true));
    }
    let names = async || -> Vec<String> {
        let rows = store.tokens().await.expect("they are read");
        rows.into_iter().map(|row| row.name).collect()
    };
    store
        .expire_acts(at(50), 1, at(50))
        .await
        .expect("it is done");
    assert_eq!(names().await, ["endless", "expired"]);
    store
        .expire_acts(at(101), 1, at(101))
        .await
        .expect("it is done");
    assert_eq!(names().await, ["endless"]);
}
