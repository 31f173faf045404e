//! What a script's globals mean: CSF's rules with our corrections, the same in
//! a kept and in a fresh realm.

use std::sync::Arc;

use conche_script::{Error, Evaluation, Isolation, LogLevel, Sandbox};
use serde_json::{Value, json};

use crate::rig::{call, decide, event_after, failure, fresh, raw, raw_text, sandbox, verdict};

async fn assert_verdicts(rows: &[(&str, Value)]) {
    let sandbox = sandbox().await;
    for (source, expected) in rows {
        for isolation in [Isolation::Warm, Isolation::Fresh] {
            // Twice: the second warm call runs in the kept realm.
            for round in 0..2 {
                let evaluation = Evaluation {
                    isolation,
                    ..call(source)
                };
                let found = decide(&sandbox, evaluation).await;
                assert_eq!(&found, expected, "{isolation:?}, round {round}: {source}");
            }
        }
    }
}

#[tokio::test]
async fn a_script_stops_unless_next_action_is_truthy() {
    let rows: Vec<_> = [
        "",
        "nextAction = ''",
        "nextAction = undefined",
        "nextAction = null",
        "nextAction = false",
        "nextAction = 0",
        "nextAction = []",
        "var nextAction",
        "let nextAction",
        "let nextAction, err, result;",
        "result = { a: 1 }",
        "// only a comment",
        "nextAction = 'a'; nextAction = null",
    ]
    .into_iter()
    .map(|source| (source, json!("stop")))
    .collect();
    assert_verdicts(&rows).await;
}

#[tokio::test]
async fn every_way_to_set_the_verdict_works() {
    let expected = json!(["mail", { "to": "a" }]);
    let actions = [
        "nextAction = 'mail'",
        "var nextAction = 'mail'",
        "let nextAction = 'mail'",
        "const nextAction = 'mail'",
        "this.nextAction = 'mail'",
        "globalThis.nextAction = 'mail'",
        "nextAction = new String('mail')",
        "var nextAction; nextAction = 'mail'",
        "{ nextAction = 'mail' }",
        "(function () { nextAction = 'mail' })()",
        "(() => { this.nextAction = 'mail' })()",
        "function later() { nextAction = 'mail' } later()",
        "eval(\"nextAction = 'mail'\")",
        "if (true) { var nextAction = 'mail' }",
        "var nextAction; this.nextAction = 'mail'",
    ];
    let results = [
        "result = { to: 'a' }",
        "var result = { to: 'a' }",
        "let result = { to: 'a' }",
        "const result = { to: 'a' }",
        "this.result = { to: 'a' }",
        "class Result { to = 'a' }; result = new Result()",
        "var result = {}; result.to = 'a'",
        "result = Object.create(null); result.to = 'a'",
        "result = { toJSON() { return { to: 'a' } } }",
        "result = new Proxy({ to: 'a' }, {})",
        "result = { to: 'a', no: undefined, f() {} }",
    ];
    let mut rows = Vec::new();
    for action in actions {
        rows.push((format!("{action};\n{}", results[0]), expected.clone()));
    }
    for result in results {
        for action in &actions[..5] {
            rows.push((format!("{result};\n{action}"), expected.clone()));
        }
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|(source, value)| (source.as_str(), value.clone()))
        .collect();
    assert_verdicts(&rows).await;
}

#[tokio::test]
async fn a_missing_result_is_an_empty_object_and_others_must_be_objects() {
    let refused = |text: &str| json!({ "error": text });
    let no_object = refused("'result' is not an object");
    assert_verdicts(&[
        ("nextAction = 'a'", json!(["a", {}])),
        ("nextAction = 'a'; result = null", json!(["a", {}])),
        ("nextAction = 'a'; result = undefined", json!(["a", {}])),
        ("nextAction = 7", json!(["7", {}])),
        ("nextAction = 'a'; result = []", no_object.clone()),
        ("nextAction = 'a'; result = [1]", no_object.clone()),
        ("nextAction = 'a'; result = 'text'", no_object.clone()),
        ("nextAction = 'a'; result = 5", no_object.clone()),
        (
            "nextAction = 'a'; result = function () {}",
            no_object.clone(),
        ),
        ("nextAction = 'a'; result = new Date(0)", no_object.clone()),
        ("nextAction = 'a'; result = { toJSON() {} }", no_object),
        // Not looked at where there is no next action.
        ("result = 5", json!("stop")),
    ])
    .await;
}

#[tokio::test]
async fn err_fails_the_script_with_its_own_words_and_before_the_verdict() {
    let refused = |text: &str| json!({ "error": text });
    assert_verdicts(&[
        ("err = 'not for us'", refused("not for us")),
        ("var err = 'not for us'", refused("not for us")),
        (
            "let err = 'not for us'; nextAction = 'a'",
            refused("not for us"),
        ),
        (
            "nextAction = 'a'; result = 5; err = 'first'",
            refused("first"),
        ),
        ("err = 0", refused("0")),
        ("err = null", refused("null")),
        ("err = false", refused("false")),
        ("err = undefined", refused("undefined")),
        ("err = new TypeError('bad')", refused("TypeError: bad")),
        ("err = { toString() { return 'made' } }", refused("made")),
        ("err = ''; nextAction = 'a'", json!(["a", {}])),
        ("var err; nextAction = 'a'", json!(["a", {}])),
    ])
    .await;
}

#[tokio::test]
async fn exceptions_and_syntax_errors_say_where() {
    let sandbox = sandbox().await;
    for make in [call, fresh] {
        let thrown = failure(&sandbox, make("var a = 1;\n  missing.x = 1;")).await;
        let Error::Script { message, line, .. } = &thrown else {
            panic!("{thrown:?}")
        };
        assert_eq!(
            (message.as_str(), *line),
            ("ReferenceError: missing is not defined", Some(2))
        );

        let syntax = failure(&sandbox, make("var a = 1;\nvar b = ;")).await;
        let Error::Script { message, line, .. } = &syntax else {
            panic!("{syntax:?}")
        };
        assert!(message.starts_with("SyntaxError"), "{message}");
        assert_eq!(*line, Some(2));

        let text = failure(&sandbox, make("throw 'plain'")).await;
        assert_eq!(text.to_string(), "plain");
        let nothing = failure(&sandbox, make("throw null")).await;
        assert!(
            nothing.to_string().starts_with("null was thrown"),
            "{nothing}"
        );
    }
}

#[tokio::test]
async fn the_source_can_not_leave_its_function() {
    let sandbox = sandbox().await;
    for source in [
        "return",
        "return 1",
        "}",
        "}); (() => {",
        "})()}}); ({run(){((",
        "super.x",
        "new.target",
        "/*",
        "`",
        "if (1)",
        "} , leak = 1, () => {",
        "'",
        "await 1; return",
        "break",
        "yield 1",
        "import 'x'",
        "export let a = 1",
    ] {
        for make in [call, fresh] {
            let error = failure(&sandbox, make(source)).await.to_string();
            assert!(error.starts_with("SyntaxError"), "{source}: {error}");
        }
        assert!(sandbox.check(source).await.is_err(), "{source}");
    }
}

#[tokio::test]
async fn scripts_are_sloppy_and_may_ask_for_strict() {
    assert_verdicts(&[
        ("with ({ a: 'w' }) { nextAction = a }", json!(["w", {}])),
        ("leak = 'w'; nextAction = leak", json!(["w", {}])),
        (
            "nextAction = (function () { return typeof this })()",
            json!(["object", {}]),
        ),
        (
            "nextAction = 010 === 8 ? 'octal' : ''",
            json!(["octal", {}]),
        ),
        (
            "\"use strict\"; nextAction = (function () { return typeof this })()",
            json!(["undefined", {}]),
        ),
        ("nextAction = typeof arguments", json!(["undefined", {}])),
        (
            "var x = 1; delete x; nextAction = typeof require + typeof process + typeof setTimeout",
            json!(["undefinedundefinedundefined", {}]),
        ),
        (
            "nextAction = `${[1, 2].map((n) => n * 2)}`",
            json!(["2,4", {}]),
        ),
        (
            "let { n, ...rest } = event; nextAction = Object.keys(rest).join()",
            json!(["list,nested", {}]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_script_may_declare_the_names_it_is_given() {
    assert_verdicts(&[
        (
            "var event = event || {}; nextAction = 'n' + event.n",
            json!(["n1", {}]),
        ),
        ("var event; nextAction = 'n' + event.n", json!(["n1", {}])),
        (
            "var actionData = actionData || 5; nextAction = typeof actionData",
            json!(["object", {}]),
        ),
        (
            "let event = { n: 7 }; nextAction = 'n' + event.n",
            json!(["n7", {}]),
        ),
        (
            "const actionData = 3; nextAction = 'd' + actionData",
            json!(["d3", {}]),
        ),
        (
            "function result() {} nextAction = typeof result; result = { a: 1 }",
            json!(["function", { "a": 1 }]),
        ),
        (
            "event = { n: 9 }; nextAction = 'n' + event.n",
            json!(["n9", {}]),
        ),
        (
            "for (var event of [1]) {} nextAction = 'e' + event",
            json!(["e1", {}]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_event_is_a_plain_json_object() {
    assert_verdicts(&[
        ("nextAction = String(event.absent === undefined && Array.isArray(event.list))", json!(["true", {}])),
        ("nextAction = ('n' in event) + '' + event.hasOwnProperty('x')", json!(["truefalse", {}])),
        ("nextAction = 'a'; result = event", json!(["a", { "n": 1, "list": [1, 2], "nested": { "a": "b" } }])),
        ("nextAction = 'a'; event.list.push(3); result = { list: event.list }", json!(["a", { "list": [1, 2, 3] }])),
        ("nextAction = typeof actionData + (actionData === null) + Object.keys(actionData).length", json!(["objectfalse0", {}])),
    ])
    .await;
}

async fn after(sandbox: &Sandbox, source: &str, isolation: Isolation) -> Option<Value> {
    let evaluation = Evaluation {
        isolation,
        ..call(source)
    };
    event_after(&sandbox.evaluate(evaluation).await.unwrap())
}

#[tokio::test]
async fn only_changes_inside_the_event_come_back() {
    let sandbox = sandbox().await;
    for isolation in [Isolation::Warm, Isolation::Fresh] {
        for untouched in [
            "",
            "nextAction = 'n' + event.n",
            "event = { other: 1 }",
            "var event = { other: 1 }",
            "event.n = 2; event.n = 1",
            "event.x = undefined",
            "let event = 5",
        ] {
            assert_eq!(
                after(&sandbox, untouched, isolation).await,
                None,
                "{untouched}"
            );
        }
        let changed = after(&sandbox, "event.n = 2; delete event.list", isolation).await;
        assert_eq!(changed, Some(json!({ "n": 2, "nested": { "a": "b" } })));
        let stopped = after(&sandbox, "event.seen = true; nextAction = ''", isolation)
            .await
            .unwrap();
        assert_eq!(stopped["seen"], json!(true));
    }
}

#[tokio::test]
async fn an_event_spelt_unusually_is_not_taken_for_changed() {
    let sandbox = sandbox().await;
    let text = r#"{ "big": 12345678901234567890, "f": 1.0, "10": 1, "2": [ 1e3, "\u0041" ] }"#;
    let event = raw_text(text);
    let mut evaluation = Evaluation {
        event,
        ..call("nextAction = 'f' + event.f")
    };
    let evaluated = sandbox.evaluate(evaluation.clone()).await.unwrap();
    assert_eq!(
        (verdict(&evaluated), event_after(&evaluated)),
        (json!(["f1", {}]), None)
    );
    evaluation.script = call("event.f = 2").script;
    let changed = event_after(&sandbox.evaluate(evaluation).await.unwrap()).unwrap();
    assert_eq!(changed["f"], json!(2));
}

#[tokio::test]
async fn action_data_is_what_the_last_action_returned() {
    let sandbox = sandbox().await;
    let mut evaluation = call("nextAction = actionData.next; actionData.next = 'mine'");
    evaluation.action_data = Some(raw(&json!({ "next": "mail" })));
    for _ in 0..2 {
        assert_eq!(
            decide(&sandbox, evaluation.clone()).await,
            json!(["mail", {}])
        );
    }
}

#[tokio::test]
async fn the_console_is_kept_with_levels_and_objects_as_json() {
    let sandbox = sandbox().await;
    let source = "console.debug('d'); console.log('a', 1, { b: [2] }, null, undefined, Symbol('s'), 10n);\n\
                  console.info(); console.warn(new TypeError('bad')); var loop = {}; loop.loop = loop; console.error(loop)";
    for make in [call, fresh] {
        let logs = sandbox.evaluate(make(source)).await.unwrap().logs;
        let lines: Vec<_> = logs
            .lines
            .iter()
            .map(|line| (line.level, line.text.as_str()))
            .collect();
        assert_eq!(
            lines,
            [
                (LogLevel::Debug, "d"),
                (
                    LogLevel::Info,
                    r#"a 1 {"b":[2]} null undefined Symbol(s) 10"#
                ),
                (LogLevel::Info, ""),
                (LogLevel::Warn, "TypeError: bad"),
                (LogLevel::Error, "[object that is not JSON]"),
            ]
        );
        assert!(!logs.truncated);
        let failed = failure(&sandbox, make("console.log('before'); throw 1")).await;
        assert_eq!(failed.logs().unwrap().lines[0].text, "before");
    }
}

#[tokio::test]
async fn odd_strings_and_numbers_survive_the_pipe() {
    assert_verdicts(&[
        (
            "nextAction = 'a'; result = { nan: NaN, inf: -1/0, zero: -0 }",
            json!(["a", { "nan": null, "inf": null, "zero": 0 }]),
        ),
        (
            "nextAction = 'a'; result = { s: '\\ud83d', ok: '\\ud83d\\ude00', t: '\\\\ud83d' }",
            json!(["a", { "s": "\u{fffd}", "ok": "😀", "t": "\\ud83d" }]),
        ),
        (
            "nextAction = '\\ud83dx'; result = {}",
            json!(["\u{fffd}x", {}]),
        ),
        ("err = 'bad \\udc00'", json!({ "error": "bad \u{fffd}" })),
        (
            "nextAction = 'a\\0b'; result = { '\\0': 1 }",
            json!(["a\0b", { "\0": 1 }]),
        ),
        (
            "console.log('\\ud83d'); nextAction = 'é漢😀'",
            json!(["é漢😀", {}]),
        ),
        (
            "nextAction = 'a'; result = { n: 10n }",
            json!({ "error": "TypeError: BigInt are forbidden in JSON.stringify" }),
        ),
    ])
    .await;
}

#[tokio::test]
async fn proto_keys_of_an_event_are_only_keys() {
    let sandbox = sandbox().await;
    let event = raw_text(
        r#"{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}"#,
    );
    let source = "nextAction = String(({}).polluted) + Object.keys(event).join() + (event.polluted === undefined)";
    for make in [call, fresh] {
        let evaluation = Evaluation {
            event: Arc::clone(&event),
            ..make(source)
        };
        assert_eq!(
            decide(&sandbox, evaluation).await,
            json!(["undefined__proto__,constructortrue", {}])
        );
    }
}

#[tokio::test]
async fn promises_run_but_come_too_late_for_the_verdict() {
    let sandbox = sandbox().await;
    let source = "nextAction = 'sync'; Promise.resolve().then(() => { console.log('ran'); nextAction = 'late' });\n\
                  (async () => { await null; throw new Error('nobody hears') })()";
    for make in [call, fresh] {
        let evaluated = sandbox.evaluate(make(source)).await.unwrap();
        assert_eq!(verdict(&evaluated), json!(["sync", {}]));
        assert_eq!(evaluated.logs.lines[0].text, "ran");
    }
    // The kept realm shows nothing of it.
    assert_eq!(decide(&sandbox, call(source)).await, json!(["sync", {}]));
}

#[tokio::test]
async fn check_finds_syntax_errors_and_runs_nothing() {
    let sandbox = sandbox().await;
    sandbox
        .check("let nextAction = 'a'; while (true) {}")
        .await
        .unwrap();
    sandbox
        .check("nextAction = missing.x; throw 0")
        .await
        .unwrap();
    let error = sandbox.check("let a = 1;\nlet a = 2;").await.unwrap_err();
    let Error::Script {
        message,
        line,
        column,
        ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert!(message.starts_with("SyntaxError"), "{message}");
    assert_eq!(*line, Some(2));
    assert!(column.is_some());
}
