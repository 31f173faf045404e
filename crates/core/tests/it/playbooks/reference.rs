//! A plain interpreter of CACAO documents: one recursive function for each type of step, as the
//! specification is read aloud. It knows nothing of journals, entries or frames, has scopes of
//! its own, and holds the clock in its hand: each function is told when it begins and says when
//! it ended.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::random::{Fate, ITERATIONS, Identity};

/// How a branch, a step or a playbook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Well,
    Failed,
    /// It was cut off by the time of something around it.
    Late,
    /// It begins no further step, since a branch beside it, or beside something around it, failed.
    Stopped,
}

/// What is around a step.
#[derive(Debug, Clone)]
struct Around {
    /// When it is cut off.
    until: u64,
    /// From when on no step is begun.
    stop: u64,
    /// Iterations of the loops.
    iterations: Vec<u32>,
}

/// Variables with their values, and which were assigned since a branch began.
#[derive(Debug, Clone, Default)]
struct Level {
    values: BTreeMap<String, String>,
    assigned: BTreeSet<String>,
}

type Scope = Vec<Level>;

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    pub(super) succeeded: bool,
    pub(super) variables: BTreeMap<String, String>,
    /// What was begun, in words, in some order.
    pub(super) begun: Vec<String>,
}

/// The world as far as the interpreter needs it.
pub(super) struct Interpreter<'d> {
    pub(super) seed: u64,
    /// Documents by their identifiers.
    pub(super) documents: BTreeMap<String, &'d Value>,
}

impl Interpreter<'_> {
    /// Runs a playbook from its start.
    pub(super) fn run(&self, id: &str) -> Ending {
        let document = self.documents[id];
        let mut scope = vec![level(&document["playbook_variables"])];
        let around = Around {
            until: u64::MAX,
            stop: u64::MAX,
            iterations: Vec::new(),
        };
        let mut begun = Vec::new();
        let (ended, _) = self.playbook(document, &mut scope, 0, &around, &mut begun);
        begun.sort();
        Ending {
            succeeded: ended == End::Well,
            variables: scope.swap_remove(0).values,
            begun,
        }
    }

    fn playbook(
        &self,
        document: &Value,
        scope: &mut Scope,
        at: u64,
        around: &Around,
        begun: &mut Vec<String>,
    ) -> (End, u64) {
        let start = word(&document["workflow_start"]);
        let (ended, at) = self.branch(document, start, scope, at, around, begun);
        match document["workflow_exception"].as_str() {
            Some(handler) if ended == End::Failed => {
                match self.branch(document, handler, scope, at, around, begun) {
                    (End::Well, at) => (End::Failed, at),
                    other => other,
                }
            }
            _ => (ended, at),
        }
    }

    fn branch(
        &self,
        document: &Value,
        first: &str,
        scope: &mut Scope,
        mut at: u64,
        around: &Around,
        begun: &mut Vec<String>,
    ) -> (End, u64) {
        let mut current = first;
        loop {
            if at >= around.stop {
                return (End::Stopped, at);
            }
            let step = &document["workflow"][current];
            if let Some(delay) = step["delay"].as_u64() {
                at += delay;
                let cut = around.until.min(around.stop);
                if cut < at {
                    return (
                        if cut == around.stop {
                            End::Stopped
                        } else {
                            End::Late
                        },
                        cut,
                    );
                }
            }
            if step["type"] == "end" {
                return (End::Well, at);
            }
            let (ended, when) = self.step(document, current, scope, at, around, begun);
            at = when;
            let follows = |name: &str| {
                step[name]
                    .as_str()
                    .or_else(|| step["on_completion"].as_str())
            };
            current = match (ended, follows("on_success"), follows("on_failure")) {
                (End::Well, Some(next), _) | (End::Failed, _, Some(next)) => next,
                _ => return (ended, at),
            };
        }
    }

    /// A step with its own variables and its own time.
    fn step(
        &self,
        document: &Value,
        name: &str,
        scope: &mut Scope,
        at: u64,
        around: &Around,
        begun: &mut Vec<String>,
    ) -> (End, u64) {
        let step = &document["workflow"][name];
        let own = step["timeout"]
            .as_u64()
            .map_or(u64::MAX, |timeout| at + timeout);
        let inner = Around {
            until: around.until.min(own),
            ..around.clone()
        };
        scope.push(level(&step["step_variables"]));
        let mut returned = Vec::new();
        let ended = match word(&step["type"]) {
            "action" => self.action(step, name, scope, at, &inner, begun),
            "parallel" => self.parallel(document, step, scope, at, &inner, begun),
            "if-condition" => {
                let branch = if holds(word(&step["condition"]), scope) {
                    "on_true"
                } else {
                    "on_false"
                };
                self.maybe(document, step[branch].as_str(), scope, at, &inner, begun)
            }
            "switch-condition" => {
                let value = seen(scope, reference(word(&step["switch"])));
                let cases = &step["cases"];
                let branch = cases.get(value).or_else(|| cases.get("default"));
                self.maybe(
                    document,
                    branch.and_then(Value::as_str),
                    scope,
                    at,
                    &inner,
                    begun,
                )
            }
            "while-condition" => self.repeat(document, step, scope, at, &inner, begun),
            "playbook-action" => self.call(step, scope, at, &inner, (begun, &mut returned)),
            _ => (End::Well, at),
        };
        scope.pop();
        for (name, value) in returned {
            // What the step declares itself ends with it.
            if step["step_variables"].get(&name).is_none() {
                assign(scope, &name, &value);
            }
        }
        match ended {
            (End::Late, at) if own < around.until => (End::Failed, at),
            other => other,
        }
    }

    fn maybe(
        &self,
        document: &Value,
        first: Option<&str>,
        scope: &mut Scope,
        at: u64,
        around: &Around,
        begun: &mut Vec<String>,
    ) -> (End, u64) {
        match first {
            Some(first) => self.branch(document, first, scope, at, around, begun),
            None => (End::Well, at),
        }
    }

    fn repeat(
        &self,
        document: &Value,
        step: &Value,
        scope: &mut Scope,
        mut at: u64,
        around: &Around,
        begun: &mut Vec<String>,
    ) -> (End, u64) {
        let mut turn = 0;
        while holds(word(&step["condition"]), scope) {
            if turn == ITERATIONS {
                return (End::Failed, at);
            }
            let mut around = around.clone();
            around.iterations.push(turn);
            match self.branch(document, word(&step["on_true"]), scope, at, &around, begun) {
                (End::Well, when) => at = when,
                other => return other,
            }
            turn += 1;
        }
        (End::Well, at)
    }

    fn action(
        &self,
        step: &Value,
        name: &str,
        scope: &mut Scope,
        mut at: u64,
        around: &Around,
        begun: &mut Vec<String>,
    ) -> (End, u64) {
        let targets = step["targets"].as_array().map_or(1, Vec::len);
        for (command, described) in step["commands"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            for target in 0..targets {
                let work = Identity {
                    step: name.to_owned(),
                    command,
                    target,
                    iterations: around.iterations.clone(),
                };
                let quote = if described["type"] == "manual" {
                    ""
                } else {
                    "'"
                };
                let line = fill(word(&described["command"]), scope, quote);
                begun.push(format!("{work:?}: {line}"));
                let fate = Fate::of(self.seed, &work);
                at += fate.takes;
                if at > around.until {
                    return (End::Late, around.until);
                }
                let Some(value) = fate.gives else {
                    return (End::Failed, at);
                };
                if let Some(variable) = step["out_args"][0].as_str() {
                    assign(scope, variable, &value.to_string());
                }
            }
        }
        (End::Well, at)
    }

    fn parallel(
        &self,
        document: &Value,
        step: &Value,
        scope: &mut Scope,
        at: u64,
        around: &Around,
        begun: &mut Vec<String>,
    ) -> (End, u64) {
        let all = |around: &Around| -> Vec<_> {
            let branches = step["next_steps"].as_array().into_iter().flatten();
            let one = |first: &Value| {
                let mut own = scope.clone();
                for level in &mut own {
                    level.assigned.clear();
                }
                let mut begun = Vec::new();
                let ended = self.branch(document, word(first), &mut own, at, around, &mut begun);
                (ended, own, begun)
            };
            branches.map(one).collect()
        };
        let mut ends = all(around);
        let failed = ends
            .iter()
            .enumerate()
            .filter(|(_, end)| end.0.0 == End::Failed);
        let first = failed.map(|(branch, end)| (end.0.1, branch)).min();
        let nothing_follows =
            step.get("on_completion").is_none() && step.get("on_failure").is_none();
        if let (Some((stop, branch)), true) = (first, nothing_follows) {
            // The first that fails fails as it did; the others begin nothing from then on.
            let failed = ends.swap_remove(branch);
            ends = all(&Around {
                stop: around.stop.min(stop),
                ..around.clone()
            });
            ends[branch] = failed;
        }
        let is = |wanted: End| ends.iter().any(|((ended, _), ..)| *ended == wanted);
        let ended = [End::Late, End::Failed, End::Stopped]
            .into_iter()
            .find(|end| is(*end));
        let at = ends.iter().map(|((_, at), ..)| *at).max().unwrap_or(at);
        for (_, own, more) in ends {
            begun.extend(more);
            for (outer, inner) in scope.iter_mut().zip(own) {
                for name in inner.assigned {
                    let value = inner.values[&name].clone();
                    outer.values.insert(name.clone(), value);
                    outer.assigned.insert(name);
                }
            }
        }
        (ended.unwrap_or(End::Well), at)
    }

    fn call(
        &self,
        step: &Value,
        scope: &Scope,
        at: u64,
        around: &Around,
        (begun, returned): (&mut Vec<String>, &mut Vec<(String, String)>),
    ) -> (End, u64) {
        let callee = self.documents[word(&step["playbook_id"])];
        let mut own = level(&callee["playbook_variables"]);
        for name in step["in_args"].as_array().into_iter().flatten().map(word) {
            own.values
                .insert(name.to_owned(), seen(scope, name).to_owned());
        }
        let mut own = vec![own];
        let ended = self.playbook(callee, &mut own, at, around, begun);
        if ended.0 == End::Well {
            for name in step["out_args"].as_array().into_iter().flatten().map(word) {
                returned.push((name.to_owned(), seen(&own, name).to_owned()));
            }
        }
        ended
    }
}

fn word(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn level(declarations: &Value) -> Level {
    let members = declarations.as_object().into_iter().flatten();
    Level {
        values: members
            .map(|(name, declared)| (name.clone(), word(&declared["value"]).to_owned()))
            .collect(),
        assigned: BTreeSet::new(),
    }
}

fn seen<'s>(scope: &'s [Level], name: &str) -> &'s str {
    let mut inner_first = scope.iter().rev();
    inner_first
        .find_map(|level| level.values.get(name))
        .expect("a declared variable")
}

fn assign(scope: &mut Scope, name: &str, value: &str) {
    let level = scope
        .iter_mut()
        .rev()
        .find(|level| level.values.contains_key(name));
    let level = level.expect("a declared variable");
    level.values.insert(name.to_owned(), value.to_owned());
    level.assigned.insert(name.to_owned());
}

fn reference(text: &str) -> &str {
    text.strip_suffix(":value").expect("a reference")
}

/// `__x__:value > 1`.
fn holds(condition: &str, scope: &[Level]) -> bool {
    let (left, right) = condition.split_once(" > ").expect("a comparison");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    number(seen(scope, reference(left))) > number(right)
}

/// Fills in the one reference at the end of a text, if there is one.
fn fill(text: &str, scope: &[Level], quote: &str) -> String {
    match text.split_once(' ') {
        Some((verb, name)) => format!("{verb} {quote}{}{quote}", seen(scope, reference(name))),
        None => text.to_owned(),
    }
}
