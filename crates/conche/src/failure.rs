//! Why a command did not do what it was asked, and the exit code that says so.

use std::process::ExitCode;

/// Exit code: it was done.
pub(crate) const OK: u8 = 0;
/// Exit code: it failed, or what was checked is not in order.
pub(crate) const FAILED: u8 = 1;
/// Exit code: the command line or the configuration makes no sense.
pub(crate) const USAGE: u8 = 2;

/// A command that ended without having done what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What was asked makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] crate::config::Error),
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// Whoever reads the output went away, as `head` does.
    #[error("nobody reads the output any more")]
    Unread,
}

impl Failure {
    /// A failure that `error` caused while `doing`.
    pub(crate) fn of(doing: &str, error: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{doing}: {error}"))
    }

    /// What the process exits with.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => USAGE,
            Self::Config(_) | Self::Failed(_) => FAILED,
            Self::Unread => OK,
        })
    }
}

/// Why something that goes beyond what is usual was refused by the operating system.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Failed(error.to_string()),
        }
    }
}
