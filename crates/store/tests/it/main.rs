//! The tests of the store: the contract on every backend, and what only a disk can do.

mod memory;
mod sqlite;
