//! Clair: calling its HTTP APIs, and what its answers mean.
//!
//! Three generations are spoken to: v1 (Clair 2), v3 (the preview that CSF was written for)
//! and v4. An answer counts only in Clair's own shape: a page of a proxy, half an answer or
//! another API's words are [`Error::Foreign`] or [`Error::Nonsense`], which may be better the
//! next time, and never a panic. The address is the configuration's; nothing that Clair
//! answers, and no callback that it names, can send a request elsewhere.

pub(crate) mod notice;
mod psk;
pub(crate) mod scan;
mod v1;
mod v3;
mod v4;
pub(crate) mod vulnerability;

use std::sync::Arc;
use std::time::Duration;

use conche_runtime::clock::SharedClock;
use conche_runtime::egress::{self, ClientTls, Egress, Request, Response, Rule};
use conche_runtime::secrets::{self, Secrets};
use conche_runtime::units::{Size, Span};
use http::{HeaderValue, Method, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

pub(crate) use self::psk::Psk;
use crate::BuildContext;

/// So much of what Clair says of an error is told.
const QUOTE_MAX: usize = 300;

/// A generation of Clair's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    /// Clair 2.
    V1,
    /// The preview of Clair 3, by its JSON gateway.
    V3,
    /// Clair 4.
    V4,
}

/// The generation, or what is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ApiOf {
    /// By what Clair sends and answers.
    #[default]
    Auto,
    /// Clair 2.
    V1,
    /// The preview of Clair 3, by its JSON gateway.
    V3,
    /// Clair 4.
    V4,
}

impl ApiOf {
    /// The generation where it is fixed.
    pub(crate) const fn fixed(self) -> Option<Api> {
        match self {
            Self::Auto => None,
            Self::V1 => Some(Api::V1),
            Self::V3 => Some(Api::V3),
            Self::V4 => Some(Api::V4),
        }
    }
}

/// Why Clair did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The shared key cannot be read, or is none.
    #[error("the key for Clair: {0}")]
    Key(String),
    /// Nothing was answered.
    #[error(transparent)]
    Egress(#[from] egress::Error),
    /// Clair says by its own words that there is no such thing.
    #[error("Clair knows no {0}")]
    Unknown(String),
    /// Clair says no, by its own words.
    #[error("Clair answered {status}: {message}")]
    Refused { status: StatusCode, message: String },
    /// The answer is not one of Clair's: a proxy, another server, a wrong address.
    #[error("{status} that is not Clair's own: is the address right?")]
    Foreign { status: StatusCode },
    /// The answer is not what the API describes.
    #[error("Clair's answer cannot be understood: {0}")]
    Nonsense(String),
    /// Clair is there but not ready.
    #[error("{0}")]
    NotReady(String),
}

impl From<secrets::Error> for Error {
    fn from(error: secrets::Error) -> Self {
        Self::Key(error.to_string())
    }
}

impl Error {
    /// Whether the same may go well later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Key(_) | Self::Foreign { .. } | Self::Nonsense(_) | Self::NotReady(_) => true,
            Self::Egress(error) => !matches!(
                error,
                egress::Error::Invalid(_)
                    | egress::Error::Refused { .. }
                    | egress::Error::TooLarge { .. }
            ),
            Self::Unknown(_) => false,
            Self::Refused { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 401 | 403 | 408 | 429)
            }
        }
    }
}

/// How a Clair is reached, as configurations have it.
pub(crate) struct Settings {
    /// Its address; what follows is put behind it.
    pub(crate) url: Url,
    pub(crate) psk: Option<Psk>,
    pub(crate) tls: Option<ClientTls>,
    pub(crate) timeout: Span,
    pub(crate) max_response: Size,
}

/// A Clair that can be asked.
#[derive(Clone)]
pub(crate) struct Server {
    url: Url,
    egress: Egress,
    psk: Option<Psk>,
    secrets: Arc<Secrets>,
    clock: SharedClock,
    timeout: Duration,
    max_response: Size,
}

impl Server {
    /// Checks what can be checked without the network. The address may be a private one: it
    /// stands in the configuration, so no event can choose it.
    pub(crate) fn new(settings: Settings, cx: &BuildContext) -> Result<Self, String> {
        let Settings { url, psk, .. } = settings;
        if let Some(psk) = &psk {
            psk.key
                .check("psk", &cx.secrets)
                .map_err(|error| error.to_string())?;
        }
        let rule = rule(&url)?;
        let egress = match &settings.tls {
            None => Egress::clone(&cx.egress),
            Some(tls) => cx.egress.with_tls(tls).map_err(|error| error.to_string())?,
        };
        Ok(Self {
            url,
            egress: egress.opened_to(&[rule]).without_redirects(),
            psk,
            secrets: cx.secrets.clone(),
            clock: cx.clock.clone(),
            timeout: settings.timeout.duration(),
            max_response: settings.max_response,
        })
    }

    /// The address with these segments behind it, each escaped, and this query.
    fn address(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        for (name, value) in query {
            let mut pairs = url.query_pairs_mut();
            if value.is_empty() {
                pairs.append_key_only(name);
            } else {
                pairs.append_pair(name, value);
            }
        }
        url
    }

    /// A request within the time that is left.
    async fn ask(&self, request: Asking<'_>) -> Result<Response, Error> {
        let url = self.address(request.path, request.query);
        let mut sent = Request::new(request.method, url.as_str());
        let accept = HeaderValue::from_static("application/json");
        sent.headers.insert(header::ACCEPT, accept);
        if let Some(body) = request.body {
            sent.body = body.to_string().into();
            let json = HeaderValue::from_static("application/json");
            sent.headers.insert(header::CONTENT_TYPE, json);
        }
        if let Some(state) = request.if_none_match {
            let state = HeaderValue::from_str(&format!("\"{state}\""))
                .map_err(|_| Error::Nonsense("its state is no header value".to_owned()))?;
            sent.headers.insert(header::IF_NONE_MATCH, state);
        }
        if let Some(psk) = &self.psk {
            let token = psk.token(&self.secrets, self.clock.now())?;
            sent.headers.insert(header::AUTHORIZATION, token);
        }
        sent.timeout = Some(self.timeout.min(request.limit.unwrap_or(self.timeout)));
        sent.max_response = Some(self.max_response);
        Ok(self.egress.request(sent).await?)
    }

    /// Reads a notification's page.
    pub(crate) async fn page(&self, name: &str, query: &[(&str, &str)]) -> Result<Response, Error> {
        let path = [name];
        let asking = Asking {
            query,
            ..Asking::get(&path)
        };
        let response = self.ask(asking).await?;
        expect_ok(response, || format!("notification `{name}`"))
    }

    /// Tells Clair that a notification has been taken. One that is gone is fine.
    pub(crate) async fn acknowledge(&self, name: &str) -> Result<(), Error> {
        let path = [name];
        let asking = Asking {
            method: Method::DELETE,
            ..Asking::get(&path)
        };
        let response = self.ask(asking).await?;
        match expect_ok(response, || format!("notification `{name}`")) {
            Ok(_) | Err(Error::Unknown(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// One request.
struct Asking<'a> {
    method: Method,
    path: &'a [&'a str],
    query: &'a [(&'a str, &'a str)],
    body: Option<&'a Value>,
    if_none_match: Option<&'a str>,
    /// What is left of the caller's time.
    limit: Option<Duration>,
}

impl<'a> Asking<'a> {
    const fn get(path: &'a [&'a str]) -> Self {
        Self {
            method: Method::GET,
            path,
            query: &[],
            body: None,
            if_none_match: None,
            limit: None,
        }
    }
}

/// An address of the configuration: `http` or `https`, without user, query and fragment.
pub(crate) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is no URL: {error}"))?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if is_plain {
        Ok(url)
    } else {
        Err(format!(
            "`{text}` must be `http` or `https`, without user, query and fragment"
        ))
    }
}

/// Opens one host and port of the configuration.
pub(crate) fn rule(url: &Url) -> Result<Rule, String> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let rule = format!("{host}:{port}").parse();
    rule.map_err(|_| format!("`{host}` is not the name of a host"))
}

/// Passes on a success; anything else is an error by whoever said it.
fn expect_ok(response: Response, what: impl FnOnce() -> String) -> Result<Response, Error> {
    let status = response.status;
    if status.is_success() {
        return Ok(response);
    }
    match message(&response.body) {
        None => Err(Error::Foreign { status }),
        Some(_) if status == StatusCode::NOT_FOUND => Err(Error::Unknown(what())),
        Some(message) => Err(Error::Refused { status, message }),
    }
}

/// The message of an error in the words of any of Clair's generations: `Error.Message` (v1),
/// `error` and `code` as a number (v3), `code` and `message` (v4).
fn message(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let v1 = || body.pointer("/Error/Message")?.as_str();
    let v3 = || {
        body.get("error")?
            .as_str()
            .filter(|_| body["code"].is_u64())
    };
    let v4 = || {
        body.get("message")?
            .as_str()
            .filter(|_| body["code"].is_string())
    };
    let text = v1().or_else(v3).or_else(v4)?;
    let plain = text.chars().filter(|char| !char.is_control());
    Some(plain.take(QUOTE_MAX).collect())
}

/// Reads an answer's JSON.
fn json(response: &Response) -> Result<Value, Error> {
    serde_json::from_slice(&response.body).map_err(|error| Error::Nonsense(error.to_string()))
}

/// A text member; nothing where it is absent or no text.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The members of a list; none where it is absent or no list.
fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_by_the_words_of_each_generation() {
        for (body, expected) in [
            (
                r#"{"Error":{"Message":"no such layer"}}"#,
                Some("no such layer"),
            ),
            (r#"{"error":"not found","code":5}"#, Some("not found")),
            (
                r#"{"code":"not-found","message":"gone\u0007"}"#,
                Some("gone"),
            ),
            (r#"{"error":"not found"}"#, None),
            ("<html>404</html>", None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(message(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn addresses_with_more_than_a_place_are_refused() {
        for text in [
            "http://clair:6060/notifications",
            "https://[::1]/notifier/api/v1/notification/",
        ] {
            rule(&address(text).unwrap()).unwrap();
        }
        for text in [
            "",
            "clair",
            "ftp://clair",
            "http://u:p@clair",
            "http://clair/?a",
            "http://clair/#a",
        ] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
