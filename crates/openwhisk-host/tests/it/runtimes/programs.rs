//! Executables that speak the line protocol themselves.

use serde_json::json;

use super::rig::{
    EXEC, binary, is_developer_error, named, returned, rig, rig_with, settings, text, zipped,
};
use conche_openwhisk_host::runtimes::{Runtimes as _, Settings};

const COUNT: &str = "#!/bin/sh
while read -r line; do n=$((n + 1)); echo \"{\\\"n\\\":$n}\" >&3; done";

fn with_settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = settings();
    change(&mut settings);
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_may_be_a_script_an_archive_or_bare_bytes() {
    let rig = rig(EXEC).await.unwrap();
    let runs = [
        text(EXEC, COUNT),
        binary(EXEC, &zipped(&[("exec", COUNT)])),
        binary(EXEC, COUNT.as_bytes()),
    ];
    for (number, run) in runs.into_iter().enumerate() {
        for count in 1..=2 {
            let ran = rig.run(named(&number.to_string(), run.clone())).await;
            assert_eq!(returned(ran), json!({ "n": count }), "{number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_without_a_program_and_a_program_that_ends_are_told() {
    let rig = rig(EXEC).await.unwrap();
    let ran = rig
        .run(named("none", binary(EXEC, &zipped(&[("other", COUNT)]))))
        .await;
    is_developer_error(&ran, "The archive has no executable `exec` at its root.");
    let ran = rig
        .run(named("ends", text(EXEC, "#!/bin/sh\nexit 1")))
        .await;
    is_developer_error(&ran, "command exited");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_executed_is_a_failure_of_the_host() {
    let rig = rig(EXEC).await.unwrap();
    let ran = rig.run(text(EXEC, "#!/no/such/interpreter\n")).await;
    assert_eq!(ran.class.status(), "whisk internal error");
    let text = "Failed to provision resources to run the action.";
    assert_eq!(ran.result, json!({ "error": text }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_is_asked_for_and_waited_for() {
    let settings = with_settings(|settings| settings.executables.acknowledge = true);
    let rig = rig_with(EXEC, settings).await.unwrap();
    let good = "#!/bin/sh\n[ \"$__OW_WAIT_FOR_ACK\" ] && echo '{\"ok\":true}' >&3\n";
    let ran = rig
        .run(named(
            "good",
            text(EXEC, &COUNT.replace("#!/bin/sh\n", good)),
        ))
        .await;
    assert_eq!(returned(ran), json!({ "n": 1 }));
    let bad = "#!/bin/sh\necho '{\"ok\":false}' >&3; read x";
    let ran = rig.run(named("bad", text(EXEC, bad))).await;
    is_developer_error(
        &ran,
        "The action failed during initialization: {\"ok\":false}",
    );
    let dies = rig
        .run(named("dies", text(EXEC, "#!/bin/sh\nexit 0")))
        .await;
    is_developer_error(&dies, "Cannot start action. Check logs for details.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_built_for_another_environment_is_refused() {
    let settings = with_settings(|settings| {
        settings.executables.environment = Some("conche/exec".to_owned());
    });
    let rig = rig_with(EXEC, settings).await.unwrap();
    let env = "#!/bin/sh\nread x; echo \"{\\\"e\\\":\\\"$OW_EXECUTION_ENV\\\"}\" >&3; read x";
    let same = zipped(&[("exec", env), ("exec.env", "conche/exec\n")]);
    let ran = rig.run(named("same", binary(EXEC, &same))).await;
    assert_eq!(returned(ran), json!({ "e": "conche/exec" }));
    let other = zipped(&[("exec", env), ("exec.env", "openwhisk/action-golang-v1.20")]);
    let ran = rig.run(named("other", binary(EXEC, &other))).await;
    is_developer_error(
        &ran,
        "The program was built for `openwhisk/action-golang-v1.20`, and this is `conche/exec`.",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_and_an_unknown_kind_can_not_be_carried_out() {
    let rig = rig(EXEC).await.unwrap();
    let mut run = text("blackbox", "");
    run.code.image = Some("me/image".to_owned());
    is_developer_error(
        &rig.run(run).await,
        "Failed to pull container image 'me/image'.",
    );
    let ran = rig.run(text("cobol:85", "x")).await;
    assert_eq!(ran.class.status(), "whisk internal error");
}
