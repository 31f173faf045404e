//! Doing what is pending: each notification is fetched to its end, its events are stored, and
//! it is deleted at Clair.
//!
//! One at a time, each on its own times: one that cannot be had holds up no other, and a Clair
//! that is away is asked less and less often, for ever. Nothing here decides by itself that a
//! notification is lost but where Clair does not know it, or after `give_up`; then it still
//! stands at Clair, which names it again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use conche_runtime::supervisor::BoxError;
use tokio::time::Instant;

use super::Inner;
use super::merge::Merger;
use super::pending::{Item, Left};
use crate::clients::backoff::Reconnects;
use crate::clients::clair::notice::{Page, Side, size_of};
use crate::clients::clair::{Api, Error};
use crate::intake::{Intake, Refusal};
use crate::sources::delivery::{Entrance, Stopping};

/// More pages than this are none of Clair's.
const PAGES_MAX: usize = 100_000;

/// How long to wait while the store cannot be written.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// When each notification is tried again.
#[derive(Default)]
struct Schedule(HashMap<String, (Reconnects, Instant)>);

impl Schedule {
    fn due(&self, name: &str) -> Option<Instant> {
        self.0.get(name).map(|(_, due)| *due)
    }

    /// It failed; gives how long it waits.
    fn postpone(&mut self, name: &str) -> Duration {
        let now = Instant::now();
        let (waits, due) = self
            .0
            .entry(name.to_owned())
            .or_insert((Reconnects::default(), now));
        let wait = waits.next();
        *due = now + wait;
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
        let stop = entrance.stop;
        let mut schedule = Schedule::default();
        loop {
            let items = self.items(entrance.intake).await?;
            schedule
                .0
                .retain(|name, _| items.iter().any(|item| item.name == *name));
            let next = items.iter().min_by_key(|item| schedule.due(&item.name));
            let due = next.and_then(|item| schedule.due(&item.name));
            tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                () = wait_until(due), if next.is_some() => {}
                () = self.woken.notified() => continue,
            }
            let Some(item) = next else { continue };
            match self.work(item, entrance).await {
                Ok(()) => {}
                Err(Failed::Stopping(Stopping)) => return Ok(()),
                Err(Failed::Clair(error)) if self.is_lost(item, &error) => {
                    entrance.refuse(&format!("notification {}", item.name), &error);
                    self.settle(item, entrance, Settled::Gone).await?;
                }
                Err(Failed::Clair(error)) => {
                    let wait = schedule.postpone(&item.name);
                    tracing::warn!(source = %self.id, notification = %item.name, %error, ?wait, "Clair is asked again");
                }
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
