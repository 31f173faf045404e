//! How a request can fail inside a batch, and what SQLite's errors mean to callers.

use rusqlite::ErrorCode;

use crate::Error;

/// Why a request of a batch was not carried out.
#[derive(Debug)]
pub(super) enum Fault {
    /// The request failed its own check. The batch goes on without it.
    Refused(Error),
    /// SQLite failed. Nobody knows what of the request was written: the batch is rolled back.
    Sql(rusqlite::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// What an error of SQLite means to a caller.
pub(super) fn error(cause: rusqlite::Error) -> Error {
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full(cause.to_string()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt {
            kind: "database",
            name: FILE.to_owned(),
            message: cause.to_string(),
        },
        _ => Error::Unavailable(cause.to_string()),
    }
}

/// The database's file within the data folder.
pub(super) const FILE: &str = "conche.db";

/// Whether a failed commit leaves open what is on disk.
pub(super) fn is_ambiguous(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
}

/// An I/O error outside of SQLite.
pub(super) fn unavailable(what: &str, cause: &std::io::Error) -> Error {
    match cause.kind() {
        std::io::ErrorKind::StorageFull => Error::Full(format!("{what}: {cause}")),
        _ => Error::Unavailable(format!("{what}: {cause}")),
    }
}

pub(super) fn not_found(kind: &'static str, name: impl ToString) -> Error {
    Error::NotFound {
        kind,
        name: name.to_string(),
    }
}
