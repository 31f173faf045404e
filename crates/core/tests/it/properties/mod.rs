//! What holds for every definition, every order of outcomes, every crash, and for journals that
//! nobody should have written.

mod crashes;
mod garbage;
mod interleavings;
