//! Steps of a workflow (§4).

use super::{Command, Dictionary, ExternalReference, Other, Variable};

object! {
    /// A step of any type: see [`crate::shape::STEP`].
    Step {
        kind = "type": String,
    } optional {
        name: String,
        description: String,
        external_references: Vec<ExternalReference>,
        delay: u64,
        timeout: u64,
        step_variables: Dictionary<Variable>,
        owner: String,
        commands: Vec<Command>,
        agent: String,
        targets: Vec<String>,
        playbook_id: String,
        playbook_version: String,
        in_args: Vec<String>,
        out_args: Vec<String>,
        next_steps: Vec<String>,
        condition: String,
        switch: String,
        on_true: String,
        on_false: String,
        cases: Dictionary<String>,
        on_completion: String,
        on_success: String,
        on_failure: String,
        step_extensions: Other,
    }
}

/// What a step does, by its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Work<'s> {
    /// Where the workflow begins.
    Start,
    /// Where the workflow, or a branch of it, is over.
    End,
    /// Commands, carried out one after the other by an agent.
    Action {
        /// The commands.
        commands: &'s [Command],
        /// The identifier of the agent.
        agent: &'s str,
        /// The identifiers of the targets; without any, the commands are about the agent.
        targets: &'s [String],
    },
    /// Another playbook.
    PlaybookAction {
        /// Its identifier.
        playbook: &'s str,
        /// The version to run: its `modified`. The latest, if none.
        version: Option<&'s str>,
    },
    /// Branches side by side.
    Parallel {
        /// The first step of each.
        branches: &'s [String],
    },
    /// A branch on a condition.
    If {
        /// The condition.
        condition: &'s str,
        /// The first step of the branch if it holds.
        then: &'s str,
        /// The first step of the branch if not.
        otherwise: Option<&'s str>,
    },
    /// A branch, as long as a condition holds.
    While {
        /// The condition.
        condition: &'s str,
        /// The first step of the branch.
        body: &'s str,
    },
    /// A branch by a value.
    Switch {
        /// The reference to the variable that is looked at.
        on: &'s str,
        /// The first step of the branch for each value, and for `default`.
        cases: &'s Dictionary<String>,
    },
}

impl Step {
    /// What the step does; none if its type is not known, or lacks a property that it must
    /// have.
    pub fn work(&self) -> Option<Work<'_>> {
        Some(match self.kind.as_str() {
            "start" => Work::Start,
            "end" => Work::End,
            "action" => Work::Action {
                commands: self.commands.as_deref()?,
                agent: self.agent.as_deref()?,
                targets: self.targets.as_deref().unwrap_or_default(),
            },
            "playbook-action" => Work::PlaybookAction {
                playbook: self.playbook_id.as_deref()?,
                version: self.playbook_version.as_deref(),
            },
            "parallel" => Work::Parallel {
                branches: self.next_steps.as_deref()?,
            },
            "if-condition" => Work::If {
                condition: self.condition.as_deref()?,
                then: self.on_true.as_deref()?,
                otherwise: self.on_false.as_deref(),
            },
            "while-condition" => Work::While {
                condition: self.condition.as_deref()?,
                body: self.on_true.as_deref()?,
            },
            "switch-condition" => Work::Switch {
                on: self.switch.as_deref()?,
                cases: self.cases.as_ref()?,
            },
            _ => return None,
        })
    }
}
