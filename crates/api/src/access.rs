//! Who may call what. Every route names the [`Access`] it needs; a caller has a set of them.
//!
//! Nothing is allowed that was not granted: a route without a row does not exist, and a
//! request without a known caller gets nowhere but to the routes for [`Access::Anyone`].

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use conche_core::Timestamp;
use conche_runtime::listener::Peer;
use conche_runtime::listener::guard::{TokenSet, bearer_token};
use conche_store::{TokenId, TokenRow};
use http::HeaderMap;

use crate::actor::{ACCESS_REFUSED, Actor};
use crate::problem::Problem;
use crate::roles::Role;
use crate::{Api, Shared, codes};

/// What a route needs its caller to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Nothing: it tells nothing about this installation but that it is up, and its version.
    Anyone,
    /// Look at events, runs, reactions, metrics and health.
    Read,
    /// Hand in events.
    Send,
    /// Start playbooks; cancel, pause, retry and resume runs; change named lists.
    Operate,
    /// Answer what waits for approval.
    Approve,
    /// Change reactions and playbooks.
    Define,
    /// Make and revoke tokens, and look at what was done by whom.
    Administer,
}

impl Access {
    /// Everything there is.
    pub const ALL: [Self; 7] = [
        Self::Anyone,
        Self::Read,
        Self::Send,
        Self::Operate,
        Self::Approve,
        Self::Define,
        Self::Administer,
    ];

    /// The word, as in the OpenAPI document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Read => "read",
            Self::Send => "send",
            Self::Operate => "operate",
            Self::Approve => "approve",
            Self::Define => "define",
            Self::Administer => "administer",
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
    /// The stored token that was shown; none for one of the configuration.
    pub token: Option<TokenId>,
}

impl Caller {
    /// A caller who may do everything.
    pub fn unlimited(name: &str) -> Self {
        Self {
            name: name.into(),
            may: Access::ALL.into(),
            token: None,
        }
    }

    fn of(row: &TokenRow) -> Self {
        // A role that a newer program gave its meaning is none here.
        let role = row.role.parse::<Role>().ok();
        Self {
            name: row.name.as_str().into(),
            may: role.map(Role::allows).unwrap_or_default(),
            token: Some(row.token),
        }
    }
}

/// How callers prove who they are.
#[derive(Debug, Clone)]
pub enum Authorizer {
    /// They need not: every request may do everything. Only for a listener that is
    /// `loopback-open`, or that its owner opened to the network in so many words.
    Open,
    /// By a bearer token: one of this set, or a stored one.
    Tokens(TokenSet<Caller>),
}

/// Why a caller is not let in.
enum Refused {
    /// No token was shown.
    NoToken,
    /// One that nobody knows.
    Unknown,
    /// One that ended by itself or was revoked.
    Over(Arc<TokenRow>, &'static str),
}

impl Refused {
    fn reason(&self) -> &'static str {
        match self {
            Self::NoToken => "no token",
            Self::Unknown => "unknown token",
            Self::Over(_, why) => why,
        }
    }

    fn problem(&self) -> Problem {
        let detail = match self {
            Self::NoToken | Self::Unknown => {
                "send a valid token as 'Authorization: Bearer TOKEN'".to_owned()
            }
            // Who holds its value may know.
            Self::Over(row, why) => format!("the token '{}' {why}", row.name),
        };
        Problem::new(&codes::UNAUTHORIZED, detail)
    }
}

/// Whether a stored token still counts, else why not.
pub(crate) fn standing(row: &TokenRow, now: Timestamp) -> Result<(), &'static str> {
    if row.revoked_at.is_some() {
        return Err("was revoked");
    }
    match row.expires_at {
        Some(end) if end <= now => Err("has expired"),
        _ => Ok(()),
    }
}

async fn identify(
    api: &Api,
    headers: &HeaderMap,
    peer: Option<&Peer>,
) -> Result<Result<Caller, Refused>, Problem> {
    let set = match &api.auth {
        Authorizer::Open => {
            let subject = peer.and_then(Peer::subject);
            let name = subject.as_deref().unwrap_or("local");
            return Ok(Ok(Caller::unlimited(name)));
        }
        Authorizer::Tokens(set) => set,
    };
    let Some(token) = bearer_token(headers) else {
        return Ok(Err(Refused::NoToken));
    };
    if let Some(caller) = set.identify(token) {
        return Ok(Ok(caller));
    }
    let store = &**api.engine.store();
    let Some(row) = api.known.identify(store, token).await? else {
        return Ok(Err(Refused::Unknown));
    };
    let now = api.engine.clock().now();
    if let Err(why) = standing(&row, now) {
        return Ok(Err(Refused::Over(row, why)));
    }
    api.known.note_use(store, &row, now).await;
    Ok(Ok(Caller::of(&row)))
}

/// Lets a request through to its route if its caller may, and tells the route who it is.
pub(crate) async fn authorise(
    State((api, needed)): State<(Shared, Access)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if needed == Access::Anyone {
        return Ok(next.run(request).await);
    }
    let actor = allowed(&api, needed, Asking::of(&request)).await?;
    request.extensions_mut().insert(actor);
    Ok(next.run(request).await)
}

/// What of a request tells who sends it and what for.
pub(crate) struct Asking<'r> {
    headers: &'r HeaderMap,
    peer: Option<Peer>,
    target: String,
}

impl<'r> Asking<'r> {
    pub(crate) fn of(request: &'r Request) -> Self {
        Self {
            headers: request.headers(),
            peer: request.extensions().get::<Peer>().cloned(),
            target: format!("{} {}", request.method(), request.uri().path()),
        }
    }
}

/// Who sends a request, where they may do what it needs; what is refused is recorded.
pub(crate) async fn allowed(
    api: &Api,
    needed: Access,
    Asking {
        headers,
        peer,
        target,
    }: Asking<'_>,
) -> Result<Actor, Problem> {
    let caller = match identify(api, headers, peer.as_ref()).await? {
        Ok(caller) => caller,
        Err(refused) => {
            if !matches!(refused, Refused::NoToken) {
                let (name, token) = match &refused {
                    Refused::Over(row, _) => (&*row.name, Some(row.token)),
                    _ => ("unknown", None),
                };
                let nobody = Caller {
                    name: name.into(),
                    may: BTreeSet::new(),
                    token,
                };
                let act = Actor::new(nobody, peer).act(api, "login.refused", target);
                api.refusals.record(api, act, refused.reason()).await;
            }
            return Err(refused.problem());
        }
    };
    let actor = Actor::new(caller, peer);
    if !actor.caller.may.contains(&needed) {
        let act = actor.act(api, ACCESS_REFUSED, target);
        api.refusals.record(api, act, "not allowed").await;
        let name = &actor.caller.name;
        let detail = format!("the token '{name}' does not allow this");
        return Err(Problem::new(&codes::FORBIDDEN, detail));
    }
    Ok(actor)
}
