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
    /// An exchange that must be there.
    pub(crate) exchange: String,
    /// Routing keys to bind, with `*` and `#` for a topic exchange.
    pub(crate) keys: Vec<String>,
    /// Where rejected messages go; none drops them.
    pub(crate) dead_letter_exchange: Option<String>,
    /// The most messages that it keeps; the oldest go first.
    pub(crate) messages_max: u32,
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
            if found.is_some() {
                declare(connection, own).await?;
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
async fn declare(connection: &Connection, own: &OwnQueue) -> Result<(), Error> {
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
            AMQPValue::LongLongInt(i64::from(own.messages_max)),
        );
        if let Some(exchange) = &own.dead_letter_exchange {
            let exchange = AMQPValue::LongString(exchange.as_str().into());
            arguments.insert("x-dead-letter-exchange".into(), exchange);
        }
        let channel = open(connection).await?;
        let declared = channel.queue_declare(own.name.as_str().into(), durable, arguments);
        match declared.await {
            Ok(_) => return Ok(()),
            Err(error) => refusal = Some(error),
        }
        if !connection.status().connected() {
            break;
        }
    }
    refusal.map_or(Ok(()), |error| {
        Err(Error::of(format!("making queue `{}`", own.name))(error))
    })
}

async fn bind(channel: &Channel, own: &OwnQueue) -> Result<(), Error> {
    let passive = ExchangeDeclareOptions {
        passive: true,
        ..ExchangeDeclareOptions::default()
    };
    let asked = channel.exchange_declare(
        own.exchange.as_str().into(),
        ExchangeKind::Topic,
        passive,
        FieldTable::default(),
    );
    asked
        .await
        .map_err(Error::of(format!("exchange `{}`", own.exchange)))?;
    for key in &own.keys {
        let bound = channel.queue_bind(
            own.name.as_str().into(),
            own.exchange.as_str().into(),
            key.as_str().into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound
            .await
            .map_err(Error::of(format!("binding `{key}` to `{}`", own.exchange)))?;
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
