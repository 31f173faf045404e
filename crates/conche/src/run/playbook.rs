//! A playbook: validated, bound, run; what it asks a person is answered from the command line.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use conche_cacao::{Document, Profile, Severity};
use conche_core::playbook::{Program, runnable};
use conche_core::run::{Answer, Question, RunState, Status, VisitNo, VisitState};
use conche_core::{Json, RunId};
use conche_engine::{By, Engine, Start, incorrect_signatures, needs_approval};

use super::dry::{self, Outcomes};
use super::{RunArgs, wait};
use crate::failure::Failure;
use crate::{input, playbooks};

/// Who starts and answers here.
const CALLER: &str = "conche run";
/// Why a playbook is not run here.
const ALONE: &str = "steps of the playbook are approved by a second person before they are done, and here there is one person only: run it on a server, or take that on yourself with --confirm";

/// Values by name, underscores included.
pub(crate) type Values = BTreeMap<String, Json>;

/// A playbook with what it is given.
pub(super) struct Prepared {
    program: Program,
    variables: Values,
    answers: Values,
    confirm: bool,
    /// Whether nothing is to be done.
    pub(super) dry: bool,
    pub(super) outcomes: Outcomes,
}

/// Whether a file is a playbook: JSON that says so of itself.
pub(super) fn is_one(file: &Path) -> bool {
    let text = (file != Path::new("-")).then(|| input::text(file));
    let Some(Ok(text)) = text else { return false };
    let value = serde_json::from_str::<serde_json::Value>(&text);
    value.is_ok_and(|value| value["type"] == "playbook")
}

pub(super) fn prepare(args: &RunArgs) -> Result<Prepared, Failure> {
    if args.event.is_some() || args.event_type.is_some() {
        let message = "a playbook gets no event: give its variables with --var";
        return Err(Failure::Usage(message.to_owned()));
    }
    let document = playbooks::read(&args.file)?;
    let errors: Vec<String> = document
        .check(Profile::Standard)
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| {
            format!(
                "  {} {}: {}",
                finding.code, finding.pointer, finding.message
            )
        })
        .collect();
    if !errors.is_empty() {
        return Err(Failure::Failed(format!(
            "{} is not valid; `conche validate {0}` shows where:\n{}",
            args.file.display(),
            errors.join("\n")
        )));
    }
    let others = beside(&args.file, &document)?;
    let program = Program::new(&document, &others)
        .map_err(|error| Failure::Failed(format!("{}: {error}", args.file.display())))?;
    let now = conche_core::Timestamp::now();
    let changed = changed(&program, &document, &others, now);
    if !changed.is_empty() {
        let file = args.file.display();
        return Err(Failure::Failed(format!("{file}: {}", changed.join("; "))));
    }
    runnable(program.root(), now)
        .map_err(|reason| Failure::Failed(format!("{}: {reason}", args.file.display())))?;
    Ok(Prepared {
        program,
        variables: values(&args.variables)?,
        answers: values(&args.answers)?,
        confirm: args.confirm,
        dry: args.dry_run,
        outcomes: Outcomes::read(&args.outcomes)?,
    })
}

/// The signatures, of the playbook and of those that it calls, that are not of what is there.
fn changed(
    program: &Program,
    document: &Document,
    others: &[Document],
    now: conche_core::Timestamp,
) -> Vec<String> {
    let called = program.called();
    let is_called = |other: &&Document| {
        let playbook = other.playbook();
        playbook.is_ok_and(|playbook| called.contains(&&playbook))
    };
    let all = std::iter::once(document).chain(others.iter().filter(is_called));
    let refused = all.flat_map(|one| {
        let id = one.value()["id"].as_str().unwrap_or_default();
        incorrect_signatures(one, id, now)
    });
    refused.map(|refusal| refusal.to_string()).collect()
}

/// The playbooks of a file's folder that it calls, directly or through others. What else is in
/// the folder is nobody's business here.
fn beside(file: &Path, document: &Document) -> Result<Vec<Document>, Failure> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new(".")));
    let entries = entries.into_iter().flatten().flatten();
    let others = entries.map(|entry| entry.path()).filter(|other| {
        other.extension() == Some(OsStr::new("json"))
            && other.file_name() != file.file_name()
            && is_one(other)
    });
    let mut left: Vec<(PathBuf, Document)> = others
        .filter_map(|other| Some((other.clone(), playbooks::read(&other).ok()?)))
        .collect();
    let mut waiting = called_by(document);
    let mut called = Vec::new();
    while let Some(id) = waiting.pop() {
        let of_id = |(_, one): &mut (PathBuf, Document)| one.value()["id"] == id.as_str();
        for (path, one) in left.extract_if(.., of_id) {
            one.playbook()
                .map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?;
            waiting.extend(called_by(&one));
            called.push(one);
        }
    }
    Ok(called)
}

/// The identifiers of the playbooks that a document's steps call.
fn called_by(document: &Document) -> Vec<String> {
    let steps = document.value()["workflow"].as_object();
    let steps = steps.into_iter().flatten();
    let ids = steps.filter_map(|(_, step)| step["playbook_id"].as_str());
    ids.map(str::to_owned).collect()
}

/// Values of variables as `--var` gives them: `NAME=VALUE`, the underscores as one likes.
pub(crate) fn values(given: &[String]) -> Result<Values, Failure> {
    let one = |text: &String| {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("`{text}` is not NAME=VALUE")))?;
        let name = if name.starts_with("__") {
            name.to_owned()
        } else {
            format!("__{name}__")
        };
        Ok((name, Json::from(&serde_json::Value::from(value))))
    };
    given.iter().map(one).collect()
}

/// What the playbook would do.
pub(super) fn rehearse(engine: &Engine, prepared: &Prepared) -> Result<serde_json::Value, Failure> {
    let start = Start {
        variables: prepared.variables.clone(),
        ..Start::default()
    };
    let ready = engine.prepare_playbook(&prepared.program, &start);
    let (definition, scope) = ready.map_err(|error| Failure::Failed(error.to_string()))?;
    let shown = dry::rehearse(&definition, scope, prepared, engine)?;
    let mut shown = shown;
    engine.masker().mask_json(&mut shown);
    Ok(shown)
}

/// Starts the playbook and answers its questions; the run that is over, or waits for a person.
pub(super) async fn carry_out(engine: &Engine, prepared: Prepared) -> Result<RunId, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let mut changes = engine.tail();
    let start = Start {
        variables: prepared.variables.clone(),
        by: Some(CALLER.to_owned()),
        ..Start::default()
    };
    let ready = engine.prepare_playbook(&prepared.program, &start);
    let (definition, _) = ready.map_err(|error| failed(&error))?;
    if needs_approval(&definition) && !prepared.confirm {
        return Err(Failure::Failed(ALONE.to_owned()));
    }
    let begun = engine.start_playbook(&prepared.program, start).await;
    let run = begun
        .map_err(|error| Failure::Failed(error.to_string()))?
        .run;
    loop {
        let status = wait(engine, run, &mut changes).await?;
        if status != Status::AwaitingAnswer {
            return Ok(run);
        }
        let mut answered = false;
        for (visit, question) in asked(engine, run).await? {
            if let Some(answer) = prepared.answer(&question) {
                let by = By::from(CALLER).known_as(Some(CALLER.to_owned()));
                let left = engine.answer(run, Some(visit), answer, by).await;
                left.map_err(|error| Failure::Failed(error.to_string()))?;
                answered = true;
            }
        }
        if !answered {
            return Ok(run);
        }
        taken(engine, run, &mut changes).await?;
    }
}

/// Waits until an answer that was left is heeded: the run goes on from where it was.
async fn taken(
    engine: &Engine,
    run: RunId,
    changes: &mut tokio::sync::broadcast::Receiver<std::sync::Arc<conche_engine::Change>>,
) -> Result<(), Failure> {
    loop {
        let signals = engine.store().signals(run).await;
        if signals
            .map_err(|error| Failure::of("can't look at the run", error))?
            .is_empty()
        {
            return Ok(());
        }
        drop(tokio::time::timeout(super::LOOK_EVERY, changes.recv()).await);
    }
}

/// What a run asks now.
async fn asked(engine: &Engine, run: RunId) -> Result<Vec<(VisitNo, Question)>, Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::of("can't look at the run", error);
    let journal = engine.store().whole_journal(run).await;
    let state = RunState::fold(run, journal.map_err(|error| cannot(&error))?);
    let state = state.map_err(|error| cannot(&error))?;
    let visits = state.live_visits().into_iter();
    let asking = visits.filter_map(|(number, visit)| match &visit.state {
        VisitState::Asked { question, .. } => Some((number, question.clone())),
        _ => None,
    });
    Ok(asking.collect())
}

impl Prepared {
    /// The answer to a question, where every value that it asks for was given.
    pub(super) fn answer(&self, question: &Question) -> Option<Answer> {
        let names = question.answers.0.keys();
        if names.len() == 0 {
            return self.confirm.then(Answer::default);
        }
        let value = |name: &str| Some((name.to_owned(), self.answers.get(name)?.clone()));
        let values = names.map(|name| value(name.as_str()));
        Some(Answer {
            values: values.collect::<Option<_>>()?,
            failed: None,
        })
    }
}
