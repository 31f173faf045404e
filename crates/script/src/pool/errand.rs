//! One call on its way through the queue, and the reading of its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::config::Limits;
use crate::error::Error;
use crate::protocol::{CallResult, Request, Response};
use crate::script::{Digest, Evaluated, Evaluation, Isolation, LogLevel, LogLine, Logs, Verdict};

/// What a worker is asked to do.
pub(crate) enum Work {
    Evaluate(Evaluation),
    Check { source: Arc<str> },
    Jq { filter: Arc<str>, input: Arc<str> },
}

/// What it did.
#[derive(Debug)]
pub(crate) enum Done {
    Evaluated(Evaluated),
    Sound,
    Values(Vec<Box<RawValue>>),
}

/// The answer is not one that our worker gives: it has been taken over.
#[derive(Debug)]
pub(super) struct Nonsense(pub(super) &'static str);

/// A call and the place its answer goes.
pub(crate) struct Errand {
    pub(crate) script: Digest,
    pub(crate) name: Arc<str>,
    pub(crate) work: Work,
    pub(crate) limits: Limits,
    pub(crate) started: Arc<AtomicBool>,
    pub(crate) reply: oneshot::Sender<Result<Done, Error>>,
}

impl Errand {
    /// Marks the call as taken by a worker; false if nobody waits for it.
    pub(super) fn begin(&self) -> bool {
        let wanted = !self.reply.is_closed();
        if wanted {
            self.started.store(true, Ordering::Relaxed);
        }
        wanted
    }

    /// Answers the call; a caller that has gone does not mind.
    pub(super) fn finish(self, result: Result<Done, Error>) {
        drop(self.reply.send(result));
    }

    /// Bytes that go to the worker, the source not counted.
    pub(super) fn input_bytes(&self) -> usize {
        match &self.work {
            Work::Evaluate(call) => {
                let length =
                    |part: &Option<Arc<RawValue>>| part.as_ref().map_or(0, |part| part.get().len());
                call.event.get().len() + length(&call.action_data) + length(&call.lists)
            }
            Work::Check { source } => source.len(),
            Work::Jq { filter, input } => filter.len() + input.len(),
        }
    }

    /// The longest answer a sound worker can give.
    pub(super) fn answer_bytes(&self) -> usize {
        self.limits.answer_bytes(self.input_bytes())
    }

    /// The request for a worker that knows the script as `slot`.
    pub(super) fn request(&self, id: u64, slot: u32) -> Request<'_> {
        let limits = self.limits.for_call();
        match &self.work {
            Work::Evaluate(call) => Request::Evaluate {
                id,
                slot,
                fresh: call.isolation == Isolation::Fresh,
                limits,
                event: call.event.get(),
                action_data: call.action_data.as_ref().map(|data| data.get()),
                lists: call.lists.as_ref().map(|lists| lists.get()),
            },
            Work::Check { source } => Request::Check { id, limits, source },
            Work::Jq { filter, input } => Request::Jq {
                id,
                limits,
                filter,
                input,
            },
        }
    }

    /// Reads the worker's answer, believing nothing.
    pub(super) fn read(
        &self,
        response: Response<'_>,
        spent: Duration,
    ) -> Result<Result<Done, Error>, Nonsense> {
        let limits = self.limits;
        let logs = logs(&response)?;
        Ok(match response.result {
            CallResult::Stop { event } => {
                let event = event.map(|event| json(event.into_owned())).transpose()?;
                Ok(Done::Evaluated(Evaluated {
                    next: Verdict::Stop,
                    event,
                    logs,
                    spent,
                }))
            }
            CallResult::Next {
                action,
                data,
                event,
            } => {
                if action.is_empty()
                    || !data.starts_with('{')
                    || action.len() + data.len() > 2 * limits.output
                {
                    return Err(Nonsense("a verdict that is none"));
                }
                let event = event.map(|event| json(event.into_owned())).transpose()?;
                let data = json(data.into_owned())?;
                let next = Verdict::Next {
                    action: action.into_owned(),
                    data,
                };
                Ok(Done::Evaluated(Evaluated {
                    next,
                    event,
                    logs,
                    spent,
                }))
            }
            CallResult::Sound => Ok(Done::Sound),
            CallResult::Values { values } => {
                let values = values.into_iter().map(|value| json(value.into_owned()));
                Ok(Done::Values(values.collect::<Result<_, _>>()?))
            }
            CallResult::Failed(failure) => Err(Error::Script {
                message: failure.message,
                line: failure.line,
                column: failure.column,
                logs,
            }),
            CallResult::Timeout => Err(Error::Timeout {
                limit: limits.time,
                logs,
            }),
            CallResult::Memory => Err(Error::Memory {
                limit: limits.memory,
                logs,
            }),
            CallResult::OutputTooLarge => Err(Error::OutputTooLarge {
                limit: limits.output,
                logs,
            }),
        })
    }
}

fn json(text: String) -> Result<Box<RawValue>, Nonsense> {
    RawValue::from_string(text).map_err(|_| Nonsense("a value that is not JSON"))
}

fn logs(response: &Response<'_>) -> Result<Logs, Nonsense> {
    let lines = response.logs.iter().map(|line| {
        let level = match line.level {
            0 => LogLevel::Debug,
            1 => LogLevel::Info,
            2 => LogLevel::Warn,
            3 => LogLevel::Error,
            _ => return Err(Nonsense("a log level that does not exist")),
        };
        Ok(LogLine {
            level,
            text: line.text.clone().into_owned(),
        })
    });
    Ok(Logs {
        lines: lines.collect::<Result<_, _>>()?,
        truncated: response.logs_truncated,
    })
}
