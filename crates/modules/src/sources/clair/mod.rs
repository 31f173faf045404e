//! `Clair`: what Clair says of images it knows, when vulnerabilities come and go.
//!
//! Clair names a notification by HTTP, or by AMQP (Clair 4); what it is about has to be
//! fetched. At-least-once: the name is on disk before Clair is answered, it is fetched until
//! that succeeds, and deleted at Clair only when its events are on disk. A restart at any
//! moment goes on where it was: the names are the cursor. Events that come twice have the
//! same ids.
//!
//! Who names a notification is not believed: only what the configured Clair answers becomes an
//! event, and nothing is fetched elsewhere. A name that Clair does not know is forgotten.
//!
//! The parts: [`ping`] what Clair says, [`pending`] what is to be done, [`fetch`] doing it,
//! [`merge`] from pages to events, [`queue`] what comes by AMQP.

mod config;
mod fetch;
mod merge;
mod pending;
mod ping;
mod queue;

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use conche_runtime::clock::SharedClock;
use conche_runtime::listener::{Problem, problem_json};
use conche_runtime::supervisor::{BoxError, Stop};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use tokio::sync::{Mutex, Notify};

use self::config::Config;
use self::merge::Settings;
use self::pending::Pending;
use self::ping::Ping;
use self::queue::Mailbox;
use super::delivery::{Entrance, Rejects};
use super::webhook::{Auth, Gate, Refused};
use crate::clients::amqp::{Broker, Queue};
use crate::clients::clair::{self, ApiOf, Server};
use crate::intake::{Batch, Intake, Refusal};
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "Clair",
    summary: "Vulnerabilities that Clair finds in images it knows.",
    events: &[
        (
            "new_vuln",
            "A vulnerability came, changed or went; CSF's payload: `new` and `old`.",
        ),
        (
            "clair.notification",
            "The same with what is affected, its kind and its digest.",
        ),
    ],
    config: settings::schema::<Config>,
    build,
};

/// The largest word of Clair's. It sends less than 1 KiB.
const PING_BYTES_MAX: usize = 16 << 10;

/// When Clair is to come again, in seconds. It keeps times of its own.
const RETRY_AFTER: u16 = 5;

struct Clair(Arc<Inner>);

struct Inner {
    id: String,
    path: String,
    api: ApiOf,
    gate: Gate,
    server: Server,
    mailbox: Option<Mailbox>,
    events: Settings,
    per_page: bool,
    pending_max: usize,
    give_up: std::time::Duration,
    /// What is to be done, as it is on disk; none until it was read. Held while it is written,
    /// so that it is written by one at a time.
    pending: Mutex<Option<Pending>>,
    woken: Notify,
    clock: SharedClock,
    rejects: Rejects,
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let config: Config = settings::read(&place, config)?;
    let wrong = |message: String| settings::error(&place, message);
    let url = clair::address(&config.notification_endpoint)
        .map_err(|message| wrong(format!("`notification_endpoint`: {message}")))?;
    if config.path != "*" {
        super::webhook::check_path(&config.path).map_err(|message| wrong(message.to_owned()))?;
    }
    if !(1..=1000).contains(&config.page_size)
        || !(1..=10_000).contains(&config.pending_max)
        || config.images_max == 0
    {
        return Err(wrong(
            "`page_size` is from 1 to 1000, `pending_max` from 1 to 10000, `images_max` at least 1"
                .to_owned(),
        ));
    }
    let auth = config.auth.unwrap_or(Auth::None);
    super::webhook::check_auth(&place, &auth, &cx.secrets)?;
    let server = Server::new(
        clair::Settings {
            url,
            psk: config.psk,
            tls: config.tls,
            timeout: config.timeout,
            max_response: config.max_response,
        },
        cx,
    );
    let mailbox = config
        .amqp
        .map(|amqp| mailbox(&place, amqp, cx))
        .transpose()?;
    Ok(Arc::new(Clair(Arc::new(Inner {
        id: id.to_owned(),
        path: config.path,
        api: config.clair_api,
        gate: Gate::new(auth, cx.secrets.clone()),
        server: server.map_err(wrong)?,
        mailbox,
        events: Settings {
            kinds: config.events,
            images_max: config.images_max as usize,
            page_size: config.page_size,
            limits: cx.json,
        },
        per_page: config.per_page,
        pending_max: config.pending_max,
        give_up: config.give_up.duration(),
        pending: Mutex::new(None),
        woken: Notify::new(),
        clock: cx.clock.clone(),
        rejects: Rejects::new(id),
    }))))
}

fn mailbox(place: &str, config: queue::Config, cx: &BuildContext) -> Result<Mailbox, BuildError> {
    for name in Broker::secret_names(&config.broker) {
        name.check(place, &cx.secrets)?;
    }
    let broker = Broker::new(config.broker, cx.secrets.clone());
    Ok(Mailbox {
        broker: broker.map_err(|error| settings::error(place, format!("`amqp`: {error}")))?,
        queue: Queue::Existing(config.queue),
    })
}

#[async_trait]
impl Source for Clair {
    fn paths(&self) -> Vec<String> {
        match &*self.0.path {
            "*" => vec!["/".to_owned(), "/{*path}".to_owned()],
            path => vec![path.to_owned()],
        }
    }

    fn routes(&self, intake: Arc<dyn Intake>) -> Option<axum::Router> {
        let routes = self
            .paths()
            .into_iter()
            .fold(axum::Router::new(), |router, path| {
                let (inner, intake) = (Arc::clone(&self.0), Arc::clone(&intake));
                let handler = axum::routing::post(move |request: Request| {
                    let (inner, intake) = (Arc::clone(&inner), Arc::clone(&intake));
                    async move { inner.receive(request, &*intake).await }
                });
                router.route(&path, handler)
            });
        Some(routes)
    }

    async fn run(&self, intake: Arc<dyn Intake>, stop: Stop) -> Result<(), BoxError> {
        let entrance = Entrance {
            source: &self.0.id,
            intake: &*intake,
            stop: &stop,
            rejects: &self.0.rejects,
        };
        let read = async {
            if let Some(mailbox) = &self.0.mailbox {
                self.0.read_queue(mailbox, &entrance).await;
            }
            Ok(())
        };
        tokio::try_join!(self.0.fetch_all(&entrance), read)?;
        Ok(())
    }
}

impl Inner {
    /// Answers Clair: 200, which all of its generations take for success, after the name is on disk.
    async fn receive(&self, request: Request, intake: &dyn Intake) -> Response {
        let (parts, body) = request.into_parts();
        if let Err(refused) = self.gate.check(&parts.headers) {
            return self.stranger(refused, intake);
        }
        let Ok(body) = read(body).await else {
            return problem(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "Clair sends less",
            );
        };
        let ping = match ping::read(&body, self.api.fixed()) {
            Ok(ping) => ping,
            Err(reject) => {
                intake.refused(&self.id, "unusable");
                return problem(
                    StatusCode::BAD_REQUEST,
                    "notification-unreadable",
                    reject.to_string(),
                );
            }
        };
        match self.keep(&ping, intake).await {
            Ok(()) => {
                self.woken.notify_one();
                axum::Json(serde_json::json!({ "notification": ping.name })).into_response()
            }
            Err(refusal) => {
                tracing::warn!(source = %self.id, notification = %ping.name, %refusal, "Clair has to come again");
                let busy = matches!(refusal, Refusal::Busy { .. });
                let (status, code) = if busy {
                    (StatusCode::TOO_MANY_REQUESTS, "busy")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable")
                };
                let mut response = problem(status, code, "the notification can't be taken now");
                let after = HeaderValue::from(RETRY_AFTER);
                response.headers_mut().insert(header::RETRY_AFTER, after);
                response
            }
        }
    }

    fn stranger(&self, refused: Refused, intake: &dyn Intake) -> Response {
        match refused {
            Refused::Unknown(challenge) => {
                intake.refused(&self.id, "unauthorized");
                let mut response = problem(
                    StatusCode::UNAUTHORIZED,
                    "unauthorized",
                    "valid credentials are needed",
                );
                let headers = response.headers_mut();
                headers.insert(header::WWW_AUTHENTICATE, challenge);
                response
            }
            Refused::NoSecret(error) => {
                tracing::error!(source = %self.id, %error, "the source can't check who sends");
                let detail = "credentials can't be checked now";
                problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "secret-unavailable",
                    detail,
                )
            }
        }
    }

    /// Puts a name on disk.
    async fn keep(&self, ping: &Ping, intake: &dyn Intake) -> Result<(), Refusal> {
        let now = self.clock.now();
        let room = self.pending_max;
        self.change(intake, |pending| {
            if !pending.has(&ping.name) && pending.pending.len() >= room {
                let retry_after = std::time::Duration::from_secs(RETRY_AFTER.into());
                return Err(Refusal::Busy { retry_after });
            }
            pending.add(ping, now);
            Ok(())
        })
        .await
    }

    /// Changes what is to be done, on disk first.
    async fn change(
        &self,
        intake: &dyn Intake,
        change: impl FnOnce(&mut Pending) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut held = self.pending.lock().await;
        let known = match &*held {
            Some(known) => known.clone(),
            None => {
                let cursor = intake.cursor(&self.id).await?;
                cursor.as_deref().map(Pending::read).unwrap_or_default()
            }
        };
        let mut changed = known.clone();
        change(&mut changed)?;
        if changed != known {
            let batch = Batch {
                source: self.id.clone(),
                events: Vec::new(),
                cursor: Some(changed.write()),
            };
            intake.accept(batch).await?;
        }
        *held = Some(changed);
        Ok(())
    }
}

async fn read(body: Body) -> Result<bytes::Bytes, axum::Error> {
    axum::body::to_bytes(body, PING_BYTES_MAX).await
}

fn problem(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Response {
    problem_json(&Problem {
        status,
        code,
        detail: detail.into(),
    })
}
