//! An `action`: its commands, each for all targets in order.

use std::sync::Arc;

use conche_cacao::model::{Command, Party, Step as Described};
use conche_cacao::variable::Type;
use conche_cacao::{Playbook, Pointer};
use serde_json::{Value, json};

use super::{Lowering, Of, at};
use crate::definition::{ActionStep, AskStep, Asking, Input, Opens, QueryStep, Results, Step};
use crate::id::StepId;
use crate::playbook::bind::{Module, bind};
use crate::playbook::command::{CommandTemplate, Parts};
use crate::playbook::results::ResultMapping;
use crate::playbook::step::{Wanted, names, span, wanted};
use crate::playbook::{codes, credentials};
use crate::run::{Policy, Retry};

/// The step that looks for parts of a command's result.
fn query_name(command: &StepId) -> StepId {
    StepId::from(&format!("{command}/query"))
}

/// The extension of a step under which a portable playbook keeps its `openwhisk` command.
const OPENWHISK: &str = "extension-definition--f9cea8f6-15ff-4c3a-8564-54f25fd2f1d9";

/// The `openwhisk` command that a step keeps beside its portable `http-api` one; none where
/// there is none.
fn own_command(step: &Described, command: &Command) -> Result<Option<Command>, String> {
    let extensions = step.step_extensions.as_ref();
    let kept = extensions.and_then(|all| all.get(OPENWHISK));
    let (Some(kept), "http-api") = (kept, command.kind.as_str()) else {
        return Ok(None);
    };
    let mut own = kept.clone();
    let Some(members) = own.as_object_mut() else {
        return Err(format!("the step's `{OPENWHISK}` is no object"));
    };
    members.insert("type".to_owned(), "openwhisk".into());
    let read = serde_json::from_value(own);
    read.map(Some)
        .map_err(|error| format!("the step's `{OPENWHISK}`: {error}"))
}

/// The type that a variable is declared with where a step sees it.
fn type_of(playbook: &Playbook, step: &Described, name: &str) -> Option<Type> {
    let levels = [&step.step_variables, &playbook.playbook_variables];
    let declared = levels
        .into_iter()
        .flatten()
        .find_map(|level| level.get(name));
    declared.map(|variable| Type::of(&variable.kind))
}

impl<'a> Lowering<'a> {
    /// Lowers the commands of an action, each for each target, one after the other.
    pub(super) fn action(
        &mut self,
        of: Of<'a, '_>,
        id: &str,
        step: &'a Described,
        (commands, agent, targets): (&'a [Command], &'a str, &'a [String]),
    ) -> Option<Opens> {
        let agent = self.party(of, agent, &at(id, "agent"), true)?;
        let mut acted_on = Vec::new();
        for (number, target) in targets.iter().enumerate() {
            let place = at(id, "targets").then(number);
            acted_on.push(Some(self.party(of, target, &place, false)?));
        }
        if acted_on.is_empty() {
            acted_on.push(None);
        }
        if commands.is_empty() {
            let message = "an action needs at least one command".to_owned();
            self.refuse(of, at(id, "commands"), message);
            return None;
        }
        let mut numbered = Vec::new();
        for (number, command) in commands.iter().enumerate() {
            for (target, party) in acted_on.iter().enumerate() {
                numbered.push(((number, target), command, party));
            }
        }
        let name = |(command, target): (usize, usize)| of.name(&format!("{id}/{command}.{target}"));
        let mut next = None;
        for (index, command, party) in numbered.into_iter().rev() {
            let place = at(id, "commands").then(index.0);
            let parties = (&agent, party.as_ref());
            match self.command(of, (id, step, index), command, parties, next.clone()) {
                Ok((lowered, query)) => {
                    self.steps.insert(name(index), lowered);
                    let query = query.map(|query| (query_name(&name(index)), Step::Query(query)));
                    self.steps.extend(query);
                }
                Err(message) => self.refuse(of, place, message),
            }
            next = Some(name(index));
        }
        Some(Opens::Group {
            body: next?,
            whole: true,
        })
    }

    fn command(
        &self,
        of: Of<'a, '_>,
        (id, step, index): (&str, &Described, (usize, usize)),
        command: &Command,
        (agent, target): (&(&'a Party, Value), Option<&(&'a Party, Value)>),
        next: Option<StepId>,
    ) -> Result<(Step, Option<QueryStep>), String> {
        let own = own_command(step, command)?;
        let command = own.as_ref().unwrap_or(command);
        let bound = bind(
            command,
            agent.0,
            target.map(|(party, _)| *party),
            self.executors,
        )?;
        let out_args = names(step.out_args.as_ref())?;
        let parts = Parts::of(command, &bound.language)?;
        parts.probe(&|name| type_of(of.playbook, step, name))?;
        let template = Arc::new(CommandTemplate {
            place: at(id, "commands").then(index.0).to_string(),
            command: parts,
            sees_all: bound.sees_all(),
            agent: agent.1.clone(),
            target: target.map(|(_, object)| object.clone()),
            in_args: names(step.in_args.as_ref())?,
            out_args: out_args.clone(),
            context: json!({
                "playbook_id": of.playbook.id,
                "step_id": id,
                "step_name": step.name,
                "delay": step.delay.unwrap_or(0),
                "timeout": step.timeout.unwrap_or(0),
                "command_index": index.0,
                "target_index": index.1,
            }),
        });
        let timeout = span(step.timeout);
        let Some(Module {
            name: module,
            action,
            repeat,
            on_uncertain,
        }) = bound.module
        else {
            let ask = AskStep {
                question: Asking::Command(template),
                timeout,
                next,
                on_failure: None,
            };
            return Ok((Step::Ask(ask), None));
        };
        let Wanted { pointers, queries } = wanted(step, &bound.language, index.0, index.1)?;
        for query in &queries {
            if let Some(flaw) = self.executors.query_flaw(&query.filter) {
                let (filter, variable) = (&query.filter, &query.variable);
                return Err(format!("the filter `{filter}` for `{variable}`: {flaw}"));
            }
        }
        let query = (!queries.is_empty()).then(|| QueryStep {
            queries: queries.into(),
            next: next.clone(),
        });
        let own = of.name(&format!("{id}/{}.{}", index.0, index.1));
        let action = ActionStep {
            module,
            action,
            input: Input::Command(template),
            policy: Policy {
                repeat,
                on_uncertain,
                retry: Retry::default(),
                timeout: timeout.unwrap_or(self.defaults.action_timeout),
            },
            results: Results::Mapped(Arc::new(ResultMapping::new(
                bound.language,
                out_args,
                pointers,
            ))),
            guarded: of.four_eyes.wants(of.playbook, step),
            next: query.as_ref().map_or(next, |_| Some(query_name(&own))),
            on_failure: None,
        };
        Ok((Step::Action(action), query))
    }

    /// An agent or target as it is described and as an input has it.
    fn party(
        &mut self,
        of: Of<'a, '_>,
        id: &str,
        place: &Pointer,
        agent: bool,
    ) -> Option<(&'a Party, Value)> {
        let playbook = of.playbook;
        let agents = playbook
            .agent_definitions
            .as_ref()
            .and_then(|all| all.get(id));
        let targets = playbook
            .target_definitions
            .as_ref()
            .and_then(|all| all.get(id));
        let found = if agent { agents } else { targets.or(agents) };
        let Some(party) = found else {
            let kind = if agent { "agent" } else { "target" };
            self.refuse(of, place.clone(), format!("there is no {kind} `{id}`"));
            return None;
        };
        match self.described(of, (id, place), party) {
            Ok(object) => Some((party, object)),
            Err((code, place, message)) => {
                self.refuse_as(code, of, place, message);
                None
            }
        }
    }

    fn described(
        &self,
        of: Of<'a, '_>,
        (id, place): (&str, &Pointer),
        party: &Party,
    ) -> Result<Value, credentials::Refused> {
        let wrong = |message: String| (codes::NOT_RUNNABLE, place.clone(), message);
        let object = serde_json::to_value(party);
        let mut object = object.map_err(|error| wrong(error.to_string()))?;
        if let Value::Object(members) = &mut object {
            members.insert("id".to_owned(), id.into());
            members.remove("authentication_info");
            if let Some(name) = &party.authentication_info {
                let infos = of.playbook.authentication_info_definitions.as_ref();
                let info = infos.and_then(|infos| infos.get(name));
                let missing = || wrong(format!("there are no credentials `{name}`"));
                let shown = credentials::Shown {
                    program: self.program.digest(),
                    playbook: of.playbook,
                    id: name,
                    info: info.ok_or_else(missing)?,
                    party,
                };
                let filled = credentials::template(&shown, self.executors)?;
                members.insert("authentication".to_owned(), filled);
            }
        }
        Ok(object)
    }
}
