//! Why a call did not go well, told apart by what a caller may do next.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

use super::transport::{Failure, Response};
use crate::model::{Activation, ActivationId, ErrorBody, Status};

/// So much of an answer that is no error of the API is quoted.
const QUOTE_MAX: usize = 300;

/// Why a call did not go well.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// What is to be sent is wrong: a name, a header, the size of a page. Nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// No connection came about. Nothing was delivered: it may be sent again.
    #[error("the request was not sent: {0}")]
    NotSent(String),
    /// 429: the host did nothing, and has enough for now.
    #[error("throttled: {0}")]
    Throttled(Refusal),
    /// Another 4xx, or a redirect: the same request would be refused again.
    #[error("rejected with {0}")]
    Rejected(Refusal),
    /// 503: the host can't do it now; whether it began is not certain for all hosts.
    #[error("the host is not available: {0}")]
    Unavailable(Refusal),
    /// The action ran and says itself that it failed: its result is `{"error": …}`.
    #[error("the action failed: {}", said(.0))]
    Application(Box<Activation>),
    /// The action crashed, did not start, or took too much.
    #[error("the action could not run: {}", said(.0))]
    Developer(Box<Activation>),
    /// The platform failed while it had the activation.
    #[error("OpenWhisk failed: {}", said(.0))]
    Internal(Box<Activation>),
    /// The platform failed with an error of the API, such as 500: whether an action ran is not known.
    #[error("OpenWhisk failed: {0}")]
    Failed(Refusal),
    /// It may have been delivered, and what came of it is unknown.
    #[error("the answer is unknown: {reason}")]
    Lost {
        /// What happened.
        reason: String,
        /// The activation to ask for, where the host has named one.
        activation: Option<ActivationId>,
    },
    /// The answer is larger than this many bytes. The request was delivered.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The most that was wanted.
        limit: usize,
    },
    /// The answer is not what the API says.
    #[error("the answer can't be read: {0}")]
    Unreadable(String),
}

/// What a host said with a status that is no success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {text}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What it says, or the beginning of what it answered.
    pub text: String,
    /// The `code` of the answer: the transaction's identifier in the host's log.
    pub transaction: Option<String>,
    /// How long it asks to wait.
    pub after: Option<Duration>,
}

/// What a host says of a failed activation.
fn said(activation: &Activation) -> String {
    let text = match activation.error() {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => activation.response.status.as_str().to_owned(),
    };
    format!("{text} (activation {})", activation.activation_id)
}

impl Refusal {
    pub(crate) fn of(response: &Response) -> Self {
        let (text, transaction) = match ErrorBody::read(&response.body) {
            Some(body) => {
                let transaction = body.transaction();
                (body.error, Some(transaction))
            }
            None => (quote(response), None),
        };
        Self {
            status: response.status.as_u16(),
            text,
            transaction,
            after: retry_after(&response.headers),
        }
    }
}

/// The beginning of an answer that is no error of the API.
fn quote(response: &Response) -> String {
    let text = String::from_utf8_lossy(&response.body);
    let text: String = text
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .take(QUOTE_MAX)
        .collect();
    match text.trim() {
        "" => response
            .status
            .canonical_reason()
            .unwrap_or("no text")
            .to_owned(),
        text => text.to_owned(),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(reason) => Self::NotSent(reason),
            Failure::Refused(reason) => Self::Invalid(reason),
            Failure::Lost(reason) => Self::Lost {
                reason,
                activation: None,
            },
            Failure::TooLarge(limit) => Self::TooLarge { limit },
        }
    }
}

impl Error {
    /// What an answer means that is none of those that were expected.
    pub(crate) fn of(response: &Response) -> Self {
        let refusal = Refusal::of(response);
        match response.status {
            StatusCode::TOO_MANY_REQUESTS => Self::Throttled(refusal),
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable(refusal),
            StatusCode::INTERNAL_SERVER_ERROR => Self::Failed(refusal),
            status if status.is_server_error() && refusal.transaction.is_none() => Self::Lost {
                reason: format!("something between here and the host answered {refusal}"),
                activation: None,
            },
            status if status.is_server_error() => Self::Failed(refusal),
            status if status.is_success() => {
                Self::Unreadable(format!("it is {status} with: {}", refusal.text))
            }
            _ => Self::Rejected(refusal),
        }
    }

    /// The failure that an activation is; none where it succeeded. A class that is not known
    /// counts as a failure of the platform.
    pub fn of_activation(activation: Activation) -> Result<Activation, Self> {
        let class = activation.response.status.clone();
        let activation = Box::new(activation);
        match class {
            Status::Success => Ok(*activation),
            Status::ApplicationError => Err(Self::Application(activation)),
            Status::DeveloperError => Err(Self::Developer(activation)),
            Status::InternalError | Status::Other(_) => Err(Self::Internal(activation)),
        }
    }

    /// The HTTP status, where the host answered with an error of the API.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Throttled(refusal)
            | Self::Rejected(refusal)
            | Self::Unavailable(refusal)
            | Self::Failed(refusal) => Some(refusal.status),
            Self::Application(activation)
            | Self::Developer(activation)
            | Self::Internal(activation) => Some(activation.response.status.http_status()),
            _ => None,
        }
    }

    /// Whether the host says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// How long the host asks to wait.
    pub fn after(&self) -> Option<Duration> {
        match self {
            Self::Throttled(refusal) | Self::Unavailable(refusal) => refusal.after,
            _ => None,
        }
    }
}
