//! Kubernetes: the source and the actions against a stand-in for the API server.

mod actions;
mod admission;
mod apiserver;
mod objects;
mod source;
