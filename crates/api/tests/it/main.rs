//! The API over real HTTP: an engine on a memory store behind the hardened listener.

mod access;
mod bodies;
mod documents;
mod events;
mod reactions;
mod runs;
mod server;
mod system;
mod tails;
