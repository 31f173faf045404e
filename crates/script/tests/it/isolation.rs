//! One call leaves nothing for the next: not for another script, and not for
//! the same script's next event.

use std::sync::Arc;

use conche_script::{Evaluation, Sandbox};
use serde_json::json;

use crate::rig::{call, config, decide, fresh, raw, sandbox};

/// Runs `first`, then `second`, which must find nothing of it.
async fn assert_no_trace(sandbox: &Sandbox, body: &str, look: &str) {
    // One source with both halves shares one kept realm between the events.
    let source = format!("if (event.first) {{ {body} }} else {{ nextAction = String({look}) }}");
    let clean = format!("nextAction = String({look})");
    for make in [call, fresh] {
        let expected = decide(sandbox, make(&clean)).await;
        let first = Evaluation {
            event: raw(&json!({ "first": true })),
            ..make(&source)
        };
        // It may fail, and it may silently do nothing; it must not last.
        drop(sandbox.evaluate(first).await);
        assert_eq!(
            decide(sandbox, make(&source)).await,
            expected,
            "same script after: {body}"
        );
        assert_eq!(
            decide(sandbox, make(&clean)).await,
            expected,
            "other script after: {body}"
        );
    }
}

#[tokio::test]
async fn globals_do_not_last() {
    let sandbox = sandbox().await;
    for (body, look) in [
        ("leak = 1", "typeof leak"),
        ("var leak = 1", "typeof leak"),
        ("this.leak = 1", "typeof leak"),
        (
            "globalThis[Symbol.for('leak')] = 1",
            "globalThis[Symbol.for('leak')]",
        ),
        ("eval('var leak = 1')", "typeof leak"),
        (
            "(0, eval)('var leak = 1; function leak2() {}')",
            "typeof leak + typeof leak2",
        ),
        ("new Function('leak = 1')()", "typeof leak"),
        (
            "Object.defineProperty(globalThis, 'leak', { value: 1 })",
            "typeof leak",
        ),
        (
            "Object.defineProperty(globalThis, 'leak', { get() { return 1 }, configurable: true })",
            "typeof leak",
        ),
        (
            "Object.preventExtensions(globalThis)",
            "(globalThis.other = 1, typeof other)",
        ),
        (
            "Object.freeze(globalThis)",
            "(globalThis.other = 1, typeof other)",
        ),
        (
            "Object.setPrototypeOf(globalThis, { leak: 1 })",
            "typeof leak",
        ),
        (
            "nextAction = 'mail'; result = { secret: 1 }; throw 1",
            "nextAction + typeof result",
        ),
        ("err = 'x'", "err"),
        (
            "delete globalThis.event; delete globalThis.JSON; delete globalThis.nextAction",
            "typeof JSON + typeof event",
        ),
        ("actionData.leak = 1", "typeof actionData.leak"),
        ("event.leak = 1", "typeof event.leak"),
        ("Promise.resolve().then(() => { leak = 1 })", "typeof leak"),
        ("arguments = { leak: 1 }", "typeof arguments"),
    ] {
        assert_no_trace(&sandbox, body, look).await;
    }
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one table")]
async fn builtins_can_not_be_changed_for_others() {
    let sandbox = sandbox().await;
    for (body, look) in [
        ("Array.prototype.map = () => ['evil']", "[1].map(String)"),
        (
            "Array.prototype.push.call = 1; Array.prototype[0] = 'evil'",
            "[][0]",
        ),
        ("Object.prototype.polluted = 1", "({}).polluted"),
        ("Object.prototype.toString = () => 'evil'", "({})"),
        ("Object.prototype.__proto__ = { leak: 1 }", "({}).leak"),
        ("({}).__proto__.polluted = 1", "({}).polluted"),
        (
            "Object.defineProperty(Object.prototype, 'polluted', { value: 1 })",
            "({}).polluted",
        ),
        (
            "({}).constructor.constructor('Object.prototype.polluted = 1')()",
            "({}).polluted",
        ),
        ("JSON.stringify = () => '{\"evil\":1}'", "JSON.stringify(1)"),
        ("JSON.parse = () => ({ evil: 1 })", "JSON.parse('1')"),
        ("JSON = null", "typeof JSON"),
        (
            "String = () => 'evil'; Math.max = 1; Math.leak = 1",
            "Math.max(1, 2) + typeof Math.leak",
        ),
        (
            "console.log = null; console.leak = 1",
            "typeof console.log + typeof console.leak",
        ),
        ("console = { log() {} , leak: 1 }", "typeof console.leak"),
        (
            "Promise.prototype.then = null; Promise.leak = 1",
            "typeof Promise.prototype.then + Promise.leak",
        ),
        (
            "Function.prototype.call = () => 'evil'; Function.prototype.leak = 1",
            "(function () { return 1 }).call() + typeof Date.leak",
        ),
        (
            "Object.getPrototypeOf(function* () {}).leak = 1",
            "Object.getPrototypeOf(function* () {}).leak",
        ),
        (
            "Object.getPrototypeOf(function* () {}).prototype.next = null",
            "[...(function* () { yield 1 })()]",
        ),
        (
            "Object.getPrototypeOf(async function () {}).leak = 1",
            "Object.getPrototypeOf(async function () {}).leak",
        ),
        (
            "Object.getPrototypeOf(async function* () {}).prototype.leak = 1",
            "Object.getPrototypeOf(async function* () {}).prototype.leak",
        ),
        (
            "Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({ done: true })",
            "[...[1]]",
        ),
        (
            "Object.getPrototypeOf(new Map().keys()).leak = 1",
            "Object.getPrototypeOf(new Map().keys()).leak",
        ),
        (
            "Object.getPrototypeOf(''[Symbol.iterator]()).leak = 1",
            "Object.getPrototypeOf(''[Symbol.iterator]()).leak",
        ),
        (
            "Object.getPrototypeOf('a'.matchAll(/a/g)).leak = 1",
            "Object.getPrototypeOf('a'.matchAll(/a/g)).leak",
        ),
        (
            "Object.getPrototypeOf([].values().map(String)).leak = 1",
            "Object.getPrototypeOf([].values().map(String)).leak",
        ),
        (
            "Object.getPrototypeOf(Int8Array).leak = 1",
            "Object.getPrototypeOf(Int8Array).leak",
        ),
        ("RegExp.prototype.exec = () => null", "/a/.test('a')"),
        (
            "Error.prepareStackTrace = () => 'evil'; Error.stackTraceLimit = 0",
            "new Error('x').stack === 'evil' || Error.stackTraceLimit",
        ),
        (
            "Object.getOwnPropertyDescriptor(globalThis, 'event').get.leak = 1",
            "Object.getOwnPropertyDescriptor(globalThis, 'event').get.leak",
        ),
        (
            "Object.getOwnPropertyDescriptor(Object.prototype, 'toString').get && (Object.getOwnPropertyDescriptor(Object.prototype, 'toString').get.leak = 1)",
            "Object.prototype.toString.leak",
        ),
        (
            "(function tag(t) { try { t.leak = 1 } catch {} })`x`",
            "(function (t) { return t.leak })`x`",
        ),
        (
            "try { null.x } catch (e) { e.constructor.prototype.leak = 1 }",
            "new TypeError().leak",
        ),
        (
            "Object.setPrototypeOf(Array.prototype, { leak: 1 })",
            "[].leak",
        ),
        (
            "Reflect.ownKeys(globalThis).forEach((k) => { try { globalThis[k].leak = 1 } catch {} })",
            "Object.leak + '' + Map.leak + Reflect.leak + JSON.leak",
        ),
    ] {
        assert_no_trace(&sandbox, body, look).await;
    }
}

#[tokio::test]
async fn functions_and_closures_do_not_last() {
    let sandbox = sandbox().await;
    let count =
        "counter = (typeof counter === 'undefined' ? 0 : counter) + 1; nextAction = 'n' + counter";
    let notes = "function f() {} f.n = (f.n || 0) + 1; class C { static n = 0 } C.n++;\n\
                 var r = /a/g; r.lastIndex += 1; nextAction = 'n' + f.n + C.n + r.lastIndex";
    let literal =
        "var list = [1]; list.push(2); nextAction = 'n' + list.length + (typeof arguments)";
    for (source, expected) in [(count, "n1"), (notes, "n111"), (literal, "n2undefined")] {
        for _ in 0..3 {
            assert_eq!(decide(&sandbox, call(source)).await, json!([expected, {}]));
        }
    }
}

#[tokio::test]
async fn what_could_run_later_or_share_memory_is_not_there() {
    let sandbox = sandbox().await;
    let source = "nextAction = [typeof WeakRef, typeof FinalizationRegistry, typeof Atomics, typeof SharedArrayBuffer, \
                  typeof setTimeout, typeof std, typeof os, typeof scriptArgs, typeof print].join()";
    let nothing = ["undefined"; 9].join(",");
    for make in [call, fresh] {
        assert_eq!(decide(&sandbox, make(source)).await, json!([nothing, {}]));
    }
}

#[tokio::test]
async fn frozen_builtins_do_not_stop_objects_from_overriding_them() {
    let sandbox = sandbox().await;
    for (source, expected) in [
        (
            "var o = {}; o.toString = function () { return 'mine' }; nextAction = String(o)",
            "mine",
        ),
        (
            "var o = {}; o.constructor = 1; o.hasOwnProperty = 2; o.valueOf = () => 3; nextAction = 'n' + (o.constructor + o.hasOwnProperty + o)",
            "n6",
        ),
        (
            "function P() {} P.prototype.toString = function () { return 'proto' }; nextAction = String(new P())",
            "proto",
        ),
        (
            "function P() {} P.prototype = Object.create(Array.prototype); P.prototype.constructor = P; nextAction = new P().constructor.name",
            "P",
        ),
        (
            "var e = new Error('a'); e.message = 'b'; e.name = 'N'; nextAction = String(e)",
            "N: b",
        ),
        (
            "function E() {} E.prototype = Object.create(Error.prototype); E.prototype.name = 'E'; E.prototype.message = 'm'; nextAction = String(new E())",
            "E: m",
        ),
        (
            "class E extends Error { constructor() { super('m'); this.name = 'Mine' } } try { throw new E() } catch (e) { nextAction = String(e) + (e instanceof Error) }",
            "Mine: mtrue",
        ),
        (
            "var f = function () {}; f.toString = () => 'f'; f.call = 5; nextAction = String(f) + f.call",
            "f5",
        ),
        (
            "var d = new Date(0); d.toJSON = () => 'd'; nextAction = JSON.parse(JSON.stringify({ d })).d",
            "d",
        ),
        (
            "event.toString = () => 'ev'; event.constructor = 'c'; nextAction = String(event) + event.constructor; delete event.toString",
            "evc",
        ),
        (
            "var o = { then: 1 }; o.then = 2; var p = Promise.resolve(); p.then = 3; nextAction = 'n' + (o.then + p.then)",
            "n5",
        ),
        (
            "nextAction = [Object.prototype.toString.call([]), [].constructor === Array, ({}).hasOwnProperty('toString'), typeof ({}).valueOf].join()",
            "[object Array],true,false,function",
        ),
        (
            "var o = {}; o.toString = 1; nextAction = Object.keys(o).join() + delete o.toString + typeof o.toString",
            "toStringtruefunction",
        ),
    ] {
        for make in [call, fresh] {
            assert_eq!(
                decide(&sandbox, make(source)).await,
                json!([expected, {}]),
                "{source}"
            );
        }
    }
}

#[tokio::test]
async fn a_fresh_realm_allows_what_a_kept_one_does_not() {
    let sandbox = sandbox().await;
    for (source, expected) in [
        ("var x = 1; nextAction = 'x' + this.x", "x1"),
        (
            "Array.prototype.last = function () { return this[this.length - 1] }; nextAction = 'x' + [1, 2].last()",
            "x2",
        ),
        ("JSON = { mine: 'x3' }; nextAction = JSON.mine", "x3"),
    ] {
        for _ in 0..2 {
            assert_eq!(decide(&sandbox, fresh(source)).await, json!([expected, {}]));
        }
        assert_ne!(decide(&sandbox, call(source)).await, json!([expected, {}]));
    }
}

#[tokio::test]
async fn realms_are_made_anew_and_bounded_without_anyone_noticing() {
    let mut config = config();
    config.recycle_after = 3;
    let sandbox = Sandbox::start(config).await.unwrap();
    // More scripts than a worker keeps realms for, and more calls than a realm lives.
    for round in 0..4 {
        for script in 0..40 {
            let source = format!("nextAction = 'a{script}'; result = {{ n: event.n }}");
            let event = raw(&json!({ "n": round }));
            let found = decide(
                &sandbox,
                Evaluation {
                    event,
                    ..call(&source)
                },
            )
            .await;
            assert_eq!(found, json!([format!("a{script}"), { "n": round }]));
        }
    }
    // More sources than a worker is made to remember.
    for script in 0..300 {
        let source = format!("nextAction = 'b{script}'");
        assert_eq!(
            decide(&sandbox, call(&source)).await,
            json!([format!("b{script}"), {}])
        );
    }
    assert_eq!(sandbox.stats().lost, 0);
}

#[tokio::test]
async fn a_script_that_throws_each_time_keeps_its_worker() {
    let sandbox = sandbox().await;
    let thrower = Arc::new(call(
        "if (event.n) { leak = 1; throw new Error('no') } nextAction = typeof leak",
    ));
    for _ in 0..20 {
        let error = sandbox.evaluate((*thrower).clone()).await.unwrap_err();
        assert_eq!(error.to_string(), "Error: no (line 1, column 36)");
    }
    let clean = Evaluation {
        event: raw(&json!({ "n": 0 })),
        ..(*thrower).clone()
    };
    assert_eq!(decide(&sandbox, clean).await, json!(["undefined", {}]));
    assert_eq!((sandbox.stats().lost, sandbox.stats().started), (0, 1));
}
