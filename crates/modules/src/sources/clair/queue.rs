//! Clair 4's word by AMQP: a callback, or the notifications themselves.
//!
//! A message is acknowledged after the name, or the events, are on disk. What cannot be used is
//! rejected without being put back. Clair makes neither exchange nor queue and neither do we:
//! the queue is waited for.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::Connection;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Inner;
use super::merge::Merger;
use super::ping::{self, Ping};
use crate::clients::amqp::{self, Broker, BrokerConfig, Error, Queue};
use crate::clients::backoff::Reconnects;
use crate::clients::clair::Api;
use crate::clients::clair::notice::{Page, changed};
use crate::intake::Refusal;
use crate::sources::delivery::{Entrance, Stopping};

/// Messages under way unacknowledged.
const PREFETCH: u16 = 10;

/// How long a name waits while it cannot be written or too many wait.
const WAIT: Duration = Duration::from_secs(1);

/// What the queue is called beside Clair itself, where the source's connections are told.
const QUEUE: &str = "queue";

/// Where Clair's messages are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where the broker is and who we are there.
    pub(super) broker: BrokerConfig,
    /// The queue, bound to Clair's exchange; it must be there.
    pub(super) queue: String,
}

/// A queue that can be read.
pub(super) struct Mailbox {
    pub(super) broker: Broker,
    pub(super) queue: Queue,
}

/// What a message says.
enum Word {
    /// That there is a notification.
    Ping(Ping),
    /// What is in it.
    Page(String, Page),
}

impl Inner {
    /// Reads until the source is to stop.
    pub(super) async fn read_queue(&self, mailbox: &Mailbox, entrance: &Entrance<'_>) {
        let mut waits = Reconnects::default();
        entrance.awaits(QUEUE);
        while let Err(error) = self.session(mailbox, entrance, &mut waits).await {
            let wait = waits.next();
            entrance.misses(QUEUE, &error);
            tracing::warn!(source = %self.id, %error, ?wait, "the broker is tried again");
            if entrance.pause(wait).await.is_err() {
                return;
            }
        }
    }

    /// One connection from its beginning to its end; `Ok` where the source is to stop.
    async fn session(
        &self,
        mailbox: &Mailbox,
        entrance: &Entrance<'_>,
        waits: &mut Reconnects,
    ) -> Result<(), Error> {
        let connection = tokio::select! {
            () = entrance.stop.requested() => return Ok(()),
            connection = mailbox.broker.connect(&self.id) => connection?,
        };
        let ended = self.read(&connection, mailbox, entrance, waits).await;
        amqp::close(&connection).await;
        ended
    }

    async fn read(
        &self,
        connection: &Connection,
        mailbox: &Mailbox,
        entrance: &Entrance<'_>,
        waits: &mut Reconnects,
    ) -> Result<(), Error> {
        let mut consumer = amqp::consume(connection, &mailbox.queue, PREFETCH).await?;
        entrance.reads(QUEUE);
        tracing::info!(source = %self.id, queue = %mailbox.queue.name(), "reading");
        loop {
            let message = tokio::select! {
                () = entrance.stop.requested() => return Ok(()),
                message = consumer.next() => message,
            };
            let Some(message) = message else {
                let queue = mailbox.queue.name().to_owned();
                return Err(Error::Cancelled { queue });
            };
            let message = message.map_err(Error::of("reading"))?;
            waits.reset();
            match word(&message.data) {
                Ok(word) => {
                    if self.take(word, entrance).await == Err(Stopping) {
                        return Ok(());
                    }
                    let acknowledged = message.acker.ack(BasicAckOptions::default());
                    acknowledged.await.map_err(Error::of("acknowledging"))?;
                }
                Err(reason) => {
                    entrance.refuse(&mailbox.queue.name(), &reason);
                    let rejected = message.acker.reject(BasicRejectOptions { requeue: false });
                    rejected.await.map_err(Error::of("rejecting"))?;
                }
            }
        }
    }

    /// Puts what a message says on disk; waits while that is not possible.
    async fn take(&self, word: Word, entrance: &Entrance<'_>) -> Result<(), Stopping> {
        match word {
            Word::Page(name, page) => {
                let mut merger = Merger::new(&name, self.events);
                let mut events = merger.push(page);
                events.extend(merger.flush(Api::V4));
                entrance.accept_usable(events, None).await
            }
            Word::Ping(ping) => loop {
                match self.keep(&ping, entrance.intake).await {
                    Ok(()) => {
                        self.woken.notify_one();
                        return Ok(());
                    }
                    Err(Refusal::Stopping) => return Err(Stopping),
                    Err(refusal) => {
                        tracing::warn!(source = %self.id, %refusal, "a notification waits");
                        entrance.pause(WAIT).await?;
                    }
                }
            },
        }
    }
}

/// A list is what `direct: true` sends: the notifications themselves, each with an id of its
/// own, of which the first names them all.
fn word(body: &[u8]) -> Result<Word, String> {
    let read: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let Value::Array(all) = read else {
        let ping = ping::read(body, Some(Api::V4)).map_err(|reject| reject.to_string())?;
        return Ok(Word::Ping(ping));
    };
    let first = all.first().and_then(|first| first["id"].as_str());
    let name = first.filter(|name| uuid::Uuid::try_parse(name).is_ok());
    let name = name.ok_or_else(|| "the notifications have no id".to_owned())?;
    let parts = all.iter().map(changed).collect::<Result<_, _>>();
    let page = Page {
        api: Api::V4,
        parts: parts.map_err(|error| error.to_string())?,
        next: Vec::new(),
    };
    Ok(Word::Page(name.to_owned(), page))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "c31aa958-586d-4967-93f2-117d4c7e4f63";

    #[test]
    fn a_message_is_a_callback_or_the_notifications_themselves() {
        let callback = format!(r#"{{"notification_id":"{ID}","callback":"http://h/{ID}"}}"#);
        assert!(matches!(word(callback.as_bytes()), Ok(Word::Ping(ping)) if ping.name == ID));
        let one = r#"{"id":"ID","manifest":"sha256:aa","reason":"added","vulnerability":{"name":"CVE-1"}}"#.replace("ID", ID);
        let direct = format!("[{one},{one}]");
        assert!(
            matches!(word(direct.as_bytes()), Ok(Word::Page(name, page)) if name == ID && page.parts.len() == 2)
        );
        for body in [
            "",
            "[]",
            "[7]",
            r#"[{"id":"x"}]"#,
            r#"[{"id":"ID"}]"#,
            "{}",
            r#"{"Notification":{"Name":"n"}}"#,
        ] {
            assert!(word(body.replace("ID", ID).as_bytes()).is_err(), "{body}");
        }
    }
}
