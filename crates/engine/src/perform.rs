//! Carries out effects and reports what came of them. Knows nothing of journals.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use conche_core::definition::{Isolation, Query, Script};
use conche_core::run::{ErrorKind, Invocation, LogLine, Person, Report, StepError, Verdict};
use conche_core::{Definition, Event, Json, RunId, StepId, Timestamp};
use conche_modules::{Action, ActionModule, ActionSpec, Call, Error, Probed};
use conche_runtime::secrets::Own;
use futures_util::FutureExt;
use tokio::sync::Semaphore;

use crate::Inner;
use crate::caps::Capped;
use crate::evaluator::{Evaluated, Evaluation, EvaluationError};
use crate::faults::{self, point};
use crate::host::HostOf;
use crate::sealed;

/// A module gets this much longer than its deadline to give up by itself.
const GRACE: Duration = Duration::from_millis(500);

/// Built modules by name.
pub(crate) struct Modules(BTreeMap<String, Module>);

struct Module {
    action: Arc<dyn Action>,
    listed: &'static ActionModule,
    slots: Option<Semaphore>,
}

impl Modules {
    pub(crate) fn new(
        actions: BTreeMap<String, (Arc<dyn Action>, &'static ActionModule, usize)>,
    ) -> Self {
        let module = |(name, (action, listed, concurrency))| {
            let slots = (concurrency > 0).then(|| Semaphore::new(concurrency));
            (
                name,
                Module {
                    action,
                    listed,
                    slots,
                },
            )
        };
        Self(actions.into_iter().map(module).collect())
    }

    pub(crate) fn spec(&self, module: &str, action: &str) -> Option<&'static ActionSpec> {
        self.0
            .get(module)?
            .listed
            .actions
            .iter()
            .find(|spec| spec.name == action)
    }

    /// Why a module cannot do its work as it is configured; none where it can.
    pub(crate) fn unavailable(&self, module: &str) -> Option<String> {
        self.0.get(module)?.action.unavailable()
    }

    /// Why a call would fail before anything is done, as far as its module can tell.
    pub(crate) fn foresee(&self, call: &Invocation) -> Option<String> {
        let module = self.0.get(&call.module)?;
        match module.action.foresee(&call.input) {
            Err(Error::Permanent(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Why there is no such action, if there is none.
    pub(crate) fn missing(&self, module: &str, action: &str) -> Option<String> {
        let Some(found) = self.0.get(module) else {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            return Some(format!(
                "there is no module '{module}' (there are: {})",
                known.join(", ")
            ));
        };
        let known: Vec<&str> = found.listed.actions.iter().map(|spec| spec.name).collect();
        (!known.contains(&action)).then(|| {
            format!(
                "the module '{module}' has no action '{action}' (it has: {})",
                known.join(", ")
            )
        })
    }
}

/// The run on whose behalf something is performed.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) run: RunId,
    pub(crate) definition: Arc<Definition>,
    pub(crate) event: Option<Arc<Event>>,
    /// When the run is given up.
    pub(crate) deadline: Timestamp,
    /// How many events may stem from it.
    pub(crate) budget: u32,
    /// The people who had it started.
    pub(crate) by: Arc<[Person]>,
    /// The secrets that it brought: masked in what its calls say.
    pub(crate) own: Own,
    /// The number, from 1, of the event that the call at hand may emit.
    pub(crate) nth: u32,
}

/// A script call.
pub(crate) struct ScriptCall {
    pub(crate) script: Arc<Script>,
    pub(crate) isolation: Isolation,
    pub(crate) event: Json,
    pub(crate) action_data: Option<Json>,
    /// Lists that it may read.
    pub(crate) lists: Arc<[String]>,
}

/// Evaluates a script.
pub(crate) async fn evaluate(engine: &Inner, call: ScriptCall) -> Report {
    let _timer = engine.metrics.script_seconds.start_timer();
    let failed = |kind, message, logs: Vec<LogLine>| Report::Failed {
        error: StepError { kind, message },
        after: None,
        logs,
    };
    let lists = match engine.lists.shown(&call.lists, engine.now()) {
        Ok(lists) => lists,
        Err(error) => return failed(ErrorKind::Limit, error.to_string(), Vec::new()),
    };
    let evaluation = Evaluation {
        script: call.script,
        isolation: call.isolation,
        event: call.event,
        action_data: call.action_data,
        lists,
    };
    // What is emitted or recorded must be readable everywhere.
    let depth = engine.config.json_depth;
    match engine.evaluator.evaluate(evaluation).await {
        Ok(evaluated) if is_deeper(&evaluated, depth) => {
            let message = format!("the script's result is nested deeper than {depth} levels");
            failed(ErrorKind::Limit, message, evaluated.logs)
        }
        Ok(evaluated) => Report::Verdict {
            verdict: evaluated.verdict,
            event: evaluated.event,
            logs: evaluated.logs,
        },
        Err(EvaluationError::Script { message, logs }) => failed(ErrorKind::Script, message, logs),
        Err(EvaluationError::Limit { message, logs }) => failed(ErrorKind::Limit, message, logs),
        // Not the fault of this event: it waits until the script may run again.
        Err(EvaluationError::Quarantined { message, remaining }) => Report::Failed {
            error: StepError {
                kind: ErrorKind::Quarantined,
                message,
            },
            after: Some(remaining),
            logs: Vec::new(),
        },
        Err(EvaluationError::Unavailable(message)) => {
            failed(ErrorKind::Transient, message, Vec::new())
        }
    }
}

/// Looks for parts of a result, each by its jq filter. What cannot be found fails the step: an
/// empty variable would be taken for an answer.
pub(crate) async fn query(engine: &Inner, queries: Arc<[Query]>, input: Json) -> Report {
    let failed = |kind, message| Report::Failed {
        error: StepError { kind, message },
        after: None,
        logs: Vec::new(),
    };
    let mut found = BTreeMap::new();
    for query in &*queries {
        let part = match part(query, &input) {
            Ok(part) => part,
            Err(message) => return failed(ErrorKind::Permanent, message),
        };
        match engine.evaluator.query(&query.filter, &part).await {
            Ok(Some(value)) => drop(found.insert(query.variable.clone(), value)),
            Ok(None) => {
                let message = format!("`{}` finds nothing for `{}`", query.filter, query.variable);
                return failed(ErrorKind::Permanent, message);
            }
            Err(EvaluationError::Unavailable(message)) => {
                return failed(ErrorKind::Transient, message);
            }
            Err(error) => {
                let message = format!("`{}` for `{}`: {error}", query.filter, query.variable);
                return failed(ErrorKind::Permanent, message);
            }
        }
    }
    Report::Found(found)
}

/// What a filter is applied to. A part that is text and holds JSON is read, as SOARCA does.
fn part(query: &Query, input: &Json) -> Result<Json, String> {
    if query.of.is_empty() && !query.current {
        return Ok(input.clone());
    }
    let document: serde_json::Value = input.read().map_err(|error| error.to_string())?;
    let missing = || format!("the result has nothing at `{}`", query.of);
    let part = document.pointer(&query.of).ok_or_else(missing)?;
    let part = match part.as_str().map(serde_json::from_str) {
        Some(Ok(read)) => read,
        _ => part.clone(),
    };
    Ok(Json::from(&serde_json::json!({ "current": part })))
}

fn is_deeper(evaluated: &Evaluated, depth: usize) -> bool {
    let data = match &evaluated.verdict {
        Verdict::Next { data, .. } => Some(data),
        Verdict::Stop => None,
    };
    data.into_iter()
        .chain(&evaluated.event)
        .any(|json| json.depth() > depth)
}

/// Invokes an action whose intent is committed.
pub(crate) async fn invoke(
    engine: Arc<Inner>,
    subject: Subject,
    step: StepId,
    invocation: Invocation,
) -> Report {
    let own = subject.own.clone();
    own.scope(invoked(engine, subject, step, invocation)).await
}

async fn invoked(
    engine: Arc<Inner>,
    subject: Subject,
    step: StepId,
    invocation: Invocation,
) -> Report {
    faults::hit(point::AFTER_INTENT);
    let (module, action) = (invocation.module.clone(), invocation.action.clone());
    let Some(found) = engine
        .modules
        .0
        .get(&module)
        .filter(|_| engine.modules.spec(&module, &action).is_some())
    else {
        let message = engine.modules.missing(&module, &action).unwrap_or_default();
        return Report::Failed {
            error: StepError {
                kind: ErrorKind::NoSuchAction,
                message,
            },
            after: None,
            logs: Vec::new(),
        };
    };
    if let Some(refusal) = engine.protected(&invocation.input) {
        return error_report(Error::permanent(refusal));
    }
    let by = (subject.run, subject.definition.name.as_str());
    let repeat = invocation.policy.repeat;
    match engine.count_target(by, repeat, &invocation.input).await {
        Ok(()) => {}
        Err(Capped::Beyond(reason)) => return Report::HeldBack { reason },
        Err(Capped::NotCounted(reason)) => return error_report(Error::retry(reason)),
    }
    let invocation = match unsealed(&engine, &subject, invocation) {
        Ok(invocation) => invocation,
        Err(error) => return error_report(error),
    };
    // The time of the attempt begins when it has its place: nothing is sent before.
    let _slot = match &found.slots {
        None => None,
        Some(slots) => {
            let left = Duration::try_from(subject.deadline.duration_since(engine.now()));
            match tokio::time::timeout(left.unwrap_or_default(), slots.acquire()).await {
                Ok(slot) => slot.ok(),
                Err(_elapsed) => {
                    let message = format!("no place of the module '{module}' was free in time");
                    return error_report(Error::retry(message));
                }
            }
        }
    };
    let timer = engine
        .metrics
        .action_seconds
        .with_label_values(&[&module, &action])
        .start_timer();
    let call = call(&engine, &subject, step, invocation);
    let limit = call.timeout + GRACE;
    faults::hit(point::MID_EFFECT);
    let work = AssertUnwindSafe(found.action.invoke(&call)).catch_unwind();
    let report = match tokio::time::timeout(limit, work).await {
        Ok(Ok(Ok(output))) => output_report(output, engine.config.result_bytes),
        Ok(Ok(Err(error))) => error_report(error),
        Ok(Err(_panic)) => Report::Uncertain {
            evidence: format!("the module '{module}' panicked"),
        },
        Err(_elapsed) => Report::Uncertain {
            evidence: format!("no answer within {:?}", call.timeout),
        },
    };
    timer.observe_duration();
    engine
        .metrics
        .actions
        .with_label_values(&[&module, &action, outcome_word(&report)])
        .inc();
    faults::hit(point::AFTER_EFFECT);
    report
}

/// Asks a module whether an earlier attempt took effect.
pub(crate) async fn probe(
    engine: Arc<Inner>,
    subject: Subject,
    step: StepId,
    invocation: Invocation,
) -> Report {
    let own = subject.own.clone();
    own.scope(probed(engine, subject, step, invocation)).await
}

async fn probed(
    engine: Arc<Inner>,
    subject: Subject,
    step: StepId,
    invocation: Invocation,
) -> Report {
    let module = invocation.module.clone();
    let Some(found) = engine.modules.0.get(&module) else {
        return Report::ProbeFailed {
            evidence: format!("there is no module '{module}' any more"),
        };
    };
    let invocation = match unsealed(&engine, &subject, invocation) {
        Ok(invocation) => invocation,
        Err(error) => {
            let evidence = error.to_string();
            return Report::ProbeFailed { evidence };
        }
    };
    let call = call(&engine, &subject, step, invocation);
    let work = AssertUnwindSafe(found.action.probe(&call)).catch_unwind();
    match tokio::time::timeout(call.timeout + GRACE, work).await {
        Ok(Ok(Ok(Probed::Happened(output)))) => output_report(output, engine.config.result_bytes),
        Ok(Ok(Ok(Probed::Failed(error)))) => error_report(error),
        Ok(Ok(Ok(Probed::NotHappened))) => Report::NotHappened,
        Ok(Ok(Ok(Probed::Unknown(why)))) => Report::ProbeFailed { evidence: why },
        Ok(Ok(Err(error))) => Report::ProbeFailed {
            evidence: format!("asking failed too: {error}"),
        },
        Ok(Err(_panic)) => Report::ProbeFailed {
            evidence: format!("the module '{module}' panicked"),
        },
        Err(_elapsed) => Report::ProbeFailed {
            evidence: "asking got no answer in time".to_owned(),
        },
    }
}

/// The same with the credentials that only its module may see.
fn unsealed(
    engine: &Inner,
    subject: &Subject,
    invocation: Invocation,
) -> Result<Invocation, Error> {
    let program = subject.definition.digest;
    match sealed::opened(&engine.secrets, program, &invocation.input) {
        Ok(None) => Ok(invocation),
        Ok(Some(input)) => Ok(Invocation {
            input,
            ..invocation
        }),
        Err(error) => Err(Error::permanent(error.to_string())),
    }
}

fn call(engine: &Arc<Inner>, subject: &Subject, step: StepId, invocation: Invocation) -> Call {
    let now = engine.now();
    let left = Duration::try_from(subject.deadline.duration_since(now)).unwrap_or_default();
    let timeout = left.min(invocation.policy.timeout);
    Call {
        action: invocation.action,
        input: invocation.input,
        run: subject.run,
        definition: subject.definition.name.clone(),
        step,
        visit: invocation.visit,
        attempt: invocation.attempt,
        key: invocation.key,
        copied_at: invocation.copied_at,
        deadline: crate::housekeeping::later(now, timeout),
        timeout,
        event: subject.event.as_ref().map(|event| event.event_id),
        host: Arc::new(HostOf {
            engine: engine.clone(),
            event: subject.event.clone(),
            budget: subject.budget,
            by: subject.by.clone(),
            nth: subject.nth,
        }),
    }
}

fn output_report(output: Json, limit: usize) -> Report {
    let bytes = output.as_str().len();
    if bytes <= limit {
        return Report::Output(output);
    }
    // It did happen: a retry would do it again.
    let message = format!(
        "the action took effect, but its result of {bytes} bytes is above the limit of {limit}"
    );
    Report::Failed {
        error: StepError {
            kind: ErrorKind::Limit,
            message,
        },
        after: None,
        logs: Vec::new(),
    }
}

fn error_report(error: Error) -> Report {
    let failed = |kind, message, after| Report::Failed {
        error: StepError { kind, message },
        after,
        logs: Vec::new(),
    };
    match error {
        Error::Retry { message, after } => failed(ErrorKind::Transient, message, after),
        Error::Permanent(message) => failed(ErrorKind::Permanent, message, None),
        Error::Uncertain(evidence) => Report::Uncertain { evidence },
    }
}

fn outcome_word(report: &Report) -> &'static str {
    match report {
        Report::Output(_) | Report::Found(_) | Report::Verdict { .. } => "succeeded",
        Report::Failed { .. } | Report::NotHappened => "failed",
        Report::Uncertain { .. } | Report::ProbeFailed { .. } => "uncertain",
        Report::HeldBack { .. } => "held_back",
    }
}
