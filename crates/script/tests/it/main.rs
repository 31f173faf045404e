//! The sandbox from outside: real worker processes, real scripts.

mod hostile;
mod isolation;
mod jq;
mod pool;
mod probes;
mod rig;
mod semantics;
