//! A host that is compatible with Apache OpenWhisk and needs nothing installed: its REST API,
//! and [`runtimes`] that carry out actions as child processes.

pub mod runtimes;
