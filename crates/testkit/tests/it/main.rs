//! The shape of the whole workspace.

mod fuzz;
mod layout;
