//! What came of a command: a word for it, whether the step succeeded, and its variables.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::parse::{Command, FailOn, Output, Reason};
use super::value::fits;
use crate::client::Error;
use crate::model::{Activation, ActivationId};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It was done, or accepted where nobody waits.
    Success,
    /// It goes on, and the time of the step is over.
    Pending,
    /// The action says that it failed.
    ApplicationError,
    /// The action could not run.
    DeveloperError,
    /// The platform failed.
    InternalError,
    /// The host refused it.
    Rejected,
    /// The host has had enough for now.
    Throttled,
    /// The host can't be reached, or can't do it now.
    Unavailable,
    /// It was sent, and what came of it is unknown.
    Lost,
    /// A trigger without an active rule: nothing happened.
    NoActiveRule,
}

impl Word {
    /// The text for `__openwhisk_status__`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Pending => "pending",
            Self::ApplicationError => "application_error",
            Self::DeveloperError => "developer_error",
            Self::InternalError => "internal_error",
            Self::Rejected => "rejected",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Lost => "lost",
            Self::NoActiveRule => "no_active_rule",
        }
    }

    /// The word for a failure, and the reason for which it may be tried again.
    pub(super) fn of(error: &Error) -> (Self, Option<Reason>) {
        match error {
            Error::NotSent(_) => (Self::Unavailable, Some(Reason::NotSent)),
            Error::Throttled(_) => (Self::Throttled, Some(Reason::Throttled)),
            Error::Unavailable(_) => (Self::Unavailable, Some(Reason::Unavailable)),
            Error::Application(_) => (Self::ApplicationError, Some(Reason::Application)),
            Error::Developer(_) => (Self::DeveloperError, Some(Reason::Developer)),
            Error::Internal(_) | Error::Failed(_) => (Self::InternalError, Some(Reason::Internal)),
            Error::Invalid(_) | Error::Rejected(_) => (Self::Rejected, None),
            Error::Lost { .. } | Error::TooLarge { .. } | Error::Unreadable(_) => {
                (Self::Lost, None)
            }
        }
    }
}

/// The end of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// How.
    pub word: Word,
    /// The HTTP status of the answer that says so; that of a blocking invocation where the end
    /// was found by asking.
    pub http_status: Option<u16>,
    /// The activation, where it has ended.
    pub activation: Option<Box<Activation>>,
    /// Its identifier, where it is known.
    pub id: Option<ActivationId>,
    /// What is said of a failure.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
}

/// Why an activation gives no variables. Each is a failure of the step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// There is nothing for a variable.
    #[error("the activation has nothing at `{from}` for `{variable}`")]
    Missing {
        /// The variable.
        variable: String,
        /// Where it was to be found.
        from: String,
    },
    /// What is there is of another type.
    #[error("`{from}` for `{variable}` is {found}, and not of type {kind}")]
    Type {
        /// The variable.
        variable: String,
        /// Where it was found.
        from: String,
        /// What it is.
        found: String,
        /// What it was to be.
        kind: String,
    },
}

impl Ended {
    /// Whether the step succeeded with this.
    pub fn succeeded(&self, command: &Command) -> bool {
        let tolerates = |class| !command.fail_on.contains(&class);
        match self.word {
            Word::Success => true,
            Word::NoActiveRule => !command.require_rule,
            Word::ApplicationError => tolerates(FailOn::Application),
            Word::DeveloperError => tolerates(FailOn::Developer),
            Word::InternalError => self.activation.is_some() && tolerates(FailOn::Internal),
            Word::Lost => tolerates(FailOn::Lost),
            Word::Pending | Word::Rejected | Word::Throttled | Word::Unavailable => false,
        }
    }

    /// What a person is told.
    pub fn message(&self) -> String {
        let said = self
            .error
            .as_deref()
            .map_or_else(String::new, |error| format!(": {error}"));
        let of = self
            .id
            .as_ref()
            .map_or_else(String::new, |id| format!(" (activation {id})"));
        format!("{}{said}{of}", self.word.as_str())
    }

    /// The variables of the step: `outputs` first, then for other names of `out_args` what is
    /// built in, then the members of the result by name.
    ///
    /// # Errors
    /// [`MappingError`], of a success only: a failure gives what it has.
    pub fn variables(
        &self,
        command: &Command,
        out_args: &[String],
    ) -> Result<Map<String, Value>, MappingError> {
        let document = self.document();
        let is_success = matches!(self.word, Word::Success);
        let mut found = Map::new();
        for (name, output) in &command.outputs {
            match Self::output(&document, name, output) {
                Ok(Some(value)) => drop(found.insert(name.clone(), value)),
                Ok(None) => {}
                Err(error) if is_success => return Err(error),
                Err(_) => {}
            }
        }
        for name in out_args {
            if found.contains_key(name) {
                continue;
            }
            let value = self.built_in(name).or_else(|| member(&document, name));
            if let Some(value) = value {
                found.insert(name.clone(), value);
            }
        }
        Ok(found)
    }

    fn output(
        document: &Value,
        name: &str,
        output: &Output,
    ) -> Result<Option<Value>, MappingError> {
        let found = document.pointer(&output.from);
        let Some(value) = found.or(output.default.as_ref()) else {
            if !output.required {
                return Ok(None);
            }
            return Err(MappingError::Missing {
                variable: name.to_owned(),
                from: output.from.clone(),
            });
        };
        match &output.kind {
            Some(kind) if !fits(value, kind) => Err(MappingError::Type {
                variable: name.to_owned(),
                from: output.from.clone(),
                found: kind_of(value).to_owned(),
                kind: kind.clone(),
            }),
            _ => Ok(Some(value.clone())),
        }
    }

    /// What `outputs` point into: the activation, or as much of one as is known.
    pub fn document(&self) -> Value {
        let whole = self
            .activation
            .as_ref()
            .and_then(|activation| serde_json::to_value(activation).ok());
        whole.unwrap_or_else(|| match &self.id {
            Some(id) => json!({ "activationId": id }),
            None => json!({}),
        })
    }

    fn built_in(&self, name: &str) -> Option<Value> {
        let activation = self.activation.as_deref();
        let result = activation.and_then(|activation| activation.response.result.as_ref());
        match name {
            "__openwhisk_activation_id__" => self.id.as_ref().map(|id| id.as_str().into()),
            "__openwhisk_status__" => Some(self.word.as_str().into()),
            "__openwhisk_http_status__" => self.http_status.map(Into::into),
            "__openwhisk_result__" => result.cloned(),
            "__openwhisk_error__" => self.error.as_deref().map(Into::into),
            "__openwhisk_duration_ms__" => activation?.duration.map(Into::into),
            "__openwhisk_wait_ms__" => activation?.wait_time().map(Into::into),
            "__openwhisk_cold__" => activation.map(|activation| activation.is_cold().into()),
            "__openwhisk_logs__" => activation.map(|activation| activation.logs.join("\n").into()),
            _ => None,
        }
    }

    /// The end of an activation.
    pub(super) fn of_activation(activation: Activation, attempts: u32) -> (Self, Option<Reason>) {
        let http_status = Some(activation.response.status.http_status());
        let id = Some(activation.activation_id.clone());
        match Error::of_activation(activation) {
            Ok(activation) => {
                let ended = Self {
                    word: Word::Success,
                    http_status,
                    activation: Some(Box::new(activation)),
                    id,
                    error: None,
                    attempts,
                };
                (ended, None)
            }
            Err(error) => {
                let (word, reason) = Word::of(&error);
                let activation = match error {
                    Error::Application(it) | Error::Developer(it) | Error::Internal(it) => Some(it),
                    _ => None,
                };
                let said = activation
                    .as_ref()
                    .and_then(|activation| activation.error());
                let ended = Self {
                    word,
                    http_status,
                    error: said.map(|said| {
                        said.as_str()
                            .map_or_else(|| said.to_string(), str::to_owned)
                    }),
                    activation,
                    id,
                    attempts,
                };
                (ended, reason)
            }
        }
    }

    /// An end without activation.
    pub(super) fn of_error(
        error: &Error,
        id: Option<ActivationId>,
        attempts: u32,
    ) -> (Self, Option<Reason>) {
        let (word, reason) = Word::of(error);
        let named = match error {
            Error::Lost { activation, .. } => activation.clone(),
            _ => None,
        };
        let ended = Self {
            word,
            http_status: error.status(),
            activation: None,
            id: id.or(named),
            error: Some(error.to_string()),
            attempts,
        };
        (ended, reason)
    }

    /// Something that was accepted, and that nobody waits for.
    pub(super) fn accepted(id: Option<ActivationId>, word: Word, attempts: u32) -> Self {
        let status = if word == Word::NoActiveRule { 204 } else { 202 };
        Self {
            word,
            http_status: Some(status),
            activation: None,
            id,
            error: None,
            attempts,
        }
    }

    /// How long it took in all, for people.
    pub fn duration(&self) -> Option<Duration> {
        let milliseconds = self.activation.as_ref()?.duration?;
        u64::try_from(milliseconds).ok().map(Duration::from_millis)
    }
}

/// The member of the result that an `out_args` name `__x__` means.
fn member(document: &Value, name: &str) -> Option<Value> {
    let bare = name.strip_prefix("__")?.strip_suffix("__")?;
    let result = document.pointer("/response/result")?;
    result.get(bare).cloned()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
