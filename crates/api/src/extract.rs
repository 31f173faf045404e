//! How handlers read requests: strictly. What is unknown, doubled, too large, too deep or of
//! another content type is an error that says so, never passed over.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use conche_core::Json;
use conche_core::json::Limits;
use conche_store::Page;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::{Shared, codes, words};

/// Rows of a page, unless the caller says otherwise.
const PAGE: u32 = 50;
/// Rows of a page at most.
pub(crate) const PAGE_MAX: u32 = 500;

/// A JSON body read as `T`, whose unknown members are errors.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Shared) -> Result<Self, Problem> {
        let (headers, bytes) = collect(request, api).await?;
        read(&headers, &bytes, api.json).map(Self)
    }
}

/// A JSON body that may be left out.
pub(crate) struct OptionalBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<Shared> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Shared) -> Result<Self, Problem> {
        let (headers, bytes) = collect(request, api).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        read(&headers, &bytes, api.json).map(Self)
    }
}

async fn collect(request: Request, api: &Shared) -> Result<(HeaderMap, Bytes), Problem> {
    let headers = request.headers().clone();
    let bytes = Bytes::from_request(request, api).await.map_err(|error| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let limit = api.json.bytes;
            let detail = format!("the body has more than the {limit} bytes allowed");
            Problem::new(&codes::BODY_TOO_LARGE, detail)
        } else {
            Problem::new(&codes::INVALID_BODY, "the body ended before its time")
        }
    })?;
    Ok((headers, bytes))
}

fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    bytes: &[u8],
    limits: Limits,
) -> Result<T, Problem> {
    check_content_type(headers)?;
    Json::parse(bytes, limits)?.read().map_err(|error| {
        let conche_core::json::Error::Malformed(detail) = &error else {
            return Problem::new(&codes::INVALID_BODY, error.to_string());
        };
        Problem::new(&codes::INVALID_BODY, words::plain(detail))
    })
}

/// Exactly `application/json`, at most with `charset=utf-8`: what is taken for one type here
/// and for another elsewhere has opened doors in other products.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::new(&codes::CONTENT_TYPE_REFUSED, detail));
    if headers.contains_key(CONTENT_ENCODING) {
        return refuse("the body must not be compressed: leave Content-Encoding out");
    }
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return refuse("send the body with one header 'Content-Type: application/json'");
    };
    let text = value.to_str().unwrap_or_default();
    let (essence, parameter) = text
        .split_once(';')
        .map_or((text, None), |(essence, rest)| (essence, Some(rest.trim())));
    let utf8 = |parameter: &str| {
        ["charset=utf-8", "charset=\"utf-8\""]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(parameter))
    };
    if essence.trim().eq_ignore_ascii_case("application/json") && parameter.is_none_or(utf8) {
        Ok(())
    } else {
        refuse("the body must be application/json")
    }
}

/// The query read as `T`, whose unknown parameters are errors.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        let read = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        read.map(|query| Self(query.0)).map_err(|error| {
            let detail = match &error {
                QueryRejection::FailedToDeserializeQueryString(inner) => {
                    std::error::Error::source(inner)
                        .map_or_else(|| inner.to_string(), ToString::to_string)
                }
                _ => error.to_string(),
            };
            Problem::new(&codes::INVALID_QUERY, words::plain(&detail))
        })
    }
}

/// The query of a path that takes none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// See [`Nothing`].
pub(crate) type NoQuery = Query<Nothing>;

/// The one id within the path.
pub(crate) struct Id<T>(pub(crate) T);

impl<T> FromRequestParts<Shared> for Id<T>
where
    T: FromStr<Err = conche_core::id::Error>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Problem> {
        let Name(text) = Name::from_request_parts(parts, api).await?;
        Ok(Self(text.parse()?))
    }
}

/// The one name within the path.
pub(crate) struct Name(pub(crate) String);

impl FromRequestParts<Shared> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, api).await;
        path.map(|path| Self(path.0))
            .map_err(|error| Problem::new(&codes::INVALID_ID, error.body_text()))
    }
}

/// How many rows a query asks for.
pub(crate) fn rows_at_most(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(PAGE);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("limit is a number from 1 to {PAGE_MAX}");
    Err(Problem::new(&codes::INVALID_QUERY, detail))
}

/// The page that a query asks for, and one row more, by which it is seen whether another follows.
pub(crate) fn page<K>(before: Option<K>, limit: Option<u32>) -> Result<Page<K>, Problem> {
    let limit = rows_at_most(limit)? + 1;
    Ok(Page { before, limit })
}

/// Cuts the row that [`page`] asked for beyond the page; gives the key to go on from.
pub(crate) fn cut<R, K>(rows: &mut Vec<R>, page: Page<K>, key: impl Fn(&R) -> K) -> Option<K> {
    let shown = page.limit.saturating_sub(1) as usize;
    if rows.len() <= shown {
        return None;
    }
    rows.truncate(shown);
    rows.last().map(key)
}
