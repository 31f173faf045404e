//! What cannot be carried out is refused before anything is done, with its place.

use conche_core::definition::Defaults;
use conche_core::playbook::{FourEyes, codes, lower};
use serde_json::{Value, json};

use super::document::{
    Doc, act, call, commands, on_success, parallel, switch, then, when, whilst, with,
};
use super::play::{Modules, refused};

fn it(step: Value) -> Doc {
    Doc::new("it").step("it", on_success(step, "end"))
}

fn one(kind: &str, more: Value) -> Value {
    commands([with(json!({"type": kind}), more)])
}

/// The only refusal, as `pointer: message`.
fn only(doc: &Doc, modules: &Modules) -> String {
    let refusals = refused(&doc.program(&[]), modules);
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    let text = refusals[0].to_string();
    text.strip_prefix("playbook--main")
        .expect("the playbook")
        .to_owned()
}

/// A step that follows nothing else is refused with these words.
fn says(step: Value, words: &str) {
    let step = with(json!({"on_success": "end"}), step);
    let found = only(&Doc::new("it").step("it", step), &Modules::default());
    assert!(found.starts_with(words), "{found}\nnot {words}");
}

#[test]
fn text_where_a_shell_calculates_is_refused_with_its_place() {
    let modules = Modules::default();
    let script = |kind: &str, of: &str| {
        it(one(kind, json!({"command": "[[ __v__:value -gt 5 ]]"})))
            .declare("__v__", json!({"type": of}))
    };
    for kind in ["bash", "ssh"] {
        let found = only(&script(kind, "string"), &modules);
        let words = "/workflow/it/commands/0: `command`: the value of `__v__` cannot be written here: it would stand beside a comparison of numbers";
        assert!(found.starts_with(words), "{found}");
        assert!(
            found.contains("declare the variable as `integer`"),
            "{found}"
        );
        for of in ["integer", "long"] {
            let program = script(kind, of).program(&[]);
            let taken = lower(
                &program,
                &modules,
                &Defaults::default(),
                &FourEyes::default(),
            );
            assert!(taken.is_ok(), "{of}: {:?}", taken.err());
        }
    }
    let local = with(
        one("bash", json!({"command_b64": "bGV0IG49X192X186dmFsdWU="})),
        json!({"step_variables": {"__v__": {"type": "string"}}}),
    );
    let hidden = it(local).declare("__v__", json!({"type": "integer"}));
    let found = only(&hidden, &modules);
    assert!(found.contains("it would stand behind `let`"), "{found}");
}

#[test]
fn what_is_wrong_with_an_action_is_said_with_its_place() {
    for (step, words) in [
        (
            json!({"type": "weird"}),
            "/workflow/it/type: `weird` is no type of step, or lacks a property",
        ),
        (
            json!({"type": "action", "agent": "box"}),
            "/workflow/it/type: `action` is no type of step, or lacks a property",
        ),
        (
            json!({"type": "action", "agent": "box", "commands": []}),
            "/workflow/it/commands: an action needs at least one command",
        ),
        (
            with(act(), json!({"agent": "none"})),
            "/workflow/it/agent: there is no agent `none`",
        ),
        (
            with(act(), json!({"agent": "t0"})),
            "/workflow/it/agent: there is no agent `t0`",
        ),
        (
            with(act(), json!({"targets": ["t0", "none"]})),
            "/workflow/it/targets/1: there is no target `none`",
        ),
        (
            one(
                "http-api",
                json!({"command": "GET / HTTP/1.1", "content": "a", "content_b64": "YQ=="}),
            ),
            "/workflow/it/commands/0: both `content` and `content_b64` are given: nobody can say which is meant",
        ),
        (
            one("bash", json!({"command": "a", "command_b64": "YQ=="})),
            "/workflow/it/commands/0: both `command` and `command_b64` are given: nobody can say which is meant",
        ),
        (
            with(one("ssh", json!({"command": "a"})), json!({"agent": "ana"})),
            "/workflow/it/commands/0: a command of type `ssh` needs an address, and the agent `ana` of type `individual` has none",
        ),
        (
            with(
                one("ssh", json!({"command": "a"})),
                json!({"targets": ["ana"]}),
            ),
            "/workflow/it/commands/0: a command of type `ssh` needs an address, and the target `ana` of type `individual` has none",
        ),
        (
            with(act(), json!({"out_args": ["x"]})),
            "/workflow/it/commands/0: `x`: it does not begin and end with two underscores",
        ),
    ] {
        says(step, words);
    }
}

#[test]
fn what_is_wrong_with_branches_and_variables_is_said_with_its_place() {
    for (step, words) in [
        (
            when("__x__:value ==== 1", "end"),
            "/workflow/it/condition: ",
        ),
        (whilst("", "end"), "/workflow/it/condition: "),
        (
            switch("__x__", [("a", "end")]),
            "/workflow/it/switch: a switch is one variable, written `__name__:value`; this does not end with `:value`",
        ),
        (
            when("__x__:value = 1", "gone"),
            "/workflow/it/on_true: there is no step `gone`",
        ),
        (
            with(when("__x__:value = 1", "end"), json!({"on_false": "gone"})),
            "/workflow/it/on_false: there is no step `gone`",
        ),
        (
            whilst("__x__:value = 1", "gone"),
            "/workflow/it/on_true: there is no step `gone`",
        ),
        (
            switch("__x__:value", [("a", "gone")]),
            "/workflow/it/cases: there is no step `gone`",
        ),
        (
            parallel(["end", "gone"]),
            "/workflow/it/next_steps: there is no step `gone`",
        ),
        (
            with(act(), json!({"on_success": "gone"})),
            "/workflow/it/on_success: there is no step `gone`",
        ),
        (
            with(act(), json!({"on_failure": "gone"})),
            "/workflow/it/on_failure: there is no step `gone`",
        ),
        (
            call("playbook--none"),
            "/workflow/it/playbook_id: there is no playbook `playbook--none`: put it into the folder of playbooks or upload it",
        ),
        (
            with(call("playbook--none"), json!({"playbook_version": "1"})),
            "/workflow/it/playbook_id: there is no playbook `playbook--none` of 1: put it into the folder of playbooks or upload it",
        ),
        (
            with(
                act(),
                json!({"step_variables": {"__x__": {"type": "integer", "value": "x"}}}),
            ),
            "/workflow/it/step_variables/__x__: ",
        ),
        (
            with(act(), json!({"step_variables": {"x": {"type": "string"}}})),
            "/workflow/it/step_variables/x: ",
        ),
    ] {
        says(step, words);
    }
}

#[test]
fn completion_that_leads_nowhere_is_named_as_it_is_written() {
    let doc = Doc::new("it").step("it", then(act(), "gone"));
    let found = refused(&doc.program(&[]), &Modules::default());
    assert_eq!(found[0].pointer.to_string(), "/workflow/it/on_completion");
}

#[test]
fn what_is_wrong_with_the_whole_is_said_too() {
    let all = Modules::default();
    let doc = it(act());
    assert_eq!(
        only(&doc.clone().set("workflow_start", "gone"), &all),
        "/workflow_start: there is no step `gone`"
    );
    assert_eq!(
        only(&doc.clone().exception("gone"), &all),
        "/workflow_exception: there is no step `gone`"
    );
    let found = only(
        &doc.declare("__n__", json!({"type": "integer", "value": "x"})),
        &all,
    );
    assert!(found.starts_with("/playbook_variables/__n__: "), "{found}");
}

#[test]
fn a_command_that_no_module_carries_out_is_refused() {
    let without = |module| Modules {
        without: vec![module],
        ..Modules::default()
    };
    assert_eq!(
        only(
            &it(one("kestrel", json!({"command": "x"}))),
            &without("kestrel")
        ),
        "/workflow/it/commands/0: there is no module that carries out commands of type `kestrel`"
    );
    assert_eq!(
        only(&it(one("ftp", json!({"command": "x"}))), &without("fin")),
        "/workflow/it/commands/0: there is no module `fin`, which would carry out this command of type `ftp`"
    );
    let unavailable = Modules {
        unavailable: vec!["bash"],
        ..Modules::default()
    };
    assert_eq!(
        only(&it(act()), &unavailable),
        "/workflow/it/commands/0: `bash` is not configured"
    );
}

#[test]
fn credentials_that_cannot_be_had_are_refused() {
    let with_auth = |info: Option<Value>| {
        let agent = json!({"type": "linux", "name": "box", "address": {"dname": ["box"]}, "authentication_info": "auth"});
        let doc = it(act()).put("agent_definitions", "box", agent);
        match info {
            Some(info) => doc.put("authentication_info_definitions", "auth", info),
            None => doc,
        }
    };
    let all = Modules::default();
    assert_eq!(
        only(&with_auth(None), &all),
        "/workflow/it/agent: there are no credentials `auth`"
    );
    let kms = json!({"type": "user-auth", "kms": true, "kms_key_identifier": "ssh-key"});
    let found = only(&with_auth(Some(kms.clone())), &all);
    let place = "/authentication_info_definitions/auth/kms_key_identifier";
    assert!(
        found.starts_with(&format!("{place}: there is no secret `ssh-key`")),
        "{found}"
    );
    let kept = Modules {
        kept: vec!["ssh-key"],
        ..Modules::default()
    };
    let refusals = refused(&with_auth(Some(kms.clone())).program(&[]), &kept);
    assert_eq!(refusals[0].code, codes::SECRET_NOT_GRANTED);
    let found = only(&with_auth(Some(kms.clone())), &kept);
    assert_eq!(
        found,
        format!(
            "{place}: playbooks may not use the secret `ssh-key`; if they may have it sent there, write in the configuration: playbooks: {{ secrets: {{ \"ssh-key\": {{ hosts: [\"box\"] }} }} }}"
        )
    );
    let nameless = json!({"type": "user-auth", "kms": true});
    let found = only(&with_auth(Some(nameless)), &all);
    assert!(found.contains("`kms_key_identifier`"), "{found}");
    let knows = Modules {
        secrets: vec!["ssh-key"],
        ..Modules::default()
    };
    lower(
        &with_auth(Some(kms)).program(&[]),
        &knows,
        &Defaults::default(),
        &conche_core::playbook::FourEyes::default(),
    )
    .expect("the secret is known");
}

#[test]
fn secrets_of_a_document_are_held_beside_the_definition_and_only_named_in_it() {
    let agent = json!({"type": "linux", "name": "box", "address": {"dname": ["box"]}, "authentication_info": "auth"});
    let info = json!({"type": "user-auth", "username": "root", "password": "hunter2"});
    let doc = it(act()).put("agent_definitions", "box", agent).put(
        "authentication_info_definitions",
        "auth",
        info,
    );
    let program = doc.program(&[]);
    let lowered = super::play::lowered(&program);
    assert!(!format!("{:?}", lowered.definition).contains("hunter2"));
    assert_eq!(lowered.secrets.len(), 1);
    let (name, value) = &lowered.secrets[0];
    assert_eq!(value, "hunter2");
    let mut play = super::play::Play::of(&doc);
    let input = play.input("it");
    assert_eq!(
        input["agent"]["authentication"]["password"]["secret"],
        name.as_str()
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_once() {
    let callee = Doc::called("playbook--callee", "1", "x").step(
        "x",
        on_success(with(act(), json!({"agent": "none"})), "end"),
    );
    let doc = Doc::new("a").steps([
        ("a", on_success(call("playbook--callee"), "b")),
        ("b", on_success(call("playbook--callee"), "c")),
        (
            "c",
            on_success(with(act(), json!({"agent": "nobody"})), "end"),
        ),
    ]);
    let refusals = refused(&doc.program(&[callee]), &Modules::default());
    let places: Vec<String> = refusals
        .iter()
        .map(|at| format!("{}{}", at.playbook, at.pointer))
        .collect();
    assert_eq!(
        places,
        [
            "playbook--main/workflow/c/agent",
            "playbook--callee/workflow/x/agent"
        ]
    );
}

#[test]
fn a_variable_that_feeds_credentials_feeds_nothing_else() {
    let agent = json!({"type": "linux", "name": "box", "address": {"dname": ["box"]}, "authentication_info": "auth"});
    let info = json!({"type": "user-auth", "username": "root", "password": "__pw__:value"});
    let doc = |command: &str, kind: &str| {
        it(one("ssh", json!({"command": command})))
            .put("agent_definitions", "box", agent.clone())
            .put("authentication_info_definitions", "auth", info.clone())
            .put(
                "playbook_variables",
                "__pw__",
                json!({"type": kind, "external": true}),
            )
    };
    let sound = doc("id", "string").program(&[]);
    assert_eq!(sound.sealed(), ["__pw__".to_owned()].into());
    super::play::lowered(&sound);
    let refusals = refused(
        &doc("login __pw__:value", "string").program(&[]),
        &Modules::default(),
    );
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(refusals[0].code, codes::SECRET_EXPOSED);
    let words = "playbook--main/workflow/it/commands/0/command: `__pw__` feeds credentials, so its value is secret";
    assert!(
        refusals[0].to_string().starts_with(words),
        "{}",
        refusals[0]
    );
    let found = only(&doc("id", "uuid"), &Modules::default());
    assert_eq!(
        found,
        "/playbook_variables/__pw__/type: `__pw__` feeds credentials: its type must be `string`"
    );
}
