//! Doing what is pending: each notification is fetched to its end, its events are stored, and
//! it is deleted at Clair.
//!
//! A few at a time, each on its own times: one that cannot be had, or whose answer hangs, holds
//! up no other, and a Clair that is away is asked less and less often, for ever. Nothing here decides by itself that a
//! notification is lost but where Clair does not know it, or after `give_up`; then it still
//! stands at Clair, which names it again.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use conche_runtime::supervisor::BoxError;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::Inner;
use super::merge::Merger;
use super::pending::{Item, Left};
use crate::clients::backoff::Reconnects;
use crate::clients::clair::notice::{Page, Side, size_of};
use crate::clients::clair::{Api, Error};
use crate::intake::{Intake, Refusal};
use crate::sources::delivery::{Entrance, Stopping};

/// What Clair is called beside its queue, where the source's connections are told.
const CLAIR: &str = "clair";

/// More pages than this are none of Clair's.
const PAGES_MAX: usize = 100_000;

/// How many are fetched at a time: one that hangs takes its place for `timeout` only.
const AT_ONCE: usize = 4;

/// How long to wait while the store cannot be written.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// Who is being fetched, and when each that failed is tried again.
#[derive(Default)]
struct Schedule(HashMap<String, Try>);

#[derive(Default)]
struct Try {
    is_begun: bool,
    waits: Reconnects,
    /// Not before then; at once without.
    due: Option<Instant>,
}

/// What a worker is to do.
enum Next {
    Begin(Item),
    WaitUntil(Instant),
    Nothing,
}

impl Schedule {
    /// The one that is due first, which nobody else then gets.
    fn next(&mut self, items: &[Item], now: Instant) -> Next {
        self.0
            .retain(|name, _| items.iter().any(|item| item.name == *name));
        let due = |item: &Item| self.0.get(&item.name).and_then(|known| known.due);
        let is_begun = |item: &Item| self.0.get(&item.name).is_some_and(|known| known.is_begun);
        let free = items.iter().filter(|item| !is_begun(item));
        let Some(item) = free.min_by_key(|item| due(item)) else {
            return Next::Nothing;
        };
        match due(item) {
            Some(due) if due > now => Next::WaitUntil(due),
            _ => {
                self.0.entry(item.name.clone()).or_default().is_begun = true;
                Next::Begin(item.clone())
            }
        }
    }

    fn ended(&mut self, name: &str) {
        if let Some(known) = self.0.get_mut(name) {
            known.is_begun = false;
        }
    }

    /// It failed; gives how long it waits.
    fn postpone(&mut self, name: &str, now: Instant) -> Duration {
        let known = self.0.entry(name.to_owned()).or_default();
        let wait = known.waits.next();
        known.due = Some(now + wait);
        wait
    }
}

/// How one try ended.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Stopping(#[from] Stopping),
    #[error(transparent)]
    Clair(#[from] Error),
}

impl Inner {
    /// Until the source is to stop.
    pub(super) async fn fetch_all(&self, entrance: &Entrance<'_>) -> Result<(), BoxError> {
        let schedule = Mutex::default();
        let workers = (0..AT_ONCE).map(|_| self.fetch_some(entrance, &schedule));
        try_join_all(workers).await?;
        Ok(())
    }

    /// One worker of several: takes what is due and nobody else has.
    async fn fetch_some(
        &self,
        entrance: &Entrance<'_>,
        schedule: &Mutex<Schedule>,
    ) -> Result<(), BoxError> {
        let lock = || schedule.lock().unwrap_or_else(PoisonError::into_inner);
        while !entrance.stop.is_requested() {
            let items = self.items(entrance.intake).await?;
            let next = lock().next(&items, Instant::now());
            let due = match next {
                Next::Begin(item) => {
                    // There may be something for another one as well.
                    self.woken.notify_one();
                    let ended = self.work(&item, entrance).await;
                    let judged = self.judge(&item, ended, entrance, schedule).await;
                    lock().ended(&item.name);
                    if judged == Err(Stopping) {
                        return Ok(());
                    }
                    continue;
                }
                Next::WaitUntil(due) => Some(due),
                Next::Nothing => None,
            };
            tokio::select! {
                biased;
                () = entrance.stop.requested() => return Ok(()),
                () = wait_until(due), if due.is_some() => {}
                () = self.woken.notified() => {}
            }
        }
        Ok(())
    }

    /// What follows from how a try ended.
    async fn judge(
        &self,
        item: &Item,
        ended: Result<(), Failed>,
        entrance: &Entrance<'_>,
        schedule: &Mutex<Schedule>,
    ) -> Result<(), Stopping> {
        match ended {
            Ok(()) => {
                entrance.reads(CLAIR);
                Ok(())
            }
            Err(Failed::Stopping(stopping)) => Err(stopping),
            Err(Failed::Clair(error)) if self.is_lost(item, &error) => {
                entrance.refuse(&format!("notification {}", item.name), &error);
                self.settle(item, entrance, Settled::Gone).await
            }
            Err(Failed::Clair(error)) => {
                let mut schedule = schedule.lock().unwrap_or_else(PoisonError::into_inner);
                let wait = schedule.postpone(&item.name, Instant::now());
                entrance.misses(CLAIR, &error);
                tracing::warn!(source = %self.id, notification = %item.name, %error, ?wait, "Clair is asked again");
                Ok(())
            }
        }
    }

    async fn items(&self, intake: &dyn Intake) -> Result<Vec<Item>, Refusal> {
        self.change(intake, |_| Ok(())).await?;
        let held = self.pending.lock().await;
        Ok(held
            .as_ref()
            .map(|held| held.pending.clone())
            .unwrap_or_default())
    }

    /// Whether it is not worth another try.
    fn is_lost(&self, item: &Item, error: &Error) -> bool {
        let age = self.clock.now().as_second().saturating_sub(item.since);
        let is_old = u64::try_from(age).is_ok_and(|age| age > self.give_up.as_secs());
        is_old || matches!(error, Error::Unknown(_))
    }

    async fn work(&self, item: &Item, entrance: &Entrance<'_>) -> Result<(), Failed> {
        if item.left == Left::Fetch {
            self.fetch(item, entrance).await?;
            self.settle(item, entrance, Settled::Stored).await?;
        }
        self.server.acknowledge(&item.name).await?;
        self.settle(item, entrance, Settled::Gone).await?;
        tracing::info!(source = %self.id, notification = %item.name, "notification taken");
        Ok(())
    }

    /// Follows the pages; every event is on disk when this returns `Ok`.
    async fn fetch(&self, item: &Item, entrance: &Entrance<'_>) -> Result<(), Failed> {
        let expected = item.api.or(self.api.fixed());
        let size = self.events.page_size;
        let mut query = vec![size_of(expected.unwrap_or(Api::V3), size)];
        let mut merger = Merger::new(&item.name, self.events);
        let mut sides = Sides::default();
        for _ in 0..PAGES_MAX {
            let asked: Vec<(&str, &str)> = query
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let answer = tokio::select! {
                () = entrance.stop.requested() => return Err(Stopping.into()),
                answer = self.server.page(&item.name, &asked) => answer?,
            };
            let page = sides.fresh(Page::read(&answer.body, expected)?)?;
            let (api, next) = (page.api, page.next_query(size));
            let mut events = merger.push(page);
            if self.per_page || next.is_none() {
                events.extend(merger.flush(api));
            }
            if !events.is_empty() {
                entrance.accept_usable(events, None).await?;
            }
            match next {
                Some(next) => query = next,
                None => return Ok(()),
            }
        }
        Err(Error::Nonsense(format!("it has more than {PAGES_MAX} pages")).into())
    }

    /// Writes down how far a notification is; waits while that is not possible.
    async fn settle(
        &self,
        item: &Item,
        entrance: &Entrance<'_>,
        settled: Settled,
    ) -> Result<(), Stopping> {
        loop {
            let changed = self.change(entrance.intake, |pending| {
                match settled {
                    Settled::Stored => pending.stored(&item.name),
                    Settled::Gone => pending.remove(&item.name),
                }
                Ok(())
            });
            match changed.await {
                Ok(()) => return Ok(()),
                Err(Refusal::Stopping) => return Err(Stopping),
                Err(refusal) => {
                    tracing::warn!(source = %self.id, %refusal, "a notification waits for the store");
                    entrance.pause(STORE_WAIT).await?;
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Settled {
    Stored,
    Gone,
}

async fn wait_until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
}

/// API v3 pages its two sides each by itself: a side that is at its end begins anew while the
/// other goes on, which is not taken again. A page that names one that was there leads nowhere.
#[derive(Default)]
struct Sides {
    ended: Vec<Side>,
    tokens: HashSet<(Side, String)>,
}

impl Sides {
    fn fresh(&mut self, mut page: Page) -> Result<Page, Error> {
        if page.api == Api::V3 {
            page.parts.retain(|part| !self.ended.contains(&part.side));
            page.next.retain(|(side, _)| !self.ended.contains(side));
            for side in [Side::New, Side::Old] {
                if !page.next.iter().any(|(of, _)| *of == side) {
                    self.ended.push(side);
                }
            }
        }
        for token in &page.next {
            if !self.tokens.insert(token.clone()) {
                return Err(Error::Nonsense("its pages go round in a circle".to_owned()));
            }
        }
        Ok(page)
    }
}
