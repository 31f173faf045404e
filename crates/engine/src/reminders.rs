//! Questions that nobody answered yet are told of again, so that a person who missed the first
//! word gets another.
//!
//! The `n`-th reminder of a question has an id of its own, made of the run, the visit, the time
//! at which it was asked and `n`: however often it is told, by whichever process, it is one event.

use std::time::Duration;

use conche_core::Timestamp;
use conche_core::run::{Question, RunState, VisitNo, VisitState};
use serde_json::{Value, json};

/// A reminder that is due.
pub(crate) struct Reminder {
    pub(crate) visit: VisitNo,
    pub(crate) nth: u64,
    /// The id of its event.
    pub(crate) id: String,
    pub(crate) reason: String,
    /// What it says besides.
    pub(crate) more: Value,
}

/// The last reminder that is due of each open question.
pub(crate) fn due(state: &RunState, every: Duration, now: Timestamp) -> Vec<Reminder> {
    let reminder = |(visit, question, asked_at, until): Open<'_>| {
        let waited = Duration::try_from(now.duration_since(asked_at)).unwrap_or_default();
        let nth = (waited.as_micros() / every.as_micros().max(1)) as u64;
        (nth > 0).then(|| Reminder {
            visit,
            nth,
            id: format!(
                "{}:{visit}:{}:{nth}",
                state.run(),
                asked_at.as_microsecond()
            ),
            reason: question.text.clone(),
            more: json!({
                "visit": visit,
                "reminder": nth,
                "asked_at": asked_at,
                "waited_seconds": waited.as_secs(),
                "until": until,
            }),
        })
    };
    open(state).into_iter().filter_map(reminder).collect()
}

/// When the next reminder is due; none where nothing is asked.
pub(crate) fn next(state: &RunState, every: Duration, now: Timestamp) -> Option<Timestamp> {
    let next = |(_, _, asked_at, _): Open<'_>| {
        let waited = Duration::try_from(now.duration_since(asked_at)).unwrap_or_default();
        let passed = waited.as_micros() / every.as_micros().max(1);
        let times = u32::try_from(passed + 1).unwrap_or(u32::MAX);
        asked_at.checked_add(every.saturating_mul(times)).ok()
    };
    open(state).into_iter().filter_map(next).min()
}

/// A question, when it was asked and until when it may be answered.
type Open<'a> = (VisitNo, &'a Question, Timestamp, Timestamp);

fn open(state: &RunState) -> Vec<Open<'_>> {
    let mut open = Vec::new();
    for (number, visit) in state.live_visits() {
        if let (VisitState::Asked { question, until }, Some(at)) = (&visit.state, visit.asked_at) {
            open.push((number, question, at, *until));
        }
    }
    open
}
