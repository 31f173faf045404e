//! Definitions that the tests run: reactions as people write them, and graphs built by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use conche_core::definition::{
    ActionStep, Compare, Comparison, Condition, Container, Defaults, Definition, Input, Limits,
    Opens, Results, Step, lower,
};
use conche_core::reaction::{Authored, Format};
use conche_core::run::{OnUncertain, Policy, Repeat, Retry};
use conche_core::{Digest, Json, StepId};

/// What the module `demo` offers: one action for each class of repeat.
fn demo(module: &str, action: &str) -> Option<(Repeat, OnUncertain)> {
    match (module, action) {
        ("demo", "idempotent") => Some((Repeat::Idempotent, OnUncertain::Repeat)),
        ("demo", "keyed") => Some((Repeat::Keyed, OnUncertain::Repeat)),
        ("demo", "probe") => Some((Repeat::Probe, OnUncertain::Attention)),
        ("demo", "unsafe") => Some((Repeat::Unsafe, OnUncertain::Attention)),
        _ => None,
    }
}

/// A reaction written in YAML, lowered with the module `demo` and default limits.
pub(crate) fn reaction(yaml: &str) -> Definition {
    let reaction = Authored::parse(yaml, Format::Yaml)
        .and_then(|authored| authored.resolve(&mut |path| Err(format!("no file {path}"))))
        .expect("a valid reaction");
    lower(&reaction, &demo, &Defaults::default())
}

/// script → look → script → block.
pub(crate) fn two_steps() -> Definition {
    reaction(
        "
name: two-steps
event: alert
script: first
actions:
  look:  { module: demo, action: keyed, script: second, retry: { attempts: 3 } }
  block: { module: demo, action: unsafe }
",
    )
}

/// One action whose script always asks for it again.
pub(crate) fn for_ever(steps: u32) -> Definition {
    reaction(&format!(
        "
name: for-ever
event: alert
script: again
limits: {{ steps: {steps} }}
actions:
  again: {{ module: demo, action: idempotent, script: again }}
"
    ))
}

/// An idempotent action of the module `demo` with a fixed input.
pub(crate) fn act(next: Option<&str>) -> ActionStep {
    ActionStep {
        module: "demo".to_owned(),
        action: "idempotent".to_owned(),
        input: Input::Fixed(Json::empty_object()),
        policy: Policy {
            repeat: Repeat::Idempotent,
            on_uncertain: OnUncertain::Repeat,
            retry: Retry::default(),
            timeout: Duration::from_mins(1),
        },
        results: Results::Kept,
        guarded: false,
        next: next.map(StepId::from),
        on_failure: None,
    }
}

/// An action that is never repeated by itself.
pub(crate) fn act_once(next: Option<&str>) -> ActionStep {
    let mut step = act(next);
    "unsafe".clone_into(&mut step.action);
    step.policy.repeat = Repeat::Unsafe;
    step.policy.on_uncertain = OnUncertain::Attention;
    step
}

/// An action whose output becomes the variable `variable`.
pub(crate) fn act_into(variable: &str, next: Option<&str>) -> ActionStep {
    ActionStep {
        results: Results::Variable(variable.to_owned()),
        ..act(next)
    }
}

/// `variable` compared with `value`.
pub(crate) fn when(
    variable: &str,
    comparison: Comparison,
    value: impl Into<serde_json::Value>,
) -> Condition {
    Condition::Compare(Compare {
        variable: variable.to_owned(),
        comparison,
        value: value.into(),
    })
}

/// A graph that starts with its first step.
pub(crate) fn graph<const N: usize>(name: &str, steps: [(&str, Step); N]) -> Definition {
    Definition {
        digest: Digest::of(name.as_bytes()),
        name: name.to_owned(),
        start: StepId::from(steps[0].0),
        steps: steps
            .into_iter()
            .map(|(name, step)| (StepId::from(name), step))
            .collect::<BTreeMap<_, _>>(),
        limits: Limits::default(),
    }
}

/// Everything at once: two branches side by side, one with a way out of failure and one with a
/// loop that waits between its iterations; then a choice; then the end.
pub(crate) fn response() -> Definition {
    let block = ActionStep {
        on_failure: Some(StepId::from("isolate")),
        ..act(None)
    };
    graph(
        "response",
        [
            (
                "both",
                Step::Container(
                    Container::new(Opens::Parallel {
                        branches: vec!["block".into(), "watch".into()],
                        fail_fast: false,
                    })
                    .then(Some("sort".into())),
                ),
            ),
            ("block", Step::Action(block)),
            ("isolate", Step::Action(act(None))),
            (
                "watch",
                Step::Container(
                    Container::new(Opens::While {
                        condition: when("left", Comparison::Greater, 0),
                        body: "poll".into(),
                    })
                    .then(Some("note".into())),
                ),
            ),
            ("poll", Step::Action(act_into("left", Some("pause")))),
            (
                "pause",
                Step::Delay {
                    span: Duration::from_secs(10),
                    next: None,
                },
            ),
            ("note", Step::Action(act(None))),
            (
                "sort",
                Step::Container(
                    Container::new(Opens::If {
                        cases: vec![
                            (when("severity", Comparison::Equal, "high"), "page".into()),
                            (when("severity", Comparison::Equal, "low"), "mail".into()),
                        ],
                        otherwise: Some("log".into()),
                    })
                    .then(Some("close".into())),
                ),
            ),
            ("page", Step::Action(act(None))),
            ("mail", Step::Action(act(None))),
            ("log", Step::Action(act(None))),
            ("close", Step::Action(act(None))),
        ],
    )
}

/// Branches side by side within a loop; `count` sets the variable that the loop asks for.
pub(crate) fn fan_out() -> Definition {
    graph(
        "fan-out",
        [
            (
                "rounds",
                Step::Container(
                    Container::new(Opens::While {
                        condition: when("left", Comparison::Greater, 0),
                        body: "fan".into(),
                    })
                    .then(Some("done".into())),
                ),
            ),
            (
                "fan",
                Step::Container(
                    Container::new(Opens::Parallel {
                        branches: vec!["a".into(), "b".into()],
                        fail_fast: false,
                    })
                    .then(Some("count".into())),
                ),
            ),
            ("a", Step::Action(act(None))),
            ("b", Step::Action(act_once(None))),
            ("count", Step::Action(act_into("left", None))),
            ("done", Step::Action(act(None))),
        ],
    )
}
