//! Modules against real peers: one binary, one file for each topic.
