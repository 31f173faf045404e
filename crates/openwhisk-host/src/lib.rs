//! A host that is compatible with Apache OpenWhisk and needs nothing installed.
//!
//! [`Host`] is the whole: its REST API as a router, over a [`store`] that is handed in, with
//! [`runtimes`] that carry out actions as child processes. What an accepted invocation becomes
//! is decided in one place (`invoke`), what a firing starts in another (`fire`); both record
//! before they act. [`web`] turns requests into arguments and results into answers, purely.
//!
//! Nothing here knows a database, opens a port or starts a task outside the supervisor.

mod cache;
mod define;
mod entities;
mod fire;
mod host;
mod invoke;
mod native;
mod refusal;
mod rest;
pub mod runtimes;
mod settings;
pub mod store;
mod throttle;
mod transaction;
pub mod users;
pub mod web;
mod within;

pub use self::host::{Host, Parts, Resumed};
pub use self::settings::{ActionSettings, Retention, Settings, Sizes, Throttles};
pub use self::transaction::render;
pub use self::within::Within;
