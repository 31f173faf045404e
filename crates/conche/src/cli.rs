//! The command line: nouns in the plural, each with its verbs.

use clap::{Parser, Subcommand};

use crate::serve::ServeArgs;

/// Turns security events into durable, tested, explainable responses.
#[derive(Debug, Parser)]
#[command(
    name = "conche",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ServeArgs),
}
