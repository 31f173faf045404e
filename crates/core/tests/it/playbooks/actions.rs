//! An action: its commands, each for all targets in order (docs/decisions/0017), by its agent.

use serde_json::json;

use super::document::{Doc, act, commands, either, on_success, then, with};
use super::play::Play;

fn several() -> Doc {
    let line = |text: &str| json!({"type": "ssh", "command": text});
    let step = with(
        commands([line("one"), line("two")]),
        json!({"targets": ["t0", "t1"]}),
    );
    Doc::new("it").steps([
        ("it", either(step, "end", "bad")),
        ("bad", then(act(), "end")),
    ])
}

#[test]
fn each_command_is_carried_out_on_all_targets_before_the_next() {
    let mut play = Play::of(&several());
    for (name, line, target) in [
        ("it/0.0", "one", "t0"),
        ("it/0.1", "one", "t1"),
        ("it/1.0", "two", "t0"),
        ("it/1.1", "two", "t1"),
    ] {
        let wanted = play.wanted();
        assert_eq!(wanted.len(), 1, "one after the other");
        let input = play.input(name);
        assert_eq!(input["command"]["command"], line);
        assert_eq!(input["target"]["id"], target);
        assert_eq!(input["agent"]["id"], "box");
        play.done([name]);
    }
    play.awaits(["succeeded"]);
}

#[test]
fn the_first_failure_ends_the_action() {
    let mut play = Play::of(&several());
    play.done(["it/0.0"]).fails("it/0.1").awaits(["bad"]);
    assert_eq!(play.begun(), ["it", "it/0.1"]);
}

#[test]
fn without_targets_a_command_is_about_the_agent_itself() {
    let mut play = Play::of(&Doc::new("it").step("it", then(act(), "end")));
    let input = play.input("it");
    assert_eq!(input.get("target"), None);
    assert_eq!(input["agent"]["address"]["dname"], json!(["box"]));
    play.done(["it"]).awaits(["succeeded"]);
}

#[test]
fn a_target_may_be_described_among_the_agents() {
    let doc = Doc::new("it").step("it", then(with(act(), json!({"targets": ["box"]})), "end"));
    assert_eq!(Play::of(&doc).input("it")["target"]["id"], "box");
}

#[test]
fn the_input_tells_where_the_command_stands() {
    let step = with(
        act(),
        json!({"name": "Work", "timeout": 5000, "delay": 1000, "targets": ["t0", "t1"]}),
    );
    let mut play = Play::of(&Doc::new("it").step("it", then(step, "end")));
    play.awaits(["until +1s"]).pass(1.0).done(["it"]);
    assert_eq!(
        play.input("it/0.1")["context"],
        json!({
            "playbook_id": "playbook--main", "step_id": "it", "step_name": "Work",
            "delay": 1000, "timeout": 5000, "command_index": 0, "target_index": 1,
        })
    );
}

#[test]
fn variables_are_handed_to_who_sees_nothing_else_and_otherwise_only_when_named() {
    let doc = |kind: &str, more: serde_json::Value| {
        let step = with(commands([json!({"type": kind, "command": "x"})]), more);
        Doc::new("it")
            .variable("__a__", "string", "1")
            .variable("__b__", "integer", "2")
            .step("it", on_success(step, "end"))
    };
    let given = |kind: &str, more| Play::of(&doc(kind, more)).input("it")["variables"].clone();
    assert_eq!(given("bash", json!({})), json!(null));
    let a = json!({"__a__": {"type": "string", "value": "1"}});
    assert_eq!(given("bash", json!({"in_args": ["__a__"]})), a);
    assert_eq!(given("kestrel", json!({"in_args": ["__a__"]})), a);
    for kind in ["kestrel", "our-own"] {
        let all = given(kind, json!({}));
        assert_eq!(
            all["__b__"],
            json!({"type": "integer", "value": "2"}),
            "{kind}"
        );
        assert_eq!(all.as_object().map(serde_json::Map::len), Some(2), "{kind}");
    }
    Play::of(&doc("bash", json!({"in_args": ["__none__"]})))
        .awaits(["failed: /workflow/it/commands/0: there is no variable `__none__`"]);
}

#[test]
fn who_carries_it_out_is_said_by_the_type_of_the_command_or_by_an_agent_of_soarcas() {
    for (kind, agent, module, action) in [
        (
            "bash",
            json!({"type": "linux", "name": "box"}),
            "bash",
            "execute",
        ),
        (
            "GET",
            json!({"type": "http-api", "name": "api"}),
            "http-api",
            "read",
        ),
        (
            "POST",
            json!({"type": "http-api", "name": "api"}),
            "http-api",
            "execute",
        ),
        (
            "ssh",
            json!({"type": "soarca", "name": "soarca-ssh"}),
            "ssh",
            "execute",
        ),
        (
            "ssh",
            json!({"type": "soarca-ssh", "name": "any"}),
            "ssh",
            "execute",
        ),
        (
            "our-own",
            json!({"type": "linux", "name": "box"}),
            "fin",
            "execute",
        ),
        (
            "ssh",
            json!({"type": "soarca", "name": "my-capability"}),
            "fin",
            "execute",
        ),
        (
            "ssh",
            json!({"type": "soarca-fin", "name": "any"}),
            "fin",
            "execute",
        ),
    ] {
        let (kind, command) = match kind {
            "GET" | "POST" => ("http-api", format!("{kind} /x HTTP/1.1")),
            kind => (kind, "x".to_owned()),
        };
        let agent = with(agent, json!({"address": {"dname": ["box"]}}));
        let step = commands([json!({"type": kind, "command": command})]);
        let doc = Doc::new("it")
            .put("agent_definitions", "box", agent.clone())
            .step("it", then(step, "end"));
        let mut play = Play::of(&doc);
        let call = play.invocation("it");
        assert_eq!(
            (call.module.as_str(), call.action.as_str()),
            (module, action),
            "{kind} {agent}"
        );
    }
}

#[test]
fn a_command_of_unknown_effect_that_must_not_be_repeated_is_left_to_a_person() {
    let mut play = Play::of(&several());
    play.begins("it/0.0");
    play.run.crash();
    play.awaits(["attend it"]);
    play.run.resume(
        "it/0.0",
        conche_core::run::Resolution::Succeeded {
            output: conche_core::Json::empty_object(),
        },
    );
    play.awaits(["it/0.1"]);
}

#[test]
fn a_value_is_one_part_of_the_name_of_an_openwhisk_action() {
    let command = json!({"type": "openwhisk", "command": "invoke /_/__n__:value"});
    for (value, name) in [("look", "look"), ("other/look", "other%2Flook")] {
        let doc = Doc::new("it").variable("__n__", "string", value);
        let mut play = Play::of(&doc.step("it", then(commands([command.clone()]), "end")));
        play.wanted();
        let wanted = format!("invoke /_/{name}");
        assert_eq!(play.input("it")["command"]["command"], wanted.as_str());
    }
}

#[test]
fn an_openwhisk_command_is_carried_out_in_place_of_the_portable_one_that_keeps_it() {
    let kept = "extension-definition--f9cea8f6-15ff-4c3a-8564-54f25fd2f1d9";
    let own = |more| {
        let command = json!({"command": "invoke /_/look", "params": {"depth": "__n__:value"}});
        with(command, more)
    };
    let direct = |more| commands([with(own(more), json!({"type": "openwhisk"}))]);
    let portable = |more| {
        let http = json!({"type": "http-api", "command": "POST /x HTTP/1.1", "content": "{}"});
        with(
            commands([http]),
            json!({"step_extensions": {kept: own(more)}}),
        )
    };
    let once = || json!({"idempotency": {"param": "once"}});
    for (step, action) in [
        (direct(json!({})), "execute"),
        (direct(once()), "execute_keyed"),
        (portable(json!({})), "execute"),
        (portable(once()), "execute_keyed"),
    ] {
        let doc = Doc::new("it").variable("__n__", "integer", "3");
        let mut play = Play::of(&doc.step("it", then(step, "end")));
        play.wanted();
        let call = play.invocation("it");
        assert_eq!((&*call.module, &*call.action), ("openwhisk", action));
        let command = &play.input("it")["command"];
        assert_eq!(command["command"], "invoke /_/look");
        assert_eq!(command["params"], json!({"depth": 3}));
        play.gives("it", json!({"variables": {"__n__": 7}}));
        play.awaits(["succeeded"]).has("__n__", "7");
    }
}
