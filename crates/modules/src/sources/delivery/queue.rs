//! The source of whatever is in one RabbitMQ queue: what differs from one such module to the
//! next is only what a message becomes.
//!
//! A message is acknowledged after its event is on disk, and rejected without being put back
//! where it cannot be read, so that the broker dead-letters it; it never comes again by itself.
//! A consumer that the broker cancels (its queue was deleted, its node failed) is a break like
//! any other: the queue is asked for, where it is ours made, and read again.

use std::sync::Arc;

use async_trait::async_trait;
use conche_runtime::supervisor::{BoxError, Stop};
use futures_util::StreamExt as _;
use futures_util::stream::ReadyChunks;
use lapin::message::Delivery as Message;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use lapin::{Acker, Connection, Consumer};

use super::{BATCH, Decoded, Delivery, Entrance, Envelope, Fate, Rejects, Subscription, consume};
use crate::clients::amqp::{self, Broker, Error, Queue};
use crate::intake::Intake;
use crate::source::Source;

/// What a message becomes, as in [`Subscription::decode`].
pub(in crate::sources) type Decode =
    Box<dyn Fn(&Entrance<'_>, &[u8], Envelope) -> Decoded + Send + Sync>;

/// A source that reads one queue.
pub(in crate::sources) struct QueueSource {
    pub(in crate::sources) id: String,
    pub(in crate::sources) broker: Broker,
    pub(in crate::sources) queue: Queue,
    /// The most messages under way unacknowledged.
    pub(in crate::sources) prefetch: u16,
    pub(in crate::sources) rejects: Rejects,
    pub(in crate::sources) decode: Decode,
}

#[async_trait]
impl Source for QueueSource {
    async fn run(&self, intake: Arc<dyn Intake>, stop: Stop) -> Result<(), BoxError> {
        let entrance = Entrance {
            source: &self.id,
            intake: &*intake,
            stop: &stop,
            rejects: &self.rejects,
        };
        consume(self, &entrance).await;
        Ok(())
    }
}

/// A connection and the consumer on it.
pub(in crate::sources) struct Link {
    connection: Connection,
    deliveries: ReadyChunks<Consumer>,
}

#[async_trait]
impl Subscription for QueueSource {
    type Link = Link;
    type Receipt = Acker;
    type Error = Error;

    async fn open(&self) -> Result<Link, Error> {
        let connection = self.broker.connect(&self.id).await?;
        match amqp::consume(&connection, &self.queue, self.prefetch).await {
            Ok(consumer) => {
                tracing::info!(source = %self.id, queue = %self.queue.name(), "reading");
                let deliveries = consumer.ready_chunks(BATCH);
                Ok(Link {
                    connection,
                    deliveries,
                })
            }
            Err(error) => {
                amqp::close(&connection).await;
                Err(error)
            }
        }
    }

    async fn take(&self, link: &mut Link) -> Result<Vec<Delivery<Acker>>, Error> {
        let Some(taken) = link.deliveries.next().await else {
            return Err(Error::Cancelled {
                queue: self.queue.name().to_owned(),
            });
        };
        let one = |taken: lapin::Result<_>| taken.map(delivery).map_err(Error::of("reading"));
        taken.into_iter().map(one).collect()
    }

    fn decode(&self, entrance: &Entrance<'_>, bytes: &[u8], envelope: Envelope) -> Decoded {
        (self.decode)(entrance, bytes, envelope)
    }

    async fn settle(&self, _link: &mut Link, settled: Vec<(Acker, Fate)>) -> Result<(), Error> {
        for (acker, fate) in settled {
            match fate {
                Fate::Stored => {
                    let acknowledged = acker.ack(BasicAckOptions::default());
                    acknowledged.await.map_err(Error::of("acknowledging"))?;
                }
                Fate::Unusable => {
                    let rejected = acker.reject(BasicRejectOptions { requeue: false });
                    rejected.await.map_err(Error::of("rejecting"))?;
                }
            }
        }
        Ok(())
    }

    async fn close(&self, link: Link) {
        amqp::close(&link.connection).await;
    }
}

fn delivery(message: Message) -> Delivery<Acker> {
    let id = message.properties.message_id().as_ref();
    Delivery {
        envelope: Envelope {
            id: id.map(ToString::to_string),
            subject: Some(message.routing_key.to_string()).filter(|key| !key.is_empty()),
        },
        bytes: message.data.into(),
        receipt: message.acker,
    }
}
