//! The table of faults, by family.

#![allow(
    clippy::semicolon_if_nothing_returned,
    reason = "a row of the table is an expression"
)]

mod attached;
mod commands;
mod flow;
mod identity;
mod references;
mod values;
mod variables;

use super::parts::Parts;

/// Codes, and what breaks one thing. The first code is the one that the fault is for; others are
/// those that it cannot be without: what leads nowhere, say, reaches no end. More than one row
/// for a code where it has more than one face.
pub(super) type Fault = (&'static str, fn(&mut Parts));

const FAMILIES: [&[Fault]; 7] = [
    values::FAULTS,
    identity::FAULTS,
    references::FAULTS,
    flow::FAULTS,
    commands::FAULTS,
    variables::FAULTS,
    attached::FAULTS,
];

/// Every fault.
pub(super) fn all() -> impl Iterator<Item = &'static Fault> {
    FAMILIES.into_iter().flatten()
}
