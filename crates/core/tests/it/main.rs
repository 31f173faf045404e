//! Tests of the core as a whole: its state machine driven by a shell made for tests, its stored
//! form against checked-in samples, and its purity.
//!
//! Golden files are journals meant to be read. After a wanted change, write them again with
//! `CONCHE_REWRITE_GOLDEN=1 cargo test -p conche-core` and review the difference as prose.

mod definitions;
mod journal_format;
mod playbooks;
mod properties;
mod prose;
mod purity;
mod scale;
mod shell;
mod stories;
mod world;
