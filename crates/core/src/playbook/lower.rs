//! The workflow of a playbook as steps of the run engine.
//!
//! Each step of CACAO's becomes one step of the same name, and what belongs to it:
//!
//! | name | what |
//! |---|---|
//! | `ID` | the step: `start` and `end` pass, an `action` groups its commands, others open branches |
//! | `ID/delay` | the wait before it |
//! | `ID/C.T` | an action's command `C` for its target `T` (both from 0): commands in order, each for all targets in order |
//! | `workflow`, `workflow/exception`, `workflow/raise` | all of it, where it has a `workflow_exception`, with the handler and the failure after that |
//!
//! Steps of a called playbook have its identifier and version before their name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use conche_cacao::condition::{Condition as Asked, Dialect, Switch};
use conche_cacao::model::{Command, Party, Step as Described, Work};
use conche_cacao::variable::reference::references;
use conche_cacao::variable::{Type, Variable};
use conche_cacao::{Playbook, Pointer};
use serde_json::{Value, json};

use super::bind::{Bound, Executors, bind};
use super::command::{CommandTemplate, Parts};
use super::results::{self, ResultMapping};
use super::step::{Next, declared, mapping, names, span};
use super::{Program, Refusal, credentials};
use crate::definition::{
    ActionStep, AskStep, Condition, Container, Defaults, Definition, Input, Limits, Opens, Results,
    Step,
};
use crate::id::StepId;
use crate::run::{Declared, Policy, Retry};

/// A playbook that can be run.
#[derive(Debug)]
pub struct Lowered {
    /// What a run follows.
    pub definition: Definition,
    /// The variables that a run starts with, the external ones without the caller's values.
    pub variables: Declared,
    /// Secrets that stand in the documents, by the names under which commands ask for them.
    pub secrets: Vec<(String, String)>,
}

/// Makes a program into a definition.
///
/// # Errors
/// Everything that keeps it from being run, with its place.
pub fn lower(
    program: &Program,
    executors: &dyn Executors,
    defaults: &Defaults,
) -> Result<Lowered, Vec<Refusal>> {
    let mut lowering = Lowering {
        program,
        executors,
        defaults,
        steps: BTreeMap::new(),
        refusals: Vec::new(),
        done: BTreeSet::new(),
        waiting: Vec::new(),
    };
    let (start, variables) = lowering.playbook(program.root(), "");
    while let Some(callee) = lowering.waiting.pop() {
        let prefix = prefix_of(callee);
        lowering.playbook(callee, &prefix);
    }
    if !lowering.refusals.is_empty() {
        return Err(lowering.refusals);
    }
    let all = std::iter::once(program.root()).chain(program.callees());
    let secrets = all.flat_map(|playbook| credentials::literals(program.digest(), playbook));
    Ok(Lowered {
        definition: Definition {
            digest: program.digest(),
            name: program.root().id.clone(),
            start,
            steps: lowering.steps,
            limits: Limits {
                concurrency: 0,
                ..defaults.limits
            },
        },
        variables,
        secrets: secrets.collect(),
    })
}

fn prefix_of(playbook: &Playbook) -> String {
    format!("{}@{}/", playbook.id, playbook.modified)
}

struct Lowering<'a> {
    program: &'a Program,
    executors: &'a dyn Executors,
    defaults: &'a Defaults,
    steps: BTreeMap<StepId, Step>,
    refusals: Vec<Refusal>,
    /// Playbooks that are lowered or will be, by prefix.
    done: BTreeSet<String>,
    waiting: Vec<&'a Playbook>,
}

/// One playbook being lowered.
#[derive(Clone, Copy)]
struct Of<'a, 'p> {
    playbook: &'a Playbook,
    prefix: &'p str,
}

impl Of<'_, '_> {
    fn name(&self, step: &str) -> StepId {
        StepId::from(&format!("{}{step}", self.prefix))
    }

    /// Where a step begins: with its delay, if it has one.
    fn entry(&self, id: &str) -> StepId {
        let step = self.playbook.workflow.get(id);
        match step.and_then(|step| span(step.delay)) {
            Some(_) => self.name(&format!("{id}/delay")),
            None => self.name(id),
        }
    }
}

/// The pointer to a property of a step.
fn at(id: &str, property: &str) -> Pointer {
    Pointer::default().then("workflow").then(id).then(property)
}

impl<'a> Lowering<'a> {
    /// Lowers a playbook; gives its first step and its variables.
    fn playbook(&mut self, playbook: &'a Playbook, prefix: &str) -> (StepId, Declared) {
        self.done.insert(prefix.to_owned());
        let of = Of { playbook, prefix };
        for (id, step) in playbook.workflow.iter() {
            self.step(of, id, step);
        }
        let mut start = of.entry(&playbook.workflow_start);
        self.exists(
            of,
            &playbook.workflow_start,
            &Pointer::default().then("workflow_start"),
        );
        if let Some(handler) = playbook.workflow_exception.as_deref() {
            self.exists(of, handler, &Pointer::default().then("workflow_exception"));
            start = self.handled(of, start, of.entry(handler));
        }
        (start, self.variables(of))
    }

    /// The whole workflow as one step, with its exception handler after it.
    fn handled(&mut self, of: Of<'_, '_>, body: StepId, handler: StepId) -> StepId {
        let group = |body| Opens::Group { body, whole: false };
        let raise = of.name("workflow/raise");
        let exception = Container {
            on_failure: Some(raise.clone()),
            ..Container::new(group(handler)).then(Some(raise.clone()))
        };
        let all = Container {
            on_failure: Some(of.name("workflow/exception")),
            ..Container::new(group(body))
        };
        self.steps.insert(raise, Step::Raise);
        self.steps
            .insert(of.name("workflow/exception"), Step::Container(exception));
        self.steps.insert(of.name("workflow"), Step::Container(all));
        of.name("workflow")
    }

    fn variables(&mut self, of: Of<'_, '_>) -> Declared {
        let place = Pointer::default().then("playbook_variables");
        let mut all = match declared(of.playbook.playbook_variables.as_ref(), &place) {
            Ok(declared) => declared,
            Err((pointer, message)) => {
                self.refuse(of, pointer, message);
                Declared::default()
            }
        };
        // SOARCA's playbooks use what SOARCA sets without declaring it.
        let text = serde_json::to_string(&of.playbook.workflow).unwrap_or_default();
        for name in results::undeclared() {
            let used = references(&text, &|_| false).any(|used| used.name == name);
            if let (true, Ok(name)) = (used, conche_cacao::variable::Name::parse(name)) {
                let unknown = || Variable::new(Type::String, None);
                all.0.entry(name).or_insert_with(unknown);
            }
        }
        all
    }

    fn step(&mut self, of: Of<'a, '_>, id: &str, step: &'a Described) {
        let Some(work) = step.work() else {
            let message = format!("`{}` is no type of step, or lacks a property", step.kind);
            return self.refuse(of, at(id, "type"), message);
        };
        if let Some(delay) = span(step.delay) {
            let wait = Step::Delay {
                span: delay,
                next: Some(of.name(id)),
            };
            self.steps.insert(of.name(&format!("{id}/delay")), wait);
        }
        let lowered = match work {
            Work::End => Step::Pass { next: None },
            Work::Start => match Next::of(step) {
                Ok(next) => {
                    self.exists(of, next.success, &at(id, "on_completion"));
                    Step::Pass {
                        next: Some(of.entry(next.success)),
                    }
                }
                Err(message) => return self.refuse(of, at(id, "on_completion"), message),
            },
            other => match self.opens(of, id, step, other) {
                Some(opens) => match self.container(of, id, step, opens) {
                    Some(container) => Step::Container(container),
                    None => return,
                },
                None => return,
            },
        };
        self.steps.insert(of.name(id), lowered);
    }

    fn container(
        &mut self,
        of: Of<'_, '_>,
        id: &str,
        step: &Described,
        mut opens: Opens,
    ) -> Option<Container> {
        let next = match Next::of(step) {
            Ok(next) => next,
            Err(message) => {
                self.refuse(of, at(id, "on_success"), message);
                return None;
            }
        };
        self.exists(of, next.success, &at(id, "on_success"));
        if let Some(failure) = next.failure {
            self.exists(of, failure, &at(id, "on_failure"));
        }
        let variables = match declared(step.step_variables.as_ref(), &at(id, "step_variables")) {
            Ok(variables) => variables,
            Err((pointer, message)) => {
                self.refuse(of, pointer, message);
                return None;
            }
        };
        if let Opens::Parallel { fail_fast, .. } = &mut opens {
            *fail_fast = next.failure.is_none();
        }
        Some(Container {
            opens,
            variables,
            timeout: span(step.timeout),
            next: Some(of.entry(next.success)),
            on_failure: next.failure.map(|failure| of.entry(failure)),
        })
    }

    fn opens(
        &mut self,
        of: Of<'a, '_>,
        id: &str,
        step: &'a Described,
        work: Work<'a>,
    ) -> Option<Opens> {
        let branch = |this: &mut Self, to: &str, property: &str| {
            this.exists(of, to, &at(id, property));
            of.entry(to)
        };
        Some(match work {
            Work::Start | Work::End => return None,
            Work::Action {
                commands,
                agent,
                targets,
            } => self.action(of, id, step, (commands, agent, targets))?,
            Work::Parallel { branches } => Opens::Parallel {
                branches: branches
                    .iter()
                    .map(|to| branch(self, to, "next_steps"))
                    .collect(),
                fail_fast: false,
            },
            Work::If {
                condition,
                then,
                otherwise,
            } => Opens::If {
                cases: vec![(
                    self.condition(of, id, condition)?,
                    branch(self, then, "on_true"),
                )],
                otherwise: otherwise.map(|to| branch(self, to, "on_false")),
            },
            Work::While { condition, body } => Opens::While {
                condition: self.condition(of, id, condition)?,
                body: branch(self, body, "on_true"),
            },
            Work::Switch { on, cases } => match Switch::parse(on) {
                Ok(on) => Opens::Switch {
                    on,
                    cases: cases
                        .iter()
                        .map(|(value, to)| (value.to_owned(), branch(self, to, "cases")))
                        .collect(),
                },
                Err(error) => {
                    self.refuse(of, at(id, "switch"), error.to_string());
                    return None;
                }
            },
            Work::PlaybookAction { playbook, version } => {
                self.call(of, id, step, playbook, version)?
            }
        })
    }

    fn condition(&mut self, of: Of<'_, '_>, id: &str, text: &str) -> Option<Condition> {
        match Asked::parse(text, Dialect::Bare) {
            Ok(condition) => Some(Condition::Cacao(Arc::new(condition))),
            Err(error) => {
                self.refuse(of, at(id, "condition"), error.to_string());
                None
            }
        }
    }

    fn call(
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
            self.refuse(of, at(id, "playbook_id"), message);
            return None;
        };
        let prefix = prefix_of(callee);
        if self.done.insert(prefix.clone()) {
            self.waiting.push(callee);
        }
        let target = Of {
            playbook: callee,
            prefix: &prefix,
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
    ) -> Option<Vec<conche_cacao::variable::Name>> {
        names(list)
            .map_err(|message| self.refuse(of, at(id, property), message))
            .ok()
    }

    /// Lowers the commands of an action, each for each target, one after the other.
    fn action(
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
            let lowered = self.command(of, (id, step, index), command, parties, next.clone());
            match lowered {
                Ok(lowered) => {
                    self.steps.insert(name(index), lowered);
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
    ) -> Result<Step, String> {
        let bound = bind(
            command,
            agent.0,
            target.map(|(party, _)| *party),
            self.executors,
        )?;
        let out_args = names(step.out_args.as_ref())?;
        let template = Arc::new(CommandTemplate {
            place: at(id, "commands").then(index.0).to_string(),
            command: Parts::of(command)?,
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
        Ok(match bound {
            Bound::Person => Step::Ask(AskStep {
                question: template,
                timeout,
                next,
                on_failure: None,
            }),
            Bound::Module {
                module,
                action,
                repeat,
                on_uncertain,
            } => Step::Action(ActionStep {
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
                    command.kind.clone(),
                    out_args,
                    mapping(step, index.0, index.1)?,
                ))),
                next,
                on_failure: None,
            }),
        })
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
        match self.described(of, id, party) {
            Ok(object) => Some((party, object)),
            Err(message) => {
                self.refuse(of, place.clone(), message);
                None
            }
        }
    }

    fn described(&self, of: Of<'a, '_>, id: &str, party: &Party) -> Result<Value, String> {
        let mut object = serde_json::to_value(party).map_err(|error| error.to_string())?;
        if let Value::Object(members) = &mut object {
            members.insert("id".to_owned(), id.into());
            members.remove("authentication_info");
            if let Some(name) = &party.authentication_info {
                let infos = of.playbook.authentication_info_definitions.as_ref();
                let info = infos.and_then(|infos| infos.get(name));
                let info = info.ok_or_else(|| format!("there are no credentials `{name}`"))?;
                let digest = self.program.digest();
                let filled =
                    credentials::template(digest, of.playbook, name, info, self.executors)?;
                members.insert("authentication".to_owned(), filled);
            }
        }
        Ok(object)
    }

    fn exists(&mut self, of: Of<'_, '_>, id: &str, place: &Pointer) {
        if of.playbook.workflow.get(id).is_none() {
            self.refuse(of, place.clone(), format!("there is no step `{id}`"));
        }
    }

    fn refuse(&mut self, of: Of<'_, '_>, pointer: Pointer, message: String) {
        self.refusals.push(Refusal {
            playbook: of.playbook.id.clone(),
            pointer,
            message,
        });
    }
}
