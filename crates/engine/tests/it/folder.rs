//! Reactions from a folder.

use std::fs;
use std::path::Path;

use conche_core::run::Status;
use conche_engine::{Folder, Owner};
use conche_testkit::{Rig, until};

fn write(dir: &Path, name: &str, text: &str) {
    // Renamed into place, as editors and deployments do.
    let draft = dir.join(format!(".{name}.draft"));
    fs::write(&draft, text).unwrap();
    fs::rename(draft, dir.join(name)).unwrap();
}

#[tokio::test]
async fn a_changed_file_is_in_force_soon_and_a_bad_one_never_replaces_a_good_one() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "a.yaml",
        "name: a\nevent: t\nscript_file: a.js\n",
    );
    write(dir.path(), "a.js", "stop");
    write(
        dir.path(),
        "b.json",
        r#"{"name":"b","event":"t","script":"stop","actions":null}"#,
    );
    write(dir.path(), "bad.yaml", "name: bad\nevent: t\nscrpt: stop\n");
    let rig = Rig::new().await;
    let folder = Folder::watch(&rig.engine, dir.path()).await.unwrap();
    let loaded = folder.loaded();
    assert_eq!(loaded.reactions, 2);
    assert_eq!(loaded.faults.len(), 1);
    let fault = loaded.faults[0].to_string();
    assert!(
        fault.starts_with("bad.yaml:3:1: unknown key `scrpt`"),
        "{fault}"
    );
    let before = rig.engine.reaction("a").await.unwrap();
    assert_eq!(before.owner, Owner::Folder("a.yaml".to_owned()));

    write(dir.path(), "a.js", "fail on purpose");
    let after = until("the changed script", || async {
        rig.engine
            .reaction("a")
            .await
            .filter(|now| now.digest != before.digest)
    })
    .await;
    write(dir.path(), "a.yaml", "name: a\nevent: [\n");
    let fault = until("the fault", || async {
        folder
            .loaded()
            .faults
            .into_iter()
            .find(|fault| fault.file == "a.yaml")
    })
    .await;
    assert!(fault.earlier_in_force, "{fault:?}");
    assert_eq!(rig.engine.reaction("a").await.unwrap().digest, after.digest);
    let event = rig.accepted("t").await;
    rig.run_with(event, Status::Failed).await;

    write(
        dir.path(),
        "a.yaml",
        "name: a\nevent: t\nscript: |\n  // fine\n  a syntax error\n",
    );
    let fault = until("the script's fault", || async {
        let faults = folder.loaded().faults;
        faults
            .into_iter()
            .find(|fault| fault.message.contains("syntax error"))
    })
    .await;
    let placed = fault.to_string();
    assert!(placed.starts_with("a.yaml:5:5: script: "), "{placed}");
    assert_eq!(rig.engine.reaction("a").await.unwrap().digest, after.digest);

    fs::remove_file(dir.path().join("a.yaml")).unwrap();
    until("the reaction to be gone", || async {
        rig.engine.reaction("a").await.is_none().then_some(())
    })
    .await;
    assert!(rig.engine.reaction("b").await.is_some());
}

#[tokio::test]
async fn a_reaction_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.yaml", "name: a\nevent: t\nscript: stop\n");
    let rig = Rig::new().await;
    rig.react("name: mine\nevent: t\nscript: stop\n").await;
    write(
        dir.path(),
        "mine.yaml",
        "name: mine\nevent: t\nscript: stop\n",
    );
    write(
        dir.path(),
        "twice.yaml",
        "name: a\nevent: t\nscript: stop\n",
    );
    let folder = Folder::watch(&rig.engine, dir.path()).await.unwrap();
    let faults = folder.loaded().faults;
    let message = |file: &str| {
        faults
            .iter()
            .find(|fault| fault.file == file)
            .map(|fault| fault.message.clone())
            .unwrap()
    };
    assert!(
        message("mine.yaml").contains("put through the API"),
        "{faults:?}"
    );
    assert!(message("twice.yaml").contains("'a.yaml'"), "{faults:?}");
    let put = rig
        .engine
        .put_reaction(conche_testkit::rig::reaction(
            "name: a\nevent: u\nscript: stop\n",
        ))
        .await;
    assert!(put.unwrap_err().to_string().contains("'a.yaml'"));
    assert!(rig.engine.delete_reaction("a").await.is_err());
    rig.engine.delete_reaction("mine").await.unwrap();
    assert!(rig.engine.reaction("mine").await.is_none());
    assert!(
        rig.engine
            .delete_reaction("mine")
            .await
            .unwrap_err()
            .to_string()
            .contains("there is no reaction")
    );
}

#[tokio::test]
async fn script_files_outside_the_folder_are_not_read() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.js"), "stop").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = outside.path().join("x.js");
    write(
        dir.path(),
        "a.yaml",
        &format!("name: a\nevent: t\nscript_file: {}\n", path.display()),
    );
    let rig = Rig::new().await;
    let folder = Folder::watch(&rig.engine, dir.path()).await.unwrap();
    assert!(
        folder.loaded().faults[0]
            .message
            .contains("outside the reactions folder")
    );
}
