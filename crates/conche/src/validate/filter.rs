//! What is doubtful about a `when` that can be compiled.
//!
//! A filter learns what it names only when an event comes: a function that does not exist
//! fails then, and a member that no event has never matches. Both are known before. Only
//! filters that the engine's own compiler takes come here: it bounds how deep they nest.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Program};

use crate::config::closest;

/// The one variable of a filter.
const EVENT: &str = "event";
/// The members of an event that a filter sees.
const MEMBERS: [&str; 6] = ["id", "source", "type", "subject", "time", "data"];
/// Names of types, which may stand where variables do.
const TYPES: [&str; 10] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
];

/// One doubtful thing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    /// Whether every event fails on it.
    pub(super) fails: bool,
    /// What it is.
    pub(super) message: String,
    /// What was probably meant.
    pub(super) help: Option<String>,
}

/// Looks through a filter.
pub(super) fn doubts(when: &str) -> Vec<Doubt> {
    let Ok(program) = Program::compile(when) else {
        return Vec::new();
    };
    let mut look = Look::default();
    look.at(program.expression());
    look.found
}

#[derive(Default)]
struct Look<'a> {
    /// Variables that macros brought in around here.
    scope: Vec<&'a str>,
    found: Vec<Doubt>,
}

impl<'a> Look<'a> {
    fn at(&mut self, node: &'a IdedExpr) {
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                if matches!(&select.operand.expr, Expr::Ident(name) if name == EVENT) {
                    self.member(&select.field);
                }
                self.at(&select.operand);
            }
            Expr::Call(call) => {
                self.function(&call.func_name);
                call.target.iter().for_each(|target| self.at(target));
                call.args.iter().for_each(|argument| self.at(argument));
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.at(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(object) => {
                let entries = object.entries.iter();
                entries.for_each(|entry| self.entry(&entry.expr));
            }
            Expr::Comprehension(each) => {
                self.at(&each.iter_range);
                self.at(&each.accu_init);
                let outer = self.scope.len();
                self.scope
                    .extend([each.iter_var.as_str(), each.accu_var.as_str()]);
                self.scope.extend(each.iter_var2.as_deref());
                self.at(&each.loop_cond);
                self.at(&each.loop_step);
                self.at(&each.result);
                self.scope.truncate(outer);
            }
        }
    }

    fn entry(&mut self, entry: &'a EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.at(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.at(&entry.key);
                self.at(&entry.value);
            }
        }
    }

    fn variable(&mut self, name: &str) {
        let known = name == EVENT || name.starts_with('@') || TYPES.contains(&name);
        if !known && !self.scope.contains(&name) {
            self.add(Doubt {
                fails: true,
                message: format!("unknown name `{name}`"),
                help: Some("all that a filter sees is `event`; texts stand in quotes".to_owned()),
            });
        }
    }

    fn member(&mut self, name: &str) {
        if !MEMBERS.contains(&name) {
            let help = match closest(name, &MEMBERS) {
                Some(meant) => format!("did you mean `event.{meant}`?"),
                None => format!("what the sender sent is `event.data.{name}`"),
            };
            self.add(Doubt {
                fails: false,
                message: format!("no event has `event.{name}`: this never matches"),
                help: Some(help),
            });
        }
    }

    /// The library knows its functions; it says so only by refusing another of the name.
    fn function(&mut self, name: &str) {
        let is_operator = !name.starts_with(|char: char| char.is_ascii_alphabetic());
        let free = || {
            Context::default()
                .add_function(name, |number: i64| number)
                .is_ok()
        };
        if !is_operator && !conche_engine::FUNCTIONS.contains(&name) && free() {
            self.add(Doubt {
                fails: true,
                message: format!("unknown function `{name}`"),
                help: None,
            });
        }
    }

    fn add(&mut self, doubt: Doubt) {
        if !self.found.contains(&doubt) {
            self.found.push(doubt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_filters_may_use_is_not_doubted() {
        for when in [
            "event.type == 'a' && event.data.severity >= 3",
            "event.data.tags.exists(t, t.startsWith('x') || t.endsWith('y'))",
            "has(event.data.a) && size(event.data.a) > 1 && event.subject.contains('b')",
            "event.data.names.map(n, n + 'x').all(n, n.matches('^a'))",
            "event.data.items.filter(i, i.n > 1).exists_one(i, i.n == 2)",
            "type(event.data.n) == int && string(event.data.n) in ['1', '2'] && !false",
            "event['id'] == '1' && event.data['x'][0] == -1 && {'a': 1}.a == 1",
            "listed('blocked', event.data.ip) && list_value('watched', event.id) != null",
            "event.source != '' ? double(1) < 2.0 : int('3') == 3",
        ] {
            assert_eq!(doubts(when), [], "{when}");
        }
    }

    #[test]
    fn what_no_event_has_and_what_no_filter_knows_is_doubted() {
        for (when, fails, message, help) in [
            (
                "event.severity == 3",
                false,
                "no event has `event.severity`: this never matches",
                Some("what the sender sent is `event.data.severity`"),
            ),
            (
                "event.typ == 'a'",
                false,
                "no event has `event.typ`: this never matches",
                Some("did you mean `event.type`?"),
            ),
            (
                "startswith(event.id, 'a')",
                true,
                "unknown function `startswith`",
                None,
            ),
            (
                "event.data.l.exists(x, lower(x) == 'a')",
                true,
                "unknown function `lower`",
                None,
            ),
            (
                "event.data.a.toLower() == 'a'",
                true,
                "unknown function `toLower`",
                None,
            ),
            (
                "event.type == vm",
                true,
                "unknown name `vm`",
                Some("all that a filter sees is `event`; texts stand in quotes"),
            ),
            (
                "event.data.l.exists(x, true) && x",
                true,
                "unknown name `x`",
                Some("all that a filter sees is `event`; texts stand in quotes"),
            ),
        ] {
            let expected = Doubt {
                fails,
                message: message.to_owned(),
                help: help.map(str::to_owned),
            };
            assert_eq!(doubts(when), [expected], "{when}");
        }
    }
}
