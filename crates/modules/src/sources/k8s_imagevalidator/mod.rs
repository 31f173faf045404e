//! `k8s_imagevalidator`: what an API server asks before it lets something in; CSF's source of
//! that name, for today's admission webhooks too.
//!
//! It has its own listener, with the certificate that API servers want. Every review is
//! answered before its caller stops waiting: with the decision of a reaction, with one that
//! was taken before about the same, or as `on_timeout` says. A review is stored before
//! reactions are asked, and is never answered twice.
//!
//! The work is split: [`room`] keeps large reviews from holding small ones up, [`review`] reads
//! what is sent, [`ask`] makes events of it, [`decide`] gets the decision, [`flight`] has the
//! same asked once, [`answer`] writes it down. A caller without the name that it must
//! have is told so before its body is read.

mod answer;
mod ask;
mod config;
mod decide;
mod flight;
mod review;
mod room;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::body::{Bytes, HttpBody as _};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use conche_core::json::Limits;
use conche_runtime::listener::{ListenerConfig, Peer};
use http::{Method, StatusCode, header};
use serde_json::Value;

use self::answer::{Form, problem};
use self::ask::Ask;
use self::config::Config;
use self::decide::Verdict;
use self::flight::Flights;
use self::review::{Kind, Reject};
use self::room::{Full, Place, Room};
use crate::admission::Decisions;
use crate::intake::Intake;
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "k8s_imagevalidator",
    summary: "What a Kubernetes API server asks before it lets something in.",
    events: &[
        (
            ask::IMAGES,
            "Images are about to run; a reaction answers by k8s_imagevalidate (CSF's event).",
        ),
        (
            ask::REVIEW,
            "An object is about to be made, changed or removed; answered in the same way.",
        ),
    ],
    config: settings::schema::<Config>,
    build,
};

/// What is told where an event would be too large.
const LARGE: &str = "the review is larger than limits.event_bytes";

/// Reads a review: how it is answered, and what it asks; none where it is not read any further.
fn prepare(
    kind: Kind,
    body: &[u8],
    source: &str,
    listens: impl Fn(&str) -> bool,
) -> Result<(Form, Option<Vec<Ask>>), Reject> {
    if review::is_heavy(body) {
        return Ok((Form::of(&review::head(kind, body)?), None));
    }
    let review = review::read(kind, body)?;
    let form = Form::of(&review);
    Ok((form, Some(ask::asks(review, source, listens))))
}

fn busy() -> Response {
    let detail = "too many large reviews are being read; try again";
    problem(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
}

struct Validator(Arc<Inner>);

struct Inner {
    id: String,
    config: Config,
    listener: ListenerConfig,
    decisions: Arc<Decisions>,
    flights: Flights,
    room: Room,
    limits: Limits,
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let config: Config = settings::read(&place, config)?;
    let wrong = |message: &str| settings::error(&place, message);
    config.check().map_err(wrong)?;
    Ok(Arc::new(Validator(Arc::new(Inner {
        id: id.to_owned(),
        listener: config.listener().map_err(wrong)?,
        config,
        decisions: cx.decisions.clone(),
        flights: Flights::default(),
        room: Room::default(),
        limits: cx.json,
    }))))
}

#[async_trait]
impl Source for Validator {
    fn listener(&self) -> Option<ListenerConfig> {
        Some(self.0.listener.clone())
    }

    fn routes(&self, intake: Arc<dyn Intake>) -> Option<axum::Router> {
        let handler = |kind| {
            let (inner, intake) = (self.0.clone(), intake.clone());
            any(move |request: Request| {
                let (inner, intake) = (inner.clone(), intake.clone());
                async move { inner.receive(kind, request, &*intake).await }
            })
        };
        let router =
            axum::Router::new().route(&self.0.config.admission_path, handler(Kind::Admission));
        Some(match &*self.0.config.image_policy_path {
            "*" => router.fallback(handler(Kind::Image)),
            path => router.route(path, handler(Kind::Image)),
        })
    }
}

impl Inner {
    async fn receive(
        self: &Arc<Self>,
        kind: Kind,
        request: Request,
        intake: &dyn Intake,
    ) -> Response {
        let arrived = Instant::now();
        if let Err(refused) = self.admit(&request, intake) {
            return *refused;
        }
        let deadline = arrived + self.budget(review::caller_timeout(request.uri().query()));
        // Held until the answer.
        let (place, body) = match self.body(request, deadline).await {
            Ok(read) => read,
            Err(refused) => return *refused,
        };
        let heard = [ask::IMAGES, ask::REVIEW];
        let heard = heard.map(|name| (name, intake.audience(name).reactions > 0));
        let listens = move |name: &str| heard.contains(&(name, true));
        let prepared = match &place {
            None => prepare(kind, &body, &self.id, listens),
            Some(_) => {
                let Ok(turn) = self.room.turn(deadline).await else {
                    return busy();
                };
                let source = self.id.clone();
                let read = move || {
                    let _turn = turn;
                    prepare(kind, &body, &source, listens)
                };
                match tokio::task::spawn_blocking(read).await {
                    Ok(prepared) => prepared,
                    Err(_panicked) => return busy(),
                }
            }
        };
        let (form, asks) = match prepared {
            Ok(prepared) => prepared,
            Err(reject) => {
                intake.refused(&self.id, "unusable");
                return problem(StatusCode::BAD_REQUEST, "not-a-review", reject.to_string());
            }
        };
        let verdict = match asks {
            Some(asks) => self.decide(asks, deadline, intake).await,
            None => Verdict::Decision(self.fallback("the review has too many parts")),
        };
        drop(place);
        match verdict {
            Verdict::Decision(decision) => answer::ok(&form.fill(decision, self.config.mode)),
            Verdict::Unavailable => {
                let detail = "events cannot be stored now";
                problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            }
        }
    }

    /// The body, once there is room for what it announces.
    async fn body(
        &self,
        request: Request,
        deadline: Instant,
    ) -> Result<(Option<Place>, Bytes), Box<Response>> {
        let body = request.into_body();
        let announced = body.size_hint().upper();
        let announced = announced.unwrap_or(self.config.body_bytes.bytes());
        let place = self.room.take(announced, deadline).await;
        let place = place.map_err(|Full| busy())?;
        // The listener bounds the size of the body.
        let body = axum::body::to_bytes(body, usize::MAX);
        match tokio::time::timeout_at(deadline.into(), body).await {
            Ok(Ok(body)) => Ok((place, body)),
            _ => {
                let detail = "the request body could not be read in time";
                Err(problem(StatusCode::BAD_REQUEST, "body-unreadable", detail).into())
            }
        }
    }

    /// All that can be told from the head of a request.
    fn admit(&self, request: &Request, intake: &dyn Intake) -> Result<(), Box<Response>> {
        let names = &self.config.allowed_names;
        if !names.is_empty() {
            let peer = request.extensions().get::<Peer>();
            let subject = peer.and_then(Peer::subject).unwrap_or_default();
            let name = subject.strip_prefix("CN=");
            if !name.is_some_and(|name| names.iter().any(|known| known == name)) {
                intake.refused(&self.id, "unauthorized");
                let detail = "this certificate's common name is not in `allowed_names`";
                return Err(problem(StatusCode::FORBIDDEN, "caller-refused", detail).into());
            }
        }
        if request.method() != Method::POST {
            let detail = "reviews are sent by POST";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(problem(status, "method-not-allowed", detail).into());
        }
        let kind = request.headers().get(header::CONTENT_TYPE);
        let essence = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
        if !essence.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            let detail = "reviews are application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(problem(status, "content-type-refused", detail).into());
        }
        Ok(())
    }

    /// How long an answer may take: a fifth less than the caller waits, for the way there and back.
    fn budget(&self, caller: Option<Duration>) -> Duration {
        let ours = self.config.answer_timeout.duration();
        let Some(caller) = caller.filter(|caller| !caller.is_zero()) else {
            return ours;
        };
        let margin = (caller / 5).clamp(Duration::from_millis(50), Duration::from_secs(2));
        ours.min(caller.saturating_sub(margin))
    }
}
