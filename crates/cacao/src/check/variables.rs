//! Variables (checks 30 to 33 of the digest): what they are declared as, and what uses them.

use std::collections::HashMap;

use serde_json::Value;

use super::scopes::Scopes;
use super::texts::{self, Shared, Text};
use super::view::View;
use super::{Said, arguments, codes, conditions};
use crate::variable::kind::cut;
use crate::variable::name::Form;
use crate::variable::reference::{Fault, near_misses, references};
use crate::variable::{Name, Type};

pub(super) fn check(view: &View<'_>, said: &mut Said) {
    let scopes = Scopes::of(view);
    declarations(&scopes, said);
    let conditions = conditions::read_all(view, said);
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
            conditions::types(&scopes, (number, node), condition, &mut used, said);
        }
        conditions::switch(&scopes, (number, node), &mut used, said);
        arguments::check(&scopes, (number, node), &used, said);
    }
    shared.told(said);
    arguments::side_by_side(view, &scopes, said);
    conditions::loops(view, &conditions, said);
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
pub(super) enum Of {
    /// The step itself.
    Command,
    /// Only its agent, a target or their credentials.
    Party,
}

/// The variables that a step uses.
pub(super) type Used = HashMap<String, Of>;

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
