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
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header,
    uri::{Authority, Scheme},
};
use http_body::Body as _;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::problem::{Problem, Render};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whom a listener is for its callers.
#[derive(Debug, Clone)]
pub struct Own {
    /// The listener's section in the configuration, for messages.
    pub name: String,
    /// What it speaks: HTTP or HTTPS.
    pub scheme: Scheme,
    /// Its names besides the loopback ones.
    pub hosts: Vec<String>,
    /// See `ListenerConfig::forms_from_programs`.
    pub forms_from_programs: bool,
    /// See `ListenerConfig::origins`.
    pub origins: Vec<String>,
}

/// Lets only requests through that [`check_local`] accepts.
pub fn loopback_open(router: Router, own: Own, render: Render) -> Router {
    let own = Arc::new(own);
    router.layer(from_fn(move |request: Request, next: Next| {
        let refused = check_local(&request, &own);
        async move {
            match refused {
                Ok(()) => next.run(request).await,
                Err(problem) => render(&problem),
            }
        }
    }))
}

/// Whether a request can't have been caused by a foreign web page.
pub fn check_local(request: &Request, own: &Own) -> Result<(), Problem> {
    let authority = authority(request)?;
    if !is_loopback_name(&authority) && !is_configured(&authority, own) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host-refused",
            format!(
                "the host `{authority}` is not this listener's: call it by a loopback name or add the name to its `hosts`"
            ),
        ));
    }
    check_origin(request, &authority, own)?;
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return Ok(());
    }
    if own.forms_from_programs && !is_from_browser(request.headers()) {
        return Ok(());
    }
    check_content_type(request, &own.name)
}

/// Whether a browser seems to have sent a request with a body: every one that is in use tells
/// the origin, or that it will not tell it (`null`).
pub fn is_from_browser(headers: &HeaderMap) -> bool {
    [
        header::ORIGIN,
        header::REFERER,
        header::COOKIE,
        SEC_FETCH_SITE,
    ]
    .iter()
    .any(|name| headers.contains_key(name))
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

fn is_loopback_name(authority: &Authority) -> bool {
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = literal.parse::<IpAddr>()
        && address.to_canonical().is_loopback()
    {
        return true;
    }
    host == "localhost" || host.ends_with(".localhost")
}

fn is_configured(authority: &Authority, own: &Own) -> bool {
    let host = authority.host();
    let host = host.strip_suffix('.').unwrap_or(host);
    own.hosts.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// Whether `origin` is that of the pages at `authority`: the same scheme, host
/// and port. Under a configured name a proxy may stand in front that encrypts.
fn is_own_origin(origin: &str, authority: &Authority, own: &Own) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else {
        return false;
    };
    let scheme = match &*scheme.to_ascii_lowercase() {
        "http" => Scheme::HTTP,
        "https" => Scheme::HTTPS,
        _ => return false,
    };
    let is_own_scheme =
        scheme == own.scheme || (scheme == Scheme::HTTPS && is_configured(authority, own));
    let theirs = Authority::try_from(rest).ok();
    let theirs = theirs.and_then(|theirs| host_and_port(&theirs, &scheme));
    is_own_scheme && theirs.is_some() && theirs == host_and_port(authority, &scheme)
}

/// The host, and the port or the scheme's own; none where there is more, or a
/// port that is no number.
fn host_and_port(authority: &Authority, scheme: &Scheme) -> Option<(String, u16)> {
    let port = authority.port_u16();
    let spelt = match port {
        Some(port) => format!("{}:{port}", authority.host()),
        None => authority.host().to_owned(),
    };
    let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    (authority.as_str() == spelt).then(|| {
        (
            authority.host().to_ascii_lowercase(),
            port.unwrap_or(default),
        )
    })
}

fn check_origin(request: &Request, authority: &Authority, own: &Own) -> Result<(), Problem> {
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
        let listed = |own: &String| own == "*" || own.eq_ignore_ascii_case(origin);
        if own.origins.iter().any(listed) {
            return Ok(());
        }
        if !is_own_origin(origin, authority, own) {
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

fn check_content_type(request: &Request, listener: &str) -> Result<(), Problem> {
    let refuse = |detail: &str| {
        Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type-refused",
            format!("the listener `{listener}`: {detail}"),
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
            "it needs no token and so takes no content type that any web page can send: use application/json",
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
        self.insert_digest(digest(token.expose_secret()), identity);
    }

    /// Adds a token of which only the SHA-256 is known.
    pub fn insert_digest(&mut self, digest: [u8; 32], identity: I) {
        self.0.push((digest, identity));
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
