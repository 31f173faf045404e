//! Who may call: the checks of a `loopback-open` listener, and bearer tokens.
//!
//! A listener without authentication on a loopback address is still reached by
//! every page open in a local browser. Three checks keep pages out, each
//! against one way in:
//! `Host` must be a loopback name (a page whose own name was rebound to
//! 127.0.0.1 sends that name); `Origin`, where a browser sends one, must be
//! this listener's own; and a body must have a content type that a browser
//! doesn't send to another site without asking first.
//!
//! A token is compared in constant time and is never logged or echoed.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority};
use http_body::Body as _;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::problem::{Problem, Render};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets only requests through that [`check_local`] accepts.
pub fn loopback_open(router: Router, hosts: Vec<String>, render: Render) -> Router {
    let hosts: Arc<[String]> = hosts.into();
    router.layer(from_fn(move |request: Request, next: Next| {
        let refused = check_local(&request, &hosts);
        async move {
            match refused {
                Ok(()) => next.run(request).await,
                Err(problem) => render(&problem),
            }
        }
    }))
}

/// Whether a request can't have been caused by a foreign web page. `hosts` are
/// names that are this listener's, besides the loopback ones.
pub fn check_local(request: &Request, hosts: &[String]) -> Result<(), Problem> {
    let authority = authority(request)?;
    if !is_own_name(&authority, hosts) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host-refused",
            format!(
                "the host `{authority}` is not this listener's: call it by a loopback name or add the name to its `hosts`"
            ),
        ));
    }
    check_origin(request, &authority)?;
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return Ok(());
    }
    check_content_type(request)
}

fn authority(request: &Request) -> Result<Authority, Problem> {
    let refuse = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "host-invalid", detail);
    let header = single(request.headers(), &header::HOST)
        .map_err(|()| refuse("the request has more than one Host"))?;
    let authority = match (request.uri().authority(), header) {
        (Some(authority), None) => authority.clone(),
        (None, Some(host)) => Authority::try_from(host.as_bytes())
            .map_err(|_| refuse("the Host is not a host name"))?,
        (Some(authority), Some(host)) if authority.as_str().as_bytes() == host.as_bytes() => {
            authority.clone()
        }
        (Some(_), Some(_)) => return Err(refuse("the Host is not that of the request line")),
        (None, None) => return Err(refuse("the request has no Host")),
    };
    if authority.as_str().contains('@') {
        return Err(refuse("the Host is not a host name"));
    }
    Ok(authority)
}

fn is_own_name(authority: &Authority, hosts: &[String]) -> bool {
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = literal.parse::<IpAddr>()
        && address.to_canonical().is_loopback()
    {
        return true;
    }
    host == "localhost"
        || host.ends_with(".localhost")
        || hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
}

fn check_origin(request: &Request, authority: &Authority) -> Result<(), Problem> {
    let refuse = || {
        Problem::new(
            StatusCode::FORBIDDEN,
            "origin-refused",
            "a page of another origin may not call this listener",
        )
    };
    let headers = request.headers();
    if let Some(origin) = single(headers, &header::ORIGIN).map_err(|()| refuse())? {
        let origin = origin.to_str().map_err(|_| refuse())?;
        let own = origin
            .split_once("://")
            .is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(authority.as_str()));
        if !own {
            return Err(refuse());
        }
    }
    // A link to a page of ours is fine; a state-changing call from elsewhere is not.
    let site = single(headers, &SEC_FETCH_SITE).map_err(|()| refuse())?;
    let foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
    if foreign && !request.method().is_safe() {
        return Err(refuse());
    }
    Ok(())
}

fn check_content_type(request: &Request) -> Result<(), Problem> {
    let refuse = |detail: &str| {
        Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type-refused",
            detail,
        ))
    };
    let Ok(content_type) = single(request.headers(), &header::CONTENT_TYPE) else {
        return refuse("the request has more than one Content-Type");
    };
    let Some(content_type) = content_type else {
        return if request.body().is_end_stream() {
            Ok(())
        } else {
            refuse("a body needs a Content-Type, such as application/json")
        };
    };
    let essence = content_type
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_form = matches!(
        &*essence,
        "" | "text/plain" | "application/x-www-form-urlencoded"
    ) || essence.starts_with("multipart/");
    if is_form {
        return refuse(
            "this listener needs no token and so takes no content type that any web page can send: use application/json",
        );
    }
    Ok(())
}

/// The header's only value. A repeated header is an error, since whoever stands
/// before or behind us might pick the other one.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        _ => Err(()),
    }
}

/// Lets only requests through whose bearer token `identify` knows, and gives
/// the route the identity as a request extension; else answers 401.
pub fn bearer<I, F>(router: Router, identify: F, render: Render) -> Router
where
    I: Clone + Send + Sync + 'static,
    F: Fn(&str) -> Option<I> + Send + Sync + 'static,
{
    let identify = Arc::new(identify);
    router.layer(from_fn(move |mut request: Request, next: Next| {
        let identity = bearer_token(request.headers()).and_then(|token| identify(token));
        async move {
            match identity {
                Some(identity) => {
                    request.extensions_mut().insert(identity);
                    next.run(request).await
                }
                None => unauthorized(render),
            }
        }
    }))
}

/// The token of `Authorization: Bearer …`; none where the header is absent,
/// repeated, of another scheme or malformed.
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = single(headers, &header::AUTHORIZATION).ok()??;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    let well_formed = !token.is_empty() && !token.contains([' ', ',']);
    (well_formed && scheme.eq_ignore_ascii_case("bearer")).then_some(token)
}

fn unauthorized(render: Render) -> Response {
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "a valid bearer token is needed",
    );
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (challenge, render(&problem)).into_response()
}

/// Known tokens and whose they are. Only digests are kept.
#[derive(Debug, Clone, Default)]
pub struct TokenSet<I>(Vec<([u8; 32], I)>);

impl<I: Clone> TokenSet<I> {
    /// A set without tokens: it knows nobody.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a token.
    pub fn insert(&mut self, token: &SecretString, identity: I) {
        self.0.push((digest(token.expose_secret()), identity));
    }

    /// Whose token this is. Takes the same time whichever token it is.
    pub fn identify(&self, token: &str) -> Option<I> {
        let presented = digest(token);
        let mut found = u64::MAX;
        for (index, (known, _)) in (0_u64..).zip(&self.0) {
            let equal: Choice = known.ct_eq(&presented);
            found.conditional_assign(&index, equal);
        }
        let index = usize::try_from(found).ok()?;
        self.0.get(index).map(|(_, identity)| identity.clone())
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
