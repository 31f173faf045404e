//! Entries that nobody should have written: damage of a store, or a defect. Each is accepted or
//! refused, never a panic; a refusal leaves the state as it was; and whatever was accepted, the
//! machine still decides, in bounded time.

use std::collections::BTreeMap;

use conche_core::run::{
    Entry, ErrorKind, IdempotencyKey, Outcome, Path, Record, Repeat, Resolution, RunState, Started,
    StepError, Turn, Verdict, decide,
};
use conche_core::{Definition, Json, StepId, Timestamp};
use proptest::prelude::*;

use super::interleavings::{begin, holds_together};
use crate::shell::{RUN, Shell, stored};
use crate::world::{nested, roll};

fn numbers() -> impl Strategy<Value = u32> {
    prop_oneof![12 => 0..8u32, 1 => Just(u32::MAX), 1 => Just(u32::MAX - 1), 1 => any::<u32>()]
}

fn times() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        (0..1_000_000i64)
            .prop_map(|second| Timestamp::UNIX_EPOCH
                + std::time::Duration::from_secs(second.unsigned_abs())),
    ]
}

fn paths() -> impl Strategy<Value = Path> {
    let turn = (numbers(), numbers()).prop_map(|(of, index)| Turn { of, index });
    prop::collection::vec(turn, 0..4)
}

fn errors() -> impl Strategy<Value = StepError> {
    Just(StepError {
        kind: ErrorKind::Transient,
        message: "x".to_owned(),
    })
}

/// Steps are named by number here; `named` gives them the names of a definition.
fn garbage() -> impl Strategy<Value = Entry> {
    let json = || Just(Json::null());
    let maybe_time = || prop::option::of(times());
    let key = IdempotencyKey::of(RUN, &StepId::from("x"), &Vec::new(), 0, 0);
    prop_oneof![
        1 => times().prop_map(|deadline| Entry::Started(Started {
            definition: conche_core::Digest::of(b""),
            name: String::new(),
            event: None,
            events: Vec::new(),
            deadline,
            variables: BTreeMap::new(),
            scope: None,
            budget: None,
            by: Vec::new(),
            copied_at: None,
        })),
        8 => (numbers(), numbers(), paths(), prop::option::of(numbers())).prop_map(
            |(visit, step, path, from)| Entry::Entered {
                visit,
                step: StepId::from(&step.to_string()),
                path,
                from,
            }
        ),
        4 => (numbers(), any::<bool>(), json()).prop_map(|(visit, stop, data)| Entry::Evaluated {
            visit,
            verdict: if stop {
                Verdict::Stop
            } else {
                Verdict::Next { action: "a0".to_owned(), data }
            },
            event: None,
            logs: Vec::new(),
        }),
        4 => (numbers(), numbers(), numbers())
            .prop_map(|(visit, turn, count)| Entry::Opened { visit, turn, count, scope: None, until: None }),
        4 => (numbers(), prop::option::of(errors()))
            .prop_map(|(visit, error)| Entry::Closed { visit, error, variables: BTreeMap::new() }),
        2 => (numbers(), times()).prop_map(|(visit, until)| Entry::Delayed { visit, until }),
        2 => numbers().prop_map(|visit| Entry::Elapsed { visit }),
        4 => (numbers(), numbers(), times()).prop_map(move |(visit, attempt, deadline)| {
            Entry::Intended {
                visit,
                attempt,
                key: key.clone(),
                module: String::new(),
                action: String::new(),
                input: Json::null(),
                repeat: Repeat::Unsafe,
                deadline,
            }
        }),
        4 => (numbers(), numbers(), json()).prop_map(|(visit, attempt, output)| Entry::Succeeded {
            visit,
            attempt,
            variables: BTreeMap::from([("v0".to_owned(), output.clone())]),
            output,
        }),
        4 => (numbers(), numbers(), errors(), maybe_time()).prop_map(
            |(visit, attempt, error, retry_at)| Entry::Failed {
                visit,
                attempt,
                error,
                retry_at,
                logs: Vec::new(),
            }
        ),
        4 => (numbers(), numbers(), maybe_time()).prop_map(|(visit, attempt, retry_at)| {
            Entry::Interrupted {
                visit,
                attempt,
                evidence: String::new(),
                retry_at,
            }
        }),
        2 => numbers().prop_map(|visit| Entry::AttentionNeeded { visit, reason: String::new() }),
        2 => numbers().prop_map(|visit| Entry::Resumed {
            visit,
            resolution: Resolution::Repeat,
            variables: BTreeMap::new(),
            by: String::new(),
        }),
        6 => words(),
        3 => (numbers(), times()).prop_map(|(visit, deadline)| Entry::Reopened {
            visit,
            by: String::new(),
            identity: None,
            deadline,
        }),
    ]
}

/// What is about the whole run.
fn words() -> impl Strategy<Value = Entry> {
    prop_oneof![
        times().prop_map(|copied_at| Entry::Restored { copied_at }),
        Just(Entry::Finished {
            outcome: Outcome::Failed,
            reason: None
        }),
        Just(Entry::Paused {
            by: String::new(),
            reason: None
        }),
        Just(Entry::Unpaused { by: String::new() }),
        Just(Entry::CancelRequested {
            by: String::new(),
            reason: None
        }),
    ]
}

/// The entry with a step that the definition has, most of the time.
fn named(entry: Entry, definition: &Definition) -> Entry {
    match entry {
        Entry::Entered {
            visit,
            step,
            path,
            from,
        } => {
            let number = roll(1, &step) as usize % (definition.steps.len() + 1);
            let name = definition.steps.keys().nth(number).cloned();
            Entry::Entered {
                visit,
                step: name.unwrap_or(step),
                path,
                from,
            }
        }
        other => other,
    }
}

/// Everything that a shell asks of a state.
fn look_at(run: &Shell, at: Timestamp) {
    holds_together(&run.state);
    for now in [run.now, at, run.state.deadline()] {
        let effects = decide(&run.definition, &run.state, now);
        assert!(effects.len() <= 1_000, "{} effects", effects.len());
    }
    assert!(run.state.summary().deadline == run.state.deadline());
    assert!(run.state.performing().count() <= run.state.visits().len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_entries_are_accepted_or_refused_and_never_more(
        case in nested(),
        entries in prop::collection::vec((garbage(), any::<bool>()), 0..300),
        at in times(),
    ) {
        let mut run = begin(&case);
        for (entry, help) in entries {
            // Now and then the machine is let on, so that there is something to damage.
            if help {
                for effect in decide(&run.definition, &run.state, run.now) {
                    let entry = match effect {
                        conche_core::run::Effect::Record(entry) => Some(entry),
                        other => other.intent(),
                    };
                    if let Some(entry) = entry {
                        let _unless_damaged = run.try_append(entry);
                    }
                }
            }
            // `try_append` checks that a refusal changes nothing.
            let entry = named(entry, &run.definition);
            if run.try_append(entry).is_ok() {
                look_at(&run, at);
            }
        }
        let folded = RunState::fold(RUN, run.journal.iter().cloned());
        prop_assert_eq!(folded.expect("what was accepted once"), run.state);
    }

    #[test]
    fn journals_of_nothing_but_garbage_never_panic(
        entries in prop::collection::vec((garbage(), times()), 0..50),
    ) {
        let records = entries.into_iter().map(|(entry, at)| Record { at, entry });
        let records: Vec<Record> = records.collect();
        for record in &records {
            stored(record);
        }
        if let Ok(state) = RunState::fold(RUN, records.clone()) {
            prop_assert_eq!(state.version(), records.len() as u64);
        }
    }

    #[test]
    fn bytes_are_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(record) = serde_json::from_slice::<Record>(&bytes) {
            stored(&record);
        }
    }
}
