//! The command: what is wrong with one, what is sent for it, and what becomes of each answer.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use conche_openwhisk::client::{Auth, Client};
use conche_openwhisk::command::{
    Calls, Command, CommandError, EXTENSION, Ended, Ledger, Progress, Word, as_command, carry_out,
    check, portable, references, schema,
};
use conche_openwhisk::model::ActivationId;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fake::{Fake, ID, Reply, accepted, activation, error, not_found};

/// What a command waits for, as it is kept.
#[derive(Default)]
struct Kept(Mutex<Vec<String>>);

#[async_trait]
impl Ledger for Kept {
    async fn accepted(&self, id: &ActivationId) {
        self.0.lock().unwrap().push(id.to_string());
    }

    async fn forgotten(&self) {
        self.0.lock().unwrap().push("forgotten".to_owned());
    }
}

fn whole() -> Value {
    json!({
        "type": "openwhisk", "version": "1.0", "description": "d",
        "command": "invoke /_/enrich/ip-reputation",
        "playbook_activity": "analyze-collected-data",
        "params": { "ip": "__ip__:value", "tags": ["auto"] },
        "mode": "wait", "wait_ms": 30000, "poll": { "interval_ms": 10, "max_interval_ms": 20 },
        "retry": { "max_attempts": 3, "backoff_ms": 10, "on": ["not_sent", "throttled"] },
        "idempotency": { "param": "idempotency_key" },
        "outputs": { "__score__": { "from": "/response/result/score", "type": "integer" } },
        "logs": false, "fail_on": ["application"], "x_vendor": { "kept": [1, null] }
    })
}

/// The command with these properties instead; null takes one out.
fn with(changes: &Value) -> Value {
    let mut command = whole();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(command.as_object_mut().unwrap().remove(name)),
            value => command[name] = value.clone(),
        }
    }
    command
}

#[test]
fn a_command_is_written_as_it_was_read() {
    let command = Command::parse(&whole()).unwrap();
    assert_eq!(serde_json::to_value(&command).unwrap(), whole());
    assert_eq!(
        serde_json::to_string(&command).unwrap(),
        whole().to_string()
    );
    let body = command.body("k1");
    assert_eq!(body["idempotency_key"], "k1");
    assert_eq!(
        references(&whole()).into_iter().collect::<Vec<_>>(),
        ["__ip__"]
    );
    let sketch = json!({ "name": "openwhisk", "id": "c6a1bd0a-3a2f-4f0e-9d2c-0b7b3a0f6f11" });
    assert_eq!(Command::parse(&sketch), Err(CommandError::Sketch));
    assert_eq!(
        check(&sketch).iter().filter(|flaw| !flaw.is_error).count(),
        1
    );
}

/// What is wrong, each with its place: `!` before an error, `?` before a warning.
fn wrong(command: &Value) -> Vec<String> {
    let mark = |is_error| if is_error { '!' } else { '?' };
    let flaws = check(command);
    flaws
        .iter()
        .map(|flaw| format!("{}{}", mark(flaw.is_error), flaw.pointer))
        .collect()
}

#[test]
#[allow(clippy::too_many_lines, reason = "one table")]
fn every_flaw_is_found_in_its_place_and_the_schema_agrees() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let clean = with(&json!({ "x_vendor": null }));
    assert_eq!(wrong(&clean), Vec::<String>::new());
    assert!(validator.is_valid(&clean));
    // The change, what is found, and whether a schema can see it.
    let table = [
        (json!({ "command": null }), "!", true),
        (json!({ "command": 7 }), "!/command", true),
        (json!({ "command": "call /_/a" }), "!/command", true),
        (json!({ "command": "invoke /a" }), "!/command", false),
        (json!({ "command": "invoke /_/a+b" }), "!/command", false),
        (json!({ "version": "2.0" }), "!/version", true),
        (json!({ "params": [1] }), "!/params", true),
        (json!({ "params_b64": "e30=" }), "!/params_b64", true),
        (
            json!({ "params": null, "params_b64": "W10=" }),
            "!/params_b64",
            false,
        ),
        (json!({ "mode": "later" }), "!/mode", true),
        (json!({ "wait_ms": 60001 }), "!/wait_ms", true),
        (json!({ "wait_ms": "1" }), "!/wait_ms", true),
        (json!({ "poll": { "every": 1 } }), "!/poll", true),
        (
            json!({ "poll": { "interval_ms": 9 } }),
            "!/poll/interval_ms",
            true,
        ),
        (
            json!({ "poll": { "interval_ms": 30, "max_interval_ms": 20 } }),
            "!/poll/max_interval_ms",
            false,
        ),
        (
            json!({ "retry": { "max_attempts": 0 } }),
            "!/retry/max_attempts",
            true,
        ),
        (
            json!({ "retry": { "on": ["bad_luck"] } }),
            "!/retry/on/0",
            true,
        ),
        (
            json!({ "retry": { "on": ["not_sent", "internal"] }, "idempotency": null }),
            "!/retry/on/1",
            false,
        ),
        (
            json!({ "idempotency": { "param": "" } }),
            "!/idempotency",
            true,
        ),
        (
            json!({ "idempotency": { "param": "ip" } }),
            "!/idempotency/param",
            false,
        ),
        (
            json!({ "outputs": { "score": { "from": "" } } }),
            "!/outputs/score",
            true,
        ),
        (
            json!({ "outputs": { "__a__": { "from": "x" } } }),
            "!/outputs/__a__/from",
            true,
        ),
        (
            json!({ "outputs": { "__a__": {} } }),
            "!/outputs/__a__",
            true,
        ),
        (
            json!({ "outputs": { "__a__": { "from": "", "type": "number" } } }),
            "!/outputs/__a__/type",
            true,
        ),
        (
            json!({ "outputs": { "__a__": { "from": "", "type": "bool", "default": 1 } } }),
            "!/outputs/__a__/default",
            false,
        ),
        (json!({ "logs": "yes" }), "!/logs", true),
        (
            json!({ "fail_on": ["developer", "all"] }),
            "!/fail_on/1",
            true,
        ),
        (
            json!({ "command": "fire /_/p/t", "mode": null, "outputs": null }),
            "!/command",
            false,
        ),
        (
            json!({ "command": "fire /_/t", "outputs": null }),
            "!/mode",
            false,
        ),
        (json!({ "x": 1 }), "?/x", false),
        (json!({ "require_rule": true }), "?/require_rule", false),
        (
            json!({ "mode": "async" }),
            "?/outputs/__score__/from",
            false,
        ),
        (
            json!({ "mode": "async", "outputs": null, "logs": true }),
            "?/logs",
            false,
        ),
    ];
    for (change, found, in_schema) in table {
        let mut command = with(&change);
        command.as_object_mut().unwrap().remove("x_vendor");
        assert_eq!(wrong(&command), [found], "{change}");
        assert_eq!(!validator.is_valid(&command), in_schema, "{change}");
        assert_eq!(Command::parse(&command).is_err(), found.starts_with('!'));
    }
    // What references become is checked when they are filled in.
    let referring = with(&json!({ "command": "invoke /_/__action__:value", "x_vendor": null }));
    assert_eq!(wrong(&referring), Vec::<String>::new());
    assert!(Command::parse(&referring).unwrap().name().is_err());
}

/// Carries a command out against a host, within a second unless the test says otherwise.
async fn ends(fake: &Fake, command: &Value, kept: &Kept, progress: Progress) -> Ended {
    let key = Auth::parse_key(&"uuid:k3y".into()).unwrap();
    let client = Client::new(&fake.url(), &key).unwrap();
    let calls = Calls {
        request_id: "run-step".to_owned(),
        key: "key1".to_owned(),
        keyed: false,
        deadline: Instant::now() + Duration::from_secs(1),
    };
    let command = Command::parse(command).unwrap();
    carry_out(&client, &command, &calls, kept, progress)
        .await
        .unwrap()
}

/// A command that is tried once.
fn plain() -> Value {
    with(
        &json!({ "retry": null, "idempotency": null, "outputs": null, "x_vendor": null, "fail_on": null }),
    )
}

/// An answer, the word for it, its text, the HTTP status, whether the step succeeds.
type Row = (
    Box<dyn Fn() -> Reply + Send>,
    Word,
    &'static str,
    Option<u16>,
    bool,
);

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one table")]
async fn every_outcome_has_its_word_status_and_variables() {
    let failed = |class| {
        Reply::Json(
            502,
            activation(class, json!({ "error": { "code": 7 } })),
            None,
        )
    };
    let table: Vec<Row> = vec![
        (
            Box::new(|| Reply::Json(200, activation("success", json!({ "score": 7 })), None)),
            Word::Success,
            "success",
            Some(200),
            true,
        ),
        (
            Box::new(move || failed("application error")),
            Word::ApplicationError,
            "application_error",
            Some(502),
            false,
        ),
        (
            Box::new(move || failed("action developer error")),
            Word::DeveloperError,
            "developer_error",
            Some(502),
            false,
        ),
        (
            Box::new(|| {
                Reply::Json(
                    500,
                    activation("whisk internal error", json!({ "error": "x" })),
                    None,
                )
            }),
            Word::InternalError,
            "internal_error",
            Some(500),
            false,
        ),
        (
            Box::new(|| error(401, "The supplied authentication is invalid")),
            Word::Rejected,
            "rejected",
            Some(401),
            false,
        ),
        (
            Box::new(|| error(404, "The requested resource does not exist.")),
            Word::Rejected,
            "rejected",
            Some(404),
            false,
        ),
        (
            Box::new(|| error(413, "Request larger than allowed: 2 > 1 bytes.")),
            Word::Rejected,
            "rejected",
            Some(413),
            false,
        ),
        (
            Box::new(|| {
                error(
                    429,
                    "Too many requests in the last minute (count: 61, allowed: 60).",
                )
            }),
            Word::Throttled,
            "throttled",
            Some(429),
            false,
        ),
        (
            Box::new(|| error(503, "System is overloaded, try again later.")),
            Word::Unavailable,
            "unavailable",
            Some(503),
            false,
        ),
        (Box::new(|| Reply::Hangs), Word::Lost, "lost", None, false),
    ];
    let out_args: Vec<String> = [
        "__openwhisk_status__",
        "__openwhisk_http_status__",
        "__openwhisk_error__",
        "__openwhisk_activation_id__",
        "__openwhisk_cold__",
        "__openwhisk_duration_ms__",
        "__openwhisk_wait_ms__",
        "__openwhisk_result__",
        "__score__",
    ]
    .map(str::to_owned)
    .to_vec();
    for (reply, word, text, http_status, succeeds) in table {
        let fake = Fake::start(move |_| reply()).await;
        let ended = ends(&fake, &plain(), &Kept::default(), Progress::begin()).await;
        assert_eq!(
            (ended.word, ended.http_status),
            (word, http_status),
            "{text}"
        );
        let command = Command::parse(&plain()).unwrap();
        assert_eq!(ended.succeeded(&command), succeeds, "{text}");
        let variables = ended.variables(&command, &out_args).unwrap();
        assert_eq!(variables["__openwhisk_status__"], text);
        assert_eq!(
            variables.get("__openwhisk_error__").is_some(),
            !succeeds,
            "{text}"
        );
        assert_eq!(variables.get("__score__"), succeeds.then_some(&json!(7)));
        let has_activation = matches!(
            word,
            Word::Success | Word::ApplicationError | Word::DeveloperError | Word::InternalError
        );
        assert_eq!(
            variables.get("__openwhisk_cold__"),
            has_activation.then_some(&json!(true))
        );
        assert_eq!(
            variables.get("__openwhisk_activation_id__"),
            has_activation.then_some(&json!(ID))
        );
        assert_eq!(
            variables.get("__openwhisk_duration_ms__"),
            has_activation.then_some(&json!(30))
        );
        assert_eq!(
            variables.get("__openwhisk_wait_ms__"),
            has_activation.then_some(&json!(7))
        );
        assert_eq!(fake.asked().len(), 1, "nothing is done twice: {text}");
    }
}

#[tokio::test]
async fn what_is_no_failure_to_the_command_is_none() {
    let fake = Fake::start(|_| {
        Reply::Json(
            502,
            activation("application error", json!({ "error": { "code": 7 } })),
            None,
        )
    })
    .await;
    let command = with(
        &json!({ "retry": null, "fail_on": ["developer"], "x_vendor": null,
        "outputs": { "__code__": { "from": "/response/result/error/code" },
            "__score__": { "from": "/response/result/score" },
            "__usual__": { "from": "/nowhere", "default": "d" } } }),
    );
    let ended = ends(&fake, &command, &Kept::default(), Progress::begin()).await;
    let command = Command::parse(&command).unwrap();
    assert!(ended.succeeded(&command));
    let variables = ended.variables(&command, &[]).unwrap();
    assert_eq!(
        Value::from(variables),
        json!({ "__code__": 7, "__usual__": "d" })
    );
}

#[tokio::test]
async fn a_success_without_what_is_wanted_is_a_failure_that_says_what_is_missing() {
    let fake =
        Fake::start(|_| Reply::Json(200, activation("success", json!({ "score": "high" })), None))
            .await;
    let ended = ends(&fake, &plain(), &Kept::default(), Progress::begin()).await;
    for (output, message) in [
        (
            json!({ "from": "/response/result/none" }),
            Some("nothing at `/response/result/none` for `__a__`"),
        ),
        (
            json!({ "from": "/response/result/score", "type": "integer" }),
            Some("is text, and not of type integer"),
        ),
        (
            json!({ "from": "/response/result/none", "required": false }),
            None,
        ),
    ] {
        let command = with(&json!({ "outputs": { "__a__": output }, "x_vendor": null }));
        let found = ended.variables(&Command::parse(&command).unwrap(), &[]);
        match message {
            Some(message) => assert!(found.unwrap_err().to_string().contains(message)),
            None => assert!(found.unwrap().is_empty()),
        }
    }
}

#[tokio::test]
async fn an_activation_that_goes_on_is_kept_and_asked_for_and_its_log_fetched() {
    let mut looks = 0;
    let fake = Fake::start(move |asked| match asked.line().as_str() {
        line if line.ends_with("/logs") => Reply::Json(200, json!({ "logs": ["a", "b"] }), None),
        line if line.starts_with("POST") => accepted(),
        _ => {
            looks += 1;
            match looks {
                1 => not_found(),
                2 => error(500, "for a moment"),
                _ => Reply::Json(200, activation("success", json!({ "score": 1 })), None),
            }
        }
    })
    .await;
    let mut command = plain();
    command["logs"] = json!(true);
    let kept = Kept::default();
    let ended = ends(&fake, &command, &kept, Progress::begin()).await;
    assert_eq!(ended.word, Word::Success);
    assert_eq!(*kept.0.lock().unwrap(), [ID]);
    let out_args = ["__openwhisk_logs__".to_owned()];
    let variables = ended
        .variables(&Command::parse(&command).unwrap(), &out_args)
        .unwrap();
    assert_eq!(variables["__openwhisk_logs__"], "a\nb");
    let lines: Vec<String> = fake.asked().iter().map(crate::fake::Asked::line).collect();
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("POST")).count(),
        1
    );
    assert_eq!(lines.len(), 5);
    assert_eq!(fake.asked()[0].header("x-request-id"), Some("run-step-1"));
}

#[tokio::test]
async fn what_is_known_to_go_on_is_never_invoked_again() {
    let fake =
        Fake::start(|_| Reply::Json(200, activation("success", json!({ "score": 1 })), None)).await;
    let progress = Progress::resume(ActivationId::parse(ID).unwrap());
    let ended = ends(&fake, &plain(), &Kept::default(), progress).await;
    assert_eq!(ended.word, Word::Success);
    assert_eq!(fake.asked().len(), 1);
    assert_eq!(fake.asked()[0].method, "GET");
}

#[tokio::test]
async fn what_is_not_over_in_time_is_pending_and_names_its_activation() {
    let fake = Fake::start(|asked| match asked.method.as_str() {
        "POST" => accepted(),
        _ => not_found(),
    })
    .await;
    let ended = ends(&fake, &plain(), &Kept::default(), Progress::begin()).await;
    assert_eq!(ended.word, Word::Pending);
    assert_eq!(ended.id.as_ref().map(ActivationId::as_str), Some(ID));
    assert!(!ended.succeeded(&Command::parse(&plain()).unwrap()));
    assert!(ended.message().starts_with("pending: "));
}

#[tokio::test]
async fn it_is_tried_again_for_the_reasons_that_are_named_only() {
    let answers = |first: fn() -> Reply| {
        let mut count = 0;
        move |_: &crate::fake::Asked| {
            count += 1;
            if count < 3 {
                first()
            } else {
                Reply::Json(200, activation("success", json!({ "score": 1 })), None)
            }
        }
    };
    let throttled: fn() -> Reply = || error(429, "enough");
    let unavailable: fn() -> Reply = || error(503, "busy");
    let failed: fn() -> Reply = || {
        Reply::Json(
            502,
            activation("application error", json!({ "error": 1 })),
            None,
        )
    };
    for (reply, on, times, word) in [
        (throttled, json!(["throttled"]), 3, Word::Success),
        (throttled, json!(["not_sent"]), 1, Word::Throttled),
        (unavailable, json!(["unavailable"]), 3, Word::Success),
        (unavailable, json!(["throttled"]), 1, Word::Unavailable),
        (failed, json!(["application"]), 3, Word::Success),
        (failed, json!(["developer"]), 1, Word::ApplicationError),
    ] {
        let fake = Fake::start(answers(reply)).await;
        let command = with(&json!({ "x_vendor": null, "retry": { "backoff_ms": 10, "on": on } }));
        let kept = Kept::default();
        let ended = ends(&fake, &command, &kept, Progress::begin()).await;
        assert_eq!((ended.word, ended.attempts), (word, times), "{on}");
        let keys: Vec<String> = fake
            .asked()
            .iter()
            .map(|asked| asked.header("idempotency-key").unwrap().to_owned())
            .collect();
        // What has run and failed is another deed when it is done again.
        let is_new = on == json!(["application"]);
        let wanted = if is_new {
            vec!["key1", "key1-1", "key1-2"]
        } else {
            vec!["key1"; times as usize]
        };
        assert_eq!(keys, wanted, "{on}");
        assert_eq!(fake.asked()[0].body["idempotency_key"], "key1");
        assert_eq!(
            kept.0.lock().unwrap().contains(&"forgotten".to_owned()),
            is_new
        );
    }
}

#[tokio::test]
async fn who_does_not_wait_gets_the_identifier() {
    let fake = Fake::start(|asked| match asked.line().as_str() {
        line if line.ends_with("/quiet") => Reply::Json(204, Value::Null, None),
        _ => accepted(),
    })
    .await;
    let run = |changes: Value| {
        let mut command = plain();
        for (name, value) in changes.as_object().unwrap() {
            command[name] = value.clone();
        }
        command.as_object_mut().unwrap().remove("wait_ms");
        command
    };
    let invoke = run(json!({ "mode": "async" }));
    let ended = ends(&fake, &invoke, &Kept::default(), Progress::begin()).await;
    assert_eq!((ended.word, ended.http_status), (Word::Success, Some(202)));
    assert_eq!(ended.document(), json!({ "activationId": ID }));
    assert_eq!(
        fake.asked()[0].target,
        "/api/v1/namespaces/_/actions/enrich/ip-reputation?blocking=false&result=false"
    );
    let quiet = run(json!({ "mode": "async", "command": "fire /_/quiet" }));
    let ended = ends(&fake, &quiet, &Kept::default(), Progress::begin()).await;
    assert_eq!(
        (ended.word, ended.http_status),
        (Word::NoActiveRule, Some(204))
    );
    assert!(ended.succeeded(&Command::parse(&quiet).unwrap()));
    let strict = run(json!({ "mode": "async", "command": "fire /_/quiet", "require_rule": true }));
    assert!(!ended.succeeded(&Command::parse(&strict).unwrap()));
}

#[test]
fn a_portable_playbook_says_the_same_in_both_ways() {
    let command = with(&json!({ "idempotency": null, "x_vendor": null,
        "params": { "ip": "__ip__:value", "depth": "__depth__:value" } }));
    let playbook = json!({
        "type": "playbook", "spec_version": "cacao-2.0",
        "playbook_variables": { "__ip__": { "type": "ipv4-addr" }, "__depth__": { "type": "integer" },
            "__score__": { "type": "integer" } },
        "workflow": { "action--1": { "type": "action", "agent": "http-api--1", "commands": [command],
            "out_args": ["__score__"], "on_completion": "end--1" }, "end--1": { "type": "end" } },
        "agent_definitions": { "http-api--1": { "type": "http-api", "name": "ow",
            "address": { "url": ["https://ow.example.com"] }, "authentication_info": "http-basic--1" } }
    });
    let (made, notes) = portable(&playbook).unwrap();
    let step = &made["workflow"]["action--1"];
    let http = &step["commands"][0];
    assert_eq!(
        http["command"],
        "POST /api/v1/namespaces/_/actions/enrich/ip-reputation?blocking=true&result=true HTTP/1.1"
    );
    assert_eq!(
        http["content"],
        r#"{"ip":"__ip__:value","depth":__depth__:value}"#
    );
    assert_eq!(step["targets"], json!(["http-api--1"]));
    assert_eq!(
        made["target_definitions"]["http-api--1"]["name"],
        "soarca-http-api"
    );
    assert_eq!(
        step["out_args"],
        json!(["__score__", "__soarca_http_api_result__"])
    );
    assert_eq!(step["timeout"], 65000);
    assert!(made["extension_definitions"][EXTENSION].is_object());
    assert_eq!(notes.len(), 2, "{notes:?}");
    // The extension is the command again.
    let mut back = as_command(http, Some(&step["step_extensions"])).unwrap();
    back["version"] = json!("1.0");
    assert_eq!(back, command);
    // What was not ours is as it was.
    assert_eq!(made["workflow"]["end--1"], playbook["workflow"]["end--1"]);
    let mut two = playbook.clone();
    two["workflow"]["action--1"]["commands"] =
        json!([command, { "type": "bash", "command": "id" }]);
    assert!(portable(&two).is_err());
}
