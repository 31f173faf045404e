//! Documents that look as if something were wrong with them, and in which nothing is.

use serde_json::json;

use super::parts::Parts;

/// What is done to the sound document.
type Change = fn(&mut Parts);

pub(super) const LOOKALIKES: &[(&str, Change)] = &[
    (
        "no handler where every step goes on whatever the outcome",
        |it| {
            it.without_exception();
            let step = it.step("Look the address up");
            let next = step.remove("on_success").expect("a next step");
            step.remove("on_failure");
            step.insert("on_completion".into(), next);
        },
    ),
    (
        "no handler where a step around it goes on after a failure",
        |it| {
            it.without_exception();
            for step in ["Block it", "Block and tell"] {
                let step = it.step(step);
                let next = step.remove("on_completion").expect("a next step");
                step.insert("on_success".into(), next);
            }
        },
    ),
    ("events that a rule is held against", |it| {
        handed(it, "sigma");
    }),
    ("files that a rule is held against", |it| handed(it, "yara")),
    ("values that a notebook is given", |it| {
        handed(it, "jupyter");
    }),
];

/// A step whose command is handed a variable that its text does not name.
fn handed(it: &mut Parts, kind: &str) {
    *it.command("Note it") = super::parts::object(json!({"type": kind, "command_b64": "e30="}));
    it.step("Note it")
        .insert("in_args".into(), json!(["__verdict__"]));
}
