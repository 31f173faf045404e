//! What goes over an MQTT connection, in one set of types for both versions.
//!
//! [`Link::poll`] does all the work: it connects, reads, writes and pings; [`Speaker`] only
//! puts requests before it.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rumqttc::v5;
use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::v5::{Packet as Packet5, PubAckReason, SubscribeReasonCode};
use rumqttc::{Outgoing, Packet as Packet4, QoS as QoS4, SubscribeReasonCode as Code4};

use super::Error;

/// What [`Link::poll`] came upon.
#[derive(Debug)]
pub(crate) enum Happening {
    Connected {
        session_present: bool,
    },
    Message(Message),
    Subscribed {
        refused: bool,
    },
    /// A message of ours went out under this number.
    Sent(u16),
    /// The broker has taken it, or, with MQTT 5 only, says why not.
    Taken {
        number: u16,
        refusal: Option<String>,
    },
    /// We have said that we leave; all that was asked for before is sent.
    Left,
    Other,
}

/// A message that came in.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) receipt: Receipt,
}

/// What acknowledges a message.
#[derive(Debug)]
pub(crate) enum Receipt {
    V3(Box<rumqttc::Publish>),
    V5(Box<v5::mqttbytes::v5::Publish>),
}

/// The connection.
pub(crate) struct Link(Polling);

/// The library must not be stopped while it polls, since a packet that it has half written
/// would be lost: what it does is kept here, with the connection in it, and gone on with.
type Polling = BoxFuture<'static, (Connection, Result<Happening, Error>)>;

pub(super) enum Connection {
    V3(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// Puts requests before the connection.
pub(crate) enum Speaker {
    V3(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

impl Link {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Box::pin(connection.poll()))
    }

    /// Goes on until something happens. After an error the next call connects anew. May be
    /// dropped at any time: the next call goes on.
    pub(crate) async fn poll(&mut self) -> Result<Happening, Error> {
        let (connection, happened) = (&mut self.0).await;
        *self = Self::new(connection);
        happened
    }
}

impl Connection {
    async fn poll(mut self) -> (Self, Result<Happening, Error>) {
        let happened = match &mut self {
            Self::V3(link) => match link.poll().await {
                Ok(rumqttc::Event::Incoming(packet)) => Ok(happening_3(packet)),
                Ok(rumqttc::Event::Outgoing(packet)) => Ok(sent(&packet)),
                Err(error) => Err(Error::Connection(error.to_string())),
            },
            Self::V5(link) => match link.poll().await {
                Ok(v5::Event::Incoming(packet)) => Ok(happening_5(packet)),
                Ok(v5::Event::Outgoing(packet)) => Ok(sent(&packet)),
                Err(error) => Err(Error::Connection(error.to_string())),
            },
        };
        (self, happened)
    }
}

fn sent(packet: &Outgoing) -> Happening {
    match packet {
        Outgoing::Publish(number) => Happening::Sent(*number),
        Outgoing::Disconnect => Happening::Left,
        _ => Happening::Other,
    }
}

fn happening_3(packet: Packet4) -> Happening {
    match packet {
        Packet4::ConnAck(answer) => Happening::Connected {
            session_present: answer.session_present,
        },
        Packet4::SubAck(answer) => Happening::Subscribed {
            refused: answer.return_codes.contains(&Code4::Failure),
        },
        Packet4::PubAck(answer) => Happening::Taken {
            number: answer.pkid,
            refusal: None,
        },
        Packet4::Publish(message) => Happening::Message(Message {
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            receipt: Receipt::V3(Box::new(message)),
        }),
        _ => Happening::Other,
    }
}

fn happening_5(packet: Packet5) -> Happening {
    match packet {
        Packet5::ConnAck(answer) => Happening::Connected {
            session_present: answer.session_present,
        },
        Packet5::SubAck(answer) => {
            let granted =
                |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
            Happening::Subscribed {
                refused: !answer.return_codes.iter().all(granted),
            }
        }
        Packet5::PubAck(answer) => {
            let taken = matches!(
                answer.reason,
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers
            );
            Happening::Taken {
                number: answer.pkid,
                refusal: (!taken).then(|| format!("{:?}", answer.reason)),
            }
        }
        Packet5::Publish(message) => Happening::Message(Message {
            topic: String::from_utf8_lossy(&message.topic).into_owned(),
            payload: message.payload.clone(),
            receipt: Receipt::V5(Box::new(message)),
        }),
        _ => Happening::Other,
    }
}

impl Speaker {
    /// Asks for topics with QoS 1.
    pub(crate) fn subscribe(&self, topics: &[String]) -> Result<(), Error> {
        for topic in topics {
            match self {
                Self::V3(client) => client.try_subscribe(topic, QoS4::AtLeastOnce).ok(),
                Self::V5(client) => client.try_subscribe(topic, QoS5::AtLeastOnce).ok(),
            }
            .ok_or(Error::Full)?;
        }
        Ok(())
    }

    /// Acknowledges a message; only on the connection that it came by.
    pub(crate) fn acknowledge(&self, receipt: &Receipt) -> Result<(), Error> {
        match (self, receipt) {
            (Self::V3(client), Receipt::V3(message)) => client.try_ack(message).ok(),
            (Self::V5(client), Receipt::V5(message)) => client.try_ack(message).ok(),
            // A receipt of another connection acknowledges nothing.
            _ => Some(()),
        }
        .ok_or(Error::Full)
    }

    /// Leaves, after all that was asked for before.
    pub(crate) fn leave(&self) -> Result<(), Error> {
        match self {
            Self::V3(client) => client.try_disconnect().ok(),
            Self::V5(client) => client.try_disconnect().ok(),
        }
        .ok_or(Error::Full)
    }

    /// Sends a message with QoS 1.
    pub(crate) fn publish(&self, topic: &str, payload: Bytes, retain: bool) -> Result<(), Error> {
        match self {
            Self::V3(client) => client
                .try_publish(topic, QoS4::AtLeastOnce, retain, payload)
                .ok(),
            Self::V5(client) => client
                .try_publish(topic, QoS5::AtLeastOnce, retain, payload)
                .ok(),
        }
        .ok_or(Error::Full)
    }
}
