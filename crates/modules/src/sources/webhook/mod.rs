//! `webhook`: events that others send by HTTP.
//!
//! At-least-once: the sender is answered 202 only after the event is on disk with the runs
//! it triggers, and repeats with the same id become one event. Before a body is read the
//! path, the method, the credentials and the content type have passed, and its size is
//! bounded; nothing is decompressed. With `respond` the sender waits for a run's answer.
//!
//! The work is split: [`config`] says what there is to set, [`auth`] who may send,
//! [`decode`] what a body means, [`answer`] what the sender is told. No route here may
//! answer success before [`Intake::accept`] did.

mod answer;
mod auth;
mod config;
mod decode;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use conche_core::json::Limits;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::Value;

use self::auth::{Gate, Refused};
use self::config::{Auth, Canned, Config, From as ConfigFrom, TypeFrom};
use self::decode::{Format, IdFrom, Place, Pointer, TypeOf, decode};
use crate::intake::{Batch, Intake, NewEvent, Refusal};
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config as settings};

/// The token in use and its successor.
const TOKENS_MAX: usize = 2;

pub(super) static MODULE: SourceModule = SourceModule {
    name: "webhook",
    summary: "Events that others send by HTTP.",
    events: &[],
    config: settings::schema::<Config>,
    build,
};

/// Answers 404 as the webhook routes answer errors: the fallback of their listener.
pub async fn no_such_webhook(uri: Uri) -> Response {
    let detail = format!("there is no webhook at {}", uri.path());
    answer::problem(StatusCode::NOT_FOUND, "webhook-unknown", detail)
}

struct Webhook(Arc<Inner>);

struct Inner {
    id: String,
    path: String,
    methods: Vec<&'static str>,
    gate: Gate,
    content_types: Vec<String>,
    format: Format,
    respond: Option<Respond>,
}

struct Respond {
    timeout: Duration,
    on_timeout: Option<(StatusCode, Value)>,
    on_store_failure: Option<(StatusCode, Value)>,
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let config: Config = settings::read(&place, config)?;
    let wrong = |message: &str| settings::error(&place, message);
    check_path(&config.path).map_err(wrong)?;
    if config.methods.is_empty() || config.content_types.is_empty() {
        return Err(wrong("`methods` and `content_types` must not be empty"));
    }
    match &config.auth {
        Auth::None => {}
        Auth::Bearer(tokens) => {
            let names = tokens.names();
            if !(1..=TOKENS_MAX).contains(&names.len()) {
                return Err(wrong("`bearer` takes one token, or a list of two"));
            }
            for name in names {
                name.check(&place, &cx.secrets)?;
            }
        }
        Auth::Basic(basic) if basic.user.contains(':') => {
            return Err(wrong("a user of Basic authentication can't have a `:`"));
        }
        Auth::Basic(basic) => basic.password.check(&place, &cx.secrets)?,
    }
    if config.split.is_some() && config.respond.is_some() {
        return Err(wrong(
            "`respond` answers one event: it can't go with `split`",
        ));
    }
    let format = format(&config, cx.json).map_err(|message| wrong(&message))?;
    let respond = config.respond.as_ref().map(respond).transpose();
    Ok(Arc::new(Webhook(Arc::new(Inner {
        id: id.to_owned(),
        methods: config.methods.iter().map(|name| name.as_str()).collect(),
        content_types: config
            .content_types
            .iter()
            .map(|name| name.trim().to_ascii_lowercase())
            .collect(),
        gate: Gate::new(config.auth, cx.secrets.clone()),
        format,
        respond: respond.map_err(wrong)?,
        path: config.path,
    }))))
}

/// A path that means itself to every router and proxy.
fn check_path(path: &str) -> Result<(), &'static str> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-._~/".contains(char);
    if !path.starts_with('/') || path.len() < 2 {
        return Err("`path` must begin with `/` and name something, like /clair");
    }
    if !path.chars().all(plain) || path.ends_with('/') {
        return Err("`path` may have letters, digits and - . _ ~, with single slashes between");
    }
    if path
        .split('/')
        .skip(1)
        .any(|part| matches!(part, "" | "." | ".."))
    {
        return Err("`path` must not have empty parts, `.` or `..`");
    }
    Ok(())
}

fn format(config: &Config, limits: Limits) -> Result<Format, String> {
    let event_type = match (&config.event_type, &config.event_type_from) {
        (Some(name), None) if !name.is_empty() => TypeOf::Fixed(name.clone()),
        (None, Some(from)) => TypeOf::Found {
            place: type_place(from)?,
            prefix: from.prefix.clone(),
        },
        _ => return Err("write exactly one of `event_type` and `event_type_from`".to_owned()),
    };
    Ok(Format {
        limits: Limits {
            bytes: config
                .body_bytes
                .map_or(limits.bytes, conche_runtime::units::Size::length),
            ..limits
        },
        event_type,
        split: config.split.as_deref().map(pointer).transpose()?,
        id: match &config.id_from {
            Some(from) => IdFrom::Place(place(from)?),
            None => IdFrom::IdempotencyKey,
        },
        subject: config.subject_from.as_ref().map(place).transpose()?,
    })
}

fn type_place(from: &TypeFrom) -> Result<Place, String> {
    match (&from.header, &from.pointer) {
        (Some(name), None) => header_place(name),
        (None, Some(text)) => pointer(text).map(Place::Pointer),
        _ => Err("`event_type_from` needs exactly one of `header` and `pointer`".to_owned()),
    }
}

fn place(from: &ConfigFrom) -> Result<Place, String> {
    match from {
        ConfigFrom::Header(name) => header_place(name),
        ConfigFrom::Pointer(text) => pointer(text).map(Place::Pointer),
    }
}

fn header_place(name: &str) -> Result<Place, String> {
    let parsed = name.parse().map(Place::Header);
    parsed.map_err(|_| format!("`{name}` is not the name of a header"))
}

fn pointer(text: &str) -> Result<Pointer, String> {
    Pointer::read(text).ok_or_else(|| {
        format!("`{text}` is not a JSON Pointer: each key has a `/` before it, like /items/0/id")
    })
}

fn respond(config: &config::Respond) -> Result<Respond, &'static str> {
    let canned = |canned: &Option<Canned>| {
        let Some(Canned { status, body }) = canned else {
            return Ok(None);
        };
        match StatusCode::from_u16(*status) {
            Ok(code) if (200..600).contains(status) => Ok(Some((code, body.clone()))),
            _ => Err("the status of an answer is from 200 to 599"),
        }
    };
    Ok(Respond {
        timeout: config.timeout.duration(),
        on_timeout: canned(&config.on_timeout)?,
        on_store_failure: canned(&config.on_store_failure)?,
    })
}

#[async_trait]
impl Source for Webhook {
    fn paths(&self) -> Vec<String> {
        vec![self.0.path.clone()]
    }

    fn routes(&self, intake: Arc<dyn Intake>) -> Option<axum::Router> {
        let inner = Arc::clone(&self.0);
        let handler = axum::routing::any(move |request: Request| {
            let (inner, intake) = (Arc::clone(&inner), Arc::clone(&intake));
            async move { inner.receive(request, &*intake).await }
        });
        Some(axum::Router::new().route(&self.0.path, handler))
    }
}

impl Inner {
    async fn receive(&self, request: Request, intake: &dyn Intake) -> Response {
        let (parts, body) = request.into_parts();
        if let Err(response) = self.admit(&parts.method, &parts.headers) {
            return *response;
        }
        let bytes = match read(body, self.format.limits.bytes).await {
            Ok(bytes) => bytes,
            Err(response) => return response,
        };
        let events = match decode(&bytes, &parts.headers, &self.format) {
            Ok(events) => events,
            Err(reject) => return answer::rejected(&reject),
        };
        match &self.respond {
            Some(respond) => self.ask(respond, events, intake).await,
            None => self.accept(events, intake).await,
        }
    }

    /// All that can be told from the head of a request, cheapest and safest first.
    fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<(), Box<Response>> {
        if !self.methods.contains(&method.as_str()) {
            let allowed = self.methods.join(", ");
            let detail = format!("this webhook accepts {allowed}");
            let mut response =
                answer::problem(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail);
            if let Ok(value) = HeaderValue::from_str(&allowed) {
                response.headers_mut().insert(header::ALLOW, value);
            }
            return Err(response.into());
        }
        self.gate
            .check(headers)
            .map_err(|refused| Box::new(self.stranger(refused)))?;
        let encoded = headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        if encoded {
            let detail = "bodies are taken without Content-Encoding only";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(answer::problem(status, "content-encoding-refused", detail).into());
        }
        if !self.accepts(headers) {
            let known = self.content_types.iter();
            let known = known.map(|name| match name.strip_prefix('+') {
                Some(_) => format!("any that ends in {name}"),
                None => name.clone(),
            });
            let detail = format!(
                "this is the webhook listener: its webhook {} takes a Content-Type of {}",
                self.path,
                known.collect::<Vec<_>>().join(" or ")
            );
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(answer::problem(status, "content-type-refused", detail).into());
        }
        Ok(())
    }

    fn stranger(&self, refused: Refused) -> Response {
        match refused {
            Refused::Unknown(challenge) => {
                let detail = "valid credentials are needed";
                let mut response =
                    answer::problem(StatusCode::UNAUTHORIZED, "unauthorized", detail);
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, challenge);
                response
            }
            Refused::NoSecret(error) => {
                tracing::error!(source = %self.id, %error, "webhook can't check its senders");
                let detail = "credentials can't be checked now";
                answer::problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "secret-unavailable",
                    detail,
                )
            }
        }
    }

    /// Whether the content type, sent once, is one of ours; its parameters don't count.
    fn accepts(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let Ok(value) = value.to_str() else {
            return false;
        };
        let essence = value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        self.content_types
            .iter()
            .any(|known| match known.strip_prefix('+') {
                Some(_) => essence.len() > known.len() && essence.ends_with(known.as_str()),
                None => essence == *known,
            })
    }

    async fn accept(&self, events: Vec<NewEvent>, intake: &dyn Intake) -> Response {
        let batch = Batch {
            source: self.id.clone(),
            events,
            cursor: None,
        };
        match intake.accept(batch).await {
            Ok(receipts) if self.format.split.is_some() => answer::accepted_all(&receipts),
            Ok(receipts) => match receipts.first() {
                Some(receipt) => answer::accepted(receipt),
                None => answer::refused(&Refusal::Unavailable("no receipt".to_owned())),
            },
            Err(refusal) => answer::refused(&refusal),
        }
    }

    async fn ask(&self, respond: &Respond, events: Vec<NewEvent>, intake: &dyn Intake) -> Response {
        let Some(event) = events.into_iter().next() else {
            return answer::refused(&Refusal::Invalid("there is no event".to_owned()));
        };
        let asked = match intake.ask(&self.id, event, respond.timeout).await {
            Ok(asked) => asked,
            Err(refusal @ Refusal::Unavailable(_)) => {
                let refused = answer::refused(&refusal);
                return match &respond.on_store_failure {
                    Some((status, body)) => answer::canned(*status, body),
                    None => refused,
                };
            }
            Err(refusal) => return answer::refused(&refusal),
        };
        let response = match (asked.answer, &respond.on_timeout) {
            (Some(given), _) => answer::answered(&given),
            (None, Some((status, body))) => answer::canned(*status, body),
            (None, None) => {
                let detail = "the event is stored, but no run has answered it in time";
                answer::problem(StatusCode::GATEWAY_TIMEOUT, "no-answer", detail)
            }
        };
        answer::with_event(response, &asked.receipt)
    }
}

/// Reads a body of at most `limit` bytes; a larger one is refused as soon as it grows over it.
async fn read(body: Body, limit: usize) -> Result<bytes::Bytes, Response> {
    axum::body::to_bytes(body, limit).await.map_err(|error| {
        use std::error::Error as _;
        let is_limit = error
            .source()
            .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
        if is_limit {
            let detail = format!("the request body is larger than {limit} bytes");
            answer::problem(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail)
        } else {
            let detail = "the request body could not be read";
            answer::problem(StatusCode::BAD_REQUEST, "body-unreadable", detail)
        }
    })
}
