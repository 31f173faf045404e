//! Runs in every status, with every entry in their journals.

use std::collections::BTreeMap;

use conche_core::run::{
    Declared, Entry, ErrorKind, IdempotencyKey, LogLevel, LogLine, Outcome, Question, Record,
    Repeat, Resolution, RunState, StepError, Turn, Verdict, VisitNo,
};
use conche_core::{Json, RunId, StepId};
use conche_store::contract::given::{self, acceptance, append, at, claim_one, intake};
use conche_store::contract::ledger::{act, token};
use conche_store::contract::playbooks::playbook;
use conche_store::functions::Commit;
use conche_store::sqlite::SqliteStore;
use conche_store::{
    Append, Catalogue as _, Change, Cursor, DefinitionText, Ledger as _, Next, PlaybookPut,
    ReactionRow, RunStore as _, Signal,
};

use crate::sqlite::functions::admission;

fn json(text: &str) -> Json {
    let value: serde_json::Value = serde_json::from_str(text).expect("it is JSON");
    Json::from(&value)
}

fn entered(visit: VisitNo, step: &str, from: Option<VisitNo>) -> Entry {
    Entry::Entered {
        visit,
        step: StepId::from(step),
        path: Vec::new(),
        from,
    }
}

fn intended(run: RunId, visit: VisitNo, attempt: u32) -> Entry {
    Entry::Intended {
        visit,
        attempt,
        key: IdempotencyKey::of(run, &StepId::from("mail"), &Vec::new(), visit, 0),
        module: "mail".to_owned(),
        action: "send".to_owned(),
        input: json(r#"{"to":"soc@example.com","subject":"it's on"}"#),
        repeat: Repeat::Unsafe,
        deadline: at(60),
    }
}

fn error(kind: ErrorKind, message: &str) -> StepError {
    StepError {
        kind,
        message: message.to_owned(),
    }
}

/// An action whose effect is unknown and that is left to a person, as visit 0.
fn left_to_a_person(run: RunId) -> Vec<Entry> {
    vec![
        entered(0, "mail", None),
        intended(run, 0, 1),
        Entry::Interrupted {
            visit: 0,
            attempt: 1,
            evidence: "the connection broke after DATA".to_owned(),
            retry_at: None,
        },
        Entry::AttentionNeeded {
            visit: 0,
            reason: "was the mail sent?".to_owned(),
        },
    ]
}

/// A script, its action, a retry, a loop and a delay.
fn succeeded(run: RunId) -> Vec<Entry> {
    let logs = vec![LogLine {
        level: LogLevel::Warn,
        text: "score 9.8".to_owned(),
    }];
    let verdict = Verdict::Next {
        action: "mail".to_owned(),
        data: json(r#"{"to":"soc@example.com"}"#),
    };
    vec![
        entered(0, "script", None),
        Entry::Evaluated {
            visit: 0,
            verdict,
            event: Some(json(r#"{"seen":true}"#)),
            logs,
        },
        entered(1, "mail", Some(0)),
        intended(run, 1, 1),
        Entry::Failed {
            visit: 1,
            attempt: 1,
            error: error(ErrorKind::Transient, "no route to host"),
            retry_at: Some(at(9)),
            logs: Vec::new(),
        },
        intended(run, 1, 2),
        Entry::Succeeded {
            visit: 1,
            attempt: 2,
            output: json(r#"{"queued":"250 ok"}"#),
            variables: [("sent".to_owned(), json("true"))].into(),
        },
        entered(2, "loop", Some(1)),
        Entry::Opened {
            visit: 2,
            turn: 0,
            count: 1,
            scope: None,
            until: None,
        },
        Entry::Entered {
            visit: 3,
            step: StepId::from("wait"),
            path: vec![Turn { of: 2, index: 0 }],
            from: None,
        },
        Entry::Delayed {
            visit: 3,
            until: at(20),
        },
        Entry::Elapsed { visit: 3 },
        Entry::Closed {
            visit: 2,
            error: None,
            variables: BTreeMap::new(),
        },
        finished(Outcome::Succeeded, None),
    ]
}

fn finished(outcome: Outcome, reason: Option<&str>) -> Entry {
    Entry::Finished {
        outcome,
        reason: reason.map(str::to_owned),
    }
}

/// A person decides, then has it done once more.
fn reopened(run: RunId) -> Vec<Entry> {
    let mut entries = left_to_a_person(run);
    entries.extend([
        Entry::Resumed {
            visit: 0,
            resolution: Resolution::Failed {
                reason: "it was not sent".to_owned(),
            },
            variables: BTreeMap::new(),
            by: "ann".to_owned(),
        },
        finished(Outcome::Failed, Some("it was not sent")),
        Entry::Reopened {
            visit: 0,
            by: "ann".to_owned(),
            identity: None,
            deadline: at(90_000),
        },
    ]);
    entries
}

fn failed(_: RunId) -> Vec<Entry> {
    let thrown = error(ErrorKind::Script, "TypeError: event.a is undefined");
    vec![
        entered(0, "script", None),
        Entry::Failed {
            visit: 0,
            attempt: 1,
            error: thrown,
            retry_at: None,
            logs: Vec::new(),
        },
        finished(Outcome::Failed, Some("TypeError: event.a is undefined")),
    ]
}

fn cancelling(run: RunId) -> Vec<Entry> {
    let by = "ann".to_owned();
    let reason = Some("false alarm".to_owned());
    vec![
        entered(0, "mail", None),
        intended(run, 0, 1),
        Entry::CancelRequested { by, reason },
    ]
}

fn cancelled(_: RunId) -> Vec<Entry> {
    let by = "bob".to_owned();
    let reason = None;
    vec![
        Entry::CancelRequested { by, reason },
        finished(Outcome::Cancelled, Some("cancelled by bob")),
    ]
}

/// A person was asked twice and has answered once.
fn asked(_: RunId) -> Vec<Entry> {
    let ask = |visit| Entry::Asked {
        visit,
        question: Question {
            text: "is the host isolated?".to_owned(),
            parties: json(r#"{"agent":{"type":"individual","name":"Ann"}}"#),
            answers: Declared::default(),
            plan: Vec::new(),
        },
        until: at(3_600),
    };
    vec![
        entered(0, "ask", None),
        ask(0),
        Entry::Answered {
            visit: 0,
            answer: json("{}"),
            error: None,
            variables: BTreeMap::new(),
            by: "ann".to_owned(),
            identity: None,
        },
        entered(1, "ask again", Some(0)),
        ask(1),
    ]
}

/// One run after another; each is let go at its end.
pub(super) async fn tell(store: &SqliteStore) {
    let text = "definition of the contract".to_owned();
    let definition = DefinitionText {
        digest: given::definition(),
        kind: "reaction".to_owned(),
        name: "scan".to_owned(),
        text: text.clone(),
    };
    assert_eq!(store.put_definition(definition).await, Ok(()));
    let reaction = ReactionRow {
        name: "scan".to_owned(),
        text,
        updated_at: at(0),
    };
    assert_eq!(store.put_reaction(reaction).await, Ok(()));
    for modified in ["2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"] {
        let row = playbook("playbook--1", modified, 0);
        let replace = false;
        let put = store.put_playbook(PlaybookPut { row, replace }).await;
        assert_eq!(put, Ok(true));
    }
    let functions = Commit {
        admit: vec![admission("0af7651916cd43dd8448eb211c80319c", Some("key"))],
        ..Commit::default()
    };
    let committed = store.functions().commit(functions).await;
    assert_eq!(committed, Ok(Ok(())));
    let cursor = Cursor {
        source: "cluster".to_owned(),
        value: "4711".to_owned(),
    };
    assert_eq!(store.set_cursor(cursor).await, Ok(()));
    for seconds in 0..2 {
        let put = Change::PutToken(token(&format!("token {seconds}")));
        let done = store.change(put, act("token", seconds)).await;
        assert_eq!(done, Ok(true));
    }
    assert_eq!(store.expire_acts(at(1), 1, at(2)).await, Ok(1));
    let stories: [fn(RunId) -> Vec<Entry>; 8] = [
        left_to_a_person,
        succeeded,
        reopened,
        failed,
        cancelling,
        cancelled,
        |_| Vec::new(),
        asked,
    ];
    let mut runs = Vec::new();
    for (number, story) in stories.iter().enumerate() {
        runs.push(live(store, number, *story).await);
    }
    let by = || "ann".to_owned();
    let signals = [
        Signal::Resume {
            visit: 0,
            resolution: Resolution::Repeat,
            by: by(),
        },
        Signal::Retry {
            visit: 0,
            by: by(),
            identity: None,
        },
        Signal::Cancel {
            by: by(),
            reason: Some("enough".to_owned()),
        },
    ];
    for (run, signal) in runs.into_iter().zip(signals) {
        assert!(store.signal(run, signal, None, at(100)).await.is_ok());
    }
    let node = given::node();
    assert_eq!(store.heartbeat(node, at(200)).await, Ok(()));
}

async fn live(store: &SqliteStore, number: usize, story: fn(RunId) -> Vec<Entry>) -> RunId {
    let given = acceptance("github", &number.to_string(), at(0));
    let accepted = store.accept(intake(vec![given], at(0))).await;
    assert!(accepted.is_ok(), "{accepted:?}");
    let node = given::node();
    let claimed = claim_one(store, node, at(0)).await;
    let run = claimed.run;
    let first = claimed.journal.clone().expect("it has a journal");
    let mut state = RunState::fold(run, first).expect("it folds");
    for (seconds, entry) in (1..).zip(story(run)) {
        let record = Record {
            at: at(seconds),
            entry,
        };
        let expected = state.version();
        state.apply(record.clone()).expect("the story is legal");
        let more = Append {
            expected,
            records: vec![record],
            summary: state.summary(),
            ..append(&claimed, node, at(seconds))
        };
        assert_eq!(store.append(more).await, Ok(vec![]));
    }
    let end = Append {
        expected: state.version(),
        summary: state.summary(),
        next: Next::Park(at(86_400)),
        ..append(&claimed, node, at(50))
    };
    let end = if state.finished_at().is_some() {
        Append {
            next: Next::Finish,
            ..end
        }
    } else {
        end
    };
    assert_eq!(store.append(end).await, Ok(vec![]));
    run
}
