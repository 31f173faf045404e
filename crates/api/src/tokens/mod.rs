//! Stored tokens: made, listed, revoked. Only who administers may, and nobody gives more than
//! they have.

pub(crate) mod known;
pub(crate) mod value;

use axum::extract::State;
use axum::{Extension, Json as Answer};
use conche_core::{Digest, Timestamp};
use conche_store::{Change, Error as StoreError, TokenId, TokenRow};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::{Access, Caller, standing};
use crate::actor::{Actor, settle};
use crate::extract::{Body, Name, NoQuery, Query};
use crate::problem::Problem;
use crate::roles::Role;
use crate::{Api, Authorizer, Shared, codes};

pub use value::{NoRandomness, generate};

/// Tokens that are stored at a time: each request is compared with all.
const TOKENS_MAX: usize = 1000;
/// Characters of a name.
const NAME_MAX: usize = 64;

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken)]
pub(crate) struct TokenIn {
    /// A name for people, recorded with all that is done by it: letters, digits and `._@-`.
    name: String,
    /// What it allows.
    role: Role,
    /// When it ends by itself. Default: never.
    #[schema(value_type = Option<String>, format = "date-time")]
    expires_at: Option<Timestamp>,
}

/// A stored token, without its value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenOut {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// What it allows.
    role: String,
    /// `valid`, `expired` or `revoked`.
    status: &'static str,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// By whom.
    created_by: String,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    expires_at: Option<Timestamp>,
    /// When it was used, to within five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    last_used: Option<Timestamp>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    revoked_at: Option<Timestamp>,
}

impl TokenOut {
    fn of(row: TokenRow, now: Timestamp) -> Self {
        let status = match standing(&row, now) {
            Ok(()) => "valid",
            Err(_) if row.revoked_at.is_some() => "revoked",
            Err(_) => "expired",
        };
        Self {
            id: row.token.to_string(),
            name: row.name,
            role: row.role,
            status,
            created_at: row.created_at,
            created_by: row.created_by,
            expires_at: row.expires_at,
            last_used: row.last_used,
            revoked_at: row.revoked_at,
        }
    }
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedToken {
    #[serde(flatten)]
    token: TokenOut,
    /// What to send as `Authorization: Bearer`. It is shown this once and kept nowhere.
    value: String,
}

/// The stored tokens, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// The tokens, also those that are over.
    tokens: Vec<TokenOut>,
}

/// Lists the stored tokens; never their values.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens", operation_id = "list_tokens",
    responses((status = 200, body = Tokens, description = "The tokens."))
)]
pub(crate) async fn list(State(api): State<Shared>, _: NoQuery) -> Result<Answer<Tokens>, Problem> {
    let (rows, now) = (api.engine.store().tokens().await?, api.engine.clock().now());
    let tokens = rows.into_iter().map(|row| TokenOut::of(row, now)).collect();
    Ok(Answer(Tokens { tokens }))
}

/// Makes a token. Its value is in this answer and nowhere else.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", operation_id = "create_token",
    request_body = TokenIn,
    responses((status = 201, body = CreatedToken, description = "It is in force."))
)]
pub(crate) async fn create(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    _: NoQuery,
    Body(wanted): Body<TokenIn>,
) -> Result<(StatusCode, Answer<CreatedToken>), Problem> {
    let mut act = actor.act(&api, "token.create", &*wanted.name);
    let role = wanted.role.as_str().to_owned();
    act.detail.insert("role".to_owned(), role);
    if let Some(end) = wanted.expires_at {
        act.detail.insert("expires_at".to_owned(), end.to_string());
    }
    let made = make(&api, &actor.caller, wanted).await;
    let (row, value) = settle(&api, act.clone(), made).await?;
    act.detail.insert("token".to_owned(), row.token.to_string());
    let change = Change::PutToken(row.clone());
    let stored = api.engine.store().change(change, act.clone()).await;
    settle(&api, act, stored.map_err(|error| named(&row, error))).await?;
    api.known.changed(&**api.engine.store()).await?;
    let token = TokenOut::of(row, api.engine.clock().now());
    Ok((StatusCode::CREATED, Answer(CreatedToken { token, value })))
}

fn named(row: &TokenRow, error: StoreError) -> Problem {
    match error {
        StoreError::Exists { .. } => {
            let detail = format!(
                "a token '{}' is there already: revoke it first, or choose another name",
                row.name
            );
            Problem::new(&codes::TOKEN_NAME_TAKEN, detail)
        }
        error => error.into(),
    }
}

/// Checks a wanted token and makes it, but stores nothing.
async fn make(api: &Api, caller: &Caller, wanted: TokenIn) -> Result<(TokenRow, String), Problem> {
    let now = api.engine.clock().now();
    if !wanted.role.allows().is_subset(&caller.may) {
        let detail = format!(
            "'{}' may not give the role {}: nobody gives more than they have",
            caller.name,
            wanted.role.as_str()
        );
        return Err(Problem::new(&codes::FORBIDDEN, detail));
    }
    let rows = api.engine.store().tokens().await?;
    if rows.len() >= TOKENS_MAX {
        let detail = format!("{TOKENS_MAX} tokens are stored already");
        return Err(Problem::new(&codes::TOKEN_REFUSED, detail));
    }
    new_token(
        &wanted.name,
        wanted.role,
        wanted.expires_at,
        &caller.name,
        now,
    )
    .map_err(|refused| Problem::new(&codes::TOKEN_REFUSED, refused))
}

/// A new token as it is stored, and its value, which is not.
///
/// # Errors
/// Says what is wrong with the name or the end, or that there is no randomness.
pub fn new_token(
    name: &str,
    role: Role,
    expires_at: Option<Timestamp>,
    created_by: &str,
    now: Timestamp,
) -> Result<(TokenRow, String), String> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "._@-".contains(char);
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
        return Err(format!(
            "a token's name has 1 to {NAME_MAX} letters, digits, dots, hyphens, underscores or @"
        ));
    }
    if ["local", "retention", "server", "unknown"].contains(&name) {
        return Err(format!(
            "the name '{name}' means something else in the record"
        ));
    }
    if expires_at.is_some_and(|end| end <= now) {
        return Err("a token must end in the future".to_owned());
    }
    let value = generate().map_err(|error| error.to_string())?;
    let row = TokenRow {
        token: TokenId(Uuid::now_v7()),
        digest: Digest::of(value.as_bytes()),
        name: name.to_owned(),
        role: role.as_str().to_owned(),
        created_at: now,
        created_by: created_by.to_owned(),
        expires_at,
        last_used: None,
        revoked_at: None,
    };
    Ok((row, value))
}

/// How a token is revoked.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevokeQuery {
    /// Revoke it even if nobody can administer the server by a token afterwards. Default: false.
    #[serde(default)]
    last_admin: bool,
}

/// Revokes a token: from this answer on it lets nobody in. Doing it again changes nothing.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "revoke_token",
    params(("id" = String, Path, format = "uuid", description = "The token."), RevokeQuery),
    responses((status = 200, body = TokenOut, description = "It is revoked."))
)]
pub(crate) async fn revoke(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Name(id): Name,
    Query(query): Query<RevokeQuery>,
) -> Result<Answer<TokenOut>, Problem> {
    let token = Uuid::parse_str(&id).map(TokenId).map_err(|_| {
        let detail = format!("'{id}' is not a token's id (a UUID)");
        Problem::new(&codes::INVALID_ID, detail)
    })?;
    // Two admins who revoke each other at once: the second is told.
    let _alone = api.revoking.lock().await;
    let store = api.engine.store();
    let rows = store.tokens().await?;
    let row = rows.iter().find(|row| row.token == token);
    let name = row.map_or_else(|| id.clone(), |row| row.name.clone());
    let mut act = actor.act(&api, "token.revoke", name);
    act.detail.insert("token".to_owned(), token.to_string());
    let at = act.at;
    let allowed = if query.last_admin {
        Ok(())
    } else {
        check_not_last(&api, &rows, token, at)
    };
    settle(&api, act.clone(), allowed).await?;
    let change = Change::RevokeToken { token, at };
    let revoked = store.change(change, act.clone()).await;
    settle(&api, act, revoked).await?;
    api.known.changed(&**store).await?;
    let rows = store.tokens().await?;
    let row = rows.into_iter().find(|row| row.token == token);
    let row =
        row.ok_or_else(|| Problem::new(&codes::NOT_FOUND, format!("there is no token '{id}'")))?;
    Ok(Answer(TokenOut::of(row, at)))
}

/// Refuses to revoke the last token by which the server can be administered.
fn check_not_last(
    api: &Api,
    rows: &[TokenRow],
    token: TokenId,
    now: Timestamp,
) -> Result<(), Problem> {
    let is_needed = match &api.auth {
        Authorizer::Open => false,
        Authorizer::Tokens(set) => set.is_empty(),
    };
    let administers = |row: &&TokenRow| {
        let role = row.role.parse::<Role>();
        standing(row, now).is_ok()
            && role.is_ok_and(|role| role.allows().contains(&Access::Administer))
    };
    let mut admins = rows.iter().filter(administers);
    let is_last =
        admins.clone().any(|row| row.token == token) && admins.all(|row| row.token == token);
    if is_needed && is_last {
        let detail = "it is the last token that may administer this server, and the configuration names none: make another first, or say last_admin=true and make the next one with the server stopped";
        return Err(Problem::new(&codes::LAST_ADMIN_TOKEN, detail));
    }
    Ok(())
}
