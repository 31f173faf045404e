//! What Python's runtime answers, row by row, and the ways to bring code.

use serde_json::json;

use super::rig::{
    PYTHON, binary, error, is_developer_error, lines, main, named, returned, rig, text, zipped,
};
use conche_openwhisk_host::runtimes::Runtimes as _;

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_is_an_application_error_with_its_traceback_logged() {
    let Some(rig) = rig(PYTHON).await else { return };
    let code = "def main(args):\n    raise ValueError('T')";
    let ran = rig.run(text(PYTHON, code)).await;
    assert_eq!(error(&ran), ("application error", &json!("T")));
    let logs = lines(&ran);
    assert_eq!(
        logs.first(),
        Some(&"stderr: Traceback (most recent call last):")
    );
    assert!(
        logs.contains(&"stderr:     raise ValueError('T')"),
        "{logs:?}"
    );
    assert_eq!(logs.last(), Some(&"stderr: ValueError: T"));
    assert_eq!(
        rig.run(text(PYTHON, code)).await.init,
        None,
        "the process goes on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_does_not_load_is_a_developer_error_with_its_traceback_logged() {
    let Some(rig) = rig(PYTHON).await else { return };
    let rows = [
        ("def main(", "SyntaxError"),
        ("import nothing_of_the_kind", "ModuleNotFoundError"),
        ("x = 1", "AttributeError"),
    ];
    for (code, logged) in rows {
        let ran = rig.run(named(logged, text(PYTHON, code))).await;
        is_developer_error(&ran, "Cannot start action. Check logs for details.");
        assert!(
            ran.logs.iter().any(|line| line.contains(logged)),
            "{:?}",
            ran.logs
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_is_a_command_that_has_exited() {
    let Some(rig) = rig(PYTHON).await else { return };
    let codes = [
        "import sys\ndef main(args): sys.exit(0)",
        "import os\ndef main(args): os._exit(3)",
        "import os\ndef main(args): os.kill(os.getpid(), 9)",
        "def main(args): return {'x': object()}",
    ];
    for code in codes {
        is_developer_error(
            &rig.run(named(code, text(PYTHON, code))).await,
            "command exited",
        );
    }
    let at_start = rig.run(text(PYTHON, "import sys; sys.exit(0)")).await;
    is_developer_error(&at_start, "Cannot start action. Check logs for details.");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_without_a_line_end_belongs_to_its_call() {
    let Some(rig) = rig(PYTHON).await else { return };
    let code = "n = 0\ndef main(args):\n    global n; n += 1\n    print(n, end='')\n    return {}";
    for count in 1..=3 {
        let ran = rig.run(text(PYTHON, code)).await;
        assert_eq!(lines(&ran), [format!("stdout: {count}")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_have_a_main_file_modules_and_a_virtual_environment() {
    let Some(rig) = rig(PYTHON).await else { return };
    let archives = [
        (
            "main",
            None,
            zipped(&[("__main__.py", "def main(args): return {'from': 'main'}")]),
        ),
        (
            "module",
            None,
            zipped(&[
                (
                    "__main__.py",
                    "from tool import name\ndef main(args): return {'from': name}",
                ),
                ("tool/__init__.py", "name = 'module'"),
            ]),
        ),
        (
            "file",
            Some("other.go"),
            zipped(&[("other.py", "def go(args): return {'from': 'file'}")]),
        ),
        (
            "virtualenv",
            None,
            zipped(&[
                (
                    "virtualenv/bin/activate_this.py",
                    "import os, sys\nbase = os.path.dirname(os.path.dirname(__file__))\n\
                     sys.path.insert(0, os.path.join(base, 'packages'))",
                ),
                ("virtualenv/packages/inside.py", "name = 'virtualenv'"),
                (
                    "__main__.py",
                    "import inside\ndef main(args): return {'from': inside.name}",
                ),
            ]),
        ),
    ];
    for (from, entry, archive) in archives {
        let mut run = named(from, binary(PYTHON, &archive));
        run.code.main = entry.map(str::to_owned);
        assert_eq!(returned(rig.run(run).await), json!({ "from": from }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_environment_that_can_not_be_activated_is_told() {
    let Some(rig) = rig(PYTHON).await else { return };
    let archive = zipped(&[
        ("virtualenv/x", ""),
        ("__main__.py", "def main(args): return {}"),
    ]);
    let ran = rig.run(main("main", binary(PYTHON, &archive))).await;
    is_developer_error(&ran, "Cannot start action. Check logs for details.");
    let reason = "Invalid virtualenv. Zip file does not include 'activate_this.py'.";
    assert!(
        ran.logs.iter().any(|line| line.contains(reason)),
        "{:?}",
        ran.logs
    );
}
