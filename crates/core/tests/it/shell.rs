//! The shell around the machine, as small as it can be: folds, decides, records, and performs
//! what a test tells it to. Panics, as a test should, where the machine refuses what it asked for.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use conche_core::run::{
    Declared, Done, Effect, Entry, ErrorKind, Illegal, Phase, Record, Report, Resolution, RunState,
    Started, StepError, Verdict, Visit, VisitNo, VisitState, decide, resume, settle,
};
use conche_core::{Definition, Json, RunId, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::prose::{entry_text, since_start, word};

/// One run under the hands of a test.
pub(crate) struct Shell {
    pub(crate) definition: Definition,
    pub(crate) state: RunState,
    pub(crate) journal: Vec<Record>,
    pub(crate) now: Timestamp,
}

pub(crate) const RUN: RunId = RunId::new(Uuid::from_u128(7));
pub(crate) const START: Timestamp = Timestamp::UNIX_EPOCH;

impl Shell {
    pub(crate) fn new(definition: Definition) -> Self {
        Self::with(definition, &[])
    }

    /// A run that starts with variables.
    pub(crate) fn with(definition: Definition, variables: &[(&str, Value)]) -> Self {
        Self::start(definition, variables, None)
    }

    /// A run of a playbook, with the variables that it starts with.
    pub(crate) fn scoped(definition: Definition, scope: Declared) -> Self {
        Self::start(definition, &[], Some(scope))
    }

    fn start(definition: Definition, variables: &[(&str, Value)], scope: Option<Declared>) -> Self {
        let first = Record {
            at: START,
            entry: Entry::Started(Started {
                definition: definition.digest,
                name: definition.name.clone(),
                event: None,
                events: Vec::new(),
                deadline: START + definition.limits.deadline,
                budget: None,
                by: Vec::new(),
                copied_at: None,
                scope,
                variables: variables
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), Json::from(value)))
                    .collect(),
            }),
        };
        Self {
            definition,
            state: RunState::begin(RUN, first.clone()).expect("a run starts"),
            journal: vec![first],
            now: START,
        }
    }

    /// Records one more entry, if the state accepts it. Checks that a refusal changes nothing.
    pub(crate) fn try_append(&mut self, entry: Entry) -> Result<(), Illegal> {
        let record = Record {
            at: self.now,
            entry,
        };
        let before = self.state.clone();
        if let Err(illegal) = self.state.apply(record.clone()) {
            assert_eq!(self.state, before, "refused but changed: {record:?}");
            return Err(illegal);
        }
        self.journal.push(record);
        Ok(())
    }

    pub(crate) fn append(&mut self, entry: Entry) {
        let what = format!("{entry:?}");
        if let Err(illegal) = self.try_append(entry) {
            panic!("{illegal}\n{what}\n{}", self.text());
        }
    }

    /// Applies what needs nothing performed, then says what is left to do.
    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        loop {
            let effects = decide(&self.definition, &self.state, self.now);
            let again = decide(&self.definition, &self.state, self.now);
            assert_eq!(effects, again, "the same state gives the same effects");
            if !effects
                .iter()
                .any(|effect| matches!(effect, Effect::Record(_)))
            {
                return effects;
            }
            for effect in effects {
                match effect {
                    Effect::Record(entry) => self.append(entry),
                    other => panic!("{other:?} beside entries to record"),
                }
            }
        }
    }

    /// The effects, or how the run ended, in words.
    pub(crate) fn expect<const N: usize>(&mut self, expected: [&str; N]) -> &mut Self {
        let mut found: Vec<String> = self
            .effects()
            .iter()
            .map(|effect| self.effect_text(effect))
            .collect();
        found.dedup();
        if let Phase::Finished { outcome, reason } = self.state.phase() {
            found.push(match reason {
                Some(reason) => format!("{}: {reason}", word(*outcome)),
                None => word(*outcome).to_owned(),
            });
        }
        assert_eq!(found, expected, "after\n{}", self.text());
        self
    }

    /// The latest visit of `step`.
    pub(crate) fn number(&self, step: &str) -> VisitNo {
        let mut visits = (0..).zip(self.state.visits()).collect::<Vec<_>>();
        visits.reverse();
        visits
            .into_iter()
            .find(|(_, visit)| visit.step.as_str() == step && !visit.forgotten)
            .map_or_else(|| panic!("no visit of '{step}'"), |(number, _)| number)
    }

    pub(crate) fn visit(&self, step: &str) -> &Visit {
        &self.state.visits()[self.number(step) as usize]
    }

    /// Commits the intent to invoke the action of `step` and leaves the attempt under way.
    pub(crate) fn begin(&mut self, step: &str) -> &mut Self {
        self.effects();
        let visit = self.number(step);
        self.begin_visit(visit);
        self
    }

    pub(crate) fn begin_visit(&mut self, visit: VisitNo) {
        let intent = self.effects().iter().find_map(|effect| match effect {
            Effect::Invoke(call) if call.visit == visit => effect.intent(),
            _ => None,
        });
        self.append(intent.unwrap_or_else(|| panic!("visit {visit} is not to be invoked")));
    }

    /// Performs the effect of `step`, which has not begun or is under way, with this result.
    pub(crate) fn report(&mut self, step: &str, report: Report) -> &mut Self {
        let effects = self.effects();
        let visit = self.number(step);
        let to_invoke =
            |effect: &Effect| matches!(effect, Effect::Invoke(call) if call.visit == visit);
        if effects.iter().any(to_invoke) {
            self.begin_visit(visit);
        }
        self.report_visit(visit, report);
        self
    }

    pub(crate) fn report_visit(&mut self, visit: VisitNo, report: Report) {
        let entry = settle(&self.definition, &self.state, visit, report, self.now);
        self.append(entry.expect("the visit exists"));
    }

    pub(crate) fn verdict(&mut self, step: &str, action: &str, data: &str) -> &mut Self {
        let verdict = Verdict::Next {
            action: action.to_owned(),
            data: json(data),
        };
        self.report(step, verdict_report(verdict))
    }

    pub(crate) fn stop(&mut self, step: &str) -> &mut Self {
        self.report(step, verdict_report(Verdict::Stop))
    }

    pub(crate) fn output(&mut self, step: &str, output: &str) -> &mut Self {
        self.report(step, Report::Output(json(output)))
    }

    pub(crate) fn fail(&mut self, step: &str, kind: ErrorKind) -> &mut Self {
        self.report(step, failure(kind, "it broke", None))
    }

    pub(crate) fn uncertain(&mut self, step: &str) -> &mut Self {
        let evidence = "no answer came".to_owned();
        self.report(step, Report::Uncertain { evidence })
    }

    pub(crate) fn pass(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    /// The next wake-up: the earliest time that an effect waits for.
    pub(crate) fn wake(&mut self) -> Option<Timestamp> {
        let waits = self.effects();
        let waits = waits.iter().filter_map(|effect| match effect {
            Effect::WaitUntil(at) => Some(*at),
            _ => None,
        });
        waits.min()
    }

    /// The run waits, for so many seconds; then they have passed.
    pub(crate) fn wakes_after(&mut self, seconds: RangeInclusive<f64>) -> &mut Self {
        let wake = self.wake().expect("the run waits");
        let wait = wake.duration_since(self.now).as_secs_f64();
        assert!(seconds.contains(&wait), "waits {wait} s\n{}", self.text());
        self.now = wake;
        self
    }

    /// The process dies and another takes over: only the stored journal is left, and attempts
    /// that were under way are of unknown effect.
    pub(crate) fn crash(&mut self) -> &mut Self {
        let stored: Vec<String> = self.journal.iter().map(stored).collect();
        let records = stored
            .iter()
            .map(|line| serde_json::from_str(line).expect("a stored record"));
        let folded = RunState::fold(RUN, records).expect("a legal journal");
        assert_eq!(folded, self.state, "folded again, the state is the same");
        self.state = folded;
        let lost: Vec<VisitNo> = self.state.performing().collect();
        for visit in lost {
            let evidence = "the process died".to_owned();
            self.report_visit(visit, Report::Uncertain { evidence });
        }
        self
    }

    /// The state that the journal folds to, after a test changed how it begins.
    pub(crate) fn crash_to_journal(&mut self) {
        let folded = RunState::fold(RUN, self.journal.clone());
        self.state = folded.expect("a legal journal");
    }

    /// Does what [`Effect::Stop`] asks for.
    pub(crate) fn stops(&mut self) -> &mut Self {
        for effect in self.effects() {
            if let Effect::Stop { visit } = effect {
                let evidence = "it was stopped".to_owned();
                self.report_visit(visit, Report::Uncertain { evidence });
            }
        }
        self
    }

    pub(crate) fn cancel(&mut self) -> &mut Self {
        self.append(Entry::CancelRequested {
            by: "ana".to_owned(),
            reason: None,
        });
        self
    }

    pub(crate) fn pause(&mut self) -> &mut Self {
        self.append(Entry::Paused {
            by: "ana".to_owned(),
            reason: Some("a closer look".to_owned()),
        });
        self
    }

    pub(crate) fn unpause(&mut self) -> &mut Self {
        self.append(Entry::Unpaused {
            by: "bob".to_owned(),
        });
        self
    }

    pub(crate) fn reopen(&mut self, step: &str) -> &mut Self {
        let visit = self.number(step);
        self.reopen_visit(visit)
    }

    pub(crate) fn reopen_visit(&mut self, visit: VisitNo) -> &mut Self {
        self.append(Entry::Reopened {
            visit,
            by: "ana".to_owned(),
            identity: Some("token:1".to_owned()),
            deadline: self.now + self.definition.limits.deadline,
        });
        self
    }

    pub(crate) fn resume(&mut self, step: &str, resolution: Resolution) -> &mut Self {
        let visit = self.number(step);
        let by = "ana".to_owned();
        let entry = resume(&self.definition, &self.state, visit, resolution, by);
        self.append(entry.expect("it needs attention"));
        self
    }

    /// The keys of all intents of `step`, in order.
    pub(crate) fn keys(&self, step: &str) -> Vec<&str> {
        let intents = self
            .journal
            .iter()
            .filter_map(|record| match &record.entry {
                Entry::Intended { visit, key, .. } => Some((*visit, key.as_str())),
                _ => None,
            });
        intents
            .filter(|(visit, _)| self.state.visits()[*visit as usize].step.as_str() == step)
            .map(|(_, key)| key)
            .collect()
    }

    fn effect_text(&self, effect: &Effect) -> String {
        let step = |visit: VisitNo| self.state.visits()[visit as usize].step.as_str();
        match effect {
            Effect::Record(entry) => format!("record {}", entry.name()),
            Effect::Evaluate {
                visit,
                event,
                action_data,
                ..
            } => {
                let part = |name: &str, json: &Option<Json>| {
                    let json = json.as_ref();
                    json.map_or_else(String::new, |json| format!(" {name} {json}"))
                };
                let (event, data) = (part("event", event), part("data", action_data));
                format!("evaluate {}{event}{data}", step(*visit))
            }
            Effect::Invoke(call) => {
                format!(
                    "invoke {} #{} {}",
                    step(call.visit),
                    call.attempt,
                    call.input
                )
            }
            Effect::Query { visit, input, .. } => format!("query {} {input}", step(*visit)),
            Effect::Probe(call) => format!("probe {} #{}", step(call.visit), call.attempt),
            Effect::Stop { visit } => format!("stop {}", step(*visit)),
            Effect::WaitUntil(at) if *at == self.state.deadline() => "wait".to_owned(),
            Effect::WaitUntil(at) => format!("wait until {}", since_start(*at)),
        }
    }

    /// The journal, one entry a line.
    pub(crate) fn text(&self) -> String {
        let mut names = BTreeMap::new();
        let mut text = String::new();
        for record in &self.journal {
            let entry = entry_text(&record.entry, &mut names);
            text.push_str(format!("{:>10}  {entry}", since_start(record.at)).trim_end());
            text.push('\n');
        }
        text
    }
}

pub(crate) fn json(text: &str) -> Json {
    serde_json::from_str(text).expect("JSON")
}

/// A record as a store keeps it; checks that it reads back.
pub(crate) fn stored(record: &Record) -> String {
    let text = serde_json::to_string(record).expect("a record can be written");
    let from_text: Record = serde_json::from_str(&text).expect("and read from text");
    let from_bytes: Record = serde_json::from_slice(text.as_bytes()).expect("and from bytes");
    assert_eq!((&from_text, &from_bytes), (record, record), "{text}");
    text
}

pub(crate) fn verdict_report(verdict: Verdict) -> Report {
    Report::Verdict {
        verdict,
        event: None,
        logs: Vec::new(),
    }
}

pub(crate) fn failure(kind: ErrorKind, message: &str, after: Option<Duration>) -> Report {
    Report::Failed {
        error: StepError {
            kind,
            message: message.to_owned(),
        },
        after,
        logs: Vec::new(),
    }
}

pub(crate) fn is_done(visit: &Visit) -> bool {
    matches!(visit.state, VisitState::Done(ref done) if !matches!(done, Done::Failed(_)))
}
