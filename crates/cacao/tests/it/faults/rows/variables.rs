//! Variables, conditions, switches and loops.

use serde_json::json;

use super::Fault;

pub(super) const FAULTS: &[Fault] = &[
    ("CACAO079", |it| {
        it.declare("__1__", json!({"type": "string", "value": ""}))
    }),
    ("CACAO080", |it| {
        it.declare("___x__", json!({"type": "string", "value": ""}))
    }),
    ("CACAO081", |it| {
        drop(it.command("Ask").insert(
            "command".into(),
            json!("What of __nobody__:value? And __address__:value?"),
        ))
    }),
    ("CACAO081", |it| {
        it.agent("Chat")["address"] = json!({"url": ["https://__chat__:value/"]})
    }),
    ("CACAO081", |it| {
        drop(
            it.command("Note it")
                .insert("command_b64".into(), json!("bG9nZ2VyIF9feF9fOnZhbHVl")),
        )
    }),
    ("CACAO081", |it| {
        drop(
            it.step("How severe is it?")
                .insert("switch".into(), json!("__nobody__:value")),
        )
    }),
    ("CACAO081", |it| {
        drop(
            it.step("Is it bad?")
                .insert("condition".into(), json!("__nobody__:value = 'x'")),
        )
    }),
    ("CACAO082", |it| {
        drop(it.command("Ask").insert(
            "command".into(),
            json!("May __address__:value stay? (__address__)"),
        ))
    }),
    ("CACAO083", |it| {
        drop(it.step("Ask").insert(
            "out_args".into(),
            json!(["__answered__", "__severity__", "__nobody__"]),
        ))
    }),
    ("CACAO084", |it| {
        drop(it.step("Ask").insert(
            "out_args".into(),
            json!(["__answered__", "__severity__:value"]),
        ))
    }),
    ("CACAO085", |it| {
        drop(
            it.step("Ask")
                .insert("in_args".into(), json!(["__address__", "__team__"])),
        )
    }),
    ("CACAO086", |it| {
        drop(
            it.step("Write to the team")
                .insert("in_args".into(), json!(["__address__"])),
        )
    }),
    ("CACAO087", |it| {
        drop(it.step("Ask").insert(
            "out_args".into(),
            json!(["__answered__", "__severity__", "__team__"]),
        ))
    }),
    ("CACAO088", |it| {
        drop(it.step("Ask").insert(
            "step_variables".into(),
            json!({"__own__": {"type": "string", "value": "", "external": true}}),
        ))
    }),
    ("CACAO089", |it| {
        it.declare("__port__", json!({"type": "integer", "value": "many"}))
    }),
    ("CACAO090", |it| {
        it.declare(
            "__net__",
            json!({"type": "ipv4-addr", "value": "10.0.0.0/8"}),
        )
    }),
    ("CACAO091", |it| {
        drop(it.step("Ask").insert(
            "step_variables".into(),
            json!({"__verdict__": {"type": "string", "value": ""}}),
        ))
    }),
    ("CACAO092", |it| {
        for step in ["Block it", "Write to the team"] {
            it.step(step)
                .insert("out_args".into(), json!(["__verdict__"]));
        }
    }),
    ("CACAO093", |it| {
        drop(
            it.step("Is it bad?")
                .insert("condition".into(), json!("__verdict__:value = 'bad' OR")),
        )
    }),
    ("CACAO094", |it| {
        drop(
            it.step("Is it bad?")
                .insert("condition".into(), json!("__verdict__:value = bad")),
        )
    }),
    ("CACAO095", |it| {
        drop(
            it.step("Until somebody answers")
                .insert("condition".into(), json!("__answered__:value > 'x'")),
        )
    }),
    ("CACAO102", |it| {
        drop(
            it.step("How severe is it?")
                .insert("switch".into(), json!("the severity")),
        )
    }),
    ("CACAO103", |it| {
        let address = json!({"type": "integer", "value": "1"});
        it.declare("__severity__", address);
    }),
    ("CACAO104", |it| {
        drop(
            it.step("Ask")
                .insert("out_args".into(), json!(["__severity__"])),
        )
    }),
];
