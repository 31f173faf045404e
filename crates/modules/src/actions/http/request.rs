//! From an action's input to a request.
//!
//! Secrets are put in here, last, after it is clear where the request goes; they are never
//! in the input, so never in the journal either.

use std::collections::BTreeMap;
use std::time::Duration;

use conche_core::Json;
use conche_core::run::IdempotencyKey;
use conche_runtime::egress::Request;
use conche_runtime::secrets::{Host, Secrets};
use conche_runtime::units::{Size, Span};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::Serializer;

use super::config::Config;
use super::template::{self, Place, Templates};
use crate::action::Error;
use crate::clients::request::{self, HEADERS_MAX, agent, basic, sensitive};
use crate::config::SecretName;

/// What a request is made of. At most one of `json`, `body` and `form`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The method. Default: `GET`; `POST` with a body.
    #[serde(default)]
    method: Option<String>,
    /// An absolute `http` or `https` URL.
    url: String,
    /// Header names and values; credentials go into `auth`. Default: none.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Names and values to add to the URL's query: texts, numbers and booleans. Default: none.
    #[serde(default)]
    query: BTreeMap<String, Value>,
    /// A body sent as JSON. Default: none.
    #[serde(default)]
    #[schemars(with = "Option<Value>")]
    json: Option<Json>,
    /// A body sent as text. Default: none.
    #[serde(default)]
    body: Option<String>,
    /// A body sent as a form: texts, numbers and booleans. Default: none.
    #[serde(default)]
    form: Option<BTreeMap<String, Value>>,
    /// Where this is set, `{{ expressions }}` over these variables are evaluated in `url`
    /// (percent-encoded there) and in the values of `headers`, `query`, `json`, `body` and
    /// `form`. Default: none; then braces are only braces.
    #[serde(default)]
    vars: Option<Map<String, Value>>,
    /// The longest time for it. Default: `actions.http.timeout`.
    #[serde(default)]
    timeout: Option<Span>,
    /// The statuses that mean success. Default: 200 to 299.
    #[serde(default)]
    pub(super) expect: Vec<u16>,
    /// Which secret to show, and how. Default: none.
    #[serde(default)]
    auth: Option<Auth>,
    /// The header for the call's key, the same on every repeat. Default: `Idempotency-Key`.
    #[serde(default)]
    idempotency_header: Option<String>,
    /// The largest answer. Default: `actions.http.max_response`.
    #[serde(default)]
    max_response: Option<Size>,
}

/// How a secret is shown.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Auth {
    /// `Authorization: Bearer`.
    Bearer(SecretName),
    /// `Authorization: Basic`.
    Basic(Basic),
    /// A header of its own.
    Header(Header),
}

/// HTTP Basic authentication.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Basic {
    /// The user.
    user: String,
    /// The user's password.
    password: SecretName,
}

/// A header whose value is a secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Header {
    /// The header's name, such as `X-Api-Key`.
    name: String,
    /// The name of a secret.
    secret: String,
}

fn wrong(message: impl Into<String>) -> Error {
    Error::permanent(message)
}

impl Input {
    /// The request, without credentials. Its method is one of `methods`, or any where that
    /// is empty.
    pub(super) fn request(
        self,
        methods: &[Method],
        key: &IdempotencyKey,
        config: &Config,
        limit: Duration,
    ) -> Result<(Request, Option<Credentials>), Error> {
        let texts = Texts(self.vars.as_ref().map(Templates::new));
        let has_body = self.json.is_some() || self.body.is_some() || self.form.is_some();
        let method = method(self.method.as_deref(), has_body, methods)?;
        if has_body && !methods.is_empty() {
            return Err(wrong(format!("a {method} request has no body")));
        }
        let mut url = Url::parse(&texts.text(&self.url, Place::Url)?)
            .map_err(|error| wrong(format!("`url` is not a URL: {error}")))?;
        if !self.query.is_empty() {
            let pairs = texts.pairs("query", &self.query)?;
            url.query_pairs_mut().extend_pairs(pairs);
        }
        let mut headers = self.headers(&texts)?;
        let key_header = self
            .idempotency_header
            .as_deref()
            .unwrap_or("idempotency-key");
        headers.insert(name(key_header)?, value(key_header, key.as_str())?);
        let body = self.body(&texts, &mut headers)?;
        let timeout = self.timeout.unwrap_or(config.timeout).duration();
        let request = Request {
            headers,
            body: body.into(),
            timeout: Some(timeout.min(limit)),
            max_response: Some(self.max_response.unwrap_or(config.max_response)),
            ..Request::new(method, url)
        };
        Ok((request, self.auth.map(Credentials)))
    }

    fn headers(&self, texts: &Texts) -> Result<HeaderMap, Error> {
        if self.headers.len() > HEADERS_MAX {
            return Err(wrong(format!(
                "a request has at most {HEADERS_MAX} headers"
            )));
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, agent());
        for (key, text) in &self.headers {
            let parsed = name(key)?;
            if [header::AUTHORIZATION, header::PROXY_AUTHORIZATION].contains(&parsed) {
                return Err(wrong(format!(
                    "`{key}` can't be set in `headers`, which is recorded: name a secret in `auth`"
                )));
            }
            headers.insert(parsed, value(key, &texts.text(text, Place::Text)?)?);
        }
        Ok(headers)
    }

    fn body(&self, texts: &Texts, headers: &mut HeaderMap) -> Result<Vec<u8>, Error> {
        let (body, content_type) = match (&self.json, &self.body, &self.form) {
            (None, None, None) => return Ok(Vec::new()),
            (Some(json), None, None) => (texts.json(json)?, "application/json"),
            (None, Some(text), None) => {
                (texts.text(text, Place::Text)?, "text/plain; charset=utf-8")
            }
            (None, None, Some(form)) => {
                let pairs = texts.pairs("form", form)?;
                let body = Serializer::new(String::new()).extend_pairs(pairs).finish();
                (body, "application/x-www-form-urlencoded")
            }
            _ => return Err(wrong("write at most one of `json`, `body` and `form`")),
        };
        headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(content_type));
        Ok(body.into_bytes())
    }
}

fn method(given: Option<&str>, has_body: bool, allowed: &[Method]) -> Result<Method, Error> {
    let method = match given {
        Some(text) => request::method(text).map_err(wrong)?,
        None if has_body => Method::POST,
        None => Method::GET,
    };
    if allowed.is_empty() || allowed.contains(&method) {
        Ok(method)
    } else {
        Err(wrong(format!("this action makes no {method} requests")))
    }
}

fn name(text: &str) -> Result<HeaderName, Error> {
    request::header_name(text).map_err(wrong)
}

fn value(name: &str, text: &str) -> Result<HeaderValue, Error> {
    request::header_value(name, text).map_err(wrong)
}

/// The input's texts, evaluated where it has variables.
struct Texts(Option<Templates>);

impl Texts {
    fn text(&self, text: &str, place: Place) -> Result<String, Error> {
        let rendered = self
            .0
            .as_ref()
            .map(|templates| templates.render(text, place));
        rendered
            .unwrap_or_else(|| Ok(text.to_owned()))
            .map_err(failed)
    }

    fn json(&self, json: &Json) -> Result<String, Error> {
        let Some(templates) = &self.0 else {
            return Ok(json.as_str().to_owned());
        };
        let mut value: Value = json
            .read()
            .map_err(|error| wrong(format!("`json`: {error}")))?;
        templates.render_json(&mut value).map_err(failed)?;
        Ok(value.to_string())
    }

    fn pairs<'a>(
        &self,
        what: &str,
        pairs: &'a BTreeMap<String, Value>,
    ) -> Result<Vec<(&'a str, String)>, Error> {
        let pairs = pairs.iter().map(|(name, value)| match value {
            Value::String(text) => Ok((name.as_str(), self.text(text, Place::Text)?)),
            Value::Number(_) | Value::Bool(_) => Ok((name.as_str(), value.to_string())),
            _ => Err(wrong(format!(
                "`{what}.{name}` is no text, number or boolean"
            ))),
        });
        pairs.collect()
    }
}

fn failed(error: template::Error) -> Error {
    wrong(error.to_string())
}

/// Which secret a request shows, and how.
pub(super) struct Credentials(Auth);

impl Credentials {
    /// Puts the secret into the request if it may go there.
    pub(super) fn apply(
        &self,
        request: &mut Request,
        config: &Config,
        secrets: &Secrets,
    ) -> Result<(), Error> {
        let secret = match &self.0 {
            Auth::Bearer(name) => &name.secret,
            Auth::Basic(basic) => &basic.password.secret,
            Auth::Header(header) => &header.secret,
        };
        let grant = config.secrets.get(secret).ok_or_else(|| {
            wrong(format!(
                "requests may not use the secret `{secret}`: list it under `actions.http.secrets`"
            ))
        })?;
        let url = Url::parse(&request.url).map_err(|error| wrong(error.to_string()))?;
        let host = Host::of(&url).ok_or_else(|| wrong("the URL has no host"))?;
        if let Some(refusal) = grant.refusal(&host) {
            return Err(wrong(format!(
                "the secret `{secret}` {refusal} ({host}), by `actions.http.secrets`"
            )));
        }
        let secret_value = secrets
            .get(secret)
            .map_err(|error| Error::retry(error.to_string()))?;
        let text = secret_value.expose_secret();
        let (name, text) = match &self.0 {
            Auth::Bearer(_) => (header::AUTHORIZATION, format!("Bearer {text}")),
            Auth::Basic(pair) => (header::AUTHORIZATION, basic(&pair.user, text)),
            Auth::Header(header) => (name(&header.name)?, text.to_owned()),
        };
        let value = sensitive(&text)
            .ok_or_else(|| wrong(format!("the secret `{secret}` can't be a header's value")))?;
        request.headers.insert(name, value);
        Ok(())
    }
}
