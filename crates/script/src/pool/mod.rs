//! The parent's side: worker processes, the queue in front of them, and one
//! task per worker that owns its pipes.

mod errand;
mod process;
mod queue;
mod slot;
mod stint;

pub(crate) use errand::{Done, Errand, Work};
pub(crate) use slot::Pool;
