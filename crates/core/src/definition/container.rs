//! Steps that open frames: branches, iterations, and what belongs together.

use std::time::Duration;

use conche_cacao::condition::Switch;
use conche_cacao::variable::Name;

use super::Condition;
use crate::id::StepId;
use crate::run::Declared;

/// A step within which others are. It is over when all its frames are, and failed when one is.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// What it opens.
    pub opens: Opens,
    /// Variables that are seen within it only.
    pub variables: Declared,
    /// How long it may take from its opening; it fails when that is over.
    pub timeout: Option<Duration>,
    /// What follows.
    pub next: Option<StepId>,
    /// What follows when it failed; absent means that its own frame fails.
    pub on_failure: Option<StepId>,
}

/// What a container opens.
#[derive(Debug, Clone, PartialEq)]
pub enum Opens {
    /// One frame.
    Group {
        /// Its first step.
        body: StepId,
        /// Whether it is brought to its end, once begun, also where a branch beside it failed.
        whole: bool,
    },
    /// All branches at once.
    Parallel {
        /// Their first steps.
        branches: Vec<StepId>,
        /// Whether no further step of a branch is begun once another has failed.
        fail_fast: bool,
    },
    /// The first branch whose condition holds.
    If {
        /// Conditions and first steps, in order.
        cases: Vec<(Condition, StepId)>,
        /// Run where none holds; absent means that nothing is.
        otherwise: Option<StepId>,
    },
    /// The branch whose value a variable has.
    Switch {
        /// The variable.
        on: Switch,
        /// Values, `default` too, and first steps.
        cases: Vec<(String, StepId)>,
    },
    /// The body again and again, as long as the condition holds, which is asked before each
    /// iteration.
    While {
        /// The condition.
        condition: Condition,
        /// First step of the body.
        body: StepId,
    },
    /// Another playbook, which sees only the variables that it is given.
    Call {
        /// Its first step.
        body: StepId,
        /// Its variables, the external ones without the caller's values.
        variables: Declared,
        /// The caller's variables whose values it gets under the same names.
        in_args: Vec<Name>,
        /// Its variables whose values the caller gets under the same names.
        out_args: Vec<Name>,
    },
}

impl Container {
    /// A container without variables or a time limit, after which nothing follows.
    pub fn new(opens: Opens) -> Self {
        Self {
            opens,
            variables: Declared::default(),
            timeout: None,
            next: None,
            on_failure: None,
        }
    }

    /// The same with what follows when it succeeded.
    pub fn then(self, next: Option<StepId>) -> Self {
        Self { next, ..self }
    }
}
