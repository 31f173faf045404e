//! From a review to a decision, before its deadline whatever happens.
//!
//! A review asks one question or two, each with its own event. Every one that a reaction
//! listens to must be answered with yes, by all reactions to its event; the first no is enough.
//! What was decided before under the same reactions is not asked again. A decision must never
//! become the answer to anything but what was asked, or outlive a word to forget it.

use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::Inner;
use super::ask::Ask;
use super::config::{Fallback, OnDryRun, OnStoreFailure};
use super::flight::{Key, Lead, Part};
use crate::action::Answer;
use crate::admission::{Decision, Keep, NoDecision};
use crate::intake::{Consulted, Intake, NewEvent, Refusal};

/// Why there is no decision.
const LATE: &str = "no decision in time";
const ENDED: &str = "the reactions ended without a decision";

/// What became of one question.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Decided(Decision),
    /// No reaction listens to its event.
    NobodyListens,
    /// A dry run of what is not decided yet.
    DryRun,
    /// No decision in time, or none at all.
    Undecided(&'static str),
    /// The event is not stored.
    NotStored,
}

/// What is to be answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Decision(Decision),
    /// 503.
    Unavailable,
}

impl Inner {
    /// Decides about a review's questions by `deadline`.
    pub(super) async fn decide(
        &self,
        asks: Vec<Ask>,
        deadline: Instant,
        intake: &dyn Intake,
    ) -> Verdict {
        let dry_run = asks.iter().any(|ask| ask.dry_run);
        let mut open: FuturesUnordered<_> = asks
            .into_iter()
            .map(|ask| self.answer(ask, deadline, intake))
            .collect();
        let mut all = Decision::yes();
        let (mut decided, mut lacking) = (false, None);
        while let Some(outcome) = open.next().await {
            match outcome {
                Outcome::Decided(decision) if !decision.allowed => {
                    return Verdict::Decision(decision);
                }
                Outcome::Decided(decision) => {
                    decided = true;
                    all = all.and(decision);
                }
                Outcome::NotStored => lacking = Some(Outcome::NotStored),
                other => lacking = lacking.or(Some(other)),
            }
        }
        match lacking {
            None if decided => Verdict::Decision(all.bounded()),
            Some(Outcome::NotStored) => self.not_stored(),
            Some(Outcome::DryRun) => Verdict::Decision(Decision {
                warnings: vec!["conche: not decided in a dry run".to_owned()],
                ..Decision::yes()
            }),
            Some(Outcome::Undecided(why)) => Verdict::Decision(self.fallback(why)),
            None | Some(Outcome::NobodyListens | Outcome::Decided(_)) => {
                let why = if dry_run {
                    "a dry run"
                } else {
                    "no reaction decides"
                };
                Verdict::Decision(self.fallback(why))
            }
        }
    }

    fn not_stored(&self) -> Verdict {
        match self.config.on_store_failure {
            OnStoreFailure::Refuse => Verdict::Unavailable,
            OnStoreFailure::Answer => {
                Verdict::Decision(self.fallback("the review can't be stored now"))
            }
        }
    }

    /// What counts without a decision.
    pub(super) fn fallback(&self, why: &str) -> Decision {
        tracing::warn!(source = %self.id, why, "a review is answered without a decision");
        Decision {
            allowed: self.config.on_timeout == Fallback::Allow,
            reason: Some(format!("conche: {why}")),
            ..Decision::default()
        }
    }

    /// The answer to one question: from before, from whoever asks the same, or asked now.
    async fn answer(&self, ask: Ask, deadline: Instant, intake: &dyn Intake) -> Outcome {
        let audience = intake.audience(ask.event_type);
        let taken = || {
            let now = Instant::now();
            self.decisions.taken(&ask.question, audience.policy, now)
        };
        loop {
            if let Some(decision) = taken() {
                return Outcome::Decided(decision);
            }
            if ask.dry_run && self.config.on_dry_run == OnDryRun::Allow {
                return Outcome::DryRun;
            }
            let key = Key {
                question: ask.question,
                policy: audience.policy,
                dry_run: ask.dry_run,
            };
            let is_forgotten = |asked| self.decisions.is_forgotten(&ask.images, asked);
            let now = self.decisions.epoch();
            let mut flight = match self.flights.join(key, now, is_forgotten) {
                Part::Lead(lead) => {
                    let policy = audience.policy;
                    return self.ask(ask, &lead, policy, deadline, intake).await;
                }
                Part::Follow(flight) => flight,
            };
            let landed = flight.wait_for(Option::is_some);
            match tokio::time::timeout_at(deadline.into(), landed).await {
                Ok(Ok(outcome)) => {
                    return outcome.clone().unwrap_or(Outcome::Undecided("no answer"));
                }
                // Whoever asked went away without an answer.
                Ok(Err(_closed)) => {}
                Err(_elapsed) => return Outcome::Undecided(LATE),
            }
        }
    }

    async fn ask(
        &self,
        ask: Ask,
        lead: &Lead<'_>,
        policy: u64,
        deadline: Instant,
        intake: &dyn Intake,
    ) -> Outcome {
        let (outcome, recorded) = self.ask_reactions(&ask, deadline, intake).await;
        if recorded {
            // Whoever asks the same under another name is not told what was said long ago.
            return outcome;
        }
        let late = Instant::now() >= deadline;
        match &outcome {
            Outcome::Decided(decision) => {
                // A reaction that was told of a dry run may have decided otherwise for it, and
                // where reactions changed meanwhile it isn't known which of them decided.
                if !ask.dry_run && intake.audience(ask.event_type).policy == policy {
                    self.keep(ask, lead, policy, decision);
                }
                lead.tell(&outcome);
            }
            // Others may have longer to wait: the next of them asks.
            Outcome::Undecided(_) if late => {}
            _ => lead.tell(&outcome),
        }
        outcome
    }

    fn keep(&self, ask: Ask, lead: &Lead<'_>, policy: u64, decision: &Decision) {
        let now = Instant::now();
        let cache = &self.config.cache;
        let held = if decision.allowed {
            cache.allow.duration()
        } else {
            cache.deny.duration()
        };
        let held = if ask.pinned {
            held
        } else {
            held.min(cache.tag.duration())
        };
        if held.is_zero() {
            return;
        }
        let keep = Keep {
            question: ask.question,
            policy,
            images: ask.images,
            asked: lead.asked,
            until: now + held,
            most: cache.entries,
        };
        self.decisions.keep(keep, decision.clone(), now);
    }

    /// Asks the reactions: stores the event, and waits for what they say. Whether that was said
    /// when the same was asked before.
    async fn ask_reactions(
        &self,
        ask: &Ask,
        deadline: Instant,
        intake: &dyn Intake,
    ) -> (Outcome, bool) {
        let data = &ask.data;
        if data.as_str().len() > self.limits.bytes || data.depth() > self.limits.depth {
            return (Outcome::Undecided(super::LARGE), false);
        }
        let event = NewEvent {
            id: Some(ask.id.clone()),
            event_type: ask.event_type.to_owned(),
            subject: ask.subject.clone(),
            time: None,
            data: data.clone(),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let settles = |answer: &Answer| {
            Decision::of(answer, &ask.uuid).is_ok_and(|decision| !decision.allowed)
        };
        let consulted = intake.consult(&self.id, event, left, &settles);
        let outcome = match tokio::time::timeout(left, consulted).await {
            Err(_elapsed) => Outcome::Undecided(LATE),
            Ok(Ok(consulted)) => {
                let outcome = match together(&consulted, &ask.uuid) {
                    Some(outcome) => outcome,
                    None if intake.audience(ask.event_type).reactions == 0 => {
                        Outcome::NobodyListens
                    }
                    None => Outcome::Undecided(ENDED),
                };
                return (outcome, consulted.receipt.duplicate);
            }
            Ok(Err(Refusal::Invalid(reason))) => {
                tracing::warn!(source = %self.id, reason, "a review is no event");
                Outcome::Undecided("the review is not acceptable")
            }
            Ok(Err(_)) => Outcome::NotStored,
        };
        (outcome, false)
    }
}

/// What all reactions say together: the first no decides, and a yes needs all of them. None
/// where nobody was asked.
fn together(consulted: &Consulted, uuid: &str) -> Option<Outcome> {
    let answers = consulted.answers.iter();
    let (mut all, mut wrong) = (None::<Decision>, None);
    for answer in answers.map(|answer| Decision::of(answer, uuid)) {
        match answer {
            Ok(decision) if !decision.allowed => return Some(Outcome::Decided(decision)),
            Ok(decision) => all = Some(all.unwrap_or_else(Decision::yes).and(decision)),
            Err(NoDecision::Unreadable) => wrong = Some("the answer of `respond` is no decision"),
            Err(NoDecision::Other) => wrong = Some("a reaction decided about another review"),
        }
    }
    if consulted.open > 0 {
        return Some(Outcome::Undecided(LATE));
    }
    if let Some(why) = wrong {
        return Some(Outcome::Undecided(why));
    }
    if consulted.silent > 0 {
        return Some(Outcome::Undecided(ENDED));
    }
    all.map(|decision| Outcome::Decided(decision.bounded()))
}
