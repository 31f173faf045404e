//! A reaction on one event: handed in as a source would.

use conche_core::reaction::Reaction;
use conche_core::{EventId, Json, RunId};
use conche_engine::Engine;
use conche_modules::NewEvent;
use conche_store::{Page, RunFilter, RunRow};

use super::{RunArgs, wait};
use crate::failure::Failure;
use crate::input;

/// What the engine counts filters under that gave no answer.
const FILTER_FAULTS: &str = "conche_filter_faults_total";

/// A reaction and the type of the event that it gets.
pub(super) struct Prepared {
    reaction: Reaction,
    event_type: String,
}

pub(super) fn prepare(args: &RunArgs) -> Result<Prepared, Failure> {
    let mut reaction = input::reaction(&args.file)?;
    at_once(&mut reaction);
    if !args.variables.is_empty() {
        let message = "a reaction has no variables: put them into the event (--event)";
        return Err(Failure::Usage(message.to_owned()));
    }
    if args.dry_run {
        let message = "only a playbook is run with --dry-run";
        return Err(Failure::Usage(message.to_owned()));
    }
    if args.confirm || !args.answers.is_empty() {
        let message = "a reaction asks nobody: --answer and --confirm are for playbooks";
        return Err(Failure::Usage(message.to_owned()));
    }
    Ok(Prepared {
        event_type: event_type(&reaction, args.event_type.clone())?,
        reaction,
    })
}

/// Puts the reaction in force and hands in the event; the run that is over, or waits for a
/// person.
pub(super) async fn carry_out(
    engine: &Engine,
    prepared: Prepared,
    data: Json,
) -> Result<RunId, Failure> {
    let Prepared {
        reaction,
        event_type,
    } = prepared;
    let event = NewEvent {
        id: None,
        event_type,
        subject: None,
        time: None,
        data,
    };
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let when = reaction.when.clone();
    let info = engine
        .put_reaction(reaction)
        .await
        .map_err(|error| failed(&error))?;
    for warning in &info.warnings {
        tracing::warn!(
            reaction = info.reaction.name,
            warning,
            "reaction has a fault"
        );
    }
    let mut changes = engine.tail();
    let source = if event.event_type.starts_with("conche.") {
        "conche"
    } else {
        "run"
    };
    let receipts = engine.rehearse(source, event).await;
    let receipts = receipts.map_err(|error| failed(&error))?;
    let accepted = receipts.first().map(|receipt| receipt.event);
    let Some(run) = find(engine, accepted).await? else {
        return Err(no_run(engine, &when.unwrap_or_default()));
    };
    wait(engine, run.run, &mut changes).await?;
    Ok(run.run)
}

/// The one event is not waited for to become more: a group is full with it, and the other
/// controls have nothing to say about it.
fn at_once(reaction: &mut Reaction) {
    (reaction.dedup, reaction.throttle, reaction.debounce) = (None, None, None);
    if let Some(group) = &mut reaction.group {
        group.max = Some(1);
    }
}

fn event_type(reaction: &Reaction, wanted: Option<String>) -> Result<String, Failure> {
    let types: Vec<&str> = reaction.events.iter().map(String::as_str).collect();
    match (wanted, &*types) {
        (Some(wanted), _) if types.contains(&&*wanted) => Ok(wanted),
        (Some(wanted), _) => Err(Failure::Failed(format!(
            "no run: an event of type `{wanted}` does not trigger the reaction `{}`, whose types are: {}",
            reaction.name,
            types.join(", ")
        ))),
        (None, [one]) => Ok((*one).to_owned()),
        (None, _) => Err(Failure::Usage(format!(
            "say with --type which of the reaction's event types this is: {}",
            types.join(", ")
        ))),
    }
}

/// Why there is no run: a filter that gave no answer did not say no.
fn no_run(engine: &Engine, when: &str) -> Failure {
    let families = engine.metrics().registry().gather();
    let mut faults = families
        .iter()
        .filter(|family| family.name() == FILTER_FAULTS)
        .flat_map(prometheus::proto::MetricFamily::get_metric);
    Failure::Failed(
        if faults.any(|fault| fault.get_counter().get_value() > 0.0) {
            format!(
                "no run: the reaction's `when: {when}` could not be evaluated on this event; the log says why"
            )
        } else {
            format!("no run: the event does not satisfy the reaction's `when: {when}`")
        },
    )
}

/// The run that the event triggered.
async fn find(engine: &Engine, event: Option<EventId>) -> Result<Option<RunRow>, Failure> {
    let page = Page {
        before: None,
        limit: 1,
    };
    let filter = RunFilter {
        event,
        ..RunFilter::default()
    };
    let runs = engine.store().runs(filter, page).await;
    let runs = runs.map_err(|error| Failure::of("can't find the run", error))?;
    Ok(runs.into_iter().next())
}
