//! What a backend keeps beside the first record of a run.
//!
//! The only place where a backend asks `conche-core` what a record means, so that no
//! backend invents a status of its own.

use conche_core::run::{Entry, Illegal, RunState, Started, Summary};

use crate::{Error, NewRun};

/// With what a new run began, and the run at a glance after its first record.
///
/// # Errors
/// [`Error::Corrupt`] where the first record is not `Entry::Started`.
pub(crate) fn birth(new: &NewRun) -> Result<(&Started, Summary), Error> {
    let corrupt = |illegal: Illegal| Error::Corrupt {
        kind: "run",
        name: new.run.to_string(),
        message: illegal.to_string(),
    };
    let state = RunState::begin(new.run, new.first.clone()).map_err(corrupt)?;
    let Entry::Started(started) = &new.first.entry else {
        return Err(corrupt(Illegal {
            state: "not started".to_owned(),
            entry: new.first.entry.name().to_owned(),
        }));
    };
    Ok((started, state.summary()))
}
