//! The one loop of all sources that read from a broker: connect, take, hand in, settle, and
//! connect again for ever.
//!
//! A broker's own part is a [`Subscription`]. Nothing is settled before its event is on disk,
//! and nothing that a connection delivered is settled on another: what was under way when it
//! broke comes again. No error ends the loop; only the wish to stop does.

use std::fmt::Display;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::decode::Envelope;
use super::entrance::{Entrance, Stopping};
use crate::clients::backoff::Reconnects;
use crate::intake::NewEvent;

/// Deliveries that go into one transaction.
pub(in crate::sources) const BATCH: usize = 100;

/// One delivery of a broker.
#[derive(Debug)]
pub(in crate::sources) struct Delivery<R> {
    pub(in crate::sources) bytes: Bytes,
    pub(in crate::sources) envelope: Envelope,
    /// What settles it.
    pub(in crate::sources) receipt: R,
}

/// What a delivery is.
#[derive(Debug)]
pub(in crate::sources) enum Decoded {
    /// An event.
    Event(NewEvent),
    /// Nothing that the source is there for; it is settled like one that was stored.
    PassedOver,
    /// It cannot be decoded, which has been counted; with the event that is made of it, if any.
    Unusable(Option<NewEvent>),
}

impl Decoded {
    /// What is stored of it.
    pub(in crate::sources) fn event(self) -> Option<NewEvent> {
        match self {
            Self::Event(event) => Some(event),
            Self::PassedOver => None,
            Self::Unusable(event) => event,
        }
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sources) enum Fate {
    /// Its event is on disk, or it was one that the intake never takes and that is counted, or
    /// it was passed over.
    Stored,
    /// It cannot be decoded, and no event is made of it.
    Unusable,
}

/// What a source wants of its broker.
#[async_trait]
pub(in crate::sources) trait Subscription: Sync {
    /// One connection, with what it has delivered and we have not taken.
    type Link: Send;
    /// What settles a delivery, on the connection that it came by.
    type Receipt: Send;
    type Error: Display + Send;

    /// Connects and begins to read; comes back when the broker has said that it may. Dropped
    /// where the source is to stop.
    async fn open(&self) -> Result<Self::Link, Self::Error>;

    /// Waits for at least one delivery and takes what is there, up to about [`BATCH`]. Dropped
    /// where the source is to stop: what was taken then comes again.
    async fn take(
        &self,
        link: &mut Self::Link,
    ) -> Result<Vec<Delivery<Self::Receipt>>, Self::Error>;

    /// Makes an event of a delivery as [`Entrance::decode`] does.
    fn decode(&self, entrance: &Entrance<'_>, bytes: &[u8], envelope: Envelope) -> Decoded;

    /// Keeps the connection alive while events wait for the store; dropped when they are
    /// stored. It comes back only with what broke. Default: nothing is needed.
    async fn attend(&self, _link: &mut Self::Link) -> Self::Error {
        std::future::pending().await
    }

    /// How much was lost since the last call because it came faster than it was taken.
    /// Default: a broker that waits loses nothing.
    fn lost(&self) -> u64 {
        0
    }

    /// Tells the broker what became of what it delivered.
    async fn settle(
        &self,
        link: &mut Self::Link,
        settled: Vec<(Self::Receipt, Fate)>,
    ) -> Result<(), Self::Error>;

    /// Ends a connection, broken or not, within a second or so.
    async fn close(&self, link: Self::Link);
}

/// Reads until the source is to stop.
pub(in crate::sources) async fn consume<S: Subscription>(
    subscription: &S,
    entrance: &Entrance<'_>,
) {
    let mut waits = Reconnects::default();
    entrance.awaits("");
    loop {
        let begun = Instant::now();
        let Err(error) = session(subscription, entrance, &mut waits).await else {
            return;
        };
        if begun.elapsed() > Reconnects::MOST {
            waits.reset();
        }
        let wait = waits.next();
        entrance.misses("", &error);
        tracing::warn!(source = %entrance.source, %error, ?wait, "the broker is tried again");
        if entrance.pause(wait).await.is_err() {
            return;
        }
    }
}

/// One connection from its beginning to its end; `Ok` where the source is to stop.
async fn session<S: Subscription>(
    subscription: &S,
    entrance: &Entrance<'_>,
    waits: &mut Reconnects,
) -> Result<(), S::Error> {
    let mut link = tokio::select! {
        () = entrance.stop.requested() => return Ok(()),
        link = subscription.open() => link?,
    };
    entrance.reads("");
    let ended = read(subscription, &mut link, entrance, waits).await;
    subscription.close(link).await;
    ended
}

async fn read<S: Subscription>(
    subscription: &S,
    link: &mut S::Link,
    entrance: &Entrance<'_>,
    waits: &mut Reconnects,
) -> Result<(), S::Error> {
    loop {
        let taken = tokio::select! {
            biased;
            () = entrance.stop.requested() => return Ok(()),
            taken = subscription.take(link) => taken?,
        };
        let (mut events, mut settled) = (Vec::new(), Vec::new());
        for Delivery {
            bytes,
            envelope,
            receipt,
        } in taken
        {
            let decoded = subscription.decode(entrance, &bytes, envelope);
            let fate = match decoded {
                Decoded::Unusable(None) => Fate::Unusable,
                _ => Fate::Stored,
            };
            events.extend(decoded.event());
            settled.push((receipt, fate));
        }
        let stored = tokio::select! {
            stored = entrance.accept_usable(events, None) => stored,
            broken = subscription.attend(link) => return Err(broken),
        };
        if stored == Err(Stopping) {
            return Ok(());
        }
        subscription.settle(link, settled).await?;
        waits.reset();
        for _ in 0..subscription.lost() {
            entrance.refuse(&"lossy", &"it came faster than events are stored");
        }
    }
}
