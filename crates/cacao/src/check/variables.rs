//! Variables and conditions (checks 20, 22 and 30 to 34 of the digest).

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};

use super::limits::{LEVELS_MAX, PATTERNS_MAX};
use super::scopes::Scopes;
use super::texts::{self, Shared, Text};
use super::view::{View, texts as texts_of};
use super::{Said, codes};
use crate::condition::switch::DEFAULT;
use crate::condition::{self, Condition, Dialect, Switch};
use crate::graph::Node;
use crate::pointer::Pointer;
use crate::variable::kind::cut;
use crate::variable::name::Form;
use crate::variable::reference::{Fault, KEYWORD, near_misses, references};
use crate::variable::{Name, Type};

pub(super) fn check(view: &View<'_>, said: &mut Said) {
    let scopes = Scopes::of(view);
    declarations(&scopes, said);
    let conditions = conditions(view, said);
    let mut shared = Shared::of(view);
    for (number, node) in view.flow.nodes().iter().enumerate() {
        let mut used = Used::new();
        let mut uses = Uses {
            scopes: &scopes,
            step: number,
            used: &mut used,
            said,
        };
        let mut own = Vec::new();
        if let Some(commands) = node.object.get("commands") {
            texts::within(commands, &node.pointer().then("commands"), &mut own);
        }
        for text in &own {
            uses.text(text, Of::Command);
        }
        for text in shared.of_step(node) {
            uses.text(text, Of::Party);
        }
        if let Some(condition) = conditions.get(&number) {
            types(&scopes, (number, node), condition, &mut used, said);
        }
        switch(&scopes, number, node, &mut used, said);
        arguments(&scopes, number, node, &used, said);
    }
    shared.told(said);
    branches(view, &scopes, said);
    loops(view, &conditions, said);
}

/// What a variable is declared as.
fn declarations(scopes: &Scopes<'_, '_>, said: &mut Said) {
    for (name, variable, at, global) in scopes.all() {
        match Name::parse(name) {
            Err(error) => said.say(
                &codes::VARIABLE_NAME,
                &at,
                format!("\"{name}\" is no name of a variable: {error}"),
                "write __name__, with a letter first",
            ),
            Ok(name) if name.form() == Form::Schema => said.say(
                &codes::LOOSE_NAME,
                &at,
                "only the schema allows an underscore here",
                "begin the name with a letter: __name__",
            ),
            Ok(_) => {}
        }
        let text = |property: &str| variable.get(property).and_then(Value::as_str);
        if let Some((kind, value)) = text("type").zip(variable.get("value")) {
            if let Err(error) = Type::of(kind).from_json(value) {
                said.say(
                    &codes::VALUE_TYPE,
                    &at.then("value"),
                    error.to_string(),
                    "correct the value, or the type",
                );
            }
            if let Some(doubt) = value.as_str().and_then(|text| Type::of(kind).doubt(text)) {
                said.say(
                    &codes::ODD_VALUE,
                    &at.then("value"),
                    doubt.to_string(),
                    "write it as the type is meant",
                );
            }
        }
        if !global {
            if variable.get("external") == Some(&Value::Bool(true)) {
                said.say(
                    &codes::EXTERNAL_STEP,
                    &at.then("external"),
                    "only a variable of the playbook can come from its caller",
                    "declare it in `playbook_variables`",
                );
            }
            if scopes.globals().contains_key(name) {
                said.say(
                    &codes::SHADOWS,
                    &at,
                    format!("this hides the playbook's own {name}"),
                    "give it another name",
                );
            }
        }
    }
}

/// What uses a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    /// The step itself.
    Command,
    /// Only its agent, a target or their credentials.
    Party,
}

/// The variables that a step uses.
type Used = HashMap<String, Of>;

/// Looks for references in texts of one step.
struct Uses<'u, 'v, 'd> {
    scopes: &'u Scopes<'v, 'd>,
    step: usize,
    used: &'u mut Used,
    said: &'u mut Said,
}

impl Uses<'_, '_, '_> {
    fn text(
        &mut self,
        Text {
            at,
            written: text,
            told,
        }: &Text<'_>,
        of: Of,
    ) {
        let (scopes, step) = (self.scopes, self.step);
        let declared = move |name: &str| scopes.find(step, name).is_some();
        for reference in references(text, &declared) {
            if reference.declared {
                let first = self.used.entry(reference.name.to_owned()).or_insert(of);
                *first = (*first).min(of);
            } else if told.borrow_mut().insert(reference.at) {
                self.said.say(
                    &codes::UNDECLARED,
                    at,
                    format!("there is no variable {}", reference.name),
                    "declare it in `playbook_variables` or in the step",
                );
            }
        }
        for miss in near_misses(text, &declared) {
            if !told.borrow_mut().insert(miss.at) {
                continue;
            }
            let written = cut(miss.text);
            let message = match miss.fault {
                Fault::NoKeyword => format!("{written} stands for itself here, not for its value"),
                Fault::KeywordCase => {
                    format!("{written} is not a reference: the keyword is `:value`")
                }
                Fault::NoName => {
                    format!("{written} is not a reference: there is no name before `:value`")
                }
                Fault::FirstEdition => format!("{written} is how CACAO 1 wrote a variable"),
            };
            self.said
                .say(&codes::NEAR_MISS, at, message, "write __name__:value");
        }
    }
}

/// The conditions of steps that can be read, by the number of the step.
fn conditions(view: &View<'_>, said: &mut Said) -> HashMap<usize, Condition> {
    let mut conditions = HashMap::new();
    let mut patterns = 0;
    for (number, node) in view.flow.nodes().iter().enumerate() {
        let Some(text) = node.text("condition") else {
            continue;
        };
        let at = node.pointer().then("condition");
        patterns += condition::patterns(text);
        if patterns > PATTERNS_MAX {
            said.say(
                &codes::LIMITS,
                &at,
                format!("the conditions have more than {PATTERNS_MAX} patterns up to here"),
                "compare with `=` and `IN` where that is enough, or make two playbooks of it",
            );
            break;
        }
        conditions.extend(read(text, &at, said).map(|condition| (number, condition)));
    }
    conditions
}

/// A condition as STIX has it or, failing that, as others write it.
fn read(text: &str, at: &Pointer, said: &mut Said) -> Option<Condition> {
    let error = match Condition::parse(text, Dialect::Stix) {
        Ok(condition) => return Some(condition),
        Err(error) => error,
    };
    match Condition::parse(text, Dialect::Bare) {
        Ok(condition) => {
            said.say(
                &codes::BARE_CONDITION,
                at,
                format!("this is not STIX: {error}"),
                "write it as STIX has it, with text in single quotes",
            );
            Some(condition)
        }
        Err(bare) => {
            said.say(
                &codes::CONDITION,
                at,
                format!("this is no condition: {bare}"),
                "write it as STIX has it, such as __name__:value = 'text'",
            );
            None
        }
    }
}

/// Whether what a condition asks fits the types of its variables.
fn types(
    scopes: &Scopes<'_, '_>,
    (step, node): (usize, &Node<'_>),
    read: &Condition,
    used: &mut Used,
    said: &mut Said,
) {
    let at = node.pointer().then("condition");
    used.extend(
        read.uses()
            .into_iter()
            .map(|used| (used.name.clone(), Of::Command)),
    );
    let kinds = |name: &str| {
        let kind = scopes.find(step, name)?.object.get("type")?.as_str()?;
        Some(Type::of(kind))
    };
    for problem in read.check(&kinds) {
        let undeclared = matches!(
            problem,
            crate::condition::evaluate::Error::Undeclared { .. }
        );
        let (check, help) = if undeclared {
            (
                &codes::UNDECLARED,
                "declare it in `playbook_variables` or in the step",
            )
        } else {
            (&codes::OPERATOR, "ask what the variable's type can answer")
        };
        said.say(check, &at, problem.to_string(), help);
    }
}

fn switch(scopes: &Scopes<'_, '_>, step: usize, node: &Node<'_>, used: &mut Used, said: &mut Said) {
    let Some(text) = node.text("switch") else {
        return;
    };
    let at = node.pointer();
    let switch = match Switch::parse(text) {
        Ok(switch) => switch,
        Err(error) => {
            said.say(
                &codes::SWITCH,
                &at.then("switch"),
                format!("this is no switch: {error}"),
                "write __name__:value and nothing more",
            );
            return;
        }
    };
    let name = switch.name().as_str();
    used.insert(name.to_owned(), Of::Command);
    let Some(variable) = scopes.find(step, name) else {
        said.say(
            &codes::UNDECLARED,
            &at.then("switch"),
            format!("there is no variable {name}"),
            "declare it in `playbook_variables` or in the step",
        );
        return;
    };
    let kind = Type::of(
        variable
            .object
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    );
    let cases = node.object.get("cases").and_then(Value::as_object);
    for case in cases
        .into_iter()
        .flat_map(Map::keys)
        .filter(|case| *case != DEFAULT)
    {
        if let Err(error) = kind.parse(case) {
            said.say(
                &codes::IMPOSSIBLE_CASE,
                &at.then("cases").then(case.as_str()),
                format!("this case never comes: {error}"),
                "correct the case, or the variable's type",
            );
        }
    }
}

/// `in_args` and `out_args`: names of variables, without `:value`.
fn arguments(scopes: &Scopes<'_, '_>, step: usize, node: &Node<'_>, used: &Used, said: &mut Said) {
    let mut listed = HashSet::new();
    for list in ["in_args", "out_args"] {
        for (index, text) in texts_of(node.object, list) {
            let at = node.pointer().then(list).then(index);
            let name = text.strip_suffix(KEYWORD).unwrap_or(text);
            if name != text {
                said.say(
                    &codes::ARGUMENT_KEYWORD,
                    &at,
                    "a list of arguments has names, not values",
                    format!("write {name}"),
                );
            }
            listed.insert(name);
            let Some(variable) = scopes.find(step, name) else {
                said.say(
                    &codes::ARGUMENT,
                    &at,
                    format!("there is no variable {name}"),
                    "declare it in `playbook_variables` or in the step",
                );
                continue;
            };
            let constant = variable.object.get("constant") == Some(&Value::Bool(true));
            if constant && list == "out_args" {
                said.say(
                    &codes::CONSTANT_SET,
                    &at,
                    format!("{name} is a constant, and this step sets it"),
                    "take it out, or make it no constant",
                );
            }
            if list == "in_args" && node.kind == "action" && !used.contains_key(name) {
                said.say(
                    &codes::UNUSED_ARGUMENT,
                    &at,
                    format!("the step does not use {name}"),
                    "use it, or take it out",
                );
            }
        }
    }
    let says_so = node.object.contains_key("in_args");
    let unlisted: BTreeSet<&String> = used
        .iter()
        .filter(|(name, of)| **of == Of::Command && !listed.contains(name.as_str()))
        .map(|(name, _)| name)
        .collect();
    for name in unlisted
        .into_iter()
        .filter(|_| says_so && node.kind == "action")
    {
        said.say(
            &codes::UNLISTED_ARGUMENT,
            &node.pointer().then("in_args"),
            format!("the step uses {name}, which is not listed"),
            "list it",
        );
    }
}

/// The level of a step, unless it is so deep that it has been told.
fn shallow(view: &View<'_>, step: usize) -> Option<usize> {
    let home = view.levels.home(step);
    home.filter(|level| view.levels.all()[*level].depth <= LEVELS_MAX)
}

/// Variables that two branches of a parallel step set: which one holds, nobody says.
fn branches(view: &View<'_>, scopes: &Scopes<'_, '_>, said: &mut Said) {
    let levels = view.levels.all();
    // Which branch of which parallel step each level is in, going outwards one step at a time.
    let mut writers: HashMap<(usize, &str), usize> = HashMap::new();
    for (number, node) in view.flow.nodes().iter().enumerate() {
        for (index, text) in texts_of(node.object, "out_args") {
            let global = scopes.find(number, text).is_some_and(|found| found.global);
            let mut level = shallow(view, number).filter(|_| global);
            while let Some(inner) = level {
                let opener = levels[inner].opened_by.map(|edge| edge.from);
                if let Some(opener) =
                    opener.filter(|opener| view.flow.nodes()[*opener].kind == "parallel")
                {
                    let first = *writers.entry((opener, text)).or_insert(inner);
                    if first != inner {
                        said.say(
                            &codes::PARALLEL_WRITERS,
                            &node.pointer().then("out_args").then(index),
                            format!("another branch of the same parallel step sets {text} as well"),
                            "let each branch set a variable of its own",
                        );
                    }
                }
                level = levels[inner].parent;
            }
        }
    }
}

/// Loops whose condition nothing in them can change.
fn loops(view: &View<'_>, conditions: &HashMap<usize, Condition>, said: &mut Said) {
    let levels = view.levels.all();
    let mut writes: HashMap<usize, HashSet<&str>> = HashMap::new();
    for (number, node) in view.flow.nodes().iter().enumerate() {
        let mut level = shallow(view, number);
        while let Some(inner) = level {
            let opener = levels[inner].opened_by.map(|edge| edge.from);
            if let Some(opener) =
                opener.filter(|opener| view.flow.nodes()[*opener].kind == "while-condition")
            {
                let names = texts_of(node.object, "out_args").map(|(_, name)| name);
                writes.entry(opener).or_default().extend(names);
                // SOARCA sets its variables without being asked.
                if node.kind == "action" && !node.object.contains_key("out_args") {
                    writes.entry(opener).or_default().insert("__soarca_");
                }
            }
            level = levels[inner].parent;
        }
    }
    for (number, node) in view
        .flow
        .nodes()
        .iter()
        .enumerate()
        .filter(|(_, node)| node.kind == "while-condition")
    {
        let Some(condition) = conditions.get(&number) else {
            continue;
        };
        let written = writes.get(&number);
        let changes = condition.uses().iter().any(|used| {
            written.is_some_and(|written| {
                written.contains(used.name.as_str())
                    || (used.name.starts_with("__soarca_") && written.contains("__soarca_"))
            })
        });
        if !changes {
            said.say(
                &codes::ENDLESS,
                &node.pointer().then("condition"),
                "nothing in the loop sets what the condition asks about",
                "let a step of the loop name the variable in `out_args`",
            );
        }
    }
}
