//! A `playbook-action`: the steps of another playbook within this one.

use conche_cacao::model::Step as Described;
use conche_cacao::variable::Name;

use super::{Lowering, Of, at, prefix_of};
use crate::definition::Opens;
use crate::playbook::codes;
use crate::playbook::step::names;

impl<'a> Lowering<'a> {
    pub(super) fn call(
        &mut self,
        of: Of<'a, '_>,
        id: &str,
        step: &Described,
        playbook: &str,
        version: Option<&str>,
    ) -> Option<Opens> {
        let Some(callee) = self.program.callee(playbook, version) else {
            let version = version.map_or(String::new(), |version| format!(" of {version}"));
            let message = format!(
                "there is no playbook `{playbook}`{version}: put it into the folder of playbooks or upload it"
            );
            self.refuse_as(codes::PLAYBOOK_MISSING, of, at(id, "playbook_id"), message);
            return None;
        };
        let prefix = prefix_of(callee);
        if self.done.insert(prefix.clone()) {
            self.waiting.push(callee);
        }
        let target = Of {
            playbook: callee,
            prefix: &prefix,
            four_eyes: self.four_eyes,
        };
        let body = match callee.workflow_exception {
            Some(_) => target.name("workflow"),
            None => target.entry(&callee.workflow_start),
        };
        let variables = self.variables(target);
        let in_args = self.names(of, id, "in_args", step.in_args.as_ref())?;
        let out_args = self.names(of, id, "out_args", step.out_args.as_ref())?;
        for name in &in_args {
            match variables.0.get(name.as_str()) {
                Some(variable) if variable.external => {}
                Some(_) => self.refuse(of, at(id, "in_args"), format!("`{name}` is not external in the playbook that is called: it cannot be given")),
                None => self.refuse(of, at(id, "in_args"), format!("the playbook that is called has no variable `{name}`")),
            }
        }
        let given = |name: &Name| in_args.contains(name);
        let lacking = variables
            .0
            .iter()
            .find(|(name, variable)| variable.external && variable.value.is_none() && !given(name));
        if let Some((name, _)) = lacking {
            let message = format!("the playbook that is called must be given `{name}`");
            self.refuse(of, at(id, "in_args"), message);
        }
        for name in &out_args {
            if !variables.0.contains_key(name.as_str()) {
                self.refuse(
                    of,
                    at(id, "out_args"),
                    format!("the playbook that is called has no variable `{name}`"),
                );
            }
        }
        Some(Opens::Call {
            body,
            variables,
            in_args,
            out_args,
        })
    }

    fn names(
        &mut self,
        of: Of<'_, '_>,
        id: &str,
        property: &str,
        list: Option<&Vec<String>>,
    ) -> Option<Vec<Name>> {
        names(list)
            .map_err(|message| self.refuse(of, at(id, property), message))
            .ok()
    }
}
