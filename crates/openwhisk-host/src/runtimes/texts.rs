//! The texts of `response.result.error` and of log lines that OpenWhisk has for actions that
//! fail. Clients compare them, so they are never reworded.

use std::time::Duration;

/// A process ended before it was ready.
pub const NOT_INITIALISED: &str = "The action did not initialize and exited unexpectedly.";

/// A process ended before it had answered.
pub const NO_ANSWER: &str = "The action did not produce a valid response and exited unexpectedly.";

/// A process used more memory than its limit.
pub const OUT_OF_MEMORY: &str = "The action exhausted its memory and was aborted.";

/// There was no room, or no process could be started.
pub const NOT_PROVISIONED: &str = "Failed to provision resources to run the action.";

/// The code of the action is empty.
pub const NO_CODE: &str = "Missing main/no code to execute.";

/// An archive could not be read.
pub const NO_ARCHIVE: &str = "There was an error uncompressing the action archive.";

/// An executable, or what is run like one, has ended.
pub const COMMAND_EXITED: &str = "command exited";

/// An executable, or what is run like one, could not be started.
pub const CANNOT_START: &str = "Cannot start action. Check logs for details.";

/// The last line of the logs of a call that did not end well.
pub const LOGS_IN_DOUBT: &str =
    "The action did not initialize or run as expected. Log data might be missing.";

/// The start took too long.
pub fn slow_start(limit: Duration) -> String {
    let limit = limit.as_millis();
    format!("The action exceeded its time limits of {limit} milliseconds during initialization.")
}

/// The call took too long.
pub fn slow_run(limit: Duration) -> String {
    let limit = limit.as_millis();
    format!("The action exceeded its time limits of {limit} milliseconds.")
}

/// The start failed and said something that is not an error of its own.
pub fn failed_start(answer: &str) -> String {
    format!("The action failed during initialization: {answer}")
}

/// The answer is no object and no array.
pub fn invalid_answer(answer: &str) -> String {
    format!("The action did not produce a valid JSON or JSON Array response: {answer}")
}

/// The answer has `length` bytes where `limit` are allowed; `start` is what is kept of it.
pub fn long_answer(length: u64, limit: u64, start: &str) -> String {
    format!(
        "The action produced a response that exceeded the allowed length: {length} > {limit} \
         bytes. The truncated response was: {start}"
    )
}

/// The arguments are too long; OpenWhisk has no text for it, as it sums up no sizes.
pub fn long_arguments(length: usize, limit: usize) -> String {
    format!("The arguments exceeded the allowed length: {length} > {limit} bytes.")
}

/// An image that there is no Docker for.
pub fn no_image(image: &str) -> String {
    format!("Failed to pull container image '{image}'.")
}

/// The last line of logs that were longer than `limit` bytes.
pub fn logs_truncated(limit: u64) -> String {
    format!("Logs were truncated because the total bytes size exceeds the limit of {limit} bytes.")
}
