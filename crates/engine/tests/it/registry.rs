//! Playbooks at hand: put, checked, found, removed, run, and read from a folder.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use conche_cacao::{Document, Profile};
use conche_core::playbook::codes;
use conche_core::run::Status;
use conche_engine::{
    Checked, Config, NewPlaybook, Owner, PlaybookError, PlaybookFolder, PlaybookInfo, Start,
};
use conche_runtime::clock::Clock as _;
use conche_store::Store;
use conche_store::memory::MemoryStore;
use conche_testkit::playbooks::{
    asking, calling, playbook, playbook_id, playbook_version, unbound,
};
use conche_testkit::{Rig, SimClock, TestActions, until};
use serde_json::Value;

fn document(value: &Value) -> Document {
    Document::parse(serde_json::to_string_pretty(value).unwrap().as_bytes()).unwrap()
}

fn new(value: &Value) -> NewPlaybook {
    NewPlaybook {
        document: document(value),
        profile: Profile::Standard,
        replace: false,
        by: "ann".to_owned(),
    }
}

async fn put(rig: &Rig, value: &Value) -> Result<(PlaybookInfo, bool), PlaybookError> {
    rig.engine.put_playbook_by(new(value), None).await
}

fn refused(error: PlaybookError) -> Checked {
    match error {
        PlaybookError::Refused(checked) => checked,
        other => panic!("it is refused for what is in it, not: {other}"),
    }
}

#[tokio::test]
async fn every_version_is_at_hand_and_the_latest_is_meant_where_none_is_asked_for() {
    let rig = Rig::new().await;
    for version in [2, 3, 1] {
        let (_, is_new) = put(&rig, &playbook(1, version, &asking())).await.unwrap();
        assert!(is_new);
    }
    let id = playbook_id(1);
    let latest = rig.engine.playbook(&id, None).await.unwrap();
    assert_eq!(latest.playbook.modified, playbook_version(3));
    let asked = playbook_version(1);
    let first = rig.engine.playbook(&id, Some(&asked)).await.unwrap();
    assert_eq!(first.playbook.modified, asked);
    assert_eq!(first.by.as_deref(), Some("ann"));
    let all = rig.engine.playbooks().await.into_iter();
    let all: Vec<String> = all.map(|info| info.playbook.modified.clone()).collect();
    assert_eq!(all, [3, 2, 1].map(playbook_version));
    assert!(rig.engine.playbook(&playbook_id(2), None).await.is_none());
}

#[tokio::test]
async fn a_version_has_one_content_unless_it_is_to_be_replaced() {
    let rig = Rig::new().await;
    let first = playbook(1, 1, &asking());
    assert!(put(&rig, &first).await.unwrap().1);
    assert!(!put(&rig, &first).await.unwrap().1, "it is there already");
    let mut other = first.clone();
    other["name"] = "Another".into();
    let error = put(&rig, &other).await.unwrap_err();
    assert!(matches!(error, PlaybookError::Exists { .. }), "{error}");
    let replace = NewPlaybook {
        replace: true,
        ..new(&other)
    };
    let (info, is_new) = rig.engine.put_playbook_by(replace, None).await.unwrap();
    assert!(is_new);
    assert_eq!(info.playbook.name, "Another");
    let rows = rig.store.playbooks().await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].text, document(&other).text().unwrap());
}

#[tokio::test]
async fn what_is_not_valid_or_cannot_be_run_is_refused_with_its_place_and_changes_nothing() {
    let rig = Rig::new().await;
    let mut invalid = playbook(1, 1, &asking());
    invalid["workflow_start"] = "start--00000000-0000-4000-8000-00000000ffff".into();
    let checked = refused(put(&rig, &invalid).await.unwrap_err());
    let errors = checked.findings.iter();
    assert!(
        errors
            .clone()
            .any(|found| found.pointer == "/workflow_start"),
        "{checked:?}"
    );

    let checked = refused(put(&rig, &playbook(1, 1, &unbound())).await.unwrap_err());
    let place = "/workflow/action--00000000-0000-4000-8000-000000000002/commands/0";
    let refusal = &checked.refusals[0];
    assert!(refusal.pointer.to_string().starts_with(place), "{refusal}");
    assert!(refusal.message.contains("`caldera-cmd`"), "{refusal}");

    let asked = rig
        .engine
        .check_playbook(document(&playbook(1, 1, &unbound())), Profile::Standard)
        .await;
    assert_eq!(asked, checked, "a check says the same");
    assert!(rig.engine.playbooks().await.is_empty());
    assert!(rig.store.playbooks().await.unwrap().is_empty());
}

#[tokio::test]
async fn playbooks_that_call_each_other_are_put_in_any_order_and_in_no_circle() {
    let rig = Rig::new().await;
    let caller = playbook(1, 1, &calling(2, None));
    let checked = rig
        .engine
        .check_playbook(document(&caller), Profile::Standard)
        .await;
    assert!(checked.is_valid(), "it would be taken: {checked:?}");
    let (info, _) = put(&rig, &caller).await.unwrap();
    assert_eq!(info.refusals[0].code, codes::PLAYBOOK_MISSING);
    let id = playbook_id(1);
    let run = rig.engine.run_playbook(&id, None, Start::default()).await;
    assert!(matches!(run, Err(PlaybookError::Start(_))), "{run:?}");

    let back = playbook(2, 1, &calling(1, None));
    let circle = refused(put(&rig, &back).await.unwrap_err());
    assert_eq!(circle.refusals[0].code, codes::CALLS_IN_A_CIRCLE);
    let names = format!("{} calls {id} calls {}", playbook_id(2), playbook_id(2));
    assert!(circle.refusals[0].message.ends_with(&names), "{circle:?}");

    put(&rig, &playbook(2, 1, &asking())).await.unwrap();
    let info = rig.engine.playbook(&id, None).await.unwrap();
    assert!(info.refusals.is_empty(), "{:?}", info.refusals);
    let run = rig.engine.run_playbook(&id, None, Start::default()).await;
    run.expect("it is started");
}

#[tokio::test]
async fn a_program_holds_all_that_is_called_in_the_versions_of_now() {
    let rig = Rig::new().await;
    put(&rig, &playbook(3, 1, &asking())).await.unwrap();
    put(&rig, &playbook(2, 1, &calling(3, None))).await.unwrap();
    put(&rig, &playbook(1, 1, &calling(2, None))).await.unwrap();
    let before = rig.engine.program(&playbook_id(1), None).await.unwrap();
    let called = |program: &conche_core::playbook::Program| -> Vec<(String, String)> {
        let callees = program.callees().iter();
        callees
            .map(|callee| (callee.id.clone(), callee.modified.clone()))
            .collect()
    };
    let pair = |number, version| (playbook_id(number), playbook_version(version));
    assert_eq!(called(&before), [pair(2, 1), pair(3, 1)]);
    put(&rig, &playbook(3, 2, &asking())).await.unwrap();
    let after = rig.engine.program(&playbook_id(1), None).await.unwrap();
    assert_eq!(called(&after), [pair(2, 1), pair(3, 2)]);
    put(&rig, &playbook(1, 2, &calling(3, Some(1))))
        .await
        .unwrap();
    let pinned = rig.engine.program(&playbook_id(1), None).await.unwrap();
    assert_eq!(called(&pinned), [pair(3, 1)]);
    let missing = rig.engine.program(&playbook_id(1), Some("2020")).await;
    assert!(matches!(missing, Err(PlaybookError::NotFound { .. })));
}

#[tokio::test]
async fn a_playbook_whose_callee_is_removed_is_told_and_not_run() {
    let rig = Rig::new().await;
    put(&rig, &playbook(2, 1, &asking())).await.unwrap();
    put(&rig, &playbook(1, 1, &calling(2, None))).await.unwrap();
    let caller = playbook_id(1);
    assert!(
        rig.engine
            .playbook(&caller, None)
            .await
            .unwrap()
            .refusals
            .is_empty()
    );
    rig.engine
        .delete_playbook_by(&playbook_id(2), None)
        .await
        .unwrap();
    let info = rig.engine.playbook(&caller, None).await.unwrap();
    assert_eq!(info.refusals.len(), 1);
    let run = rig
        .engine
        .run_playbook(&caller, None, Start::default())
        .await;
    assert!(matches!(run, Err(PlaybookError::Start(_))), "{run:?}");
    put(&rig, &playbook(2, 1, &asking())).await.unwrap();
    assert!(
        rig.engine
            .playbook(&caller, None)
            .await
            .unwrap()
            .refusals
            .is_empty()
    );
    let gone = rig.engine.delete_playbook_by(&playbook_id(9), None).await;
    assert!(matches!(gone, Err(PlaybookError::NotFound { .. })));
}

#[tokio::test]
async fn a_playbook_is_run_and_one_that_is_revoked_or_lapsed_is_kept_and_not_run() {
    let rig = Rig::new().await;
    put(&rig, &playbook(1, 1, &asking())).await.unwrap();
    let start = || Start {
        key: Some("once".to_owned()),
        ..Start::default()
    };
    let id = playbook_id(1);
    let begun = rig.engine.run_playbook(&id, None, start()).await.unwrap();
    until("the question", || async {
        let row = rig.store.run(begun.run).await.unwrap();
        (row.summary.status == Status::AwaitingAnswer).then_some(())
    })
    .await;
    let again = rig.engine.run_playbook(&id, None, start()).await.unwrap();
    assert_eq!((again.run, again.duplicate), (begun.run, true));

    let mut revoked = playbook(1, 2, &asking());
    revoked["revoked"] = true.into();
    let mut lapsed = playbook(2, 1, &asking());
    lapsed["valid_until"] = "2020-01-01T00:00:00.000Z".into();
    lapsed["valid_from"] = "2019-01-01T00:00:00.000Z".into();
    for (value, word) in [(revoked, "is revoked"), (lapsed, "was valid until")] {
        let (info, _) = put(&rig, &value).await.unwrap();
        let why = info.lapsed(rig.clock.now()).unwrap();
        assert!(why.contains(word), "{why}");
        let id = &info.playbook.id;
        let refused = rig.engine.run_playbook(id, None, Start::default()).await;
        assert!(
            matches!(refused, Err(PlaybookError::Lapsed(_))),
            "{refused:?}"
        );
    }
    put(&rig, &playbook(3, 2, &calling(1, None))).await.unwrap();
    let caller = playbook_id(3);
    let refused = rig
        .engine
        .run_playbook(&caller, None, Start::default())
        .await;
    assert!(
        matches!(refused, Err(PlaybookError::Lapsed(_))),
        "it calls one: {refused:?}"
    );
    let first = playbook_version(1);
    let run = rig
        .engine
        .run_playbook(&id, Some(&first), Start::default())
        .await;
    assert!(run.is_ok(), "the earlier version is not revoked: {run:?}");
}

#[tokio::test]
async fn playbooks_that_were_put_are_at_hand_in_the_next_process() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let rig = async || {
        let (clock, actions) = (SimClock::default(), TestActions::default());
        Rig::over(store.clone(), clock, actions, Config::default()).await
    };
    let first = rig().await;
    put(&first, &playbook(2, 1, &asking())).await.unwrap();
    put(&first, &playbook(1, 1, &calling(2, None)))
        .await
        .unwrap();
    let second = rig().await;
    let all = second.engine.playbooks().await;
    assert_eq!(all.len(), 2);
    assert!(
        all.iter().all(|info| info.refusals.is_empty()),
        "each finds the other"
    );
    assert!(all.iter().all(|info| info.by.as_deref() == Some("ann")));
}

fn write(dir: &Path, name: &str, text: &str) {
    // Renamed into place, as editors and deployments do.
    let draft = dir.join(format!(".{name}.draft"));
    fs::write(&draft, text).unwrap();
    fs::rename(draft, dir.join(name)).unwrap();
}

fn write_playbook(dir: &Path, name: &str, value: &Value) {
    write(dir, name, &serde_json::to_string_pretty(value).unwrap());
}

#[tokio::test]
async fn a_folders_playbooks_call_each_other_and_a_bad_file_never_replaces_a_good_one() {
    let dir = tempfile::tempdir().unwrap();
    write_playbook(dir.path(), "a.json", &playbook(1, 1, &calling(2, None)));
    write_playbook(dir.path(), "b.json", &playbook(2, 1, &asking()));
    write_playbook(dir.path(), "lost.json", &playbook(3, 1, &calling(4, None)));
    write_playbook(dir.path(), "unbound.json", &playbook(5, 1, &unbound()));
    write(dir.path(), "torn.json", "{\n  \"type\": \"playbook\",\n");
    let elsewhere = tempfile::tempdir().unwrap();
    write_playbook(elsewhere.path(), "x.json", &playbook(7, 1, &asking()));
    std::os::unix::fs::symlink(elsewhere.path().join("x.json"), dir.path().join("z.json")).unwrap();
    let rig = Rig::new().await;
    let folder = PlaybookFolder::watch(&rig.engine, dir.path())
        .await
        .unwrap();
    let loaded = folder.loaded();
    assert_eq!(loaded.playbooks, 2, "{loaded:?}");
    let faults: Vec<&str> = loaded.faults.iter().map(|fault| &*fault.file).collect();
    assert_eq!(faults, ["torn.json", "z.json", "lost.json", "unbound.json"]);
    let (out, placed): (Vec<_>, Vec<_>) = loaded
        .faults
        .iter()
        .partition(|fault| fault.file == "z.json");
    assert!(out[0].message.contains("leads out"), "{out:?}");
    assert!(placed.iter().all(|fault| fault.at.is_some()), "{loaded:?}");

    let id = playbook_id(2);
    let error = put(&rig, &playbook(2, 2, &asking())).await.unwrap_err();
    assert!(matches!(error, PlaybookError::ReadOnly { .. }), "{error}");
    let error = rig.engine.delete_playbook_by(&id, None).await.unwrap_err();
    assert!(matches!(error, PlaybookError::ReadOnly { .. }), "{error}");

    write_playbook(dir.path(), "b.json", &playbook(2, 2, &asking()));
    until("the new version", || async {
        let latest = rig.engine.playbook(&id, None).await?;
        (latest.playbook.modified == playbook_version(2)).then_some(())
    })
    .await;
    write_playbook(dir.path(), "b.json", &playbook(2, 3, &unbound()));
    let fault = until("the fault", || async {
        let faults = folder.loaded().faults;
        faults.into_iter().find(|fault| fault.file == "b.json")
    })
    .await;
    assert!(fault.earlier_in_force, "{fault}");
    let all = rig.engine.playbooks().await;
    let at_hand: Vec<_> = all
        .iter()
        .map(|info| (&*info.playbook.id, &info.owner))
        .collect();
    let of = |file: &str| Owner::Folder(file.to_owned());
    assert_eq!(
        at_hand,
        [(&*playbook_id(1), &of("a.json")), (&*id, &of("b.json"))]
    );
    assert_eq!(all[1].playbook.modified, playbook_version(2));

    put(&rig, &playbook(4, 1, &asking())).await.unwrap();
    until("what was lost is found", || async {
        rig.engine.playbook(&playbook_id(3), None).await
    })
    .await;
    fs::remove_file(dir.path().join("b.json")).unwrap();
    until("it leaves", || async {
        rig.engine.playbook(&id, None).await.is_none().then_some(())
    })
    .await;
    let caller = rig.engine.playbook(&playbook_id(1), None).await.unwrap();
    assert_eq!(caller.refusals.len(), 1, "what it calls is gone");
}

#[tokio::test]
async fn a_version_belongs_to_the_first_of_two_files_and_an_identifier_to_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new().await;
    put(&rig, &playbook(1, 1, &asking())).await.unwrap();
    write_playbook(dir.path(), "a.json", &playbook(1, 2, &asking()));
    write_playbook(dir.path(), "b.json", &playbook(2, 1, &asking()));
    let mut twin = playbook(2, 1, &asking());
    twin["description"] = "Another".into();
    write_playbook(dir.path(), "c.json", &twin);
    let folder = PlaybookFolder::watch(&rig.engine, dir.path())
        .await
        .unwrap();
    let faults = folder.loaded().faults;
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults[0].starts_with("a.json: the identifier"),
        "{faults:?}"
    );
    assert!(
        faults[1].contains("comes from the file 'b.json'"),
        "{faults:?}"
    );
    let first = rig.engine.playbook(&playbook_id(2), None).await.unwrap();
    assert_eq!(first.playbook.description, None);
}
