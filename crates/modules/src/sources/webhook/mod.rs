//! `webhook`: events that others send by HTTP.
//!
//! At-least-once: the sender is answered 202 only after the event is on disk with the runs
//! it triggers, and repeats with the same id become one event. Before a body is read the
//! path, the method, the credentials and the content type have passed, and its size is
//! bounded; nothing is decompressed. A signature is checked over the body's bytes before
//! anything is understood of them. With `respond` the sender waits for a run's answer.
//!
//! The work is split: [`config`] says what there is to set, [`plan`] what follows from it,
//! [`auth`] who may send, [`verify`] what is signed, [`decode`] what a body means,
//! [`cloudevents`] what is peculiar to those, [`decoders`] what well-known senders mean,
//! [`answer`] what the sender is told. No route
//! here may answer success before [`Intake::accept`] did.

mod answer;
mod auth;
mod cloudevents;
mod config;
mod decode;
mod decoders;
mod plan;
mod pointer;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::Value;

pub(super) use self::auth::{Gate, Refused};
pub(super) use self::config::Auth;
use self::config::Config;
use self::decode::{Delivery, Format, Shape, decode, essence};
use self::plan::Respond;
pub(super) use self::plan::{check_auth, check_path};
use self::verify::Verifier;
use crate::intake::{Batch, Intake, NewEvent, Refusal};
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "webhook",
    summary: "Events that others send by HTTP.",
    events: decoders::EVENTS,
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
    verifier: Option<Verifier>,
    content_types: Vec<String>,
    format: Format,
    respond: Option<Respond>,
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let config: Config = settings::read(&place, config)?;
    let wrong = |message: &str| settings::error(&place, message);
    plan::check_path(&config.path).map_err(wrong)?;
    let content_types = plan::content_types(&config);
    if config.methods.is_empty() || content_types.is_empty() {
        return Err(wrong("`methods` and `content_types` must not be empty"));
    }
    plan::check_senders(&place, &config, &cx.secrets)?;
    let format = plan::format(&config, cx.json).map_err(|message| wrong(&message))?;
    if config.respond.is_some() && format.shape.is_batch() {
        return Err(wrong(
            "`respond` answers one event: it can't go with `split` or lines, nor with a format of several events",
        ));
    }
    let verifier = config
        .verify
        .as_ref()
        .map(|verify| Verifier::new(verify, cx));
    let respond = config.respond.as_ref().map(plan::respond).transpose();
    Ok(Arc::new(Webhook(Arc::new(Inner {
        id: id.to_owned(),
        methods: config.methods.iter().map(|name| name.as_str()).collect(),
        content_types,
        gate: Gate::new(config.auth.unwrap_or(Auth::None), cx.secrets.clone()),
        verifier: verifier.transpose().map_err(|message| wrong(&message))?,
        format,
        respond: respond.map_err(wrong)?,
        path: config.path,
    }))))
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
        if let Some(response) = self.handshake(&parts.method, &parts.headers) {
            return response;
        }
        if let Err(response) = self.admit(&parts.method, &parts.headers, intake) {
            return *response;
        }
        let bytes = match read(body, self.format.limits.bytes).await {
            Ok(bytes) => bytes,
            Err(response) => return response,
        };
        if let Some(verifier) = &self.verifier
            && let Err(refused) = verifier.check(&parts.headers, &bytes)
        {
            return self.unsigned(&refused, intake);
        }
        let delivery = match decode(&bytes, &parts.headers, &self.format) {
            Ok(delivery) => delivery,
            Err(reject) => return answer::rejected(&reject),
        };
        match &self.respond {
            Some(_) if delivery.is_batch => {
                let detail = "this webhook answers one event at a time";
                answer::problem(StatusCode::UNPROCESSABLE_ENTITY, "batch-refused", detail)
            }
            Some(respond) => self.ask(respond, delivery.events, intake).await,
            None => self.accept(delivery, intake).await,
        }
    }

    /// The answer to a CloudEvents handshake; `None` where the request is none.
    fn handshake(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        match &self.format.shape {
            Shape::CloudEvents(events) if *method == Method::OPTIONS => {
                Some(answer::handshake(headers, &events.origins, &self.methods))
            }
            _ => None,
        }
    }

    fn unsigned(&self, refused: &verify::Refused, intake: &dyn Intake) -> Response {
        let code = match refused {
            verify::Refused::Missing(_) => "signature-missing",
            verify::Refused::Wrong => "signature-invalid",
            verify::Refused::Stale { .. } => "signature-stale",
            verify::Refused::NoSecret(error) => return self.no_secret(error),
        };
        intake.refused(&self.id, code);
        answer::problem(StatusCode::UNAUTHORIZED, code, refused.to_string())
    }

    fn no_secret(&self, error: &str) -> Response {
        tracing::error!(source = %self.id, %error, "webhook can't check its senders");
        let detail = "credentials can't be checked now";
        answer::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "secret-unavailable",
            detail,
        )
    }

    /// All that can be told from the head of a request, cheapest and safest first.
    fn admit(
        &self,
        method: &Method,
        headers: &HeaderMap,
        intake: &dyn Intake,
    ) -> Result<(), Box<Response>> {
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
            .map_err(|refused| Box::new(self.stranger(refused, intake)))?;
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

    fn stranger(&self, refused: Refused, intake: &dyn Intake) -> Response {
        let challenge = match refused {
            Refused::Unknown(challenge) => challenge,
            Refused::NoSecret(error) => return self.no_secret(&error.to_string()),
        };
        intake.refused(&self.id, "unauthorized");
        let detail = "valid credentials are needed";
        let mut response = answer::problem(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
        response
    }

    /// Whether the content type, sent once, is one of ours; its parameters don't count.
    fn accepts(&self, headers: &HeaderMap) -> bool {
        let Some(essence) = essence(headers) else {
            return false;
        };
        self.content_types
            .iter()
            .any(|known| match known.strip_prefix('+') {
                Some(_) => essence.len() > known.len() && essence.ends_with(known.as_str()),
                None => essence == *known,
            })
    }

    async fn accept(&self, delivery: Delivery, intake: &dyn Intake) -> Response {
        if delivery.events.is_empty() {
            // Understood, and nothing of it is wanted: there is nothing to store.
            return answer::accepted_all(&[]);
        }
        let batch = Batch {
            source: self.id.clone(),
            events: delivery.events,
            cursor: None,
        };
        match intake.accept(batch).await {
            Ok(receipts) if delivery.is_batch => answer::accepted_all(&receipts),
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
