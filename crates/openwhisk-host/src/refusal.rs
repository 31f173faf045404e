//! What the API answers instead of what was asked for: a status and a sentence.
//!
//! Handlers return a [`Refusal`]; the body `{"error", "code"}` is written in one place
//! ([`crate::transaction`]), because its `code` is the transaction's. Sentences never hold a
//! secret and never tell what a caller may not know.

use axum::response::{IntoResponse, Response};
use conche_openwhisk::model::{
    ActivationIdError, LimitError, ListError, Messages, NameError, NameInBodyError, SizeError,
};
use http::StatusCode;

use crate::store;

/// A request that is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {text}")]
pub(crate) struct Refusal {
    /// The status to answer with.
    pub(crate) status: StatusCode,
    /// Why, for the caller.
    pub(crate) text: String,
    /// In how many seconds it may be worth trying again.
    pub(crate) retry_after: Option<u64>,
    /// The activation that it is about.
    pub(crate) activation: Option<String>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            retry_after: None,
            activation: None,
        }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(crate) fn malformed(detail: impl std::fmt::Display) -> Self {
        Self::bad(Messages::malformed(&detail.to_string()))
    }

    /// A query parameter that cannot be read.
    pub(crate) fn query(name: &str, detail: impl std::fmt::Display) -> Self {
        Self::bad(format!(
            "The query parameter '{name}' was malformed:\n{detail}"
        ))
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, Messages::NOT_FOUND)
    }

    /// Something of another that is not for this caller: `ns/[pkg/]name`.
    pub(crate) fn forbidden(entity: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, Messages::not_authorized(entity))
    }

    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, text)
    }

    pub(crate) fn overloaded() -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, Messages::OVERLOADED)
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict(_) => Self::conflict(Messages::CONFLICT),
            store::Error::Known { .. } | store::Error::Corrupt { .. } => {
                tracing::error!(%error, "a stored record cannot be used");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "There was an internal server error.",
                )
            }
            store::Error::Unavailable(_) => {
                tracing::error!(%error, "the store did not do what was asked");
                Self::overloaded()
            }
        }
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<NameInBodyError> for Refusal {
    fn from(error: NameInBodyError) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<LimitError> for Refusal {
    fn from(error: LimitError) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<ListError> for Refusal {
    fn from(error: ListError) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<ActivationIdError> for Refusal {
    fn from(error: ActivationIdError) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<SizeError> for Refusal {
    fn from(error: SizeError) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
    }
}
