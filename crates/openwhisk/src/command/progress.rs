//! What comes next in carrying a command out. Pure: it is told what was heard, and says what
//! to do; waiting and sending are for others.
//!
//! | state | does | leads to |
//! |---|---|---|
//! | ready | sends it | polling, ready (again, later), log, ended |
//! | polling | asks for the activation | polling, ready (again), log, ended |
//! | log | asks for the log | ended |
//! | ended | nothing | |
//!
//! Once an activation is known it is asked for and never invoked again, unless it has ended and
//! the command wants failures of its class tried again.

use std::time::Duration;

use super::outcome::{Ended, Word};
use super::parse::{Command, Mode, Reason, Verb};
use crate::client::{Error, Fired, Invoked, looks_again};
use crate::model::{Activation, ActivationId, Logs};

/// Where a command stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    attempts: u32,
    /// Activations that have ended and failed: what comes after them is another deed.
    failed: u32,
    state: State,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Ready {
        after: Duration,
    },
    Polling {
        id: ActivationId,
        look: u32,
        after: Duration,
    },
    Log {
        ended: Box<Ended>,
    },
    Ended(Box<Ended>),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Wait so long, then invoke or fire. `deed` counts what is to be done anew: receivers that
    /// know a key do one deed once.
    Send {
        /// Before it.
        after: Duration,
        /// From 0.
        deed: u32,
    },
    /// Wait so long, then ask for the activation.
    Look {
        /// Before it.
        after: Duration,
        /// Which.
        id: ActivationId,
    },
    /// Ask for the log.
    Log(ActivationId),
    /// Nothing: this is the end.
    End(Box<Ended>),
}

/// What was heard.
#[derive(Debug)]
pub enum Heard {
    /// The answer to an invocation.
    Invoked(Result<Invoked, Error>),
    /// The answer to a firing.
    Fired(Result<Fired, Error>),
    /// The answer to a look.
    Looked(Box<Result<Activation, Error>>),
    /// The log, or why there is none.
    Log(Result<Logs, Error>),
    /// The time of the step is over.
    TimeUp,
}

impl Progress {
    /// Of a command that nothing was done of.
    pub fn begin() -> Self {
        let after = Duration::ZERO;
        Self {
            attempts: 0,
            failed: 0,
            state: State::Ready { after },
        }
    }

    /// Of a command whose activation is known, such as after a restart.
    pub fn resume(id: ActivationId) -> Self {
        let state = State::Polling {
            id,
            look: 0,
            after: Duration::ZERO,
        };
        Self {
            attempts: 1,
            failed: 0,
            state,
        }
    }

    /// What to do next.
    pub fn next(&self) -> Next {
        match &self.state {
            State::Ready { after } => Next::Send {
                after: *after,
                deed: self.failed,
            },
            State::Polling { id, after, .. } => Next::Look {
                after: *after,
                id: id.clone(),
            },
            State::Log { ended } => match &ended.id {
                Some(id) => Next::Log(id.clone()),
                None => Next::End(ended.clone()),
            },
            State::Ended(ended) => Next::End(ended.clone()),
        }
    }

    /// The activation that goes on.
    pub fn activation(&self) -> Option<&ActivationId> {
        match &self.state {
            State::Polling { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Where the command stands after this. What does not belong to the state changes nothing.
    #[must_use]
    pub fn hear(mut self, command: &Command, heard: Heard) -> Self {
        let is_ready = matches!(self.state, State::Ready { .. });
        match heard {
            Heard::Invoked(answer) if is_ready && command.verb == Verb::Invoke => {
                self.attempts += 1;
                self.invoked(command, answer)
            }
            Heard::Fired(answer) if is_ready && command.verb == Verb::Fire => {
                self.attempts += 1;
                self.fired(command, answer)
            }
            Heard::Looked(answer) => self.looked(command, *answer),
            Heard::Log(answer) => self.logged(answer),
            Heard::TimeUp => self.time_up(),
            Heard::Invoked(_) | Heard::Fired(_) => self,
        }
    }

    fn invoked(self, command: &Command, answer: Result<Invoked, Error>) -> Self {
        match answer {
            Ok(Invoked::Done(activation)) => self.ended(command, *activation),
            Ok(Invoked::Accepted(id)) if command.mode == Mode::Async => {
                let ended = Ended::accepted(Some(id), Word::Success, self.attempts);
                self.over(ended)
            }
            Ok(Invoked::Accepted(id)) => self.polls(command, id, 0, Duration::ZERO),
            // It was invoked, and the host has named it: there is somebody to ask.
            Err(Error::Lost {
                activation: Some(id),
                ..
            }) => self.polls(command, id, 0, Duration::ZERO),
            Err(error) => self.failed(command, &error),
        }
    }

    fn fired(self, command: &Command, answer: Result<Fired, Error>) -> Self {
        let attempts = self.attempts;
        match answer {
            Ok(Fired::Accepted(id)) => {
                self.over(Ended::accepted(Some(id), Word::Success, attempts))
            }
            Ok(Fired::NoActiveRule) => {
                self.over(Ended::accepted(None, Word::NoActiveRule, attempts))
            }
            Err(error) => self.failed(command, &error),
        }
    }

    fn looked(self, command: &Command, answer: Result<Activation, Error>) -> Self {
        let State::Polling { id, look, .. } = &self.state else {
            return self;
        };
        let (id, look) = (id.clone(), look + 1);
        match answer {
            Ok(activation) => self.ended(command, activation),
            Err(error) if looks_again(&error) => {
                let asked = error.after().unwrap_or_default();
                self.polls(command, id, look, asked)
            }
            Err(error) => {
                // It goes on, and cannot be seen: what comes of it is unknown.
                let (mut ended, _) = Ended::of_error(&error, Some(id), self.attempts);
                ended.word = Word::Lost;
                self.over(ended)
            }
        }
    }

    fn logged(mut self, answer: Result<Logs, Error>) -> Self {
        if let State::Log { ended } = self.state {
            let mut ended = ended;
            if let (Ok(logs), Some(activation)) = (answer, &mut ended.activation) {
                activation.logs = logs.logs;
            }
            self.state = State::Ended(ended);
        }
        self
    }

    fn time_up(self) -> Self {
        let attempts = self.attempts;
        match &self.state {
            State::Ready { .. } => {
                let error = Error::NotSent("there was no time left".to_owned());
                let (ended, _) = Ended::of_error(&error, None, attempts);
                self.over(ended)
            }
            State::Polling { id, .. } => {
                let ended = Ended {
                    error: Some("it has not ended in time, and goes on".to_owned()),
                    ..Ended::accepted(Some(id.clone()), Word::Pending, attempts)
                };
                self.over(ended)
            }
            State::Log { ended } => {
                let ended = Ended::clone(ended);
                self.over(ended)
            }
            State::Ended(_) => self,
        }
    }

    fn polls(mut self, command: &Command, id: ActivationId, look: u32, asked: Duration) -> Self {
        let after = command.poll.wait(look).max(asked);
        self.state = State::Polling { id, look, after };
        self
    }

    fn ended(mut self, command: &Command, activation: Activation) -> Self {
        let (ended, reason) = Ended::of_activation(activation, self.attempts);
        if let Some(after) = self.again(command, reason) {
            self.failed += 1;
            self.state = State::Ready { after };
            return self;
        }
        if command.logs {
            self.state = State::Log {
                ended: Box::new(ended),
            };
            return self;
        }
        self.over(ended)
    }

    fn failed(mut self, command: &Command, error: &Error) -> Self {
        let (ended, reason) = Ended::of_error(error, None, self.attempts);
        match self.again(command, reason) {
            Some(after) => {
                let after = after.max(error.after().unwrap_or_default());
                self.state = State::Ready { after };
                self
            }
            None => self.over(ended),
        }
    }

    fn again(&self, command: &Command, reason: Option<Reason>) -> Option<Duration> {
        command.tries_again(reason?, self.attempts)
    }

    fn over(mut self, ended: Ended) -> Self {
        self.state = State::Ended(Box::new(ended));
        self
    }
}
