//! The queue that is read: one that is there, or one of our own.

use lapin::options::{
    BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, Consumer, ErrorKind, ExchangeKind};

use super::Error;

/// Reply code of AMQP: no such thing.
const NOT_FOUND: u16 = 404;

/// The most messages that a queue of our own for rejected ones keeps: they are there to be
/// looked at, and a sender of nonsense must not fill the broker's disk.
const DEAD_LETTERS_MAX: u32 = 10_000;

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Queue {
    /// One that others declare; it is only asked for.
    Existing(String),
    /// A durable one of our own, made where it is not there, and bound.
    Own(OwnQueue),
}

/// A queue of our own: it keeps what is sent while we are away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnQueue {
    pub(crate) name: String,
    /// Exchanges that must be there.
    pub(crate) exchanges: Vec<String>,
    /// Routing keys to bind to each, with `*` and `#` for a topic exchange.
    pub(crate) keys: Vec<String>,
    /// Where rejected messages go.
    pub(crate) dead_letters: DeadLetters,
    /// The most messages that it keeps; the oldest go first.
    pub(crate) messages_max: u32,
}

/// Where rejected messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeadLetters {
    /// Nowhere.
    Dropped,
    /// To an exchange that others declare.
    Exchange(String),
    /// To a further queue of our own, which is made where it is not there.
    OwnQueue(String),
}

impl DeadLetters {
    /// What a queue is declared with so that its rejected messages go there.
    fn arguments(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Dropped => Vec::new(),
            Self::Exchange(name) => vec![("x-dead-letter-exchange", name)],
            Self::OwnQueue(name) => vec![
                ("x-dead-letter-exchange", ""),
                ("x-dead-letter-routing-key", name),
            ],
        }
    }
}

impl Queue {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Existing(name) | Self::Own(OwnQueue { name, .. }) => name,
        }
    }
}

/// Makes sure of the queue and starts reading: at most `prefetch` messages are under way
/// unacknowledged.
pub(crate) async fn consume(
    connection: &Connection,
    queue: &Queue,
    prefetch: u16,
) -> Result<Consumer, Error> {
    let found = is_there(connection, queue.name()).await?;
    match queue {
        Queue::Existing(_) => found.map_or(Ok(()), Err)?,
        Queue::Own(own) => {
            if let DeadLetters::OwnQueue(name) = &own.dead_letters
                && is_there(connection, name).await?.is_some()
            {
                declare(connection, name, &DeadLetters::Dropped, DEAD_LETTERS_MAX).await?;
            }
            if found.is_some() {
                declare(connection, &own.name, &own.dead_letters, own.messages_max).await?;
            }
            bind(&open(connection).await?, own).await?;
        }
    }
    let channel = open(connection).await?;
    channel
        .basic_qos(prefetch, BasicQosOptions::default())
        .await
        .map_err(Error::of("setting the prefetch"))?;
    let consuming = channel.basic_consume(
        queue.name().into(),
        ShortString::default(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    consuming
        .await
        .map_err(Error::of(format!("reading queue `{}`", queue.name())))
}

async fn open(connection: &Connection) -> Result<Channel, Error> {
    let channel = connection.create_channel().await;
    channel.map_err(Error::of("opening a channel"))
}

/// Asks for a queue on a channel of its own, since the answer «no» closes it; gives that
/// answer where it is not there.
async fn is_there(connection: &Connection, name: &str) -> Result<Option<Error>, Error> {
    let channel = open(connection).await?;
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let asked = channel.queue_declare(name.into(), passive, FieldTable::default());
    match asked.await {
        Ok(_) => Ok(None),
        Err(error) => {
            let is_missing = code(&error) == Some(NOT_FOUND);
            let error = Error::of(format!("queue `{name}`"))(error);
            if is_missing {
                Ok(Some(error))
            } else {
                Err(error)
            }
        }
    }
}

/// As a quorum queue, which outlives its node; where the broker knows none, as a classic one.
async fn declare(
    connection: &Connection,
    name: &str,
    dead_letters: &DeadLetters,
    messages_max: u32,
) -> Result<(), Error> {
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let mut refusal = None;
    for kind in ["quorum", "classic"] {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
        arguments.insert(
            "x-max-length".into(),
            AMQPValue::LongLongInt(i64::from(messages_max)),
        );
        for (key, value) in dead_letters.arguments() {
            arguments.insert(key.into(), AMQPValue::LongString(value.into()));
        }
        let channel = open(connection).await?;
        let declared = channel.queue_declare(name.into(), durable, arguments);
        match declared.await {
            Ok(_) => return Ok(()),
            Err(error) => refusal = Some(error),
        }
        if !connection.status().connected() {
            break;
        }
    }
    refusal.map_or(Ok(()), |error| {
        Err(Error::of(format!("making queue `{name}`"))(error))
    })
}

async fn bind(channel: &Channel, own: &OwnQueue) -> Result<(), Error> {
    let passive = ExchangeDeclareOptions {
        passive: true,
        ..ExchangeDeclareOptions::default()
    };
    for exchange in &own.exchanges {
        let asked = channel.exchange_declare(
            exchange.as_str().into(),
            ExchangeKind::Topic,
            passive,
            FieldTable::default(),
        );
        asked
            .await
            .map_err(Error::of(format!("exchange `{exchange}`")))?;
        for key in &own.keys {
            let bound = channel.queue_bind(
                own.name.as_str().into(),
                exchange.as_str().into(),
                key.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            bound
                .await
                .map_err(Error::of(format!("binding `{key}` to `{exchange}`")))?;
        }
    }
    Ok(())
}

/// The broker's reply code, where the error is its answer.
pub(crate) fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(answer) => Some(answer.get_id()),
        _ => None,
    }
}
