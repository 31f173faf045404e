//! What goes wrong, and what is known after it of whether the script ran.

use conche_runtime::egress::{Egress, EgressConfig};
use serde_json::json;

use super::host::{Windows, counted, once, run};
use crate::running::until;
use crate::ssh::server::{permanent, retried, uncertain};
use crate::support::action;

#[tokio::test]
async fn who_is_not_let_in_is_told_why_and_nothing_is_done() {
    for (how, expected) in [
        (
            "basic",
            "the host refused `soc` by Basic, which is for users of the host itself",
        ),
        (
            "ntlm",
            "the host refused `soc` by NTLM: user or password are wrong",
        ),
    ] {
        let Some(windows) = Windows::start(how).await else {
            continue;
        };
        let message = permanent(windows.run_as("soc", "wrong", "true").await);
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("wrong-password"), "{message}");
        let none = json!({ "create": 0, "command": 0, "signal": 0, "delete": 0 });
        assert_eq!(counted(&windows.done()), none, "{how}");
    }
}

#[tokio::test]
async fn a_host_that_takes_the_other_scheme_only_says_which_to_choose() {
    for (how, other, expected) in [
        ("basic", "ntlm", "takes no NTLM (it offers: Basic)"),
        (
            "ntlm",
            "basic",
            "takes no Basic authentication (it offers: Negotiate)",
        ),
    ] {
        let Some(windows) = Windows::start(how).await else {
            continue;
        };
        let mut config = windows.config();
        config["winrm"]["authentication"] = other.into();
        let target = windows.target("soc", "right");
        let message = permanent(run(&config, &windows.context(), &target, ("true", 10)).await);
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("`winrm.authentication: "), "{message}");
    }
}

#[tokio::test]
async fn before_a_script_is_begun_every_failure_says_that_nothing_was_done() {
    let Some(windows) = Windows::start("basic").await else {
        return;
    };
    // A fault, whether another try is safe, and the words.
    for (fault, is_retried, expected) in [
        (
            "quota",
            true,
            "nothing was done: the host says: This user is allowed 5 shells.",
        ),
        (
            "denied",
            false,
            "Access is denied. (AccessDenied 5); the user must be an administrator",
        ),
        (
            "unavailable",
            true,
            "nothing was done: the host answered 503",
        ),
        ("internal-Create", true, "Server execution failed"),
        ("lose-Create", true, "no shell was opened"),
        ("garbage-Create", false, "the host's answer can't be read"),
        (
            "busy",
            true,
            "the script was not begun: the host says: This user is allowed 15",
        ),
    ] {
        windows.fault(fault);
        let result = windows.run("true").await;
        let message = if is_retried {
            retried(result)
        } else {
            permanent(result)
        };
        assert!(message.starts_with("winrm to `box`: "), "{message}");
        assert!(message.contains(expected), "{fault}: {message}");
        let done = counted(&windows.done());
        assert_eq!(done["command"], 0, "{fault}");
        let is_known = fault == "busy";
        assert_eq!(done["delete"], u64::from(is_known), "{fault}");
    }
}

#[tokio::test]
async fn once_a_script_may_have_begun_nothing_is_repeated_unasked_and_its_shell_is_deleted() {
    let Some(windows) = Windows::start("basic").await else {
        return;
    };
    for (fault, expected) in [
        ("lose-Command", "whether the script was begun is unknown"),
        ("garbage-Command", "whether the script was begun is unknown"),
        (
            "lose-Receive",
            "the script was begun, but how it ended is not known",
        ),
        ("garbage-Receive", "the host's answer can't be read"),
        ("internal-Receive", "Server execution failed"),
    ] {
        windows.fault(fault);
        let message = uncertain(windows.run("echo x").await);
        assert!(message.contains(expected), "{fault}: {message}");
        let done = counted(&windows.done());
        assert_eq!(
            (&done["command"], &done["delete"]),
            (&json!(1), &json!(1)),
            "{fault}"
        );
    }
    windows.fault("lose-Delete");
    windows.run("echo x").await.unwrap();
    assert_eq!(counted(&windows.done()), once());
}

#[tokio::test]
async fn a_script_whose_time_is_over_is_ended() {
    let Some(windows) = Windows::start("basic").await else {
        return;
    };
    let alive = windows.folder.path().join("alive");
    let script = format!("while :; do date > {}; sleep 0.1; done", alive.display());
    let target = windows.target("soc", "right");
    // Nobody else ends the call here: the module gives up by itself.
    let result = run(&windows.config(), &windows.context(), &target, (&script, 8)).await;
    let message = uncertain(result);
    let expected = "still running when its time was over";
    assert!(message.contains(expected), "{message}");
    let expected = json!({ "create": 1, "command": 1, "signal": 1, "delete": 1 });
    assert_eq!(counted(&windows.done()), expected);
    until("the script to end", async || {
        std::fs::remove_file(&alive).ok();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await; // poll: it would write
        !alive.exists()
    })
    .await;
}

#[tokio::test]
async fn a_host_that_is_not_believed_or_not_allowed_gets_nothing() {
    let Some(windows) = Windows::start("basic").await else {
        return;
    };
    let target = windows.target("soc", "right");
    let mut config = windows.config();
    config["winrm"]["tls"]["ca_file"] = windows.folder.path().join("other.pem").to_str().into();
    let message = retried(run(&config, &windows.context(), &target, ("true", 10)).await);
    assert!(
        message.contains("TLS: invalid peer certificate"),
        "{message}"
    );
    let mut shut = windows.context();
    shut.egress = Egress::new(&EgressConfig::default()).unwrap().into();
    let message = permanent(run(&windows.config(), &shut, &target, ("true", 10)).await);
    assert!(
        message.contains("egress to 127.0.0.1 is refused"),
        "{message}"
    );
    let granted = windows.context();
    granted
        .secrets
        .grant_to_playbooks(conche_runtime::secrets::PlaybookGrants::default());
    let message = permanent(run(&windows.config(), &granted, &target, ("true", 10)).await);
    assert!(
        message.contains("right") && message.contains("playbook"),
        "{message}"
    );
    let mut plain = target.clone();
    plain["address"]["url"] = json!([format!("http://127.0.0.1:{}", windows.port)]);
    let message = permanent(run(&windows.config(), &windows.context(), &plain, ("x", 10)).await);
    assert!(
        message.contains("WinRM in clear, which is not spoken"),
        "{message}"
    );
    assert!(windows.done().is_empty());
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cx = crate::support::context(folder.path(), &[]);
    for (config, expected) in [
        (
            json!({ "winrm": { "poll": "2m" } }),
            "must be from 1s to 60s",
        ),
        (
            json!({ "winrm": { "authentication": "kerberos" } }),
            "kerberos",
        ),
        (
            json!({ "winrm": { "tls": { "ca_file": "/nothing" } } }),
            "/nothing",
        ),
        (json!({ "way": "http" }), "http"),
    ] {
        let refused = action("powershell", config, &cx).err().unwrap();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
}
