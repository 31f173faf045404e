//! Who does something, and the record of it.
//!
//! What changes the store is recorded in the same transaction; what is refused, right after.
//! A record holds names only: never a token, a payload or a secret.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use conche_core::Timestamp;
use conche_core::run::Person;
use conche_runtime::listener::Peer;
use conche_store::{Act, Who};

use crate::access::Caller;
use crate::problem::Problem;
use crate::{Api, Authorizer};

/// What is recorded of a change that was made.
const DONE: &str = "done";

/// The listener that this API answers at.
const LISTENER: &str = "api";

/// Who sent a request, and from where.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) caller: Caller,
    peer: Option<Peer>,
}

impl Actor {
    pub(crate) fn new(caller: Caller, peer: Option<Peer>) -> Self {
        Self { caller, peer }
    }

    /// An act of theirs that is done.
    pub(crate) fn act(&self, api: &Api, what: &str, target: impl Into<String>) -> Act {
        Act {
            at: api.engine.clock().now(),
            detail: BTreeMap::new(),
            outcome: DONE.to_owned(),
            target: target.into(),
            what: what.to_owned(),
            who: Who {
                certificate: self.peer.as_ref().and_then(Peer::subject),
                listener: Some(LISTENER.to_owned()),
                name: self.caller.name.to_string(),
                peer: self.peer.as_ref().map(|peer| peer.address.to_string()),
                token: self.caller.token.map(|token| token.to_string()),
            },
        }
    }

    /// What tells them from everybody else: the id of their token, else the subject of their
    /// certificate; none where nobody knows who they are.
    pub(crate) fn identity(&self, api: &Api) -> Option<String> {
        let certificate = || self.peer.as_ref().and_then(Peer::subject);
        match (&api.auth, self.caller.token) {
            (Authorizer::Tokens(_), Some(token)) => Some(format!("token:{token}")),
            (Authorizer::Tokens(_), None) => Some(format!("configured:{}", self.caller.name)),
            (Authorizer::Open, _) => certificate().map(|subject| format!("certificate:{subject}")),
        }
    }

    /// As a run remembers them.
    pub(crate) fn person(&self, api: &Api) -> Person {
        Person {
            name: self.caller.name.to_string(),
            identity: self.identity(api),
        }
    }

    /// Whether it is known who they are: not on an open listener without client certificates.
    pub(crate) fn is_known(&self, api: &Api) -> bool {
        self.identity(api).is_some()
    }
}

/// Records an act that stands alone; a failure to do so is logged and changes nothing, since
/// what was done is done.
pub(crate) async fn record(api: &Api, act: Act) {
    let what = act.what.clone();
    if let Err(error) = api.engine.store().record(act).await {
        tracing::error!(%error, what, "an act was not recorded");
    }
}

/// Passes on what came of an act; where it was refused, records that.
pub(crate) async fn settle<T, E: Into<Problem>>(
    api: &Api,
    mut act: Act,
    result: Result<T, E>,
) -> Result<T, Problem> {
    match result {
        Ok(done) => Ok(done),
        Err(error) => {
            let problem = error.into();
            problem.code().clone_into(&mut act.outcome);
            record(api, act).await;
            Err(problem)
        }
    }
}

/// Callers who are not let in: so many are recorded in a while, the rest are counted, so that
/// who guesses tokens cannot fill the disk. Those who showed a token that counts are counted by
/// themselves: else a flood of guesses would hide what they try.
#[derive(Default)]
pub(crate) struct Refusals {
    strangers: Mutex<Window>,
    known: Mutex<Window>,
}

/// A caller who is known and may not do what they asked for.
pub(crate) const ACCESS_REFUSED: &str = "access.refused";

#[derive(Default)]
struct Window {
    since: Timestamp,
    recorded: u32,
    passed_over: u64,
}

impl Window {
    const SPAN: Duration = Duration::from_mins(1);
    const ROWS_MAX: u32 = 20;

    /// Whether one more is recorded; then also how many were passed over since the last.
    fn admit(&mut self, now: Timestamp) -> Option<u64> {
        if now.duration_since(self.since).unsigned_abs() >= Self::SPAN {
            (self.since, self.recorded) = (now, 0);
        }
        if self.recorded >= Self::ROWS_MAX {
            self.passed_over += 1;
            return None;
        }
        self.recorded += 1;
        Some(std::mem::take(&mut self.passed_over))
    }
}

impl Refusals {
    /// As [`Window::admit`], by the window of the act's kind.
    fn admit(&self, act: &Act) -> Option<u64> {
        let window = match &*act.what {
            ACCESS_REFUSED => &self.known,
            _ => &self.strangers,
        };
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        window.admit(act.at)
    }

    pub(crate) async fn record(&self, api: &Api, mut act: Act, why: &str) {
        let Some(passed_over) = self.admit(&act) else {
            return;
        };
        "refused".clone_into(&mut act.outcome);
        act.detail.insert("reason".to_owned(), why.to_owned());
        if passed_over > 0 {
            let more = passed_over.to_string();
            act.detail.insert("not_recorded_before".to_owned(), more);
        }
        record(api, act).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_beyond_the_bound_are_counted_and_told_with_the_next() {
        let mut window = Window::default();
        let start = Timestamp::UNIX_EPOCH + Duration::from_hours(1);
        for _ in 0..Window::ROWS_MAX {
            assert_eq!(window.admit(start), Some(0));
        }
        for _ in 0..3 {
            assert_eq!(window.admit(start), None);
        }
        assert_eq!(window.admit(start + Window::SPAN), Some(3));
        assert_eq!(window.admit(start + Window::SPAN), Some(0));
    }

    #[test]
    fn who_guesses_tokens_does_not_hide_what_a_known_caller_was_refused() {
        let refusals = Refusals::default();
        let act = |what: &str| Act {
            at: Timestamp::UNIX_EPOCH + Duration::from_hours(1),
            detail: BTreeMap::new(),
            outcome: DONE.to_owned(),
            target: "GET /api/v1/tokens".to_owned(),
            what: what.to_owned(),
            who: Who::default(),
        };
        let guess = act("login.refused");
        for _ in 0..Window::ROWS_MAX {
            assert_eq!(refusals.admit(&guess), Some(0));
        }
        assert_eq!(refusals.admit(&guess), None);
        assert_eq!(refusals.admit(&act(ACCESS_REFUSED)), Some(0));
    }
}
