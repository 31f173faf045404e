//! The engine with stand-ins all around: what a run comes to, and what is recorded of it.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod approvals;
mod ask;
mod at_once;
mod caps;
mod children;
mod crash;
mod emits;
mod folder;
mod limits;
mod lists;
mod operators;
mod pausing;
mod playbooks;
mod registry;
mod reminders;
mod runs;
mod storms;
mod uncertain;
