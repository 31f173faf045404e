//! The approval before an action: what a second person is asked.

use std::sync::Arc;

use conche_cacao::model::Step as Described;

use super::{Lowering, Of, at};
use crate::definition::{AskStep, Asking, Container, Input, Step};
use crate::playbook::approval::Plan;
use crate::playbook::four_eyes;

impl Lowering<'_> {
    /// Lowers the approval of an action whose commands are lowered. Its failure is the step's.
    pub(super) fn approval(
        &mut self,
        of: Of<'_, '_>,
        id: &str,
        step: &Described,
        container: &Container,
    ) {
        let commands = step.commands.as_ref().map_or(0, Vec::len);
        let targets = step
            .targets
            .as_ref()
            .map_or(1, |targets| targets.len().max(1));
        let mut planned = Vec::new();
        for command in 0..commands {
            for target in 0..targets {
                let name = of.name(&format!("{id}/{command}.{target}"));
                if let Some(Step::Action(action)) = self.steps.get(&name)
                    && let Input::Command(template) = &action.input
                {
                    planned.push(template.clone());
                }
            }
        }
        if planned.is_empty() {
            if four_eyes::asked_for(step) {
                let message = "a step that only asks people needs no `four-eyes`";
                self.refuse(of, at(id, "step_extensions"), message.to_owned());
            }
            return;
        }
        let name = step.name.as_deref().filter(|name| !name.is_empty());
        let plan = Plan {
            step: format!("`{}`", name.unwrap_or(id)),
            variables: container.variables.clone(),
            commands: planned,
        };
        let ask = AskStep {
            question: Asking::Approval(Arc::new(plan)),
            timeout: None,
            next: Some(of.name(id)),
            on_failure: container.on_failure.clone(),
        };
        self.steps
            .insert(of.name(&format!("{id}/approval")), Step::Ask(ask));
    }
}
