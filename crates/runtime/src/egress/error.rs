//! What is known about a request that has no complete answer.

use std::{error::Error as StdError, net::SocketAddr};

use http::StatusCode;

use super::{address::Scope, connect::ConnectError};
use crate::units::Size;

/// Why there is no complete answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The request can't be sent as it is. Repeating it is no use.
    #[error("the request is invalid: {0}")]
    Invalid(String),
    /// The policy forbids the destination. Nothing was sent.
    #[error(
        "egress to {host} is refused: {address} is {scope}; an `allow` entry under `egress:` opens it"
    )]
    Refused {
        /// The host of the URL.
        host: String,
        /// The address that was refused.
        address: SocketAddr,
        /// What kind of address it is.
        scope: Scope,
    },
    /// No connection came about. Certainly nothing was delivered.
    #[error("the request to {host} was not sent: {reason}")]
    NotSent {
        /// The host of the URL.
        host: String,
        /// What failed.
        reason: String,
    },
    /// A connection was there; the request may have been delivered and acted on.
    #[error("the request to {host} may have been delivered, its answer is unknown: {reason}")]
    Uncertain {
        /// The host of the URL.
        host: String,
        /// What failed.
        reason: String,
    },
    /// The answer's body is over the limit. The request was delivered.
    #[error("{host} answered {status} with more than {limit}")]
    TooLarge {
        /// The host of the URL.
        host: String,
        /// The answer's status.
        status: StatusCode,
        /// The limit.
        limit: Size,
    },
}

impl Error {
    /// Whether the receiver may have seen the request.
    pub fn may_be_delivered(&self) -> bool {
        matches!(self, Self::Uncertain { .. } | Self::TooLarge { .. })
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused {
                host,
                address,
                scope,
            } => Self::Refused {
                host,
                address,
                scope,
            },
            ConnectError::Failed { host, reason } => Self::NotSent { host, reason },
            ConnectError::Invalid(reason) => Self::Invalid(reason.to_owned()),
        }
    }
}

pub(super) fn failure(host: &str, error: &hyper_util::client::legacy::Error) -> Error {
    if !error.is_connect() {
        return uncertain(host, describe(error));
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(connect) = inner.downcast_ref::<ConnectError>() {
            return connect.clone().into();
        }
        source = inner.source();
    }
    Error::NotSent {
        host: host.to_owned(),
        reason: describe(error),
    }
}

pub(super) fn uncertain(host: &str, reason: String) -> Error {
    Error::Uncertain {
        host: host.to_owned(),
        reason,
    }
}

/// The innermost sources say what happened; the outer ones name layers.
pub(super) fn describe(error: &(dyn StdError + 'static)) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        reason.push_str(": ");
        reason.push_str(&inner.to_string());
        source = inner.source();
    }
    reason
}
