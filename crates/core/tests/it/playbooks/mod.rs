//! Playbooks from the document to the end of a run: one file for each thing that CACAO says,
//! or leaves open, about how a playbook is carried out (docs/decisions, from 0012 on).

mod actions;
mod agreement;
mod calls;
mod decisions;
mod document;
mod exceptions;
mod loops;
mod nesting;
mod next_steps;
mod parallel;
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
