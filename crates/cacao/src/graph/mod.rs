//! A workflow as a graph: which step leads where, and which branch a step belongs to.

mod flow;
pub mod layout;
mod levels;

pub use self::flow::{Edge, Flow, Node, Way};
pub use self::levels::{Level, Levels};
