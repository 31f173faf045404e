//! The runtimes from outside: real interpreters, real programs, real processes.

mod conformance;
mod hostile;
mod isolation;
mod killed;
mod launchers;
mod node;
mod pool;
mod programs;
mod python;
mod rig;
mod scripts;
