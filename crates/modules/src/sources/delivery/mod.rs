//! What all sources that fetch or listen share.
//!
//! [`Format`] makes an event of one delivery (a line, a message), [`Entrance`] hands it in and
//! waits as long as it must, and [`consume`] is the one loop of all that read from a broker;
//! [`QueueSource`] is a whole source of a RabbitMQ queue.
//! What cannot be decoded is counted, told in the log a few times a minute at most, and made
//! an event where the source is configured so; it is never tried again.

mod consume;
mod decode;
mod entrance;
mod queue;

pub(super) use self::consume::{BATCH, Decoded, Delivery, Fate, Subscription, consume};
pub(super) use self::decode::{Envelope, Format, Naming, Payload, Reject, plain, typed};
pub(super) use self::entrance::{Entrance, Rejects, Stopping};
pub(super) use self::queue::QueueSource;
