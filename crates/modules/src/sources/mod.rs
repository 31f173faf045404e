//! The source modules, by name.

mod amqp;
mod clair;
mod delivery;
mod dummy;
mod file;
mod k8s;
mod k8s_imagevalidator;
mod mqtt;
mod nats;
mod onetime;
mod openstack;
mod schedule;
mod syslog;
mod webhook;

pub use self::webhook::no_such_webhook;
use crate::source::SourceModule;

/// Every source module, in the order of their names.
pub static ALL: &[&SourceModule] = &[
    &clair::MODULE,
    &amqp::MODULE,
    &dummy::MODULE,
    &file::MODULE,
    &k8s::MODULE,
    &k8s_imagevalidator::MODULE,
    &mqtt::MODULE,
    &nats::MODULE,
    &onetime::MODULE,
    &openstack::MODULE,
    &schedule::MODULE,
    &syslog::MODULE,
    &webhook::MODULE,
];
