//! Lists are there for the call that brings them, can be read only, and leave nothing behind.

use conche_script::{Evaluation, Sandbox};
use serde_json::{Value, json};

use crate::rig::{call, decide, fresh, raw, sandbox};

fn with(lists: &Value, call: Evaluation) -> Evaluation {
    Evaluation {
        lists: Some(raw(lists)),
        ..call
    }
}

/// What an expression is, as text, in a kept and in a fresh realm.
async fn shown(sandbox: &Sandbox, lists: &Value, expression: &str) -> Value {
    let source = format!("nextAction = 'a'; result = {{ is: {expression} }}");
    let kept = decide(sandbox, with(lists, call(&source))).await;
    assert_eq!(decide(sandbox, with(lists, fresh(&source))).await, kept);
    kept[1]["is"].clone()
}

#[tokio::test]
async fn a_script_reads_the_lists_of_its_call() {
    let sandbox = sandbox().await;
    let lists = json!({"blocked": {"1.2.3.4": {"by": "soc"}, "__proto__": 7}, "none": {}});
    for (expression, expected) in [
        ("lists.blocked['1.2.3.4'].by", json!("soc")),
        ("'4.3.2.1' in lists.blocked", json!(false)),
        ("Object.keys(lists.none).length", json!(0)),
        ("lists.blocked.__proto__", json!(7)),
        ("lists", lists.clone()),
    ] {
        assert_eq!(shown(&sandbox, &lists, expression).await, expected);
    }
}

#[tokio::test]
async fn a_key_that_was_not_put_is_not_found() {
    let sandbox = sandbox().await;
    let lists = json!({"blocked": {}});
    for key in ["constructor", "toString", "__proto__", "hasOwnProperty"] {
        let expression = format!("[typeof lists.blocked['{key}'], typeof lists['{key}']]");
        let found = shown(&sandbox, &lists, &expression).await;
        assert_eq!(found, json!(["undefined", "undefined"]), "{key}");
    }
}

#[tokio::test]
async fn a_script_cannot_change_a_list() {
    let sandbox = sandbox().await;
    let lists = json!({"l": {"a": {"deep": [{"n": 1}]}}});
    for change in [
        "lists = {}",
        "lists.l = {}",
        "lists.m = {}",
        "delete lists.l.a",
        "lists.l.b = 1",
        "lists.l.a.deep.push(2)",
        "lists.l.a.deep[0].n = 2",
    ] {
        let expression = format!("(() => {{ try {{ {change} }} catch {{}} return lists }})()");
        assert_eq!(
            shown(&sandbox, &lists, &expression).await,
            lists,
            "{change}"
        );
    }
}

#[tokio::test]
async fn a_call_without_lists_finds_none_of_the_call_before() {
    let sandbox = sandbox().await;
    let lists = json!({"secret": {"a": 1}});
    let look = "nextAction = 'a'; result = { is: typeof lists, own: 'lists' in globalThis }";
    for before in [
        "stop",
        "lists.secret",
        "keep = lists.secret; Object.defineProperty(globalThis, 'mine', { value: lists })",
        "Object.defineProperty(globalThis, 'lists', { get: () => 1, configurable: false })",
        "Object.getOwnPropertyDescriptor(globalThis, 'lists').get.kept = lists",
        "console.lists = lists",
    ] {
        // One source with both halves shares one kept realm.
        let source = format!("if (typeof lists === 'object') {{ {before} }} else {{ {look} }}");
        for source in [source.as_str(), look] {
            // It may fail; it must not last.
            drop(sandbox.evaluate(with(&lists, call(source))).await);
            let found = decide(&sandbox, call(source)).await;
            assert_eq!(
                found[1],
                json!({"is": "undefined", "own": false}),
                "{before}"
            );
        }
        let look = "nextAction = 'a'; result = { is: lists, own: typeof keep + typeof mine }";
        let found = decide(&sandbox, with(&json!({"other": {}}), call(look))).await;
        let other = json!({"is": {"other": {}}, "own": "undefinedundefined"});
        assert_eq!(found[1], other, "{before}");
    }
    let get = "Object.getOwnPropertyDescriptor(globalThis, 'lists').get";
    let source = format!("nextAction = 'a'; result = {{ n: ({get}.n ?? 0) }}; {get}.n = 1");
    for _ in 0..2 {
        let found = decide(&sandbox, with(&lists, call(&source))).await;
        assert_eq!(found[1], json!({"n": 0}), "the getter keeps no notes");
    }
}

#[tokio::test]
async fn a_script_that_has_a_variable_of_that_name_keeps_it() {
    let sandbox = sandbox().await;
    for source in [
        "lists = [1]; nextAction = 'a'; result = { is: lists }",
        "var lists = [1]; nextAction = 'a'; result = { is: lists }",
        "let lists = [1]; nextAction = 'a'; result = { is: lists }",
    ] {
        for make in [call, fresh] {
            let found = decide(&sandbox, make(source)).await;
            assert_eq!(found, json!(["a", {"is": [1]}]), "{source}");
        }
    }
}
