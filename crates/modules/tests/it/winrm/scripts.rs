//! Scripts that run, whichever way one logs in.

use conche_core::Json;
use serde_json::json;

use super::host::{PASSWORD, Windows, counted, once, run};
use crate::ssh::server::permanent;
use crate::support::{action, context};

#[tokio::test]
async fn a_script_runs_once_in_a_shell_that_is_deleted() {
    for how in ["basic", "ntlm", "both"] {
        let Some(windows) = Windows::start(how).await else {
            continue;
        };
        let script = "printf 'é€😀<&>\"%s' \"a'b\"; echo oops >&2";
        let result = windows.run(script).await.unwrap();
        let expected = json!({ "stdout": "é€😀<&>\"a'b", "stderr": "oops\n", "exit_code": 0 });
        assert_eq!(result, expected, "{how}");
        let done = windows.done();
        assert_eq!(counted(&done), once(), "{how}");
        let ran = done.iter().find(|entry| entry.get("command").is_some());
        let ran = ran.unwrap();
        assert_eq!(*ran, json!({ "command": "powershell", "script": script }));
    }
}

#[tokio::test]
async fn an_answer_by_ntlm_is_bound_to_the_certificate_and_under_a_checksum() {
    let Some(windows) = Windows::start("ntlm").await else {
        return;
    };
    for (user, known_as) in [
        ("soc", "soc"),
        ("CORP\\anna", "CORP\\anna"),
        (".\\soc", "soc"),
    ] {
        windows.run_as(user, "right", "true").await.unwrap();
        let done = windows.done();
        let told: Vec<_> = done
            .iter()
            .filter(|entry| entry.get("ntlm").is_some())
            .collect();
        // One connection is enough for all requests of a script.
        assert_eq!(
            told,
            [&json!({ "ntlm": known_as, "mic": true, "bound": true })]
        );
    }
}

#[tokio::test]
async fn http_basic_is_shown_as_basic_whatever_is_configured() {
    let Some(windows) = Windows::start("both").await else {
        return;
    };
    let mut target = windows.target("soc", "right");
    target["authentication"]["type"] = "http-basic".into();
    let cx = windows.context();
    run(&windows.config(), &cx, &target, ("true", 10))
        .await
        .unwrap();
    assert!(
        !windows
            .done()
            .iter()
            .any(|entry| entry.get("ntlm").is_some())
    );
    target["authentication"]["type"] = "oauth2".into();
    let message = permanent(run(&windows.config(), &cx, &target, ("true", 10)).await);
    assert!(
        message.contains("it takes `user-auth` and `http-basic`"),
        "{message}"
    );
}

#[tokio::test]
async fn a_script_that_has_nothing_to_tell_is_asked_again() {
    let Some(windows) = Windows::start("basic").await else {
        return;
    };
    let result = windows.run("sleep 2.5; echo late").await.unwrap();
    assert_eq!(result["stdout"], "late\n");
    let done = windows.done();
    let nothing = done.iter().filter(|entry| entry.get("nothing").is_some());
    assert!(nothing.count() >= 2, "{done:?}");
    assert_eq!(counted(&done), once());
}

#[tokio::test]
async fn a_host_that_ends_the_connection_after_each_answer_is_no_obstacle() {
    for how in ["basic", "ntlm"] {
        let Some(windows) = Windows::start(how).await else {
            continue;
        };
        windows.fault("hang-up");
        let result = windows.run("echo 1; sleep 0.3; echo 2").await.unwrap();
        assert_eq!(result["stdout"], "1\n2\n", "{how}");
        assert_eq!(counted(&windows.done()), once(), "{how}");
    }
}

#[tokio::test]
async fn the_exit_code_decides_and_errors_are_plain_text() {
    let Some(windows) = Windows::start("basic").await else {
        return;
    };
    let failing = "echo 'Get-X : no <such> thing_x41_' >&2; exit 4 #clixml";
    let message = permanent(windows.run(failing).await);
    let expected = "exit code 4: Get-X : no <such> thing_x41_";
    assert!(message.ends_with(expected), "{message}");
    let quiet = windows.run("true #clixml").await.unwrap();
    assert_eq!(quiet["stderr"], "");
}

#[tokio::test]
async fn endless_lines_are_cut_and_secrets_masked() {
    let Some(windows) = Windows::start("basic").await else {
        return;
    };
    let script = format!("echo {PASSWORD}; head -c 2000000 /dev/zero | tr '\\0' x; exit 0");
    let mut config = windows.config();
    config["winrm"]["max_output"] = "1KiB".into();
    let target = windows.target("soc", "right");
    let result = run(&config, &windows.context(), &target, (&script, 10)).await;
    let result = result.unwrap();
    let stdout = result["stdout"].as_str().unwrap();
    assert!(stdout.starts_with("***right***\nxxx"), "{stdout}");
    assert_eq!((stdout.len(), &result["truncated"]), (1024, &json!(true)));
}

#[tokio::test]
async fn who_asks_what_would_be_done_is_told_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let config = json!({ "ways": { "dc1": "winrm" } });
    let module = action("powershell", config, &cx).unwrap();
    for (address, expected) in [("dc1", "WinRM at https://dc1:5986/wsman"), ("web", "SSH")] {
        let target = json!({ "name": "n", "address": { "dname": [address] } });
        let input = json!({ "command": {}, "agent": {}, "target": target });
        assert_eq!(module.way(&Json::from(&input)).as_deref(), Some(expected));
    }
}
