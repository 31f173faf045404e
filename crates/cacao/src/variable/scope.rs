//! Which variable a name means, and where a value goes that is assigned to it (§10.18.1).
//!
//! Scopes nest as branches do: those of the playbook outermost, then those of each step that
//! opened a branch. An inner variable hides an outer one of the same name, and an assignment
//! goes to the one that is seen. Branches that run beside each other have a copy each, so that
//! what one sees does not depend on how fast another is; [`Scope::join`] brings the copies
//! together in the order of the branches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;
use thiserror::Error;

use super::{Name, Value, Variable, Variables, kind};

/// Variables by their names.
pub type Declarations = BTreeMap<Name, Variable>;

/// The variables that are seen from one place of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    /// Outermost first.
    levels: Vec<Level>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Level {
    /// Shared between branches until one of them writes.
    variables: Arc<Declarations>,
    /// What was assigned since the branch began.
    written: BTreeSet<Name>,
}

/// Two or more branches that assigned different values to one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The variable.
    pub name: Name,
    /// The branches that assigned it, from 0, in order. The value of the last one stays.
    pub branches: Vec<usize>,
}

/// Why a variable cannot be given a value.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Error {
    /// There is no such variable.
    #[error("there is no variable `{name}`")]
    Undeclared {
        /// The name.
        name: String,
    },
    /// The variable is a constant.
    #[error("`{name}` is a constant and cannot be assigned to")]
    Constant {
        /// The name.
        name: String,
    },
    /// The value is none of the variable's type.
    #[error("`{name}` cannot hold this: {source}")]
    Value {
        /// The name.
        name: String,
        /// What is wrong with the value.
        source: kind::Error,
    },
    /// The caller gave a value to a variable that is not external.
    #[error("`{name}` is not external: a caller cannot give its value")]
    NotExternal {
        /// The name.
        name: String,
    },
    /// An external variable that has no value, neither by the caller nor of its own.
    #[error("`{name}` is external: the caller must give its value")]
    Missing {
        /// The name.
        name: Name,
    },
    /// A scope that is joined with branches that are not its own.
    #[error("branch {branch} has left the scope that it began in")]
    Left {
        /// The branch, from 0.
        branch: usize,
    },
}

impl Scope {
    /// The scope in which a playbook starts: its variables, the external ones with the values
    /// that the caller gives.
    pub fn start<'g>(
        mut variables: Declarations,
        given: impl IntoIterator<Item = (&'g str, &'g Json)>,
    ) -> Result<Self, Error> {
        for (name, json) in given {
            let variable = variables.get_mut(name).ok_or_else(|| undeclared(name))?;
            if !variable.external {
                return Err(Error::NotExternal {
                    name: name.to_owned(),
                });
            }
            if let Some(value) = read(name, variable, json)? {
                variable.value = Some(value);
            }
        }
        let missing = variables
            .iter()
            .find(|(_, variable)| variable.external && variable.value.is_none());
        if let Some((name, _)) = missing {
            return Err(Error::Missing { name: name.clone() });
        }
        Ok(Self {
            levels: vec![Level::of(variables)],
        })
    }

    /// Goes into the branches of a step, or into the step itself.
    pub fn enter(&mut self, variables: Declarations) {
        self.levels.push(Level::of(variables));
    }

    /// Goes out again, and says what the variables of the step were at last. None at the
    /// outermost scope, which cannot be left.
    pub fn leave(&mut self) -> Option<Declarations> {
        let left = self.levels.pop()?;
        if self.levels.is_empty() {
            self.levels.push(left);
            return None;
        }
        Some(Arc::unwrap_or_clone(left.variables))
    }

    /// How many scopes are within each other.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// All variables that are seen, with their names.
    pub fn visible(&self) -> BTreeMap<&Name, &Variable> {
        let levels = self.levels.iter();
        levels.flat_map(|level| level.variables.iter()).collect()
    }

    /// Gives the variable that a name means a value of its type; null makes it unknown.
    pub fn assign(&mut self, name: &str, json: &Json) -> Result<(), Error> {
        let mut inner_first = self.levels.iter_mut().rev();
        let level = inner_first
            .find(|level| level.variables.contains_key(name))
            .ok_or_else(|| undeclared(name))?;
        let (known, variable) = level
            .variables
            .get_key_value(name)
            .ok_or_else(|| undeclared(name))?;
        if variable.constant {
            return Err(Error::Constant {
                name: name.to_owned(),
            });
        }
        let value = read(name, variable, json)?;
        let known = known.clone();
        level.write(known, value);
        Ok(())
    }

    /// A copy for a branch that runs beside others.
    pub fn branch(&self) -> Self {
        let mut branch = self.clone();
        for level in &mut branch.levels {
            level.written.clear();
        }
        branch
    }

    /// Takes over what the branches assigned, in their order, and says where they disagree.
    /// Scopes that a branch went into and did not leave are dropped.
    pub fn join(
        &mut self,
        branches: impl IntoIterator<Item = Self>,
    ) -> Result<Vec<Conflict>, Error> {
        let branches: Vec<Self> = branches.into_iter().collect();
        let left = branches
            .iter()
            .position(|branch| branch.depth() < self.depth());
        if let Some(branch) = left {
            return Err(Error::Left { branch });
        }
        let mut conflicts = Vec::new();
        for (depth, level) in self.levels.iter_mut().enumerate() {
            let written: BTreeSet<Name> = branches
                .iter()
                .flat_map(|branch| branch.levels[depth].written.iter().cloned())
                .collect();
            for name in written {
                conflicts.extend(join_one(level, depth, name, &branches));
            }
        }
        Ok(conflicts)
    }
}

impl Variables for Scope {
    fn variable(&self, name: &str) -> Option<&Variable> {
        let mut inner_first = self.levels.iter().rev();
        inner_first.find_map(|level| level.variables.get(name))
    }
}

impl Level {
    fn of(variables: Declarations) -> Self {
        Self {
            variables: Arc::new(variables),
            written: BTreeSet::new(),
        }
    }

    fn write(&mut self, name: Name, value: Option<Value>) {
        if let Some(variable) = Arc::make_mut(&mut self.variables).get_mut(name.as_str()) {
            variable.value = value;
            self.written.insert(name);
        }
    }
}

/// Takes over one variable that at least one branch assigned.
fn join_one(level: &mut Level, depth: usize, name: Name, branches: &[Scope]) -> Option<Conflict> {
    let assigned: Vec<(usize, &Option<Value>)> = branches
        .iter()
        .enumerate()
        .filter(|(_, branch)| branch.levels[depth].written.contains(&name))
        .filter_map(|(at, branch)| {
            let variable = branch.levels[depth].variables.get(&name)?;
            Some((at, &variable.value))
        })
        .collect();
    let (_, last) = assigned.last()?;
    let agreed = assigned.iter().all(|(_, value)| value == last);
    level.write(name.clone(), (*last).clone());
    (!agreed).then(|| Conflict {
        name,
        branches: assigned.iter().map(|(at, _)| *at).collect(),
    })
}

fn read(name: &str, variable: &Variable, json: &Json) -> Result<Option<Value>, Error> {
    variable
        .kind
        .from_json(json)
        .map_err(|source| Error::Value {
            name: name.to_owned(),
            source,
        })
}

fn undeclared(name: &str) -> Error {
    Error::Undeclared {
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Type;
    use super::*;

    fn declare(variables: Json) -> Declarations {
        let members = variables.as_object().expect("an object");
        let one = |(name, declaration): (&String, &Json)| {
            let variable = Variable::declared(declaration).expect("a value of its type");
            (Name::parse(name).expect("a name"), variable)
        };
        members.iter().map(one).collect()
    }

    fn start(variables: Json) -> Scope {
        Scope::start(declare(variables), []).expect("nothing is missing")
    }

    fn value(scope: &Scope, name: &str) -> Option<String> {
        let variable = scope.variable(name).expect("declared");
        variable.value.as_ref().map(ToString::to_string)
    }

    #[test]
    fn the_inner_variable_is_seen_and_assigned() {
        let mut scope = start(json!({
            "__a__": {"type": "string", "value": "outer"},
            "__b__": {"type": "integer", "value": "1"},
        }));
        scope.enter(declare(
            json!({"__a__": {"type": "string", "value": "inner"}}),
        ));
        assert_eq!(value(&scope, "__a__").as_deref(), Some("inner"));
        scope.assign("__a__", &json!("written")).expect("assigned");
        scope.assign("__b__", &json!(2)).expect("assigned");
        assert_eq!(value(&scope, "__a__").as_deref(), Some("written"));
        assert_eq!(scope.visible().len(), 2);
        let left = scope.leave().expect("there was an inner scope");
        assert_eq!(
            left.variable("__a__").and_then(|a| a.value.clone()),
            Some(Value::Text("written".into()))
        );
        assert_eq!(value(&scope, "__a__").as_deref(), Some("outer"));
        assert_eq!(value(&scope, "__b__").as_deref(), Some("2"));
        assert_eq!(scope.leave(), None, "the outermost scope stays");
        assert_eq!(value(&scope, "__b__").as_deref(), Some("2"));
    }

    #[test]
    fn what_cannot_be_assigned_is_told() {
        let mut scope = start(json!({
            "__c__": {"type": "string", "value": "x", "constant": true},
            "__n__": {"type": "integer"},
        }));
        assert!(matches!(
            scope.assign("__c__", &json!("y")),
            Err(Error::Constant { .. })
        ));
        assert!(matches!(
            scope.assign("__d__", &json!("y")),
            Err(Error::Undeclared { .. })
        ));
        assert!(matches!(
            scope.assign("__n__", &json!("y")),
            Err(Error::Value { .. })
        ));
        assert_eq!(scope.assign("__n__", &Json::Null), Ok(()));
        assert_eq!(value(&scope, "__c__").as_deref(), Some("x"));
    }

    #[test]
    fn external_variables_get_their_values_from_the_caller() {
        let variables = json!({
            "__in__": {"type": "ipv4-addr", "external": true, "constant": true},
            "__own__": {"type": "string", "external": true, "value": "mine"},
            "__inside__": {"type": "string"},
        });
        let start = |given: &[(&str, Json)]| {
            let given = given.iter().map(|(name, json)| (*name, json));
            Scope::start(declare(variables.clone()), given)
        };
        let scope = start(&[("__in__", json!("10.0.0.1"))]).expect("complete");
        assert_eq!(value(&scope, "__in__").as_deref(), Some("10.0.0.1"));
        assert_eq!(value(&scope, "__own__").as_deref(), Some("mine"));
        assert!(matches!(start(&[]), Err(Error::Missing { .. })));
        assert!(matches!(
            start(&[("__in__", Json::Null)]),
            Err(Error::Missing { .. })
        ));
        assert!(matches!(
            start(&[("__inside__", json!(""))]),
            Err(Error::NotExternal { .. })
        ));
        assert!(matches!(
            start(&[("__x__", json!(""))]),
            Err(Error::Undeclared { .. })
        ));
        assert!(matches!(
            start(&[("__in__", json!("x"))]),
            Err(Error::Value { .. })
        ));
    }

    #[test]
    fn branches_do_not_see_each_other_and_are_joined_in_order() {
        let text = json!({"type": "string", "value": "-"});
        let mut scope = start(json!({"__a__": text, "__b__": text, "__c__": text}));
        scope.assign("__c__", &json!("before")).expect("assigned");
        let mut branches: Vec<Scope> = (0..3).map(|_| scope.branch()).collect();
        let mut assign = |branch: usize, name, to| {
            let branch: &mut Scope = &mut branches[branch];
            branch.assign(name, &json!(to)).expect("assigned");
        };
        assign(2, "__a__", "two");
        assign(0, "__a__", "zero");
        assign(0, "__b__", "same");
        assign(1, "__b__", "same");
        branches[1].enter(declare(json!({"__a__": text})));
        branches[1]
            .assign("__a__", &json!("its own"))
            .expect("assigned");
        assert_eq!(value(&branches[1], "__c__").as_deref(), Some("before"));
        assert_eq!(value(&scope, "__a__").as_deref(), Some("-"));
        let conflicts = scope.join(branches).expect("its own branches");
        let a = Name::parse("__a__").expect("a name");
        assert_eq!(
            conflicts,
            [Conflict {
                name: a,
                branches: vec![0, 2]
            }]
        );
        assert_eq!(value(&scope, "__a__").as_deref(), Some("two"));
        assert_eq!(value(&scope, "__b__").as_deref(), Some("same"));
        assert_eq!(
            value(&scope, "__c__").as_deref(),
            Some("before"),
            "a branch that did not write it changes nothing"
        );
    }

    #[test]
    fn what_inner_branches_assigned_counts_for_the_outer_join() {
        let mut scope = start(json!({"__a__": {"type": "string", "value": "-"}}));
        let (mut left, mut right) = (scope.branch(), scope.branch());
        let mut inner = left.branch();
        inner.assign("__a__", &json!("inner")).expect("assigned");
        assert_eq!(left.join([inner]), Ok(vec![]));
        right.assign("__a__", &json!("right")).expect("assigned");
        let conflicts = scope.join([left, right]).expect("its own branches");
        assert_eq!(conflicts.len(), 1);
        let strange = Scope::default();
        assert_eq!(scope.join([strange]), Err(Error::Left { branch: 0 }));
    }

    #[test]
    fn a_declaration_is_read_with_its_type() {
        let variable =
            Variable::declared(&json!({"type": "long", "value": "12", "constant": true}));
        let variable = variable.expect("a variable");
        assert_eq!(variable.kind, Type::Long);
        assert!(variable.constant && !variable.external);
        assert!(Variable::declared(&json!({"type": "long", "value": "x"})).is_err());
    }
}
