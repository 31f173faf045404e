//! What a configuration may say, and what is said about one that is wrong.

use std::path::{Path, PathBuf};

use crate::parts::Parts;

use super::*;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Error> {
    let text = Text {
        file: PathBuf::from("c.yaml"),
        text: text.to_owned(),
    };
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Loaded::parse(Some(text), variables)
}

fn complaint(text: &str, variables: &[(&str, &str)]) -> String {
    load(text, variables).unwrap_err().to_string()
}

#[test]
fn an_empty_file_and_none_mean_the_defaults() {
    let none = Loaded::parse(None, Vec::new()).unwrap();
    for text in ["", "# nothing\n", "api: {}\n"] {
        let loaded = load(text, &[]).unwrap();
        assert_eq!(loaded.authored, none.authored, "{text:?}");
    }
    let config = none.config;
    assert_eq!(config.api.listen.unwrap().to_string(), "127.0.0.1:8888");
    assert_eq!(
        config.webhooks.listen.unwrap().to_string(),
        "127.0.0.1:8889"
    );
    assert_eq!(config.metrics.listen, None);
    assert_eq!(config.data_dir, Path::new("./conche-data"));
    assert_eq!(config.engine, conche_engine::Config::default());
}

#[test]
fn a_mistake_is_named_with_its_line_its_column_and_what_was_meant() {
    for (text, expected) in [
        (
            "api:\n  lisen: 127.0.0.1:1\n",
            "c.yaml:2:3: unknown key `lisen`; did you mean `listen`?",
        ),
        ("limits:\n  event_bytes: 1MB\n", "c.yaml:2:16: "),
        ("retention: { events: 30 }\n", "c.yaml:1:22: "),
        (
            "api:\n  auth: tokens\n",
            "c.yaml:2:9: unknown word `tokens`; did you mean `token`?",
        ),
        (
            "api: {}\napi: {}\n",
            "c.yaml:2:1: the key `api` stands here twice",
        ),
        (
            "sorca: { listen: null }\n",
            "c.yaml:1:1: unknown key `sorca`",
        ),
        (
            "sources:\n  - id: a\n    module: webhok\n",
            "c.yaml:3:5: sources[0].module: unknown module `webhok`; did you mean `webhook`?",
        ),
        (
            "sources:\n  - { id: a, module: dummy }\n  - { id: a, module: dummy }\n",
            "c.yaml:3:7: sources[1].id: there is another source `a`",
        ),
        (
            "sources: [{ module: dummy }]\n",
            "c.yaml:1:11: sources[0]: missing key `id`",
        ),
        (
            "actions:\n  dumy: {}\n",
            "c.yaml:2:3: actions.dumy: unknown action module `dumy`; did you mean `dummy`?",
        ),
        (
            "secrets: { admin: { env: A } }\napi: { auth: token, token: { secret: amin } }\n",
            "c.yaml:2:21: api.token: unknown secret `amin`; did you mean `admin`?",
        ),
        (
            "secrets: { admin: { env: A } }\napi: { token: { secret: admin } }\n",
            "c.yaml:2:8: api.token: a token counts with `auth: token` only",
        ),
        ("api: [\n", "c.yaml:"),
        ("api: 7\n", "c.yaml:1:6: must be a section"),
        ("api: { hosts: x }\n", "c.yaml:1:15: must be a list"),
        (
            "api: { listen: localhost }\n",
            "c.yaml:1:16: must be an address and a port, such as",
        ),
        (
            "limits: { json_depth: x }\n",
            "c.yaml:1:23: must be a whole number",
        ),
        (
            "limits: { storm_keys: 0 }\n",
            "c.yaml:1:11: must be a whole number above 0, not the number 0",
        ),
        (
            "limits: { storm_keys: many }\n",
            "c.yaml:1:23: must be a whole number",
        ),
        (
            "limits: { json_depth: 0 }\n",
            "c.yaml:1:11: must be a whole number above 0, not the number 0",
        ),
        (
            "secrets: { a: {} }\n",
            "c.yaml:1:15: must be `{ env: NAME }` or `{ file: PATH }`",
        ),
        (
            "secrets: { a: hunter2 }\n",
            "c.yaml:1:15: must be `{ env: NAME }` or `{ file: PATH }`",
        ),
    ] {
        let found = complaint(text, &[]);
        assert!(found.starts_with(expected), "{text}\n{found}");
    }
}

#[test]
fn rails_that_would_guard_nothing_are_mistakes() {
    for (text, expected) in [
        (
            "safety:\n  four_eyes:\n    commands: [ssh, manual]\n",
            "c.yaml:3:21: safety.four_eyes.commands[1]: a manual command is a question itself",
        ),
        (
            "safety: { four_eyes: { playbooks: [isolate] } }\n",
            "c.yaml:1:36: safety.four_eyes.playbooks[0]: `isolate` is no identifier of a playbook",
        ),
        (
            "safety: { at_once: { playbooks: { isolate: 1 } } }\n",
            "c.yaml:1:35: safety.at_once.playbooks.isolate: `isolate` is no identifier",
        ),
        (
            "safety: { four_eyes: { activites: [] } }\n",
            "c.yaml:1:24: unknown key `activites`; did you mean `activities`?",
        ),
        (
            "approvals: { remind_every: 0s }\n",
            "c.yaml:1:14: approvals.remind_every: must be more than 0",
        ),
    ] {
        let found = complaint(text, &[]);
        assert!(found.starts_with(expected), "{text}\n{found}");
    }
}

#[test]
fn all_mistakes_of_the_entries_are_named_at_once() {
    let found = complaint("sources:\n  - {}\n  - { id: conche, module: dummy }\n", &[]);
    assert_eq!(found.lines().count(), 2, "{found}");
}

#[test]
fn variables_are_laid_over_the_file() {
    let text = "api: { listen: 127.0.0.1:1 }\nsources: [{ id: a, module: dummy }]\n";
    let loaded = load(
        text,
        &[
            ("CONCHE_API__LISTEN", "127.0.0.1:2"),
            ("CONCHE_DATA_DIR", "7"),
            ("CONCHE_LIMITS__JSON_DEPTH", "8"),
            ("CONCHE_LIMITS__STORM_KEYS", "9"),
            ("CONCHE_API__HOSTS", "[a.example, b.example]"),
            ("CONCHE_WEBHOOKS__LISTEN", "null"),
            ("CONCHE_SOURCES__0__ID", "renamed"),
            ("CONCHE_SECRETS__SMTP", "{ env: SMTP }"),
            ("CONCHE_SERVICE_HOST", "10.0.0.1"),
            ("OTHER__KEY", "x"),
        ],
    );
    let config = loaded.unwrap().config;
    assert_eq!(config.api.listen.unwrap().port(), 2);
    assert_eq!(config.data_dir, Path::new("7"));
    assert_eq!(config.json.depth, 8);
    assert_eq!(config.engine.storm_keys, 9);
    assert_eq!(config.api.hosts, ["a.example", "b.example"]);
    assert_eq!(config.webhooks.listen, None);
    assert_eq!(config.sources[0].id, "renamed");
    assert_eq!(config.secrets.len(), 1);
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, value, expected) in [
        (
            "CONCHE_API__LISEN",
            "127.0.0.1:1",
            "CONCHE_API__LISEN: lisen: unknown key `lisen`; did you mean `listen`?",
        ),
        (
            "CONCHE_LIMITS__SCRIPT_TIME",
            "fast",
            "CONCHE_LIMITS__SCRIPT_TIME: `fast` is not a duration",
        ),
        ("CONCHE_SOURCES__1__ID", "x", "CONCHE_SOURCES__1__ID: "),
    ] {
        let found = complaint("sources: [{ id: a, module: dummy }]", &[(name, value)]);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn webhooks_that_ask_for_tokens_take_no_source_that_does_not() {
    let text = "webhooks: { auth: token }\nsources:\n  - { id: a, module: webhook, path: /a, event_type: a, auth: none }\n";
    let found = complaint(text, &[]);
    assert!(
        found.contains("sources[0].auth: with `webhooks.auth: token`"),
        "{found}"
    );
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let loaded = load("api: { listen: null }\nlimits: { runs_held: 3 }\n", &[]).unwrap();
    let printed = serde_saphyr::to_string(&loaded.authored).unwrap();
    assert_eq!(
        load(&printed, &[]).unwrap().authored,
        loaded.authored,
        "{printed}"
    );
}

#[test]
fn the_schema_knows_every_module_and_has_no_dangling_reference() {
    let schema = schema();
    let text = schema.to_string();
    for module in conche_modules::sources::ALL {
        assert!(
            text.contains(&format!("\"const\":\"{}\"", module.name)),
            "{}",
            module.name
        );
    }
    for module in conche_modules::actions::ALL.iter() {
        assert!(schema["properties"]["actions"]["properties"][module.name].is_object());
    }
    for target in text.split("\"$ref\":\"#").skip(1) {
        let pointer = target.split('"').next().unwrap();
        assert!(schema.pointer(pointer).is_some(), "{pointer}");
    }
}

fn example(name: &str) -> Loaded {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    Loaded::load(Some(&dir.join(name)), Variables::new()).unwrap()
}

#[test]
fn every_example_builds_its_parts() {
    for name in [
        "config/images.yaml",
        "config/minimal.yaml",
        "config/network.yaml",
        "config/webhooks.yaml",
        "config/senders.yaml",
        "config/defaults.yaml",
        "demo/conche.yaml",
    ] {
        let loaded = example(name);
        let built = Parts::build(&loaded).map(|parts| parts.sources.len());
        assert_eq!(built.unwrap(), loaded.config.sources.len(), "{name}");
    }
}

#[test]
fn the_example_of_defaults_has_the_defaults() {
    assert_eq!(
        example("config/defaults.yaml").authored,
        Authored::default()
    );
}

#[test]
fn a_mistake_in_the_settings_of_a_module_is_named_with_its_line() {
    for (text, expected) in [
        (
            "sources:\n  - id: a\n    module: webhook\n    pth: /a\n",
            "c.yaml:4:5: sources[0].pth: unknown key `pth`; did you mean `path`?",
        ),
        (
            "sources:\n  - { id: a, module: webhook, path: a, event_type: a, auth: none }\n",
            "c.yaml:2:5: sources[0]: `path` must begin with `/`",
        ),
        (
            "actions:\n  dummy: { x: 1 }\n",
            "c.yaml:2:12: actions.dummy.x: unknown key `x`",
        ),
        (
            "actions:\n  dummy:\n    concurrency: many\n",
            "c.yaml:3:5: actions.dummy.concurrency: must be a whole number",
        ),
    ] {
        let found = match load(text, &[]) {
            Ok(loaded) => Parts::build(&loaded).map(drop).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn a_password_written_into_the_file_is_not_printed() {
    let text = "actions: { mail: { server: m, user: u, password: hunter2 } }\n";
    let printed = serde_json::to_string(&load(text, &[]).unwrap().authored.masked()).unwrap();
    assert!(
        printed.contains("\"password\":\"***\"") && !printed.contains("hunter2"),
        "{printed}"
    );
}

#[test]
fn what_a_server_could_not_work_with_is_refused() {
    for (text, expected) in [
        (
            "limits: { script_time: 0s }\n",
            "c.yaml:1:11: limits.script_time: must be more than 0",
        ),
        (
            "limits: { event_bytes: 0B }\n",
            "c.yaml:1:11: limits.event_bytes: must be more than 0",
        ),
        (
            "retention:\n  events: 0s\n",
            "c.yaml:2:3: retention.events: must be more than 0",
        ),
        (
            "api: { limits: { connections: 0 } }\n",
            "c.yaml:1:18: api.limits.connections: must be more than 0",
        ),
        (
            "webhooks: { limits: { body_bytes: 0B } }\n",
            "c.yaml:1:23: webhooks.limits.body_bytes: must be more than 0",
        ),
        ("data_dir: ''\n", "c.yaml:1:1: data_dir: is empty"),
        (
            "sources: [{ id: \"a\\nb\", module: dummy }]\n",
            "c.yaml:1:13: sources[0].id: must not hold a control character",
        ),
        (
            "sources: [{ id: api, module: dummy }]\n",
            "c.yaml:1:13: sources[0].id: the id `api` is reserved",
        ),
        (
            "sources: [{ id: a, module: onetime, event_type: conche.run.failed }]\n",
            "c.yaml:1:37: sources[0].event_type: event types that begin with `conche.`",
        ),
        (
            "sources: [{ id: a, module: webhook, event_type_from: { header: X, prefix: conche.x } }]\n",
            "c.yaml:1:67: sources[0].event_type_from.prefix: event types that begin",
        ),
        (
            "api: { listen: 0.0.0.0:1 }\n",
            "c.yaml:1:8: api.listen: listener `api` on 0.0.0.0:1 would let anyone",
        ),
        (
            "metrics: { listen: '[::]:1' }\n",
            "c.yaml:1:12: metrics.listen: listener `metrics` on [::]:1 would let anyone",
        ),
        (
            "playbooks: { dir: /nonexistent }\n",
            "c.yaml:1:14: playbooks.dir: there is no folder /nonexistent",
        ),
        (
            "functions: { dir: /nonexistent }\nopenwhisk: { host: { listen: '127.0.0.1:1' } }\n",
            "c.yaml:1:14: functions.dir: there is no folder /nonexistent",
        ),
        (
            "functions: { dir: . }\n",
            "c.yaml:1:14: functions.dir: the embedded OpenWhisk host is off",
        ),
        (
            "reactions: { dir: /nonexistent }\n",
            "c.yaml:1:14: reactions.dir: there is no folder /nonexistent",
        ),
        (
            "api: { tls: { certificate: /nonexistent, key: /dev/null } }\n",
            "c.yaml:1:15: api.tls.certificate: can't read /nonexistent: No such file",
        ),
    ] {
        let found = load(text, &[]).and_then(|loaded| loaded.for_a_server(false));
        let found = found.unwrap_err().to_string();
        assert!(found.starts_with(expected), "{text}\n{found}");
    }
}

#[test]
fn what_only_looks_wrong_is_served() {
    for text in [
        "limits: { emit_depth: 0 }\n",
        "api: { listen: '[::ffff:127.0.0.1]:1' }\n",
        "api: { listen: 0.0.0.0:1, allow_unauthenticated: true }\n",
        "api: { listen: 0.0.0.0:1, auth: token, token: { secret: s } }\nsecrets: { s: { env: S } }\n",
        "reactions: { dir: . }\n",
    ] {
        let loaded = load(text, &[]).and_then(|loaded| loaded.for_a_server(false));
        assert!(loaded.is_ok(), "{text}\n{loaded:?}");
    }
    let open = load("api: { listen: 0.0.0.0:1 }\n", &[]).unwrap();
    assert!(
        open.for_a_server(true).is_ok(),
        "by --allow-unauthenticated"
    );
}

#[test]
fn a_variable_that_is_no_setting_is_an_error_or_a_warning() {
    let meant = complaint("", &[("CONCHE_API_LISTEN", "127.0.0.1:2")]);
    assert_eq!(
        meant,
        "CONCHE_API_LISTEN: is not a setting; did you mean `CONCHE_API__LISTEN`?"
    );
    let unknown = load("", &[("CONCHE_TOKENS", "x"), ("CONCHE_LOG", "warn")]).unwrap();
    assert_eq!(
        unknown.warnings,
        ["the variable CONCHE_TOKENS is not known; did you mean `CONCHE_TOKEN`?"]
    );
}

#[test]
fn a_secret_is_told_with_those_who_need_it() {
    let text = "secrets: { s: { env: S }, t: { env: T }, old: { env: O }, next: { env: N }, idle: { env: I } }
api: { auth: token, token: { secret: t } }
actions:
  mail: { server: m, password: { secret: s } }
  http: { secrets: { s: { hosts: [a.example] } } }
sources:
  - { id: a, module: webhook, path: /a, event_type: a, auth: { bearer: { secret: s } } }
  - { id: b, module: webhook, path: /b, event_type: b, verify: { github: { secret: [old, next] } } }
";
    let loaded = load(text, &[]).unwrap();
    for (name, users) in [
        (
            "s",
            "sources[0].auth.bearer, actions.http.secrets, actions.mail.password",
        ),
        ("t", "api.token"),
        ("next", "sources[1].verify.github"),
        ("idle", "nothing"),
    ] {
        assert_eq!(loaded.users_of_secret(name), users);
    }
}

#[test]
fn fuzz_configurations() {
    conche_testkit::fuzz("config", |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        match load(text, &[]) {
            Ok(loaded) => {
                let printed = serde_json::to_string(&loaded.authored).unwrap();
                let again = load(&printed, &[]).expect("what is printed can be read");
                assert_eq!(again.authored, loaded.authored);
            }
            Err(error) => assert!(error.to_string().starts_with("c.yaml"), "{error}"),
        }
    });
}

#[test]
fn grants_and_caps_that_mean_nothing_are_named_with_their_line() {
    let secrets = "secrets: { fw: { env: FW }, admin: { env: A } }\n";
    for (text, expected) in [
        (
            "playbooks: { secrets: { fv: { hosts: [a.example] } } }\n",
            "c.yaml:2:25: playbooks.secrets.fv: unknown secret `fv`; did you mean `fw`?",
        ),
        (
            "playbooks: { secrets: { fw: {} } }\n",
            "c.yaml:2:25: playbooks.secrets.fw: names nobody who may get it: write `hosts` or `fins`",
        ),
        (
            "playbooks: { secrets: { admin: { hosts: [\"*\"] } } }\napi: { auth: token, token: { secret: admin } }\n",
            "c.yaml:2:25: playbooks.secrets.admin: is the API's own token: no playbook may have it",
        ),
        (
            "safety: { targets: { most: 5, within: 0s } }\n",
            "c.yaml:2:31: safety.targets.within: must be more than 0: nothing would be counted",
        ),
        (
            "safety: { playbooks: { isolate: { most: 5, within: 1h } } }\n",
            "c.yaml:2:24: safety.playbooks.isolate: `isolate` is no identifier of a playbook",
        ),
    ] {
        let error = complaint(&format!("{secrets}{text}"), &[]);
        assert!(error.starts_with(expected), "{error}\nnot {expected}");
    }
}
