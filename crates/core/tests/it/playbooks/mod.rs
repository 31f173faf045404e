//! Playbooks from the document to the end of a run: one file for each thing that CACAO says,
//! or leaves open, about how a playbook is carried out (docs/decisions, from 0012 on).

mod actions;
mod agreement;
mod approval;
mod calls;
mod decisions;
mod document;
mod exceptions;
mod loops;
mod nesting;
mod next_steps;
mod parallel;
mod pausing;
mod play;
mod questions;
mod quoting;
mod random;
mod reference;
mod refusals;
mod reopening;
mod results;
mod scopes;
mod times;

use proptest::prelude::*;

use crate::world::Case;

/// Random playbooks for the properties that hold for every definition.
pub(crate) fn cases() -> impl Strategy<Value = Case> {
    (random::nodes(), any::<u64>()).prop_map(|(nodes, seed)| {
        let (doc, callees) = random::playbook(&nodes, seed, random::Weather::Any);
        let lowered = play::lowered(&doc.program(&callees));
        Case {
            definition: lowered.definition,
            variables: Vec::new(),
            scope: Some(lowered.variables),
        }
    })
}
