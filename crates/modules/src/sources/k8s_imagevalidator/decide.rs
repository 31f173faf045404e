//! From a review to a decision, before its deadline whatever happens.
//!
//! What is asked about images and what is asked about the whole request are two questions, each
//! with its own event. Every one that a reaction listens to must be answered with yes; the
//! first no is enough. What was decided before under the same reactions is not asked again.

use std::time::Instant;

use conche_core::Json;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Inner;
use super::config::{Fallback, OnDryRun, OnStoreFailure};
use super::flight::{Lead, Part};
use super::review::Review;
use crate::action::Answer;
use crate::admission::{Decision, Keep, NoDecision, Question};
use crate::intake::{Consulted, Intake, NewEvent, Refusal};

/// CSF's event.
pub(super) const IMAGES: &str = "k8s_image_validation_request";
/// The event about any object.
pub(super) const REVIEW: &str = "admission.review";

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

/// One of a review's questions.
struct Ask {
    event_type: &'static str,
    uuid: String,
    question: Question,
    data: Value,
    images: Vec<String>,
    /// Whether its decision may be used for as long as the images mean the same.
    pinned: bool,
    dry_run: bool,
}

impl Inner {
    /// Decides about a review by `deadline`.
    pub(super) async fn decide(
        &self,
        review: Review,
        deadline: Instant,
        intake: &dyn Intake,
    ) -> Verdict {
        let dry_run = review.dry_run;
        let mut asks = self.asks(review);
        let listens = |ask: &Ask| intake.audience(ask.event_type).reactions > 0;
        // An event that nobody listens to is stored only where it is the only trace.
        if asks.iter().any(listens) {
            asks.retain(listens);
        }
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

    fn asks(&self, review: Review) -> Vec<Ask> {
        let dry_run = review.dry_run;
        let mut asks = Vec::new();
        let whole = review.question(&self.id);
        let uid = review.uid.unwrap_or_else(|| Uuid::now_v7().to_string());
        if let Some(images) = review.images {
            let mut data = json!({ "uuid": uid, "image_review": images.review });
            if dry_run {
                data["dry_run"] = true.into();
            }
            asks.push(Ask {
                event_type: IMAGES,
                question: images.question(&self.id),
                uuid: uid.clone(),
                pinned: images.pinned,
                images: images.names,
                data,
                dry_run,
            });
        }
        if let (Some(request), Some(question)) = (review.request, whole) {
            // Each question has its own answer, so each has its own name.
            let uuid = format!("review-{uid}");
            let data = json!({ "uuid": uuid, "request": request, "dry_run": dry_run });
            asks.push(Ask {
                event_type: REVIEW,
                question,
                uuid,
                pinned: false,
                images: Vec::new(),
                data,
                dry_run,
            });
        }
        asks
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
            let mut flight = match self.flights.join(ask.question, audience.policy) {
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
        let outcome = self.ask_reactions(&ask, deadline, intake).await;
        let late = Instant::now() >= deadline;
        match &outcome {
            Outcome::Decided(decision) => {
                let now = Instant::now();
                let cache = &self.config.cache;
                let held = match (decision.allowed, ask.pinned) {
                    (true, true) => cache.allow.duration(),
                    (true, false) => cache.allow.duration().min(cache.tag.duration()),
                    (false, true) => cache.deny.duration(),
                    (false, false) => cache.deny.duration().min(cache.tag.duration()),
                };
                // A reaction that was told of a dry run may have decided otherwise for it.
                if !held.is_zero() && !ask.dry_run {
                    let keep = Keep {
                        question: ask.question,
                        policy,
                        images: ask.images,
                        until: now + held,
                        most: cache.entries,
                    };
                    self.decisions.keep(keep, decision.clone(), now);
                }
                lead.tell(&outcome);
            }
            // Others may have longer to wait: the next of them asks.
            Outcome::Undecided(_) if late => {}
            _ => lead.tell(&outcome),
        }
        outcome
    }

    /// Asks the reactions: stores the event, and waits for what they say.
    async fn ask_reactions(&self, ask: &Ask, deadline: Instant, intake: &dyn Intake) -> Outcome {
        let data = Json::from(&ask.data);
        if data.as_str().len() > self.limits.bytes || data.depth() > self.limits.depth {
            return Outcome::Undecided("the review is larger than limits.event_bytes");
        }
        let event = NewEvent {
            id: Some(ask.uuid.clone()),
            event_type: ask.event_type.to_owned(),
            subject: subject(&ask.data),
            time: None,
            data,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let settles = |answer: &Answer| {
            Decision::of(answer, &ask.uuid).is_ok_and(|decision| !decision.allowed)
        };
        let consulted = intake.consult(&self.id, event, left, &settles);
        match tokio::time::timeout(left, consulted).await {
            Err(_elapsed) => Outcome::Undecided(LATE),
            Ok(Ok(consulted)) => match together(&consulted, &ask.uuid) {
                Some(outcome) => outcome,
                None if intake.audience(ask.event_type).reactions == 0 => Outcome::NobodyListens,
                None => Outcome::Undecided(ENDED),
            },
            Ok(Err(Refusal::Invalid(reason))) => {
                tracing::warn!(source = %self.id, reason, "a review is no event");
                Outcome::Undecided("the review is not acceptable")
            }
            Ok(Err(_)) => Outcome::NotStored,
        }
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

/// What the review is about: `namespace/name` of the object, or the namespace.
fn subject(data: &Value) -> Option<String> {
    let request = &data["request"];
    let namespace = request["namespace"].as_str();
    let namespace = namespace.or(data["image_review"]["spec"]["namespace"].as_str());
    let name = request["name"].as_str().filter(|name| !name.is_empty());
    let parts: Vec<&str> = namespace.into_iter().chain(name).collect();
    let subject = parts.join("/");
    (!subject.is_empty() && subject.len() <= 512).then_some(subject)
}
