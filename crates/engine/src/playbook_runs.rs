//! Runs of playbooks: how one is started, by whomever.
//!
//! A start is an event of our own (`conche.playbook.requested`), accepted together with the
//! run, so that the same request twice starts one run, whatever happens in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use conche_cacao::variable::scope;
use conche_core::definition::Step;
use conche_core::event::PLAYBOOK_REQUESTED;
use conche_core::playbook::{Executors, Lowered, Program, Refusal, SecretUse, lower};
use conche_core::run::{Declared, Invocation, Person, Scope, no_text};
use conche_core::{Definition, Digest, EventId, Json, RunId, json};
use conche_modules::NewEvent;
use conche_runtime::secrets::ForPlaybooks;
use conche_store::{DefinitionText, Page, RunFilter};
use serde_json::json as object;

use crate::definitions::PLAYBOOK;
use crate::intake::{Only, Origin};
use crate::sealed::Sealing;
use crate::{Engine, Inner};

/// The source of events that ask for a run of a playbook from outside.
const SOURCE: &str = "playbooks";

/// Values by variable.
type Values = BTreeMap<String, serde_json::Value>;

/// With what a playbook is started.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Values for its external variables, as CACAO writes them.
    pub variables: BTreeMap<String, Json>,
    /// The caller's name for this start: the same again starts nothing.
    pub key: Option<String>,
    /// Who asks.
    pub by: Option<String>,
    /// The person who asks; none where it is not one.
    pub person: Option<Person>,
}

/// A playbook that was started, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaybookBegun {
    /// The run.
    pub run: RunId,
    /// The event that asked for it.
    pub event: EventId,
    /// Whether it was started before, under the same key.
    pub duplicate: bool,
}

/// Why a playbook was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot be run here.
    #[error("the playbook cannot be run: {}", listed(.0))]
    Refused(Vec<Refusal>),
    /// A variable is not given, or cannot be given so.
    #[error("{0}")]
    Variables(#[from] scope::Error),
    /// A value that cannot be read.
    #[error("the value of `{name}` cannot be read: {message}")]
    Unreadable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A value that is secret cannot be sealed, so that it cannot be stored.
    #[error(transparent)]
    Sealed(#[from] conche_runtime::secrets::Error),
    /// It was started before under this key, and the run is not kept any more.
    #[error("it was started before under this key, and its run is not kept any more")]
    Gone,
    /// The key named another playbook, version, or other values before.
    #[error(
        "the key was used to start something else before: another playbook, version or other values"
    )]
    OtherStart,
    /// It has steps that a second person approves, and nobody knows the first.
    #[error(
        "steps of the playbook are approved by a second person before they are done, and nobody knows who starts it: use a token, or a client certificate on an open listener"
    )]
    Unknown,
    /// It was not accepted.
    #[error(transparent)]
    Intake(#[from] conche_modules::Refusal),
    /// The store is not available.
    #[error(transparent)]
    Store(#[from] conche_store::Error),
}

fn listed(refusals: &[Refusal]) -> String {
    let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

impl Engine {
    /// Why a call would fail before anything is done, as far as that can be told without doing
    /// anything; none where it can't. For rehearsals.
    pub fn foresee(&self, call: &Invocation) -> Option<String> {
        self.0.modules.foresee(call)
    }

    /// Whether a program can be run here: what keeps it from it, all at once.
    pub fn check_program(&self, program: &Program) -> Result<(), Vec<Refusal>> {
        match self.0.unfit(program) {
            refusals if refusals.is_empty() => Ok(()),
            refusals => Err(refusals),
        }
    }

    /// What a run of a playbook would follow and start with; nothing is started.
    pub fn prepare_playbook(
        &self,
        program: &Program,
        start: &Start,
    ) -> Result<(Definition, Declared), StartError> {
        let lowered = self.0.beginning(program).map_err(StartError::Refused)?;
        let values = values(&start.variables)?;
        full(&lowered.variables, &values)?;
        let mut scope = given(lowered.variables, &values)?;
        let sealing = Sealing {
            secrets: &self.0.secrets,
            program: program.digest(),
            names: &program.sealed(),
        };
        sealing.declared(&mut scope)?;
        Ok((lowered.definition, scope))
    }

    /// Starts a run of a playbook. It is durable when this returns.
    pub async fn start_playbook(
        &self,
        program: &Program,
        start: Start,
    ) -> Result<PlaybookBegun, StartError> {
        let origin = Origin {
            source: SOURCE,
            cause: None,
            depth: 0,
            follow: self.0.config.emits_per_event,
            by: start.person.as_slice(),
            only: None,
        };
        let id = start
            .key
            .as_ref()
            .map(|key| format!("{}:{key}", program.root().id));
        let started = self.0.start_program(origin, program, start.clone(), id);
        started.await
    }
}

impl Inner {
    /// What keeps a program from being run here, all at once.
    pub(crate) fn unfit(&self, program: &Program) -> Vec<Refusal> {
        let lowered = lower(program, self, &self.defaults(), &self.safety.four_eyes);
        let mut refusals = lowered.err().unwrap_or_default();
        refusals.extend(program.cycle());
        refusals
    }

    /// Lowers a program that is to begin: one whose playbooks call each other in a circle does
    /// not, though runs that began before go on.
    fn beginning(&self, program: &Program) -> Result<Lowered, Vec<Refusal>> {
        match program.cycle() {
            Some(refusal) => Err(vec![refusal]),
            None => self.lowered(program),
        }
    }

    /// Lowers a program and has its secrets held.
    pub(crate) fn lowered(&self, program: &Program) -> Result<Lowered, Vec<Refusal>> {
        let mut lowered = lower(program, self, &self.defaults(), &self.safety.four_eyes)?;
        for (name, value) in lowered.secrets.drain(..) {
            self.secrets.hold(&name, value.into());
        }
        Ok(lowered)
    }

    /// Accepts the event that asks for a run, with the run. `id` names it for the caller.
    pub(crate) async fn start_program(
        self: &Arc<Self>,
        origin: Origin<'_>,
        program: &Program,
        start: Start,
        id: Option<String>,
    ) -> Result<PlaybookBegun, StartError> {
        let lowered = self.beginning(program).map_err(StartError::Refused)?;
        let mut values = values(&start.variables)?;
        full(&lowered.variables, &values)?;
        let mut scope = given(lowered.variables, &values)?;
        // From here on nothing is in clear that is stored.
        let sealing = Sealing {
            secrets: &self.secrets,
            program: program.digest(),
            names: &program.sealed(),
        };
        sealing.values(&mut values)?;
        sealing.declared(&mut scope)?;
        let definition = Arc::new(lowered.definition);
        let is_unknown = |person: &Person| person.identity.is_none();
        if needs_approval(&definition) && origin.by.iter().any(is_unknown) {
            return Err(StartError::Unknown);
        }
        self.store
            .put_definition(DefinitionText {
                digest: definition.digest,
                kind: PLAYBOOK.to_owned(),
                name: definition.name.clone(),
                text: program.text().to_owned(),
            })
            .await?;
        self.definitions.put(definition.clone());
        let asked = (definition.digest, values);
        let event = NewEvent {
            id,
            event_type: PLAYBOOK_REQUESTED.to_owned(),
            subject: Some(definition.name.clone()),
            time: None,
            data: Json::from(&object!({
                "program": definition.digest,
                "playbook": program.root().id,
                "version": program.root().modified,
                "variables": asked.1,
                "by": start.by,
            })),
        };
        let only = Only::Playbook { definition, scope };
        let origin = Origin {
            only: Some(&only),
            ..origin
        };
        let receipts = self.take_in(origin, vec![event], None, None).await?;
        let receipt = receipts.first().ok_or(StartError::Gone)?;
        if receipt.duplicate && !self.is_same(receipt.event, &asked).await? {
            return Err(StartError::OtherStart);
        }
        let filter = RunFilter {
            event: Some(receipt.event),
            ..RunFilter::default()
        };
        let page = Page {
            before: None,
            limit: 1,
        };
        let runs = self.store.runs(filter, page).await?;
        Ok(PlaybookBegun {
            run: runs.first().ok_or(StartError::Gone)?.run,
            event: receipt.event,
            duplicate: receipt.duplicate,
        })
    }
}

impl Inner {
    /// Whether an earlier event asked for the same: the same program with the same values.
    async fn is_same(
        &self,
        event: EventId,
        (program, variables): &(Digest, Values),
    ) -> Result<bool, conche_store::Error> {
        let row = self.store.event(event).await?;
        let then: serde_json::Value = row.event.data.read().unwrap_or_default();
        Ok(then["program"] == object!(program) && then["variables"] == object!(variables))
    }
}

/// Whether a definition has steps that a second person approves.
pub fn needs_approval(definition: &Definition) -> bool {
    let mut steps = definition.steps.values();
    steps.any(|step| matches!(step, Step::Action(action) if action.guarded))
}

/// Values by variable, read: what is no value of JSON for everyone, such as half a character, is
/// refused before anything is made of it.
fn values(given: &BTreeMap<String, Json>) -> Result<Values, StartError> {
    let read = |(name, value): (&String, &Json)| {
        let unreadable = |error: json::Error| StartError::Unreadable {
            name: name.clone(),
            message: error.to_string(),
        };
        Ok((name.clone(), value.read().map_err(unreadable)?))
    };
    given.iter().map(read).collect()
}

/// Whether every given value is one. Known to be empty is a value of every type to CACAO, but
/// no address that one can block: a caller that gives it had nothing to give.
fn full(variables: &Declared, given: &Values) -> Result<(), StartError> {
    for (name, value) in given {
        let declared = variables.0.get(name.as_str());
        let text = declared.is_none_or(|variable| variable.kind.is_text());
        let unreadable = |message: String| StartError::Unreadable {
            name: name.clone(),
            message,
        };
        if !text && value.as_str() == Some("") {
            return Err(unreadable("it is empty".to_owned()));
        }
        if let Some(found) = declared.and_then(|variable| no_text(variable, value)) {
            return Err(unreadable(format!(
                "it is {found}, and its type is `string`"
            )));
        }
    }
    Ok(())
}

/// The variables of a playbook with the values that the caller gives.
fn given(variables: Declared, given: &Values) -> Result<Declared, scope::Error> {
    let given = given.iter().map(|(name, value)| (name.as_str(), value));
    let scope = Scope::start(variables.0, given)?;
    let visible = scope.visible().into_iter();
    let all = visible.map(|(name, variable)| (name.clone(), variable.clone()));
    Ok(Declared(all.collect()))
}

impl Executors for Inner {
    fn unavailable(&self, module: &str) -> Option<String> {
        self.modules.unavailable(module)
    }

    fn query_flaw(&self, filter: &str) -> Option<String> {
        self.evaluator.query_flaw(filter)
    }

    fn secret(&self, name: &str) -> SecretUse {
        match self.secrets.for_playbooks(name) {
            ForPlaybooks::Granted => SecretUse::Granted,
            ForPlaybooks::NotGranted => SecretUse::NotGranted,
            ForPlaybooks::Withheld => SecretUse::Withheld,
            ForPlaybooks::Unknown => SecretUse::Unknown,
        }
    }
}
