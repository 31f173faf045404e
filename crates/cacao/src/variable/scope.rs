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
mod tests;
