//! Scripts that want to hang, crash, fill or fool us. Each must cost its own
//! call only.

use std::time::{Duration, Instant};

use conche_script::{Config, Error, Evaluation, Limits, QuarantinePolicy, Sandbox};
use serde_json::json;

use crate::rig::{call, config, decide, failure, fresh, raw_text, within};

const LIMIT: Duration = Duration::from_millis(300);
/// The plan asks for 50 ms on a quiet machine; tests run on a busy one.
const LATE: Duration = Duration::from_millis(700);

/// A sandbox that never sets a script aside.
async fn patient() -> Sandbox {
    let quarantine = QuarantinePolicy {
        strikes: u32::MAX,
        ..QuarantinePolicy::default()
    };
    Sandbox::start(Config {
        quarantine,
        ..config()
    })
    .await
    .unwrap()
}

async fn assert_still_works(sandbox: &Sandbox) {
    let source = "nextAction = 'fine'; result = { n: event.n }";
    assert_eq!(
        decide(sandbox, call(source)).await,
        json!(["fine", { "n": 1 }])
    );
}

#[tokio::test]
async fn the_fourteen_bodies_end_at_their_deadline() {
    let sandbox = patient().await;
    let parent = std::process::id();
    for body in [
        "while (true) {}",
        "for (;;) { try { while (true) {} } catch (e) {} finally { continue } }",
        "/(a+)+$/.test('a'.repeat(40) + 'b')",
        "var a = []; a[4294967290] = 1; for (;;) a.indexOf(2)",
        "(async () => { for (;;) await null })()",
        "var big = 'x'.repeat(5e6); for (;;) big.indexOf('y')",
        "var arr = Array.from({ length: 1e5 }, (_, i) => -i); for (;;) arr.slice().sort()",
        "var big = { s: 'x'.repeat(1e6) }; for (;;) JSON.stringify(big)",
        "var big = 'x'.repeat(1e6); for (;;) big.replaceAll('x', 'y')",
        "var arr = new Array(1e6); for (;;) arr.fill(1)",
        "for (;;) (3n ** 200000n).toString()",
        "var x = 3n; for (;;) { x = x * x; if (x > 1n << 500000n) x = 3n }",
        "var a = new Uint8Array(1e6); for (;;) a.sort()",
        "for (;;) [1, 2, 3].concat(new Array(1e5).fill(0)).reverse().join()",
    ] {
        let begun = Instant::now();
        let error = failure(&sandbox, within(LIMIT, call(body))).await;
        let took = begun.elapsed();
        assert!(
            matches!(error, Error::Timeout { limit, .. } if limit == LIMIT),
            "{body}: {error}"
        );
        // The limit is processor time: a busy machine makes it longer, by a bounded factor.
        let longest = LIMIT * Limits::WALL_FACTOR + LATE;
        assert!(took >= LIMIT && took < longest, "{body}: {took:?}");
        assert_still_works(&sandbox).await;
    }
    assert_eq!(std::process::id(), parent);
    assert_eq!(sandbox.stats().lost, 14);
}

#[tokio::test]
async fn a_memory_eater_fails_and_its_worker_is_replaced() {
    let sandbox = patient().await;
    for body in [
        "var a = []; for (;;) a.push(new Array(1000).fill(1))",
        "var s = 'x'; for (;;) s += s + '!'; s.length",
        "var a = []; for (;;) { try { for (;;) a.push(new Uint8Array(1e5)) } catch (e) { throw e } }",
        "new Array(1e8).fill({})",
    ] {
        let limits = Limits {
            time: Duration::from_secs(10),
            memory: 16 << 20,
            ..Limits::default()
        };
        for make in [call, fresh] {
            let error = failure(
                &sandbox,
                Evaluation {
                    limits: Some(limits),
                    ..make(body)
                },
            )
            .await;
            // A string can also reach the longest length there is first.
            let expected = matches!(error, Error::Memory { .. })
                || error.to_string().contains("string too long");
            assert!(expected, "{body}: {error}");
            assert_still_works(&sandbox).await;
        }
    }
}

#[tokio::test]
async fn memory_can_not_be_asked_beyond_what_the_sandbox_has() {
    let sandbox = patient().await;
    let limits = Limits {
        time: Duration::from_secs(10),
        memory: u64::MAX,
        ..Limits::default()
    };
    let eater = call("var a = []; for (;;) a.push(new Uint8Array(1e6))");
    let error = failure(
        &sandbox,
        Evaluation {
            limits: Some(limits),
            ..eater
        },
    )
    .await;
    assert!(
        matches!(error, Error::Memory { limit, .. } if limit == 32 << 20),
        "{error}"
    );
}

#[tokio::test]
async fn deep_recursion_is_an_ordinary_error() {
    let sandbox = patient().await;
    for body in [
        "function f() { f() } f()",
        "var o = {}; o.toString = function () { return '' + this }; '' + o",
        "var p = new Proxy({}, { get: (t, k, r) => r[k] }); p.x",
        "var a = []; for (var i = 0; i < 1e5; i++) a = [a]; JSON.stringify(a)",
        "JSON.parse('['.repeat(1e5))",
        "eval('('.repeat(1e5))",
        "new RegExp('('.repeat(1e5) + ')'.repeat(1e5))",
        "var f = () => 1; for (let i = 0; i < 1e5; i++) { let g = f; f = () => g() } f()",
    ] {
        let error = failure(&sandbox, within(Duration::from_secs(10), call(body))).await;
        assert!(matches!(error, Error::Script { .. }), "{body}: {error}");
    }
    assert_eq!(sandbox.stats().lost, 0);
}

#[tokio::test]
async fn output_is_bounded_in_every_direction() {
    let sandbox = patient().await;
    for body in [
        "nextAction = 'a'; result = { big: 'x'.repeat(1e6) }",
        "nextAction = 'x'.repeat(1e6)",
        "event.big = 'x'.repeat(1e6)",
        "nextAction = 'a'; event.big = 'é'.repeat(2e5)",
    ] {
        for make in [call, fresh] {
            let error = failure(&sandbox, make(body)).await;
            assert!(
                matches!(error, Error::OutputTooLarge { limit: 262_144, .. }),
                "{body}: {error}"
            );
        }
    }
    let error = failure(&sandbox, call("err = 'x'.repeat(1e6)"))
        .await
        .to_string();
    assert!(error.len() < 10_000, "{}", error.len());
    let error = failure(&sandbox, call("throw 'é'.repeat(1e6)"))
        .await
        .to_string();
    assert!(error.len() < 10_000, "{}", error.len());

    for body in [
        "for (var i = 0; i < 1e5; i++) console.log('line')",
        "console.log('x'.repeat(1e6))",
        "for (var i = 0; i < 1e5; i++) console.log()",
    ] {
        let evaluated = sandbox.evaluate(call(body)).await.unwrap();
        let bytes: usize = evaluated
            .logs
            .lines
            .iter()
            .map(|line| line.text.len())
            .sum();
        assert!(
            evaluated.logs.truncated && bytes <= Limits::default().logs,
            "{body}: {bytes}"
        );
        assert!(evaluated.logs.lines.len() <= Limits::default().logs / 8 + 1);
    }
    assert_eq!(sandbox.stats().lost, 0);
}

#[tokio::test]
async fn values_that_fight_back_when_read_fail_their_script() {
    let sandbox = patient().await;
    for body in [
        "err = { toString() { throw new Error('boom') } }",
        "err = Object.create(null)",
        "err = Symbol('s'); err.description; throw err",
        "nextAction = { toString() { throw new Error('boom') } }",
        "nextAction = 'a'; result = { get x() { throw new Error('boom') } }",
        "nextAction = 'a'; result = { toJSON() { throw new Error('boom') } }",
        "nextAction = 'a'; result = {}; result.self = result",
        "nextAction = 'a'; result = new Proxy({}, { ownKeys() { throw new Error('boom') } })",
        "nextAction = 'a'; var r = Proxy.revocable({}, {}); r.revoke(); result = r.proxy",
        "event.self = event",
        "event.bad = { toJSON() { throw new Error('boom') } }",
        "throw { toString() { throw 1 } }",
        "var e = new Error('x'); Object.defineProperty(e, 'stack', { get() { throw 1 } }); throw e",
    ] {
        for make in [call, fresh] {
            let error = failure(&sandbox, make(body)).await;
            assert!(matches!(error, Error::Script { .. }), "{body}: {error}");
        }
    }
    assert_eq!(sandbox.stats().lost, 0);
    for body in [
        "nextAction = 'a'; result = { get x() { for (;;) {} } }",
        "nextAction = { toString() { for (;;) {} } }",
        "err = { toString() { for (;;) {} } }",
        "throw { toString() { for (;;) {} } }",
        "nextAction = 'a'; result = new Proxy({}, { ownKeys() { for (;;) {} } })",
        "event.bad = { toJSON() { for (;;) {} } }",
        "console.log({ toJSON() { for (;;) {} } })",
        "(function flood() { Promise.resolve().then(flood) })()",
        "(function flood() { Promise.resolve().then(flood); Promise.resolve().then(flood) })()",
    ] {
        let error = failure(&sandbox, within(LIMIT, call(body))).await;
        assert!(
            matches!(error, Error::Timeout { .. } | Error::Memory { .. }),
            "{body}: {error}"
        );
        assert_still_works(&sandbox).await;
    }
}

#[tokio::test]
async fn logs_before_an_interrupted_loop_are_kept() {
    let sandbox = patient().await;
    let hang = within(LIMIT, call("console.log('before'); while (true) {}"));
    // On a busy machine the kill may come before the interrupt's answer.
    for _ in 0..20 {
        let error = failure(&sandbox, hang.clone()).await;
        if let Some(line) = error.logs().unwrap().lines.first() {
            assert_eq!(line.text, "before");
            return;
        }
    }
    panic!("never interrupted in time");
}

#[tokio::test]
async fn deep_and_wide_events_do_not_break_the_worker() {
    let sandbox = patient().await;
    let depth = 100_000;
    let deep = raw_text(&format!(
        "{{\"a\":{}{}}}",
        "[".repeat(depth),
        "]".repeat(depth)
    ));
    let unread = Evaluation {
        event: deep.clone(),
        ..call("nextAction = 'unread'")
    };
    assert_eq!(decide(&sandbox, unread).await, json!(["unread", {}]));
    let read = Evaluation {
        event: deep,
        ..call("nextAction = typeof event")
    };
    let error = failure(&sandbox, read).await;
    assert!(matches!(error, Error::Script { .. }), "{error}");

    let wide = raw_text(&format!("{{\"list\":[{}0]}}", "0,".repeat(400_000)));
    let read = Evaluation {
        event: wide,
        ..call("nextAction = 'n' + event.list.length")
    };
    assert_eq!(decide(&sandbox, read).await, json!(["n400001", {}]));
    assert_eq!(sandbox.stats().lost, 0);
}
