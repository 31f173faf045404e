//! Actions that mean harm, or do it: each ends within its limits, is told the right text, and
//! the next call is served.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::json;

use super::rig::{
    EXEC, NODE, PYTHON, Rig, error, is_developer_error, lines, named, processes_of, returned, rig,
    rig_with, settings_for, text, until, within,
};
use conche_openwhisk_host::runtimes::{Run, Runtimes as _};

const EXHAUSTED: &str = "The action exhausted its memory and was aborted.";
const SHORT: Duration = Duration::from_millis(700);

fn small(mut run: Run) -> Run {
    run.limits.memory_mb = 128;
    run
}

/// The pool still serves, and nothing is left of what it ended.
async fn goes_on(rig: &Rig, kind: &str) {
    let echo = match kind {
        NODE => "const main = (args) => args",
        PYTHON => "def main(args): return args",
        _ => "#!/bin/sh\nwhile read -r line; do echo '{}' >&3; done",
    };
    let next = named("well-behaved", text(kind, echo));
    assert_eq!(returned(rig.run(next.clone()).await), json!({}));
    rig.forget(&next.action);
    if let Some(users) = rig.users {
        until("the end of all processes", || {
            processes_of(users).is_empty()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_used_up_ends_a_javascript_action() {
    let Some(rig) = rig(NODE).await else { return };
    let hogs = [
        // Outside the heap, within it, and in a thread.
        "const main = () => { const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1)) }",
        "const main = () => { const a = []; for (;;) a.push({ a: [a.length] }) }",
        "const main = () => new Promise(() => new (require('worker_threads').Worker)(
            'const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1))', { eval: true }))",
    ];
    for hog in hogs {
        is_developer_error(
            &rig.run(small(named(hog, text(NODE, hog)))).await,
            EXHAUSTED,
        );
    }
    goes_on(&rig, NODE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_used_up_ends_a_python_action_even_at_its_start_or_in_a_child() {
    let Some(rig) = rig(PYTHON).await else { return };
    let hogs = [
        "def main(args):\n    a = []\n    while True: a.append(bytearray(b'x' * 100000))",
        "def main(args): return {'x': len(bytearray(10 ** 10))}",
        "a = []\nwhile True: a.append(bytearray(b'x' * 100000))",
        "import subprocess, sys\ndef main(args):
    hog = 'a = []\\nwhile len(a) < 3000: a.append(bytearray(b\"x\" * 100000))\\ninput()'
    subprocess.Popen([sys.executable, '-c', hog], stdin=subprocess.PIPE).wait()",
    ];
    for hog in hogs {
        is_developer_error(
            &rig.run(small(named(hog, text(PYTHON, hog)))).await,
            EXHAUSTED,
        );
    }
    goes_on(&rig, PYTHON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_used_up_ends_a_program() {
    let rig = rig(EXEC).await.unwrap();
    let hog = "#!/bin/bash\nread -r line; a=x; while :; do a=$a$a; done";
    let ran = rig.run(small(text(EXEC, hog))).await;
    // The shell may notice first that it gets no more.
    let expected = [json!(EXHAUSTED), json!("command exited")];
    assert!(expected.contains(error(&ran).1), "{ran:?}");
    goes_on(&rig, EXEC).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_is_ended_at_its_deadline() {
    let loops = [
        (NODE, "const main = () => { console.log('on'); for (;;); }"),
        (
            NODE,
            "const main = () => { console.log('on'); return new Promise(() => {}) }",
        ),
        (
            PYTHON,
            "def main(args):\n    print('on')\n    while True: pass",
        ),
        (
            EXEC,
            "#!/bin/sh\nread -r line; echo on; while :; do :; done",
        ),
    ];
    for (kind, code) in loops {
        let Some(rig) = rig(kind).await else { continue };
        // A start of an interpreter on a busy machine takes longer than the loop may.
        let limit = if kind == EXEC { SHORT } else { SHORT * 3 };
        let begun = Instant::now();
        let ran = rig
            .run(within(limit, named("loop", text(kind, code))))
            .await;
        let limit = limit.as_millis();
        let told = format!("The action exceeded its time limits of {limit} milliseconds.");
        is_developer_error(&ran, &told);
        assert!(ran.timed_out && ran.run.as_millis() >= limit);
        assert!(begun.elapsed() < Duration::from_secs(15));
        let doubt = "stderr: The action did not initialize or run as expected. Log data might be \
                     missing.";
        assert_eq!(lines(&ran), ["stdout: on", doubt], "{kind}");
        goes_on(&rig, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_start_is_ended_at_its_deadline() {
    let Some(rig) = rig(NODE).await else { return };
    let ran = rig.run(within(SHORT, text(NODE, "for (;;);"))).await;
    let told = "The action exceeded its time limits of 700 milliseconds during initialization.";
    is_developer_error(&ran, told);
    assert!(ran.timed_out && ran.init.is_some() && ran.run == Duration::ZERO);
    goes_on(&rig, NODE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_is_ended_and_nothing_of_it_is_left() {
    let rig = rig(EXEC).await.unwrap();
    let bomb = "#!/bin/bash\nread -r line; bomb() { bomb | bomb & }; bomb; sleep 60";
    let ran = rig
        .run(within(Duration::from_secs(5), text(EXEC, bomb)))
        .await;
    assert_eq!(error(&ran).0, "action developer error");
    goes_on(&rig, EXEC).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_that_hide_are_ended_with_the_action() {
    let Some(rig) = rig(PYTHON).await else { return };
    let code = "import os, subprocess
def main(args):
    subprocess.Popen(['sleep', '600'])
    if os.fork() == 0:
        for leave in (os.setsid, lambda: os.setpgid(0, 0)):
            try: leave()
            except OSError: pass
        if os.fork() == 0: os.execvp('sleep', ['sleep', '600'])
        os._exit(0)
    raise SystemExit(0)";
    is_developer_error(&rig.run(text(PYTHON, code)).await, "command exited");
    goes_on(&rig, PYTHON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_logs_is_cut_and_the_result_is_kept() {
    let Some(rig) = rig(NODE).await else { return };
    let code = "function main() { for (let i = 0; i < 40; i++) {
        process.stdout.write('x'.repeat(99_999) + '\\n') } console.error('end'); return { a: 1 } }";
    let mut run = text(NODE, code);
    run.limits.logs_mb = 1;
    let ran = rig.run(run.clone()).await;
    let kept: usize = lines(&ran)
        .iter()
        .map(|line| line.len() - "stdout: ".len())
        .sum();
    assert!(
        ((1 << 20) - 1000..(1 << 20) + 200).contains(&kept),
        "{kept}"
    );
    let last = "stderr: Logs were truncated because the total bytes size exceeds the limit of \
                1048576 bytes.";
    assert_eq!(lines(&ran).last(), Some(&last));
    assert_eq!(returned(ran), json!({ "a": 1 }));
    run.limits.logs_mb = 10;
    assert_eq!(rig.run(run).await.logs.len(), 41, "nothing is carried over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_too_long_is_cut_and_the_process_stays() {
    let Some(rig) = rig(NODE).await else { return };
    let code = "const main = () => ({ a: 'x'.repeat(1 << 20) })";
    let ran = rig.run(text(NODE, code)).await;
    let (class, error) = error(&ran);
    assert_eq!(class, "application error");
    let text = error.as_str().unwrap();
    let beginning = "The action produced a response that exceeded the allowed length: 1048584 > \
                     1048576 bytes. The truncated response was: {\"a\":\"xxx";
    assert!(text.starts_with(beginning), "{}", &text[..200]);
    assert!(text.len() < 5000, "{}", text.len());
    assert_eq!(rig.run(self::text(NODE, code)).await.init, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_not_waited_for() {
    let rig = rig(EXEC).await.unwrap();
    let ran = rig
        .run(text(
            EXEC,
            "#!/bin/sh\nread -r line; exec tr -d '\\n' </dev/urandom >&3",
        ))
        .await;
    is_developer_error(&ran, "command exited");
    goes_on(&rig, EXEC).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn meddling_with_descriptors_harms_the_meddler_alone() {
    let Some(rig) = rig(NODE).await else { return };
    let stdin = "const main = () => ({ read: require('fs').readFileSync(0).length })";
    for _ in 0..2 {
        let ran = rig.run(named("stdin", text(NODE, stdin))).await;
        assert_eq!(returned(ran), json!({ "read": 0 }));
    }
    rig.forget(&named("stdin", text(NODE, stdin)).action);
    let twice = "function main() { require('fs').writeSync(3, '{\"a\":1}\\n{\"b\":2}\\n');
        return new Promise(() => {}) }";
    let ran = rig.run(named("twice", text(NODE, twice))).await;
    let lost = "The action did not produce a valid response and exited unexpectedly.";
    is_developer_error(&ran, lost);
    let closed = "const main = () => { require('fs').closeSync(3); return new Promise(() => {}) }";
    let ran = rig
        .run(within(SHORT * 3, named("closed", text(NODE, closed))))
        .await;
    assert_eq!(error(&ran).0, "action developer error");
    goes_on(&rig, NODE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_not_asked_for_is_not_taken_for_the_next() {
    let Some(rig) = rig(NODE).await else { return };
    let signs = tempfile::tempdir().unwrap();
    let seen_by_all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(signs.path(), seen_by_all).unwrap();
    let sign = signs.path().join("now");
    // It forges when the test says so: then the first answer has been taken.
    let code = &format!(
        "const fs = require('fs'); let n = 0; function main() {{
        const timer = setInterval(() => {{ if (!fs.existsSync({sign:?})) return;
            clearInterval(timer); fs.writeSync(3, '{{\"forged\":true}}\\n') }}, 1);
        return {{ n: ++n }} }}"
    );
    assert_eq!(returned(rig.run(text(NODE, code)).await), json!({ "n": 1 }));
    std::fs::write(&sign, "").unwrap();
    until("a fresh process", || {
        let ran = futures_util::FutureExt::now_or_never(rig.run(text(NODE, code)));
        // The call that finds the forged answer is not done at once, as it starts a process.
        ran.is_none()
    })
    .await;
    let ran = rig
        .run(named("other", text(NODE, "const main = () => ({ n: 1 })")))
        .await;
    assert_eq!(returned(ran), json!({ "n": 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_threads_or_files_are_refused_to_the_action_and_not_to_others() {
    let mut settings = settings_for(PYTHON);
    settings.process.descriptors = 40;
    settings.process.file = 1 << 20;
    let Some(rig) = rig_with(PYTHON, settings).await else {
        return;
    };
    let code = "import os
def main(args):
    files, written = [], 0
    try:
        while True: files.append(open('/dev/null'))
    except OSError as error: refused = error.errno
    for file in files: file.close()
    import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with open(os.environ['TMPDIR'] + '/f', 'wb', buffering=0) as file:
            while True: written += file.write(b'x' * 65536)
    except OSError: pass
    return {'files': len(files) < 40, 'refused': refused, 'written': written}";
    let expected = json!({ "files": true, "refused": 24, "written": 1 << 20 });
    assert_eq!(returned(rig.run(text(PYTHON, code)).await), expected);
}
