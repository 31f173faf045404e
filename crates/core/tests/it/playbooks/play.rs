//! A run of a playbook under the hands of a test. Commands are called by their steps: `a` is the
//! first command of the step `a` for its first target, `a/1.0` the second.

use std::collections::BTreeMap;
use std::time::Duration;

use conche_core::Json;
use conche_core::definition::{ActionTable, Defaults, Limits};
use conche_core::playbook::{Executors, FourEyes, Lowered, Program, Refusal, SecretUse, lower};
use conche_core::run::{
    Answer, AnswerError, Effect, Entry, ErrorKind, Invocation, OnUncertain, Person, Phase, Repeat,
    Report, VisitNo, VisitState, answer,
};
use serde_json::{Value, json};

use super::document::Doc;
use crate::prose::{since_start, word};
use crate::shell::{Shell, failure};

/// Modules for every type of command, but for what a test says is not there. An `ssh` command
/// must not be repeated, all others may be.
#[derive(Default)]
pub(super) struct Modules {
    pub(super) without: Vec<&'static str>,
    pub(super) unavailable: Vec<&'static str>,
    /// Configured, and for playbooks.
    pub(super) secrets: Vec<&'static str>,
    /// Configured, and not for playbooks.
    pub(super) kept: Vec<&'static str>,
}

impl ActionTable for Modules {
    fn guarantee(&self, module: &str, _: &str) -> Option<(Repeat, OnUncertain)> {
        match module {
            module if self.without.contains(&module) => None,
            "ssh" => Some((Repeat::Unsafe, OnUncertain::Attention)),
            _ => Some((Repeat::Keyed, OnUncertain::Repeat)),
        }
    }
}

impl Executors for Modules {
    fn unavailable(&self, module: &str) -> Option<String> {
        let missing = self.unavailable.contains(&module);
        missing.then(|| format!("`{module}` is not configured"))
    }

    fn query_flaw(&self, filter: &str) -> Option<String> {
        (filter == ".[").then(|| "not a jq filter".to_owned())
    }

    fn secret(&self, name: &str) -> SecretUse {
        match name {
            name if self.secrets.contains(&name) => SecretUse::Granted,
            name if self.kept.contains(&name) => SecretUse::NotGranted,
            _ => SecretUse::Unknown,
        }
    }
}

/// Who answers.
pub(super) fn ana() -> Person {
    Person {
        name: "ana".to_owned(),
        identity: None,
    }
}

/// A run of a playbook.
pub(super) struct Play {
    pub(super) run: Shell,
}

/// Lowers with all modules and default limits.
pub(super) fn lowered(program: &Program) -> Lowered {
    lower(
        program,
        &Modules::default(),
        &Defaults::default(),
        &FourEyes::default(),
    )
    .expect("a playbook that can be run")
}

/// Why a playbook cannot be run.
pub(super) fn refused(program: &Program, modules: &Modules) -> Vec<Refusal> {
    lower(program, modules, &Defaults::default(), &FourEyes::default())
        .expect_err("a playbook that cannot be run")
}

impl Play {
    pub(super) fn of(doc: &Doc) -> Self {
        Self::with(doc, &[])
    }

    /// With the playbooks that it calls.
    pub(super) fn with(doc: &Doc, callees: &[Doc]) -> Self {
        let Lowered {
            definition,
            variables,
            ..
        } = lowered(&doc.program(callees));
        Self {
            run: Shell::scoped(definition, variables),
        }
    }

    /// With other limits.
    pub(super) fn within(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.run.definition.limits);
        self
    }

    /// What is to be done now: commands, questions, stops and the next timer, or how it ended.
    pub(super) fn awaits<const N: usize>(&mut self, expected: [&str; N]) -> &mut Self {
        let found = self.wanted();
        assert_eq!(found, expected, "after\n{}", self.run.text());
        self
    }

    /// The same, to be looked at.
    pub(super) fn wanted(&mut self) -> Vec<String> {
        let effects = self.run.effects();
        if let Phase::Finished { outcome, reason } = self.run.state.phase() {
            let reason = reason.as_ref();
            let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            return vec![format!("{}{reason}", word(*outcome))];
        }
        let mut found = Vec::new();
        let mut timer = self.run.state.deadline();
        for effect in &effects {
            match effect {
                Effect::Invoke(call) => found.push(self.short(call.visit)),
                Effect::Probe(call) => found.push(format!("probe {}", self.short(call.visit))),
                Effect::Stop { visit } => found.push(format!("stop {}", self.short(*visit))),
                Effect::WaitUntil(at) => timer = timer.min(*at),
                Effect::Query { visit, .. } => found.push(format!("query {}", self.short(*visit))),
                other => panic!("{other:?} in a playbook"),
            }
        }
        let cancelling = matches!(self.run.state.phase(), Phase::Cancelling { .. });
        for (number, visit) in (0..).zip(self.run.state.visits()) {
            match visit.state {
                _ if cancelling || !self.is_live(number) => {}
                VisitState::Asked { .. } => found.push(format!("ask {}", self.short(number))),
                VisitState::Attention { .. } => {
                    found.push(format!("attend {}", self.short(number)));
                }
                _ => {}
            }
        }
        if timer < self.run.state.deadline() {
            found.push(format!("until {}", since_start(timer)));
        }
        found
    }

    /// Has the filters of a step find these values.
    pub(super) fn finds(&mut self, step: &str, found: Value) -> &mut Self {
        let found = found.as_object().expect("values by variable").iter();
        let found = found.map(|(name, value)| (name.clone(), Json::from(value)));
        self.looks(step, Report::Found(found.collect()))
    }

    /// What comes of the filters of a step.
    pub(super) fn looks(&mut self, step: &str, report: Report) -> &mut Self {
        let effects = self.run.effects();
        let asked = effects.iter().find_map(|effect| match effect {
            Effect::Query { visit, .. } => Some(*visit),
            _ => None,
        });
        let visit = asked.unwrap_or_else(|| panic!("no filter is asked: {effects:?}"));
        assert_eq!(self.run.state.visits()[visit as usize].step.as_str(), step);
        self.run.report_visit(visit, report);
        self
    }

    /// Whether all containers around a visit are open.
    pub(super) fn is_live(&self, number: VisitNo) -> bool {
        let visits = self.run.state.visits();
        let visit = &visits[number as usize];
        let open = visit.path.iter().all(|turn| {
            let around = &visits[turn.of as usize];
            around.state == VisitState::Open && around.opened.contains(&turn.index)
        });
        open && !visit.forgotten
    }

    fn short(&self, visit: VisitNo) -> String {
        let step = self.run.state.visits()[visit as usize].step.to_string();
        let short = step.strip_suffix("/0.0");
        short.map_or_else(|| step.clone(), str::to_owned)
    }

    /// A step's first command, where no command is named.
    fn long(name: &str) -> String {
        let own = name.rsplit_once('/').map_or(name, |(_, last)| last);
        let is_command = own.contains('.');
        if is_command {
            name.to_owned()
        } else {
            format!("{name}/0.0")
        }
    }

    /// What the command is invoked with.
    pub(super) fn input(&mut self, name: &str) -> Value {
        let call = self.invocation(name);
        call.input.read().expect("a document")
    }

    pub(super) fn invocation(&mut self, name: &str) -> Invocation {
        let effects = self.run.effects();
        let visit = self.run.number(&Self::long(name));
        let found = effects.into_iter().find_map(|effect| match effect {
            Effect::Invoke(call) if call.visit == visit => Some(call),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("'{name}' is not invoked\n{}", self.run.text()))
    }

    /// The text of the command.
    pub(super) fn line(&mut self, name: &str) -> String {
        let input = self.input(name);
        let line = input["command"]["command"].as_str();
        line.expect("a command").to_owned()
    }

    /// These commands succeed, in this order, each when it is its turn.
    pub(super) fn done<const N: usize>(&mut self, names: [&str; N]) -> &mut Self {
        for name in names {
            self.gives(name, json!({"exit_code": 0}));
        }
        self
    }

    /// A command succeeds with this result.
    pub(super) fn gives(&mut self, name: &str, result: Value) -> &mut Self {
        self.report(name, Report::Output(Json::from(&result)))
    }

    /// A command writes this to its standard output.
    pub(super) fn prints(&mut self, name: &str, text: &str) -> &mut Self {
        self.gives(name, json!({"stdout": text, "stderr": "", "exit_code": 0}))
    }

    /// A command fails for good.
    pub(super) fn fails(&mut self, name: &str) -> &mut Self {
        let message = format!("{name} broke");
        self.report(name, failure(ErrorKind::Permanent, &message, None))
    }

    pub(super) fn report(&mut self, name: &str, report: Report) -> &mut Self {
        let name = Self::long(name);
        self.run.report(&name, report);
        self
    }

    /// The command is under way.
    pub(super) fn begins(&mut self, name: &str) -> &mut Self {
        let name = Self::long(name);
        self.run.begin(&name);
        self
    }

    /// Attempts that are to be stopped are.
    pub(super) fn stopped(&mut self) -> &mut Self {
        self.run.stops();
        self
    }

    pub(super) fn cancelled(&mut self) -> &mut Self {
        self.run.cancel();
        self
    }

    /// Somebody answers a question.
    pub(super) fn try_answer(&mut self, name: &str, values: Value) -> Result<(), AnswerError> {
        self.run.effects();
        let values: BTreeMap<String, Json> = values
            .as_object()
            .expect("an object")
            .iter()
            .map(|(name, value)| (name.clone(), Json::from(value)))
            .collect();
        let answered = Answer {
            values,
            failed: None,
        };
        let visit = self.run.number(&Self::long(name));
        let entry = answer(&self.run.state, visit, answered, ana())?;
        self.run.append(entry);
        Ok(())
    }

    pub(super) fn answers(&mut self, name: &str, values: Value) -> &mut Self {
        self.try_answer(name, values).expect("a fitting answer");
        self
    }

    /// Somebody says that it was not done.
    pub(super) fn refuses(&mut self, name: &str) -> &mut Self {
        self.run.effects();
        let visit = self.run.number(&Self::long(name));
        let answered = Answer {
            failed: Some(format!("{name} was not done")),
            ..Answer::default()
        };
        let entry = answer(&self.run.state, visit, answered, ana());
        self.run.append(entry.expect("a question"));
        self
    }

    pub(super) fn pass(&mut self, seconds: f64) -> &mut Self {
        self.run.pass(Duration::from_secs_f64(seconds));
        self
    }

    pub(super) fn reopens(&mut self, step: &str) -> &mut Self {
        self.run.reopen(step);
        self
    }

    /// The value of a variable at the outermost scope.
    pub(super) fn value(&mut self, name: &str) -> Option<String> {
        self.run.effects();
        let declared = self.run.state.declared().expect("a run of a playbook");
        let variable = declared.0.get(name).expect("a variable");
        variable.value.as_ref().map(ToString::to_string)
    }

    pub(super) fn has(&mut self, name: &str, value: &str) -> &mut Self {
        let found = self.value(name);
        assert_eq!(found.as_deref(), Some(value), "{name}\n{}", self.run.text());
        self
    }

    /// How the step failed, if it did.
    pub(super) fn error(&self, step: &str) -> Option<&str> {
        match &self.run.visit(step).state {
            VisitState::Done(conche_core::run::Done::Failed(error)) => Some(&error.message),
            _ => None,
        }
    }

    /// The commands begun so far, in order.
    pub(super) fn begun(&self) -> Vec<String> {
        let journal = self.run.journal.iter();
        let intents = journal.filter_map(|record| match &record.entry {
            Entry::Intended { visit, .. } => Some(self.short(*visit)),
            _ => None,
        });
        intents.collect()
    }
}
