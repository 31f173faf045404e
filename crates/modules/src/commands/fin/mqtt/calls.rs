//! Commands and orders that MQTT fins have not answered yet.
//!
//! A fin says that it has a command by the message's id, and what came of it by the ids of run
//! and step alone. The library gives the command's context back as it was, so that
//! `generated_on` tells which command a result is of; where a fin writes its own, the oldest
//! command of that step that it has said to have is meant. A result is used once; one that
//! comes late or twice is told apart from one that nobody asked for.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::wire::{Ids, Outcome};

/// So many commands are remembered after they were given up or answered.
const PAST_MAX: usize = 1000;

/// What came of a command or an order.
#[derive(Debug)]
pub(super) enum Reply {
    /// The fin is through with the command.
    Result(Outcome),
    /// The fin will do what an order says.
    Acked,
    /// The fin refuses.
    Nacked,
    /// The broker will not carry it.
    Refused(String),
}

/// What a result was good for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    /// It was given up or answered before.
    Late,
    Unknown,
}

#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// In the order in which they began.
    under_way: Vec<UnderWay>,
    past: VecDeque<(String, Ids)>,
}

#[derive(Debug)]
struct UnderWay {
    message_id: String,
    capability: String,
    /// None for an order, which is only acknowledged.
    command: Option<Ids>,
    is_taken: bool,
    /// When it began, or when the fin was last heard of on the capability's topic.
    heard: Instant,
    reply: Option<oneshot::Sender<Reply>>,
}

/// A command or an order; no longer under way when this is dropped.
pub(super) struct Waiting<'a> {
    calls: &'a Calls,
    pub(super) message_id: String,
    pub(super) reply: oneshot::Receiver<Reply>,
}

impl Calls {
    /// Expects an answer to what is sent with this id.
    pub(super) fn begin(
        &self,
        message_id: &str,
        capability: &str,
        command: Option<Ids>,
    ) -> Waiting<'_> {
        let (sender, reply) = oneshot::channel();
        self.lock().under_way.push(UnderWay {
            message_id: message_id.to_owned(),
            capability: capability.to_owned(),
            command,
            is_taken: false,
            heard: Instant::now(),
            reply: Some(sender),
        });
        Waiting {
            calls: self,
            message_id: message_id.to_owned(),
            reply,
        }
    }

    /// The fin has it. Whether it was waited for: our own acknowledgements come back as well.
    pub(super) fn ack(&self, capability: &str, message_id: &str) -> bool {
        self.with(capability, message_id, |found| {
            found.is_taken = true;
            if found.command.is_none() {
                found.answer(Reply::Acked);
            }
        })
    }

    /// The fin refuses it. Whether it was waited for.
    pub(super) fn nack(&self, capability: &str, message_id: &str) -> bool {
        self.with(capability, message_id, |found| found.answer(Reply::Nacked))
    }

    /// The broker refuses it.
    pub(super) fn refused(&self, message_id: &str, reason: String) {
        let mut inner = self.lock();
        let mut all = inner.under_way.iter_mut();
        if let Some(found) = all.find(|one| one.message_id == message_id) {
            found.answer(Reply::Refused(reason));
        }
    }

    /// A fin has said how it is, which answers what was asked about the capability.
    pub(super) fn status(&self, capability: &str) {
        let mut inner = self.lock();
        let orders = inner.under_way.iter_mut();
        let theirs = orders.filter(|one| one.command.is_none() && one.capability == capability);
        theirs.for_each(|one| one.answer(Reply::Acked));
    }

    /// Gives a result to whoever waits for it.
    pub(super) fn result(&self, capability: &str, outcome: Outcome) -> Fate {
        let mut inner = self.lock();
        let ids = &outcome.context;
        let exactly = inner.under_way.iter().position(|one| {
            let same = one.command.as_ref().is_some_and(|own| own == ids);
            same && one.capability == capability
        });
        if exactly.is_none() && inner.knows(capability, ids) {
            return Fate::Late;
        }
        let of_step = |one: &UnderWay| {
            let same =
                |own: &Ids| own.execution_id == ids.execution_id && own.step_id == ids.step_id;
            let open = one.is_taken && one.reply.is_some();
            open && one.capability == capability && one.command.as_ref().is_some_and(same)
        };
        let found = exactly.or_else(|| inner.under_way.iter().position(of_step));
        let Some(found) = found.and_then(|at| inner.under_way.get_mut(at)) else {
            return Fate::Unknown;
        };
        if found.reply.is_none() {
            return Fate::Late;
        }
        found.answer(Reply::Result(outcome));
        inner.hear(capability);
        Fate::Delivered
    }

    /// Whether the fin has said that it has this one.
    pub(super) fn is_taken(&self, message_id: &str) -> bool {
        let inner = self.lock();
        let mut all = inner.under_way.iter();
        all.any(|one| one.message_id == message_id && one.is_taken)
    }

    /// Since when the fin could have said that it has this one and said nothing at all; now,
    /// while it is at another command of the capability.
    pub(super) fn silent_since(&self, capability: &str, message_id: &str) -> Instant {
        let inner = self.lock();
        let mut all = inner.under_way.iter();
        let is_at =
            |one: &UnderWay| one.capability == capability && one.is_taken && one.reply.is_some();
        if all.clone().any(is_at) {
            return Instant::now();
        }
        let own = all.find(|one| one.message_id == message_id);
        own.map_or_else(Instant::now, |own| own.heard)
    }

    fn with(&self, capability: &str, message_id: &str, act: impl FnOnce(&mut UnderWay)) -> bool {
        let mut inner = self.lock();
        let mut all = inner.under_way.iter_mut();
        let found = all.find(|one| one.message_id == message_id && one.capability == capability);
        let is_known = found.map(act).is_some();
        if is_known {
            inner.hear(capability);
        }
        is_known
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn hear(&mut self, capability: &str) {
        let theirs = self
            .under_way
            .iter_mut()
            .filter(|one| one.capability == capability);
        theirs.for_each(|one| one.heard = Instant::now());
    }

    fn knows(&self, capability: &str, ids: &Ids) -> bool {
        let mut past = self.past.iter();
        past.any(|(known, own)| known == capability && own == ids)
    }
}

impl UnderWay {
    fn answer(&mut self, reply: Reply) {
        if let Some(sender) = self.reply.take() {
            // Who no longer waits needs no answer.
            sender.send(reply).ok();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.calls.lock();
        let mut all = inner.under_way.iter();
        let Some(at) = all.position(|one| one.message_id == self.message_id) else {
            return;
        };
        let over = inner.under_way.remove(at);
        if let Some(ids) = over.command {
            inner.past.push_back((over.capability, ids));
            if inner.past.len() > PAST_MAX {
                inner.past.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(step: &str, generated_on: Option<&str>) -> Ids {
        Ids {
            execution_id: "e".to_owned(),
            step_id: step.to_owned(),
            generated_on: generated_on.map(str::to_owned),
        }
    }

    fn outcome(ids: Ids) -> Outcome {
        Outcome {
            state: "success".to_owned(),
            context: ids,
            variables: None,
        }
    }

    #[test]
    fn a_result_finds_its_command_by_the_context_that_comes_back() {
        let calls = Calls::default();
        let mut first = calls.begin("m1", "c", Some(ids("s", Some("t1"))));
        let mut second = calls.begin("m2", "c", Some(ids("s", Some("t2"))));
        let result = |at| calls.result("c", outcome(ids("s", Some(at))));
        assert_eq!(result("t2"), Fate::Delivered);
        assert!(matches!(second.reply.try_recv(), Ok(Reply::Result(_))));
        assert!(first.reply.try_recv().is_err());
        assert_eq!(result("t2"), Fate::Late);
        drop(second);
        assert_eq!(result("t2"), Fate::Late);
        assert_eq!(
            calls.result("other", outcome(ids("s", Some("t1")))),
            Fate::Unknown
        );
        assert_eq!(result("t1"), Fate::Delivered);
    }

    #[test]
    fn without_it_the_oldest_that_the_fin_has_is_meant() {
        let calls = Calls::default();
        let _untaken = calls.begin("m1", "c", Some(ids("s", Some("t1"))));
        let mut taken = calls.begin("m2", "c", Some(ids("s", Some("t2"))));
        assert!(calls.ack("c", "m2") && !calls.ack("other", "m2"));
        assert!(calls.is_taken("m2") && !calls.is_taken("m1"));
        let before = Instant::now();
        assert!(calls.silent_since("c", "m1") >= before);
        let own_context = || outcome(ids("s", None));
        assert_eq!(calls.result("c", own_context()), Fate::Delivered);
        assert!(taken.reply.try_recv().is_ok());
        let silent = calls.silent_since("c", "m1");
        assert!(silent >= before && silent <= Instant::now());
        assert_eq!(silent, calls.silent_since("c", "m1"));
        assert_eq!(calls.result("c", own_context()), Fate::Unknown);
    }

    #[test]
    fn an_order_is_answered_by_its_acknowledgement() {
        let calls = Calls::default();
        let mut order = calls.begin("m", "c", None);
        assert!(calls.ack("c", "m"));
        assert!(matches!(order.reply.try_recv(), Ok(Reply::Acked)));
        let mut refused = calls.begin("n", "c", None);
        assert!(calls.nack("c", "n") && !calls.nack("c", "unknown"));
        assert!(matches!(refused.reply.try_recv(), Ok(Reply::Nacked)));
    }
}
