//! The patient way in: what is refused for now is waited for, what is refused for good counted.
//!
//! [`Entrance::accept`] returns when the events are on disk or the source is to stop. Whoever
//! calls it neither reads on nor acknowledges meanwhile: that is all the back-pressure there is.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use conche_core::event;
use conche_runtime::supervisor::Stop;

use super::consume::Decoded;
use super::decode::{Envelope, Format};
use crate::intake::{Batch, Connection, Intake, NewEvent, Receipt, Refusal};

/// One line of log for so long, however much is refused meanwhile.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The waits while the store cannot be written: from the first, doubled up to the last.
const STORE_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Counts what a source could not use, and says so in the log now and then.
#[derive(Debug)]
pub(in crate::sources) struct Rejects {
    source: String,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    total: u64,
    last: Option<Instant>,
}

impl Rejects {
    pub(in crate::sources) fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            told: Mutex::default(),
        }
    }

    /// Counts one; `place` says where it came from. A sender's bytes are never logged.
    fn count(&self, place: &dyn Display, reason: &dyn Display, always: bool) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.total += 1;
        if always || told.last.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
            told.last = Some(Instant::now());
            tracing::warn!(
                source = %self.source, %place, %reason, refused_so_far = told.total,
                "a delivery cannot be used"
            );
        }
    }
}

/// The source is to stop: nothing was accepted, so nothing may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the source is stopping")]
pub(in crate::sources) struct Stopping;

/// Why events were not accepted for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::sources) enum Refused {
    #[error(transparent)]
    Stopping(#[from] Stopping),
    /// The events themselves are not acceptable, and never will be.
    #[error("{0}")]
    Invalid(String),
}

/// One source's way in.
pub(in crate::sources) struct Entrance<'a> {
    pub(in crate::sources) source: &'a str,
    pub(in crate::sources) intake: &'a dyn Intake,
    pub(in crate::sources) stop: &'a Stop,
    pub(in crate::sources) rejects: &'a Rejects,
}

impl Entrance<'_> {
    /// Hands events and cursor over in one transaction, waiting as long as they are refused
    /// for now. When it returns `Ok`, they are on disk.
    ///
    /// A time that no store keeps is left out, so that the time of receipt is taken: whoever
    /// sends here cannot be told, and the text that it was read from is in the data.
    pub(in crate::sources) async fn accept(
        &self,
        mut events: Vec<NewEvent>,
        cursor: Option<String>,
    ) -> Result<Vec<Receipt>, Refused> {
        for event in &mut events {
            event.time = event.time.filter(|time| event::is_storable(*time));
        }
        let mut wait = STORE_WAITS.0;
        loop {
            let batch = Batch {
                source: self.source.to_owned(),
                events: events.clone(),
                cursor: cursor.clone(),
            };
            let pause = match self.intake.accept(batch).await {
                Ok(receipts) => return Ok(receipts),
                Err(Refusal::Stopping) => return Err(Stopping.into()),
                Err(Refusal::Invalid(reason)) => return Err(Refused::Invalid(reason)),
                Err(Refusal::Busy { retry_after }) => retry_after,
                Err(Refusal::Unavailable(reason)) => {
                    tracing::warn!(source = %self.source, %reason, "events wait for the store");
                    wait = wait.saturating_mul(2).min(STORE_WAITS.1);
                    wait
                }
            };
            self.pause(pause).await?;
        }
    }

    /// Like [`accept`](Self::accept) for events that came together by chance: the ones that
    /// the intake will never take are counted and left out.
    pub(in crate::sources) async fn accept_usable(
        &self,
        events: Vec<NewEvent>,
        cursor: Option<String>,
    ) -> Result<(), Stopping> {
        match self.accept(events.clone(), cursor.clone()).await {
            Ok(_) => return Ok(()),
            Err(Refused::Stopping(stopping)) => return Err(stopping),
            Err(Refused::Invalid(_)) => {}
        }
        for event in events {
            let place = event.id.clone().unwrap_or_default();
            match self.accept(vec![event], None).await {
                Ok(_) => {}
                Err(Refused::Stopping(stopping)) => return Err(stopping),
                Err(Refused::Invalid(reason)) => self.refuse(&place, &reason),
            }
        }
        match self.accept(Vec::new(), cursor).await {
            Ok(_) => Ok(()),
            Err(Refused::Stopping(stopping)) => Err(stopping),
            Err(Refused::Invalid(reason)) => {
                self.refuse(&"cursor", &reason);
                Ok(())
            }
        }
    }

    /// What is read from is not reached yet.
    pub(in crate::sources) fn awaits(&self, part: &str) {
        self.intake
            .connection(self.source, part, Connection::Awaited);
    }

    /// What is read from is reached.
    pub(in crate::sources) fn reads(&self, part: &str) {
        self.intake.connection(self.source, part, Connection::Open);
    }

    /// What is read from is away.
    pub(in crate::sources) fn misses(&self, part: &str, error: &dyn Display) {
        let broken = Connection::Broken(error.to_string());
        self.intake.connection(self.source, part, broken);
    }

    /// Waits; shorter where the source is to stop.
    pub(in crate::sources) async fn pause(&self, length: Duration) -> Result<(), Stopping> {
        tokio::select! {
            () = self.stop.requested() => Err(Stopping),
            () = tokio::time::sleep(length) => Ok(()),
        }
    }

    /// Counts a delivery that cannot be used, in the metrics and, now and then, in the log.
    pub(in crate::sources) fn refuse(&self, place: &dyn Display, reason: &dyn Display) {
        self.intake.refused(self.source, "unusable");
        self.rejects.count(place, reason, false);
    }

    /// As [`refuse`](Self::refuse), and always in the log: for what is refused once each, is
    /// few and somebody has to look after.
    pub(in crate::sources) fn refuse_aloud(&self, place: &dyn Display, reason: &dyn Display) {
        self.intake.refused(self.source, "unusable");
        self.rejects.count(place, reason, true);
    }

    /// One delivery becomes one event, that of an undecodable one, or none.
    pub(in crate::sources) fn decode(
        &self,
        format: &Format,
        bytes: &[u8],
        envelope: Envelope,
    ) -> Decoded {
        match format.decode(bytes, envelope.clone()) {
            Ok(event) => Decoded::Event(event),
            Err(reject) => {
                let place = envelope.subject.clone().unwrap_or_default();
                self.refuse(&place, &reject);
                Decoded::Unusable(format.invalid(bytes, envelope, &reject))
            }
        }
    }
}
