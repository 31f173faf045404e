//! Decisions about what may enter a cluster: what they say, and those that were taken.
//!
//! The source `k8s_imagevalidator` asks, the actions `k8s_imagevalidate` decide and forget.
//! All is in memory and bounded: a decision that is lost is taken again. A decision is never
//! used for another policy than it was taken under, nor after its time, nor for another review
//! than the one it names.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use conche_core::Json;
use serde::{Deserialize, Serialize};

use crate::action::Answer;

/// The most warnings of a decision, and the longest: API servers cut what is longer.
const WARNINGS_MAX: usize = 10;
const WARNING_CHARS_MAX: usize = 120;
/// The longest reason, in characters.
const REASON_CHARS_MAX: usize = 1024;

/// Whether something may enter, and what to say about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decision {
    /// The review that it is about, by its `uuid`; none where the run alone tells that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uuid: Option<String>,
    /// Whether it may.
    pub(crate) allowed: bool,
    /// Why; shown to whoever asked for it.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// Shown to whoever asked, also where it may.
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    /// Kept in the cluster's audit log.
    #[serde(default)]
    pub(crate) audit_annotations: BTreeMap<String, String>,
}

impl Decision {
    /// With all texts as long as they may be, and of one line.
    pub(crate) fn bounded(mut self) -> Self {
        let cut = |text: &str, most: usize| -> String {
            let plain = text
                .chars()
                .map(|char| if char.is_control() { ' ' } else { char });
            plain.take(most).collect()
        };
        self.reason = self.reason.map(|text| cut(&text, REASON_CHARS_MAX));
        self.warnings.truncate(WARNINGS_MAX);
        for warning in &mut self.warnings {
            *warning = cut(warning, WARNING_CHARS_MAX);
        }
        let is_key = |key: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (1..=63).contains(&key.len()) && key.bytes().all(plain)
        };
        self.audit_annotations.retain(|key, _| is_key(key));
        for value in self.audit_annotations.values_mut() {
            *value = cut(value, REASON_CHARS_MAX);
        }
        self
    }

    /// As the answer of a run.
    pub(crate) fn answer(&self) -> Option<Answer> {
        Some(Answer {
            status: 200,
            headers: Vec::new(),
            body: Json::from_value(self).ok()?,
        })
    }

    /// What a run answered about the review `uuid`.
    pub(crate) fn of(answer: &Answer, uuid: &str) -> Result<Self, NoDecision> {
        let decision: Self = answer.body.read().map_err(|_| NoDecision::Unreadable)?;
        match &decision.uuid {
            Some(other) if other != uuid => Err(NoDecision::Other),
            _ => Ok(Self {
                uuid: None,
                ..decision.bounded()
            }),
        }
    }

    /// A yes together with another one.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.allowed &= other.allowed;
        self.reason = self.reason.or(other.reason);
        self.warnings.extend(other.warnings);
        self.audit_annotations.extend(other.audit_annotations);
        self
    }

    /// A yes that says nothing.
    pub(crate) fn yes() -> Self {
        Self {
            allowed: true,
            ..Self::default()
        }
    }
}

/// Why an answer decides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoDecision {
    /// It has not the form of a decision.
    Unreadable,
    /// It names another review.
    Other,
}

/// What identifies a question: the digest of all that its answer may depend on.
pub(crate) type Question = [u8; 32];

/// How often decisions were forgotten: tells a question that was asked before from a later one.
pub(crate) type Epoch = u64;

/// So many words to forget are remembered for questions under way.
const FORGETS_MAX: usize = 1024;

/// Decisions that were taken.
#[derive(Debug, Default)]
pub struct Decisions {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    entries: HashMap<Question, Entry>,
    /// In the order in which they were taken.
    order: VecDeque<(Question, Instant)>,
    epoch: Epoch,
    /// What was to be forgotten last, up to this epoch: an image, or all.
    forgets: VecDeque<Option<String>>,
}

impl Taken {
    /// Whether what was asked about these images in that epoch is to be forgotten.
    fn is_forgotten(&self, images: &[String], asked: Epoch) -> bool {
        let since = usize::try_from(self.epoch - asked).unwrap_or(usize::MAX);
        let mut forgets = self.forgets.iter().rev().take(since);
        // What is not remembered any more may have been about it.
        since > self.forgets.len() || forgets.any(|forget| is_about(images, forget.as_deref()))
    }
}

/// Whether a word to forget this image, or all, is about one of these.
fn is_about(images: &[String], forget: Option<&str>) -> bool {
    let Some(image) = forget else {
        return true;
    };
    let digest = |known: &str| {
        known
            .rsplit_once('@')
            .is_some_and(|(_, digest)| digest == image)
    };
    images.iter().any(|known| known == image || digest(known))
}

#[derive(Debug)]
struct Entry {
    decision: Decision,
    policy: u64,
    images: Vec<String>,
    taken: Instant,
    until: Instant,
}

/// A decision as it is to be kept.
pub(crate) struct Keep {
    pub(crate) question: Question,
    pub(crate) policy: u64,
    pub(crate) images: Vec<String>,
    /// When the question was asked.
    pub(crate) asked: Epoch,
    pub(crate) until: Instant,
    /// The most decisions to keep.
    pub(crate) most: usize,
}

impl Decisions {
    /// The decision that was taken about the same question under the same policy.
    pub(crate) fn taken(&self, question: &Question, policy: u64, now: Instant) -> Option<Decision> {
        let taken = self.lock();
        let entry = taken.entries.get(question)?;
        let counts = entry.policy == policy && now < entry.until;
        counts.then(|| entry.decision.clone())
    }

    /// Now, for a question that is about to be asked.
    pub(crate) fn epoch(&self) -> Epoch {
        self.lock().epoch
    }

    /// Whether what was asked about these images in that epoch is to be forgotten.
    pub(crate) fn is_forgotten(&self, images: &[String], asked: Epoch) -> bool {
        self.lock().is_forgotten(images, asked)
    }

    /// Keeps a decision, unless it was to be forgotten since it was asked for; the oldest goes
    /// where there are too many.
    pub(crate) fn keep(&self, keep: Keep, decision: Decision, now: Instant) {
        let mut taken = self.lock();
        if taken.is_forgotten(&keep.images, keep.asked) {
            return;
        }
        taken.order.push_back((keep.question, now));
        let entry = Entry {
            decision,
            policy: keep.policy,
            images: keep.images,
            taken: now,
            until: keep.until,
        };
        taken.entries.insert(keep.question, entry);
        while taken.order.len() > keep.most.max(1) {
            let Some((oldest, at)) = taken.order.pop_front() else {
                break;
            };
            // One that was taken again since has a later place in the order.
            if taken
                .entries
                .get(&oldest)
                .is_some_and(|entry| entry.taken == at)
            {
                taken.entries.remove(&oldest);
            }
        }
    }

    /// Forgets the decisions about an image, given as it is written in pods or by its digest
    /// alone; all of them without one: also those that are under way. How many were kept.
    pub(crate) fn forget(&self, image: Option<&str>) -> usize {
        let mut taken = self.lock();
        taken.epoch += 1;
        taken.forgets.push_back(image.map(str::to_owned));
        if taken.forgets.len() > FORGETS_MAX {
            taken.forgets.pop_front();
        }
        let before = taken.entries.len();
        taken
            .entries
            .retain(|_, entry| !is_about(&entry.images, image));
        if image.is_none() {
            taken.order.clear();
        }
        before - taken.entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn allowed() -> Decision {
        Decision {
            allowed: true,
            ..Decision::default()
        }
    }

    fn keep(name: u8, policy: u64, now: Instant) -> Keep {
        Keep {
            question: [name; 32],
            policy,
            images: vec![format!("r.example/app@sha256:{name}")],
            asked: 0,
            until: now + Duration::from_mins(1),
            most: 3,
        }
    }

    #[test]
    fn a_decision_counts_for_its_policy_and_its_time_only() {
        let (decisions, now) = (Decisions::default(), Instant::now());
        decisions.keep(keep(1, 7, now), allowed(), now);
        let found = |policy, later| {
            let now = now + Duration::from_secs(later);
            decisions.taken(&[1; 32], policy, now).is_some()
        };
        assert!(found(7, 59));
        assert!(!found(7, 60));
        assert!(!found(8, 0));
        assert_eq!(decisions.forget(Some("sha256:2")), 0);
        assert_eq!(decisions.forget(Some("sha256:1")), 1);
        assert!(!found(7, 0));
    }

    #[test]
    fn what_is_to_be_forgotten_is_not_kept_by_whoever_asked_before() {
        let (decisions, now) = (Decisions::default(), Instant::now());
        let kept = |name, asked| {
            let keep = Keep {
                asked,
                ..keep(name, 7, now)
            };
            decisions.keep(keep, Decision::yes(), now);
            decisions.taken(&[name; 32], 7, now).is_some()
        };
        let before = decisions.epoch();
        assert_eq!(decisions.forget(Some("sha256:1")), 0);
        assert!(!kept(1, before), "about that image");
        assert!(kept(2, before), "about another");
        let since = decisions.epoch();
        assert!(kept(1, since), "asked after");
        assert_eq!(decisions.forget(None), 2);
        assert!(!kept(2, since));
        // Far too many words to remember: then nothing from before counts.
        let since = decisions.epoch();
        for _ in 0..=FORGETS_MAX {
            decisions.forget(Some("sha256:1"));
        }
        assert!(!kept(2, since));
    }

    #[test]
    fn the_oldest_decisions_go_first() {
        let (decisions, now) = (Decisions::default(), Instant::now());
        for (late, name) in [1, 2, 1, 3, 4].into_iter().enumerate() {
            let now = now + Duration::from_millis(late as u64);
            decisions.keep(keep(name, 7, now), allowed(), now);
        }
        let found = |name| decisions.taken(&[name; 32], 7, now).is_some();
        assert_eq!([1, 2, 3, 4].map(found), [true, false, true, true]);
        assert_eq!(decisions.forget(None), 3);
    }

    #[test]
    fn what_a_decision_says_is_bounded_and_of_one_line() {
        let decision = Decision {
            reason: Some(format!("a\nb{}", "x".repeat(5000))),
            warnings: vec!["w".repeat(500); 20],
            audit_annotations: [("ok".into(), "1".into()), ("no/key".into(), "1".into())].into(),
            ..allowed()
        };
        let bounded = decision.bounded();
        let reason = bounded.reason.unwrap();
        assert!(reason.starts_with("a b") && reason.len() == REASON_CHARS_MAX);
        assert_eq!(bounded.warnings.len(), WARNINGS_MAX);
        assert_eq!(bounded.warnings[0].len(), WARNING_CHARS_MAX);
        assert_eq!(bounded.audit_annotations.len(), 1);
    }
}
