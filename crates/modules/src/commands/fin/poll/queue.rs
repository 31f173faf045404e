//! Commands that wait for a fin to fetch them, and those that were fetched.
//!
//! Each belongs to a call of the engine, which waits for it and takes it away when it gives up:
//! there are never more than calls. A fin that has fetched one holds it for the time of a lease,
//! which it prolongs by saying that it is still at it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::wire::Reported;
use crate::commands::fin::authentication::Unsealed;

/// What a fin says about a command is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Nobody knows of it, or it is over.
    Unknown,
    /// Another fin has it.
    NotYours,
}

/// How it stands with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stand {
    Waiting,
    Leased {
        fin: String,
        until: Instant,
    },
    /// It was answered.
    Over,
}

/// A command on offer.
pub(super) struct Offer {
    pub(super) id: Uuid,
    pub(super) capability: String,
    /// As the fin gets it, but for the credentials.
    pub(super) content: Value,
    pub(super) credentials: Option<Unsealed>,
}

#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    /// Told of each command that comes and of the end.
    news: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Entry>,
    leased: HashMap<Uuid, Leased>,
    is_closed: bool,
}

struct Entry {
    offer: Offer,
    reply: Option<oneshot::Sender<Reported>>,
}

struct Leased {
    entry: Entry,
    fin: String,
    until: Instant,
    /// Nobody waits for it any more: the fin may stop.
    is_given_up: bool,
}

/// A command that the engine waits for; taken away when this is dropped.
pub(super) struct Offered<'a> {
    queue: &'a Queue,
    id: Uuid,
    pub(super) reply: oneshot::Receiver<Reported>,
}

impl Queue {
    /// Puts a command up to be fetched.
    pub(super) fn offer(&self, offer: Offer) -> Offered<'_> {
        let (sender, reply) = oneshot::channel();
        let id = offer.id;
        let mut inner = self.lock();
        inner.sweep();
        inner.waiting.push_back(Entry {
            offer,
            reply: Some(sender),
        });
        drop(inner);
        self.news.notify_waiters();
        Offered {
            queue: self,
            id,
            reply,
        }
    }

    /// The oldest command of one of these capabilities, waited for until `until`.
    pub(super) async fn fetch(
        &self,
        (fin, capabilities): (&str, &[String]),
        lease: Duration,
        until: Instant,
    ) -> Option<Value> {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // Listen before looking, or one that comes in between is missed.
            news.as_mut().enable();
            {
                let mut inner = self.lock();
                if let Some(found) = inner.fetch(fin, capabilities, lease) {
                    return Some(found);
                }
                if inner.is_closed {
                    return None;
                }
            }
            tokio::time::timeout_at(until, news).await.ok()?;
        }
    }

    /// What came of a command, from the fin that has it.
    pub(super) fn report(&self, id: Uuid, fin: &str, reported: Reported) -> Result<(), NotTaken> {
        let mut inner = self.lock();
        inner.held(id, fin)?;
        if let Some(sender) = inner
            .leased
            .remove(&id)
            .and_then(|leased| leased.entry.reply)
        {
            // Who no longer waits needs no answer.
            sender.send(reported).ok();
        }
        Ok(())
    }

    /// The fin is still at it. Whether it should stop.
    pub(super) fn prolong(&self, id: Uuid, fin: &str, lease: Duration) -> Result<bool, NotTaken> {
        let mut inner = self.lock();
        let leased = inner.held(id, fin)?;
        leased.until = Instant::now() + lease;
        Ok(leased.is_given_up)
    }

    /// How it stands with a command.
    pub(super) fn stand(&self, id: Uuid) -> Stand {
        let inner = self.lock();
        match inner.leased.get(&id) {
            Some(leased) => Stand::Leased {
                fin: leased.fin.clone(),
                until: leased.until,
            },
            None if inner.waiting.iter().any(|entry| entry.offer.id == id) => Stand::Waiting,
            None => Stand::Over,
        }
    }

    /// Takes a command from the fin that has it and puts it up again, before all others.
    pub(super) fn put_back(&self, id: Uuid) {
        let mut inner = self.lock();
        if let Some(leased) = inner.leased.remove(&id) {
            inner.waiting.push_front(leased.entry);
        }
        drop(inner);
        self.news.notify_waiters();
    }

    /// Lets every fin go that waits for something to do.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn fetch(&mut self, fin: &str, capabilities: &[String], lease: Duration) -> Option<Value> {
        self.sweep();
        let fits = |entry: &Entry| capabilities.contains(&entry.offer.capability);
        let at = self.waiting.iter().position(fits)?;
        let entry = self.waiting.remove(at)?;
        let content = entry.offer.to_json(lease);
        let leased = Leased {
            fin: fin.to_owned(),
            until: Instant::now() + lease,
            is_given_up: false,
            entry,
        };
        self.leased.insert(leased.entry.offer.id, leased);
        Some(content)
    }

    fn held(&mut self, id: Uuid, fin: &str) -> Result<&mut Leased, NotTaken> {
        let leased = self.leased.get_mut(&id).ok_or(NotTaken::Unknown)?;
        if leased.fin == fin {
            Ok(leased)
        } else {
            Err(NotTaken::NotYours)
        }
    }

    /// Forgets what nobody waits for and no fin is at.
    fn sweep(&mut self) {
        let now = Instant::now();
        self.leased
            .retain(|_, leased| !leased.is_given_up || leased.until > now);
    }
}

impl Offer {
    /// With the credentials of the target, and the time of the lease.
    fn to_json(&self, lease: Duration) -> Value {
        let mut content = self.content.clone();
        content["lease_expires_in_seconds"] = lease.as_secs().into();
        if let Some(known) = &self.credentials
            && let Some(target) = content.pointer_mut("/targets/0")
        {
            target["authentication"] = known.to_json();
        }
        content
    }
}

impl Drop for Offered<'_> {
    fn drop(&mut self) {
        let mut inner = self.queue.lock();
        inner.waiting.retain(|entry| entry.offer.id != self.id);
        if let Some(leased) = inner.leased.get_mut(&self.id) {
            leased.is_given_up = true;
        }
    }
}
