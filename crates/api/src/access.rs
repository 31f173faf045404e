//! Who may call what. Every route names the [`Access`] it needs; a caller has a set of them.
//!
//! Nothing is allowed that was not granted: a route without a row does not exist, and a
//! request without a known caller gets nowhere but to the routes for [`Access::Anyone`].

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use conche_runtime::listener::guard::{TokenSet, bearer_token};
use http::HeaderMap;

use crate::problem::Problem;
use crate::{Shared, codes};

/// What a route needs its caller to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Nothing: it tells nothing about this installation but that it is up, and its version.
    Anyone,
    /// Look at events, runs, reactions, metrics and health.
    Read,
    /// Hand in events.
    Send,
    /// Cancel, retry and resume runs.
    Operate,
    /// Change reactions.
    Define,
}

impl Access {
    /// Everything there is.
    pub const ALL: [Self; 5] = [
        Self::Anyone,
        Self::Read,
        Self::Send,
        Self::Operate,
        Self::Define,
    ];

    /// The word, as in the OpenAPI document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Read => "read",
            Self::Send => "send",
            Self::Operate => "operate",
            Self::Define => "define",
        }
    }
}

/// Who calls, as it is recorded with what they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// A name for people: a token's, never its value.
    pub name: Arc<str>,
    /// What it is allowed.
    pub may: BTreeSet<Access>,
}

impl Caller {
    /// A caller who may do everything.
    pub fn unlimited(name: &str) -> Self {
        Self {
            name: name.into(),
            may: Access::ALL.into(),
        }
    }
}

/// How callers prove who they are.
#[derive(Debug, Clone)]
pub enum Authorizer {
    /// They need not: every request may do everything. Only for a listener that is
    /// `loopback-open`, or that its owner opened to the network in so many words.
    Open,
    /// By a bearer token of this set.
    Tokens(TokenSet<Caller>),
}

impl Authorizer {
    fn identify(&self, headers: &HeaderMap) -> Option<Caller> {
        match self {
            Self::Open => Some(Caller::unlimited("local")),
            Self::Tokens(tokens) => tokens.identify(bearer_token(headers)?),
        }
    }

    /// Who calls, if they may.
    fn authorise(&self, headers: &HeaderMap, needed: Access) -> Result<Option<Caller>, Problem> {
        if needed == Access::Anyone {
            return Ok(None);
        }
        let Some(caller) = self.identify(headers) else {
            return Err(Problem::new(
                &codes::UNAUTHORIZED,
                "send a valid token as 'Authorization: Bearer TOKEN'",
            ));
        };
        if caller.may.contains(&needed) {
            return Ok(Some(caller));
        }
        Err(Problem::new(
            &codes::FORBIDDEN,
            format!("the token '{}' does not allow this", caller.name),
        ))
    }
}

/// Lets a request through to its route if its caller may, and tells the route who it is.
pub(crate) async fn authorise(
    State((api, needed)): State<(Shared, Access)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if let Some(caller) = api.auth.authorise(request.headers(), needed)? {
        request.extensions_mut().insert(caller);
    }
    Ok(next.run(request).await)
}
