//! What OpenWhisk's own suite asks of every runtime, asked of ours in three languages.

use std::time::Duration;

use serde_json::{Value, json};

use super::rig::{
    EXEC, NODE, PYTHON, Rig, error, is_developer_error, lines, main, named, returned, rig, text,
    with,
};
use conche_openwhisk_host::runtimes::{ResponseClass, Runtimes as _};

/// The actions of the suite in one language.
struct Language {
    kind: &'static str,
    /// Returns what it gets.
    echo: &'static str,
    /// Returns `{"delimiter": …}` doubled around a snowman, and prints it.
    unicode: &'static str,
    /// Returns what the environment held of `SOME_VAR` and `ANOTHER_VAR` when it started.
    initial_env: &'static str,
    /// Returns `api_key` and the other variables of the call, in lower case.
    context: &'static str,
    /// Its entry point is `niam`.
    niam: Option<&'static str>,
    /// Prints `hello stdout` and `hello stderr`.
    streams: &'static str,
    scalar: &'static str,
    /// Returns an error with something beside it.
    failing: &'static str,
    /// Returns `["a", "b"]`.
    array: &'static str,
    /// What it says to no code.
    large: usize,
}

const LANGUAGES: [Language; 3] = [
    Language {
        kind: NODE,
        echo: "const main = (args) => args",
        unicode: "function main({ delimiter }) {
            const winter = `${delimiter} ☃ ${delimiter}`; console.log(winter); return { winter } }",
        initial_env: "const [a, b] = [process.env.SOME_VAR, process.env.ANOTHER_VAR];
            const main = () => ({ SOME_VAR: a, ANOTHER_VAR: b })",
        context: "const main = () => Object.fromEntries(['api_host', 'api_key', 'namespace',
            'action_name', 'action_version', 'activation_id', 'transaction_id', 'deadline']
            .map((key) => [key, process.env[`__OW_${key.toUpperCase()}`]]))",
        niam: Some("function niam(args) { return args }"),
        streams: "function main() { console.log('hello stdout'); console.error('hello stderr');
            return {} }",
        scalar: "const main = () => 'hello'",
        failing: "const main = () => ({ error: 'no', more: 1 })",
        array: "const main = () => ['a', 'b']",
        large: 900_000,
    },
    Language {
        kind: PYTHON,
        echo: "def main(args): return args",
        unicode: "def main(args):
    winter = args['delimiter'] + ' ☃ ' + args['delimiter']
    print(winter)
    return {'winter': winter}",
        initial_env: "import os
seen = {name: os.environ[name] for name in ('SOME_VAR', 'ANOTHER_VAR')}
def main(args): return seen",
        context: "import os
def main(args):
    return {key: os.environ.get('__OW_' + key.upper()) for key in ('api_host', 'api_key',
        'namespace', 'action_name', 'action_version', 'activation_id', 'transaction_id',
        'deadline')}",
        niam: Some("def niam(args): return args"),
        streams: "import sys
def main(args):
    print('hello stdout'); print('hello stderr', file=sys.stderr)
    return {}",
        scalar: "def main(args): return 'hello'",
        failing: "def main(args): return {'error': 'no', 'more': 1}",
        array: "def main(args): return ['a', 'b']",
        large: 900_000,
    },
    Language {
        kind: EXEC,
        echo: "#!/bin/bash
while read -r line; do value=${line#*'\"value\":'}; echo \"${value%\\}}\" >&3; done",
        unicode: "#!/bin/bash
while read -r line; do
  value=${line#*'\"delimiter\":\"'}; value=${value%%\\\"*}
  echo \"$value ☃ $value\"; echo \"{\\\"winter\\\":\\\"$value ☃ $value\\\"}\" >&3
done",
        initial_env: "#!/bin/bash
a=$SOME_VAR; b=$ANOTHER_VAR
while read -r line; do
  echo \"{\\\"SOME_VAR\\\":\\\"$a\\\",\\\"ANOTHER_VAR\\\":\\\"$b\\\"}\" >&3
done",
        context: "#!/bin/bash
host=$__OW_API_HOST
while read -r line; do line=${line/'\"value\":{}'/'\"x\":1'}
  echo \"{\\\"api_host\\\":\\\"$host\\\",${line#\\{}\" >&3
done",
        niam: None,
        streams: "#!/bin/bash
while read -r line; do echo hello stdout; echo hello stderr >&2; echo '{}' >&3; done",
        scalar: "#!/bin/bash
while read -r line; do echo '\"hello\"' >&3; done",
        failing: "#!/bin/bash
while read -r line; do echo '{\"error\":\"no\",\"more\":1}' >&3; done",
        array: "#!/bin/bash
while read -r line; do echo '[\"a\",\"b\"]' >&3; done",
        // Shells read byte by byte.
        large: 100_000,
    },
];

/// Asks something of every language that is there.
async fn everywhere(ask: impl AsyncFn(&Rig, &Language)) {
    for language in &LANGUAGES {
        if let Some(rig) = rig(language.kind).await {
            ask(&rig, language).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_code_is_an_error() {
    everywhere(async |rig, language| {
        let ran = rig.run(text(language.kind, "")).await;
        is_developer_error(&ran, "Missing main/no code to execute.");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_echoed_small_large_and_as_arrays() {
    everywhere(async |rig, language| {
        let values = [
            json!({ "string": "hello", "numbers": 42, "null": null }),
            json!({ "objects": { "a": [1, "2", { "3": 4 }] } }),
            json!([{ "a": 1 }, 2]),
            json!([]),
            json!({ "large": "a".repeat(language.large) }),
        ];
        for value in values {
            let ran = rig.run(with(value.clone(), text(language.kind, language.echo)));
            assert_eq!(returned(ran.await), value, "{}", language.kind);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unicode_comes_back_and_is_logged() {
    everywhere(async |rig, language| {
        let run = with(
            json!({ "delimiter": "❄" }),
            text(language.kind, language.unicode),
        );
        let ran = rig.run(run).await;
        assert_eq!(lines(&ran), ["stdout: ❄ ☃ ❄"], "{}", language.kind);
        assert_eq!(returned(ran), json!({ "winter": "❄ ☃ ❄" }));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_for_the_start_are_there_before_the_code_is() {
    everywhere(async |rig, language| {
        let mut run = text(language.kind, language.initial_env);
        run.env = [("SOME_VAR", "xyz"), ("ANOTHER_VAR", "{\"a\":1}")]
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .into();
        if language.kind == EXEC {
            run.env.insert("ANOTHER_VAR".to_owned(), "1".to_owned());
        }
        let expected = json!(run.env);
        assert_eq!(returned(rig.run(run).await), expected, "{}", language.kind);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_is_told_what_it_is() {
    everywhere(async |rig, language| {
        for activation_id in ["0123456789abcdef0123456789abcdef", "f".repeat(32).as_str()] {
            let mut run = text(language.kind, language.context);
            run.envelope.api_key = Some("uuid:key".to_owned());
            run.envelope.activation_id = activation_id.to_owned();
            let before = jiff::Timestamp::now().as_millisecond();
            let told = returned(rig.run(run.clone()).await);
            let deadline: i64 = told["deadline"].as_str().unwrap().parse().unwrap();
            let timeout = i64::try_from(run.limits.timeout.as_millis()).unwrap();
            let after = jiff::Timestamp::now().as_millisecond();
            assert!(
                (before + timeout..=after + timeout).contains(&deadline),
                "{told}"
            );
            let texts = [
                ("api_host", "http://127.0.0.1:3233"),
                ("api_key", "uuid:key"),
                ("namespace", "guest"),
                ("action_name", "/guest/action"),
                ("action_version", "0.0.1"),
                ("activation_id", activation_id),
                ("transaction_id", "tid"),
            ];
            for (key, expected) in texts {
                assert_eq!(told[key], json!(expected), "{}: {key}", language.kind);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_point_may_have_another_name() {
    everywhere(async |rig, language| {
        let Some(niam) = language.niam else { return };
        let run = main("niam", with(json!({ "a": 1 }), text(language.kind, niam)));
        assert_eq!(returned(rig.run(run).await), json!({ "a": 1 }));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_outputs_are_told_apart_and_belong_to_their_call() {
    everywhere(async |rig, language| {
        for _ in 0..3 {
            let ran = rig.run(text(language.kind, language.streams)).await;
            let mut lines = lines(&ran);
            lines.sort_unstable();
            let expected = ["stderr: hello stderr", "stdout: hello stdout"];
            assert_eq!(lines, expected, "{}", language.kind);
            let time = &ran.logs[0][..30];
            assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_no_object_is_a_developer_error() {
    everywhere(async |rig, language| {
        let ran = rig.run(text(language.kind, language.scalar)).await;
        let expected = match language.kind {
            NODE => "The action did not return a dictionary.",
            _ => "The action did not produce a valid JSON or JSON Array response: \"hello\"",
        };
        is_developer_error(&ran, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_an_application_error_without_what_stands_beside_it() {
    everywhere(async |rig, language| {
        let ran = rig.run(text(language.kind, language.failing)).await;
        assert_eq!(error(&ran), ("application error", &json!("no")));
        let again = rig.run(text(language.kind, language.failing)).await;
        assert_eq!(again.init, None, "the process goes on: {}", language.kind);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_may_be_an_array() {
    everywhere(async |rig, language| {
        let ran = rig.run(text(language.kind, language.array)).await;
        assert_eq!(returned(ran), json!(["a", "b"]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_call_is_warm_and_another_action_is_not() {
    everywhere(async |rig, language| {
        let cold = rig.run(text(language.kind, language.echo)).await;
        assert!(cold.init.is_some_and(|init| init > Duration::ZERO));
        assert_eq!(cold.class, ResponseClass::Success);
        assert_eq!(rig.run(text(language.kind, language.echo)).await.init, None);
        let other = rig.run(named("other", text(language.kind, language.echo)));
        assert!(other.await.init.is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_beyond_the_limit_are_refused() {
    let mut settings = super::rig::settings();
    settings.process.arguments = 100;
    let rig = super::rig::rig_with(EXEC, settings).await.unwrap();
    let value = Value::from(vec!["x".repeat(100)]);
    let ran = rig.run(with(value, text(EXEC, LANGUAGES[2].echo))).await;
    let text = "The arguments exceeded the allowed length: 104 > 100 bytes.";
    assert_eq!(error(&ran), ("application error", &json!(text)));
}
