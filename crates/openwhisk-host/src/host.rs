//! The host as one thing: what it is made of, its router and its background tasks.
//!
//! The composition root hands in the store, the runtimes, the clock and the supervisor, mounts
//! [`Host::router`] on a listener with [`Settings::listener_limits`], and calls [`Host::start`]
//! once, which takes up what the last process left.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use axum::Router;
use conche_runtime::clock::SharedClock;
use conche_runtime::supervisor::{Backoff, OnFailure, Stage, Tasks, ticker};

use crate::cache::Cache;
use crate::invoke::Flights;
use crate::rest;
use crate::runtimes::Runtimes;
use crate::settings::Settings;
use crate::store::{self, Keep, Store, User};
use crate::throttle::Throttle;
use crate::users::{self, Users};
use crate::within::Within;

/// How often alarms are looked at. They are due at whole seconds.
const ALARM_PERIOD: Duration = Duration::from_millis(500);
/// How often what is old is removed.
const RETENTION_PERIOD: Duration = Duration::from_mins(1);
/// Records that one transaction removes.
const RETENTION_BATCH: usize = 1000;

/// What a host stands on.
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// What carries out actions.
    pub runtimes: Arc<dyn Runtimes>,
    /// The time.
    pub clock: SharedClock,
    /// Where its tasks start.
    pub tasks: Tasks,
}

/// What the last process left was taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    /// Accepted invocations that go on.
    pub started: usize,
    /// Activations that had begun and were ended as failed.
    pub ended: usize,
}

/// An OpenWhisk-compatible host. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

/// What the routes share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtimes: Arc<dyn Runtimes>,
    pub(crate) clock: SharedClock,
    pub(crate) tasks: Tasks,
    pub(crate) users: Users,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) flights: Flights,
    pub(crate) cache: Cache,
    /// When the next alarm is due, in milliseconds since 1970; the past where that must be looked up.
    pub(crate) alarm_due: AtomicI64,
}

impl Inner {
    /// The time in milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }
}

impl Host {
    /// A host over a store. Where that has no users the first is made, `guest`, with random
    /// credentials; with [`Settings::dev`] the well-known ones are there.
    ///
    /// # Errors
    /// Where the store cannot be read or written, or no credentials can be made.
    pub async fn new(settings: Settings, parts: Parts) -> Result<Self, users::Error> {
        let users = Users::load(&*parts.store, settings.dev).await?;
        let throttle = Throttle::new(settings.throttles.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                store: parts.store,
                runtimes: parts.runtimes,
                clock: parts.clock,
                tasks: parts.tasks,
                users,
                throttle,
                flights: Flights::default(),
                cache: Cache::default(),
                alarm_due: AtomicI64::new(i64::MIN),
            }),
        })
    }

    /// The routes: `/`, `/ping`, `/api/v1/…`.
    pub fn router(&self) -> Router {
        rest::router(Arc::clone(&self.inner))
    }

    /// Takes up what the last process left and starts what works by the clock: alarms, and the
    /// removal of old activations.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn start(&self) -> Result<Resumed, store::Error> {
        let (started, ended) = self.inner.resume().await?;
        let inner = Arc::clone(&self.inner);
        self.every("openwhisk alarms", ALARM_PERIOD, move || {
            let inner = Arc::clone(&inner);
            async move { inner.sound_alarms().await }
        });
        let inner = Arc::clone(&self.inner);
        self.every("openwhisk retention", RETENTION_PERIOD, move || {
            let inner = Arc::clone(&inner);
            async move { inner.expire().await }
        });
        Ok(Resumed { started, ended })
    }

    /// Everybody who may call, with their keys: for whoever administers this machine.
    pub fn users(&self) -> Vec<Arc<User>> {
        self.inner.users.all()
    }

    /// The API for who is in this same process, as the user of a namespace; none where there is
    /// no such user.
    pub fn within(&self, namespace: &str) -> Option<Within> {
        let who = self.inner.users.of(namespace)?;
        Some(Within::new(
            self.router(),
            Arc::clone(&self.inner.store),
            who,
        ))
    }

    /// Adds a namespace with new credentials.
    ///
    /// # Errors
    /// [`users::Error`], e.g. where there is one.
    pub async fn add_user(&self, namespace: &str) -> Result<User, users::Error> {
        self.inner.users.add(&*self.inner.store, namespace).await
    }

    /// Activations in flight, for the metrics.
    pub fn in_flight(&self) -> u64 {
        self.inner.throttle.in_flight()
    }

    /// Fires the alarms that are due and removes what is old, once, as [`Host::start`] has it
    /// done by the clock: for tests and tools whose clock stands still.
    pub async fn tick(&self) {
        self.inner.sound_alarms().await;
        self.inner.expire().await;
    }

    fn every<F, Fut>(&self, name: &'static str, period: Duration, tick: F)
    where
        F: Fn() -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let restart = OnFailure::Restart(Backoff::default());
        self.inner
            .tasks
            .spawn(name, Stage::Sources, restart, move |stop| {
                let tick = tick.clone();
                async move {
                    ticker(period, &stop, tick).await;
                    Ok::<(), std::convert::Infallible>(())
                }
            });
    }
}

impl Inner {
    /// Removes activations that are too old or too many.
    async fn expire(&self) {
        let retention = &self.settings.retention;
        let age = i64::try_from(crate::settings::millis(retention.activations));
        let since = self.now().saturating_sub(age.unwrap_or(i64::MAX));
        let keep = Keep {
            since: u64::try_from(since).unwrap_or(0),
            most: retention.most,
            limit: RETENTION_BATCH,
        };
        loop {
            match self.store.expire(keep).await {
                Ok(removed) if removed == RETENTION_BATCH => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "old activations are not removed");
                    return;
                }
            }
        }
    }
}
