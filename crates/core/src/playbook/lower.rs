//! The workflow of a playbook as steps of the run engine.
//!
//! Each step of CACAO's becomes one step of the same name, and what belongs to it:
//!
//! | name | what |
//! |---|---|
//! | `ID` | the step: `start` and `end` pass, an `action` groups its commands, others open branches |
//! | `ID/delay` | the wait before it |
//! | `ID/approval` | the question to a second person before an action; led to only where one is wanted, so that a run that asked goes on when it is wanted no more |
//! | `ID/C.T` | an action's command `C` for its target `T` (both from 0): commands in order, each for all targets in order |
//! | `workflow`, `workflow/exception`, `workflow/raise` | all of it, where it has a `workflow_exception`, with the handler and the failure after that |
//!
//! Steps of a called playbook have its identifier and version before their name.

mod action;
mod approval;
mod call;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use conche_cacao::condition::{Condition as Asked, Dialect, Switch};
use conche_cacao::model::{Step as Described, Work};
use conche_cacao::variable::reference::references;
use conche_cacao::variable::{Type, Variable};
use conche_cacao::{Playbook, Pointer};

use super::bind::Executors;
use super::step::{Next, declared, span};
use super::{FourEyes, Program, Refusal, codes, credentials, exposed, four_eyes, results};
use crate::definition::{Condition, Container, Defaults, Definition, Limits, Opens, Step};
use crate::id::StepId;
use crate::run::Declared;

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
    four_eyes: &FourEyes,
) -> Result<Lowered, Vec<Refusal>> {
    let mut lowering = Lowering {
        program,
        executors,
        defaults,
        four_eyes,
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
    let all = || std::iter::once(program.root()).chain(program.callees());
    let sealed = program.sealed();
    for playbook in all() {
        for (place, message) in exposed::faults(playbook, &sealed) {
            let of = Of {
                playbook,
                prefix: "",
                four_eyes,
            };
            lowering.refuse_as(codes::SECRET_EXPOSED, of, place, message);
        }
    }
    if !lowering.refusals.is_empty() {
        return Err(lowering.refusals);
    }
    let secrets = all().flat_map(|playbook| credentials::literals(program.digest(), playbook));
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
    four_eyes: &'a FourEyes,
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
    four_eyes: &'a FourEyes,
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
            None => self.undelayed(id),
        }
    }

    /// Where a step begins after its delay: with its approval, if it needs one.
    fn undelayed(&self, id: &str) -> StepId {
        match self.playbook.workflow.get(id) {
            Some(step) if self.four_eyes.wants(self.playbook, step) => {
                self.name(&format!("{id}/approval"))
            }
            _ => self.name(id),
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
        let four_eyes = self.four_eyes;
        let of = Of {
            playbook,
            prefix,
            four_eyes,
        };
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
        let text = serde_json::to_string(of.playbook).unwrap_or_default();
        for name in results::undeclared() {
            let used = references(&text, &|_| false).any(|used| used.name == name)
                || text.contains(&format!("\"{name}\""));
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
                next: Some(of.undelayed(id)),
            };
            self.steps.insert(of.name(&format!("{id}/delay")), wait);
        }
        if let Some(message) = four_eyes::flaw(step) {
            return self.refuse(of, at(id, "step_extensions"), message);
        }
        let lowered = match work {
            Work::End => Step::Pass { next: None },
            Work::Start => match Next::of(step) {
                Ok(next) => {
                    self.exists(of, next.success, &at(id, Next::said_by(step).0));
                    Step::Pass {
                        next: Some(of.entry(next.success)),
                    }
                }
                Err((property, message)) => return self.refuse(of, at(id, property), message),
            },
            other => match self.opens(of, id, step, other) {
                Some(opens) => match self.container(of, id, step, opens) {
                    Some(container) => {
                        if matches!(work, Work::Action { .. }) {
                            self.approval(of, id, step, &container);
                        }
                        Step::Container(container)
                    }
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
            Err((property, message)) => {
                self.refuse(of, at(id, property), message);
                return None;
            }
        };
        let (success, failure) = Next::said_by(step);
        self.exists(of, next.success, &at(id, success));
        if let Some(step) = next.failure {
            self.exists(of, step, &at(id, failure));
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

    fn exists(&mut self, of: Of<'_, '_>, id: &str, place: &Pointer) {
        if of.playbook.workflow.get(id).is_none() {
            self.refuse(of, place.clone(), format!("there is no step `{id}`"));
        }
    }

    fn refuse(&mut self, of: Of<'_, '_>, pointer: Pointer, message: String) {
        self.refuse_as(codes::NOT_RUNNABLE, of, pointer, message);
    }

    fn refuse_as(&mut self, code: &'static str, of: Of<'_, '_>, pointer: Pointer, message: String) {
        let refusal = Refusal {
            playbook: of.playbook.id.clone(),
            code,
            pointer,
            message,
        };
        // A playbook that is called twice is looked at twice.
        if !self.refusals.contains(&refusal) {
            self.refusals.push(refusal);
        }
    }
}
