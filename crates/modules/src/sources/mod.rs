//! The source modules, by name.

mod delivery;
mod dummy;
mod file;
mod onetime;
mod schedule;
mod syslog;
mod webhook;

pub use self::webhook::no_such_webhook;
use crate::source::SourceModule;

/// Every source module, in the order of their names.
pub static ALL: &[&SourceModule] = &[
    &dummy::MODULE,
    &file::MODULE,
    &onetime::MODULE,
    &schedule::MODULE,
    &syslog::MODULE,
    &webhook::MODULE,
];
