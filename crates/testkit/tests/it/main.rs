//! The shape of the whole workspace.

mod layout;
