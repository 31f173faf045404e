//! What an answer of a process means for the activation. Pure: bytes in, class and result out.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use nix::libc;
use serde_json::{Value, json};

use super::cage::NOT_STARTED;
use super::logs::Logs;
use super::process::Heard;
use super::run::ResponseClass;
use super::texts;

/// What a line begins with that is no result: the action failed in a way of its language that
/// is a developer error. No JSON begins so.
const FAULT: u8 = b'!';

/// Which runtime of OpenWhisk is followed in what it says about a process that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// The action lives in the server itself, as with Node.
    Server,
    /// The action is a command that a proxy talks to: ActionLoop.
    ActionLoop,
}

/// How a call, or the start for it, ended.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) class: ResponseClass,
    pub(super) result: Value,
    /// Whether the process may be used again.
    pub(super) reusable: bool,
    pub(super) timed_out: bool,
    /// Whether logs may be missing.
    pub(super) in_doubt: bool,
}

impl Verdict {
    fn answered(class: ResponseClass, result: Value) -> Self {
        Self {
            class,
            result,
            reusable: class <= ResponseClass::ApplicationError,
            timed_out: false,
            in_doubt: false,
        }
    }

    fn developer(error: impl Into<Value>) -> Self {
        let error: Value = error.into();
        Self::answered(ResponseClass::DeveloperError, json!({ "error": error }))
    }

    /// The process did not come to an answer.
    fn lost(error: impl Into<Value>) -> Self {
        Self {
            in_doubt: true,
            ..Self::developer(error)
        }
    }

    /// The action was not even called, for what was asked of it.
    pub(super) fn application(error: impl Into<Value>) -> Self {
        let error: Value = error.into();
        Self::answered(ResponseClass::ApplicationError, json!({ "error": error }))
    }

    /// Its time was over.
    pub(super) fn late(error: String) -> Self {
        Self {
            timed_out: true,
            ..Self::lost(error)
        }
    }

    /// No process could be started, for a reason that is not the action's.
    pub(super) fn not_provisioned() -> Self {
        let error = json!({ "error": texts::NOT_PROVISIONED });
        Self::answered(ResponseClass::InternalError, error)
    }

    /// The code can't be started at all.
    pub(super) fn unusable(error: impl Into<Value>) -> Self {
        Self::developer(error)
    }
}

/// What the start of an action came to; `None` if it is ready.
pub(super) fn judge_start(
    heard: Heard,
    manner: Manner,
    limit: Duration,
    logs: &Logs,
) -> Option<Verdict> {
    let line = match heard {
        Heard::Line(line) => line,
        Heard::LongLine { start, .. } => start,
        Heard::OutOfTime => return Some(Verdict::late(texts::slow_start(limit))),
        Heard::OutOfMemory => return Some(Verdict::lost(texts::OUT_OF_MEMORY)),
        Heard::Exited(status) if ran_out_of_heap(status, logs) => {
            return Some(Verdict::lost(texts::OUT_OF_MEMORY));
        }
        Heard::Exited(_) | Heard::TooManyProcesses => {
            return Some(Verdict::lost(match manner {
                Manner::Server => texts::NOT_INITIALISED,
                Manner::ActionLoop => texts::CANNOT_START,
            }));
        }
    };
    match line.split_first() {
        Some((&NOT_STARTED, reason)) => Some(not_started(reason)),
        Some((&FAULT, body)) => {
            Some(Verdict::developer(error_in(body).unwrap_or_else(|| {
                texts::failed_start(&String::from_utf8_lossy(body)).into()
            })))
        }
        _ if is_ready(&line) => None,
        _ => Some(Verdict::developer(texts::failed_start(
            &String::from_utf8_lossy(&line),
        ))),
    }
}

/// What a call came to. `limits` are the time it had and the bytes that an answer may have.
pub(super) fn judge_run(
    heard: Heard,
    manner: Manner,
    limits: (Duration, u64),
    logs: &Logs,
) -> Verdict {
    match heard {
        Heard::Line(line) => judge_line(&line),
        Heard::LongLine { start, length } => {
            let start = String::from_utf8_lossy(&start);
            let error = texts::long_answer(length, limits.1, &start);
            Verdict::answered(ResponseClass::ApplicationError, json!({ "error": error }))
        }
        Heard::OutOfTime => Verdict::late(texts::slow_run(limits.0)),
        Heard::OutOfMemory => Verdict::lost(texts::OUT_OF_MEMORY),
        Heard::Exited(status) if ran_out_of_heap(status, logs) => {
            Verdict::lost(texts::OUT_OF_MEMORY)
        }
        Heard::Exited(_) | Heard::TooManyProcesses => Verdict::lost(match manner {
            Manner::Server => texts::NO_ANSWER,
            Manner::ActionLoop => texts::COMMAND_EXITED,
        }),
    }
}

fn judge_line(line: &[u8]) -> Verdict {
    match line.split_first() {
        Some((&NOT_STARTED, reason)) => return not_started(reason),
        Some((&FAULT, body)) => {
            return Verdict::developer(error_in(body).unwrap_or_else(|| invalid(body)));
        }
        _ => {}
    }
    match serde_json::from_slice::<Value>(line) {
        Ok(Value::Object(mut object)) => match object.remove("error") {
            // What stands beside the error is not kept.
            Some(error) => {
                Verdict::answered(ResponseClass::ApplicationError, json!({ "error": error }))
            }
            None => Verdict::answered(ResponseClass::Success, Value::Object(object)),
        },
        Ok(array @ Value::Array(_)) => Verdict::answered(ResponseClass::Success, array),
        Ok(_) | Err(_) => Verdict::developer(invalid(line)),
    }
}

fn not_started(reason: &[u8]) -> Verdict {
    let reason = String::from_utf8_lossy(reason);
    tracing::warn!(%reason, "a function could not be started");
    Verdict::not_provisioned()
}

fn invalid(line: &[u8]) -> Value {
    texts::invalid_answer(&String::from_utf8_lossy(line)).into()
}

fn error_in(body: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value.get("error").cloned()
}

fn is_ready(line: &[u8]) -> bool {
    let value = serde_json::from_slice::<Value>(line);
    value.is_ok_and(|value| value.get("ok") == Some(&Value::Bool(true)))
}

/// V8 says so and aborts.
fn ran_out_of_heap(status: Option<std::process::ExitStatus>, logs: &Logs) -> bool {
    status.and_then(|status| status.signal()) == Some(libc::SIGABRT)
        && logs.contain("heap out of memory")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    const LIMITS: (Duration, u64) = (Duration::from_millis(1500), 100);

    fn run(heard: Heard, manner: Manner) -> (ResponseClass, Value, bool) {
        let verdict = judge_run(heard, manner, LIMITS, &Logs::new(0));
        (verdict.class, verdict.result, verdict.reusable)
    }

    fn line(text: &str) -> (ResponseClass, Value, bool) {
        run(Heard::Line(text.into()), Manner::Server)
    }

    fn start(heard: Heard, manner: Manner) -> Option<Value> {
        let verdict = judge_start(heard, manner, LIMITS.0, &Logs::new(0))?;
        assert!(verdict.class >= ResponseClass::DeveloperError && !verdict.reusable);
        Some(verdict.result["error"].clone())
    }

    #[test]
    fn objects_without_error_and_arrays_are_successes() {
        let success = |value| (ResponseClass::Success, value, true);
        assert_eq!(line(r#"{"a":1}"#), success(json!({ "a": 1 })));
        assert_eq!(line("[1]"), success(json!([1])));
    }

    #[test]
    fn an_error_of_any_value_is_an_application_error_without_its_siblings() {
        for error in [json!("x"), json!(null), json!({ "b": 1 })] {
            let text = json!({ "error": error, "a": 1 }).to_string();
            let expected = (
                ResponseClass::ApplicationError,
                json!({ "error": error }),
                true,
            );
            assert_eq!(line(&text), expected);
        }
    }

    #[test]
    fn scalars_and_nonsense_are_developer_errors() {
        for text in ["\"x\"", "null", "1", "{", "", "!", "!1"] {
            let (class, result, reusable) = line(text);
            assert_eq!(class, ResponseClass::DeveloperError, "{text}");
            assert!(!reusable);
            let body = text.trim_start_matches('!');
            let error =
                format!("The action did not produce a valid JSON or JSON Array response: {body}");
            assert_eq!(result, json!({ "error": error }));
        }
    }

    #[test]
    fn a_fault_with_an_error_is_told_as_it_is() {
        let (class, result, reusable) = line(r#"!{"error":{"x":1},"a":1}"#);
        assert_eq!((class, reusable), (ResponseClass::DeveloperError, false));
        assert_eq!(result, json!({ "error": { "x": 1 } }));
    }

    #[test]
    fn a_long_answer_is_an_application_error_that_shows_its_start() {
        let heard = Heard::LongLine {
            start: b"{\"a".to_vec(),
            length: 101,
        };
        let error = "The action produced a response that exceeded the allowed length: 101 > 100 \
                     bytes. The truncated response was: {\"a";
        let expected = (
            ResponseClass::ApplicationError,
            json!({ "error": error }),
            true,
        );
        assert_eq!(run(heard, Manner::Server), expected);
    }

    #[test]
    fn a_call_that_is_lost_is_a_developer_error_with_its_text() {
        let no_answer = "The action did not produce a valid response and exited unexpectedly.";
        let rows = [
            (Heard::Exited(None), Manner::Server, no_answer),
            (Heard::Exited(None), Manner::ActionLoop, "command exited"),
            (
                Heard::OutOfTime,
                Manner::Server,
                "The action exceeded its time limits of 1500 milliseconds.",
            ),
            (
                Heard::OutOfMemory,
                Manner::ActionLoop,
                "The action exhausted its memory and was aborted.",
            ),
        ];
        for (heard, manner, text) in rows {
            let (class, result, reusable) = run(heard, manner);
            assert_eq!(class, ResponseClass::DeveloperError);
            assert_eq!(result, json!({ "error": text }));
            assert!(!reusable);
        }
    }

    #[test]
    fn a_heap_that_is_full_is_memory_exhausted_and_another_abort_is_not() {
        let aborted = || Heard::Exited(Some(ExitStatus::from_raw(libc::SIGABRT)));
        let mut logs = Logs::new(1000);
        let judge = |logs: &Logs| judge_run(aborted(), Manner::Server, LIMITS, logs).result;
        assert_eq!(judge(&logs), json!({ "error": texts::NO_ANSWER }));
        let said = b"FATAL ERROR: JavaScript heap out of memory\n";
        logs.push(
            super::super::logs::Stream::Stderr,
            said,
            jiff::Timestamp::UNIX_EPOCH,
        );
        assert_eq!(judge(&logs), json!({ "error": texts::OUT_OF_MEMORY }));
    }

    #[test]
    fn a_start_that_fails_says_its_error_or_what_it_answered() {
        let line = |text: &str| Heard::Line(text.into());
        let said = |text: &str| Some(json!(text));
        assert_eq!(start(line(r#"{"ok": true}"#), Manner::Server), None);
        assert_eq!(start(line(r#"!{"error":"E"}"#), Manner::Server), said("E"));
        assert_eq!(
            start(line("!oops"), Manner::Server),
            said("The action failed during initialization: oops")
        );
        assert_eq!(
            start(line("{}"), Manner::ActionLoop),
            said("The action failed during initialization: {}")
        );
        assert_eq!(
            start(Heard::OutOfTime, Manner::Server),
            said("The action exceeded its time limits of 1500 milliseconds during initialization.")
        );
        assert_eq!(
            start(Heard::Exited(None), Manner::Server),
            said("The action did not initialize and exited unexpectedly.")
        );
        assert_eq!(
            start(line("?cannot confine"), Manner::Server),
            said("Failed to provision resources to run the action.")
        );
    }
}
