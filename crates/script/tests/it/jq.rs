//! jq filters in the worker.

use std::time::Duration;

use conche_script::{Error, Limits, Sandbox};

use crate::rig::{config, sandbox};

async fn jq(sandbox: &Sandbox, filter: &str, input: &str) -> Result<Vec<String>, String> {
    match sandbox.jq(filter, input, None).await {
        Ok(values) => Ok(values.iter().map(|value| value.get().to_owned()).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn a_filter_yields_any_number_of_values() {
    let sandbox = sandbox().await;
    let input = r#"{"json":{"score":7,"names":["a","é"]}}"#;
    for (filter, expected) in [
        (".json.score", vec!["7"]),
        (".json.names[]", vec![r#""a""#, r#""é""#]),
        ("empty", vec![]),
        (".json.names | map(ascii_upcase) | length", vec!["2"]),
        (
            "[.json | to_entries[] | .key]",
            vec![r#"["score","names"]"#],
        ),
        (r#".absent // "none""#, vec![r#""none""#]),
        ("env | length", vec!["0"]),
        (r#"[match("a";"g").offset]?"#, vec![]),
    ] {
        let found = jq(&sandbox, filter, input).await.unwrap();
        assert_eq!(found, expected, "{filter}");
    }
}

#[tokio::test]
async fn bad_filters_and_bad_input_are_errors_in_words() {
    let sandbox = sandbox().await;
    for (filter, input, expected) in [
        (".a[", "{}", "not a jq filter: .a["),
        (
            "nothing_like_it",
            "{}",
            "undefined in the jq filter: nothing_like_it",
        ),
        (".a", "{", "the input is not JSON"),
        (".a.b", r#"{"a":1}"#, "cannot index 1"),
        ("nan", "null", "what JSON cannot say"),
        (r#"error("own")"#, "null", "own"),
        (r#"import "a" as a; 1"#, "null", "not a jq filter"),
    ] {
        let error = jq(&sandbox, filter, input).await.unwrap_err();
        assert!(error.contains(expected), "{filter}: {error}");
    }
    assert_eq!(sandbox.stats().lost, 0);
}

#[tokio::test]
async fn endless_and_greedy_filters_are_ended() {
    let mut config = config();
    config.limits = Limits {
        time: Duration::from_millis(200),
        ..Limits::default()
    };
    let sandbox = Sandbox::start(config).await.unwrap();
    let endless = sandbox.jq("def f: f; f", "null", None).await.unwrap_err();
    assert!(matches!(endless, Error::Timeout { .. }), "{endless}");
    let many = sandbox.jq("repeat(1)", "null", None).await.unwrap_err();
    assert!(
        matches!(many, Error::OutputTooLarge { .. } | Error::Timeout { .. }),
        "{many}"
    );
    let limits = Limits {
        time: Duration::from_secs(20),
        ..Limits::default()
    };
    let greedy = sandbox
        .jq(
            "[limit(1000000000; repeat(\"abc\"))] | length",
            "null",
            Some(limits),
        )
        .await
        .unwrap_err();
    assert!(matches!(greedy, Error::Memory { .. }), "{greedy}");
    assert_eq!(jq(&sandbox, ".", "1").await, Ok(vec!["1".to_owned()]));
}

#[test]
fn what_is_no_filter_is_told_without_evaluating_anything() {
    for filter in [".[", "foo", ".a[", r#"import "a" as a; 1"#, "$x"] {
        let flaw = conche_script::jq_flaw(filter);
        assert!(flaw.is_some(), "{filter}");
    }
    for filter in [
        ".",
        ".json.a // empty",
        "halt_error",
        "[limit(3; repeat(1))]",
        "def f: f; f",
    ] {
        assert_eq!(conche_script::jq_flaw(filter), None, "{filter}");
    }
    for deep in [
        "(", "[", "-", "{a:", "if ", "def f: ", ".a|", "try ", "\"\\(", ".[",
    ] {
        let filter = deep.repeat(2000 / deep.len());
        assert!(conche_script::jq_flaw(&filter).is_some(), "{deep}");
    }
}
