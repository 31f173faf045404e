//! The way out: a bounded queue, and a task that sends what is in it as OTLP over HTTP.
//!
//! What produces telemetry never waits: a full queue drops, and counts what it drops. A
//! collector that refuses is asked again a few times, one that hangs is given up at its
//! timeout; meanwhile the queue fills. Trouble is logged when it begins and when it is over,
//! never for each batch. Nothing logged here is itself exported (see `logs.rs`).

use std::error::Error as _;
use std::time::Duration;

use axum::body::Bytes;
use conche_runtime::supervisor::Stop;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prometheus::IntCounter;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode, redirect};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::settings::Target;
use super::signal::Signal;

/// Spans or log records that wait, at most. Each is a few hundred bytes.
const QUEUE: usize = 8192;
/// Spans or log records in one request, at most.
const BATCH: usize = 1024;
/// How long the first of a batch waits for more.
const GATHER: Duration = Duration::from_secs(1);
/// How often a batch is sent at most, and the wait before the second time; it doubles.
const TRIES: u32 = 4;
const RETRY: Duration = Duration::from_secs(1);
/// No wait that a collector asks for is longer.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// What may still be sent when the server stops.
const FLUSH: Duration = Duration::from_secs(1);
/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What is counted for one signal.
#[derive(Debug, Clone)]
pub(super) struct Counters {
    /// Sent and taken.
    pub(super) exported: IntCounter,
    /// Given up, for whatever reason.
    pub(super) dropped: IntCounter,
}

/// A batch could not be handed over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The client cannot be made.
    #[error("can't make a client for {host}: {reason}")]
    Client {
        /// Where to.
        host: String,
        /// Why.
        reason: String,
    },
    /// A file of certificates cannot be used.
    #[error("can't use the certificates in {path}: {reason}")]
    Certificate {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// No answer came.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// The collector refused.
    #[error("the collector answered {status}")]
    Refused {
        /// With what.
        status: StatusCode,
        /// When it wants to be asked again.
        after: Option<Duration>,
    },
}

impl Error {
    /// How long to wait before the same is sent again, where that makes sense: after the
    /// answers that OTLP names, and where there was none.
    fn retry(&self, wait: Duration) -> Option<Duration> {
        match self {
            Self::Unreachable(_) => Some(wait),
            Self::Refused { status, after } => matches!(status.as_u16(), 429 | 502..=504)
                .then(|| after.unwrap_or(wait).min(RETRY_MAX)),
            Self::Client { .. } | Self::Certificate { .. } => None,
        }
    }
}

/// Where spans or log records are put in.
#[derive(Debug)]
pub(super) struct Inlet<S> {
    sender: mpsc::Sender<S>,
    dropped: IntCounter,
}

impl<S> Inlet<S> {
    /// Puts one in if there is room.
    pub(super) fn put(&self, item: S) {
        if self.sender.try_send(item).is_err() {
            self.dropped.inc();
        }
    }

    /// Whether there is room for anything.
    pub(super) fn has_room(&self) -> bool {
        self.sender.capacity() > 0
    }
}

/// A bounded queue: its end to put in, and its other end.
pub(super) fn pair<S>(dropped: IntCounter) -> (Inlet<S>, mpsc::Receiver<S>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Inlet { sender, dropped }, receiver)
}

/// Where they come out, on their way to a collector.
pub(super) struct Outlet<S> {
    receiver: mpsc::Receiver<S>,
    http: reqwest::Client,
    target: Target,
    resource: Resource,
    counters: Counters,
    /// How many are in the batch that is being sent.
    under_way: usize,
    /// Whether the last batch was given up.
    in_trouble: bool,
}

/// Both ends of the way of one signal.
pub(super) type Way<S> = (Inlet<S>, Outlet<S>);

/// A queue with a way out to `target`.
pub(super) fn queue<S: Signal>(
    target: Target,
    resource: Resource,
    counters: Counters,
) -> Result<Way<S>, Error> {
    let (inlet, receiver) = pair(counters.dropped.clone());
    let outlet = Outlet {
        receiver,
        http: client(&target)?,
        target,
        resource,
        counters,
        under_way: 0,
        in_trouble: false,
    };
    Ok((inlet, outlet))
}

fn client(target: &Target) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("conche/", env!("CARGO_PKG_VERSION")))
        // A header may be a key: it goes where it was meant to go only.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(target.timeout);
    if let Some(path) = &target.certificate {
        let wrong = |reason: String| Error::Certificate {
            path: path.display().to_string(),
            reason,
        };
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let found = reqwest::Certificate::from_pem_bundle(&pem);
        builder = builder.tls_certs_merge(found.map_err(|error| wrong(chain(&error)))?);
    }
    builder.build().map_err(|error| Error::Client {
        host: target.host().to_owned(),
        reason: chain(&error),
    })
}

impl<S: Signal> Outlet<S> {
    /// Sends until `closing` and nothing is left, or a moment longer.
    pub(super) async fn run(mut self, closing: Stop) {
        let overdue = async {
            closing.requested().await;
            tokio::time::sleep(FLUSH).await;
        };
        let mut batch = Vec::new();
        let out_of_time = tokio::select! {
            () = self.pump(&mut batch, &closing) => false,
            () = overdue => true,
        };
        if out_of_time {
            let left = self.under_way + batch.len() + self.receiver.len();
            self.counters.dropped.inc_by(left as u64);
        }
    }

    async fn pump(&mut self, batch: &mut Vec<S>, closing: &Stop) {
        while self.gather(batch, closing).await {
            self.under_way = batch.len();
            let body = S::request(self.resource.clone(), std::mem::take(batch));
            let delivered = self.deliver(body.into()).await;
            self.note(delivered);
            self.under_way = 0;
        }
    }

    /// Fills a batch; false where there is nothing left and nothing will come.
    async fn gather(&mut self, batch: &mut Vec<S>, closing: &Stop) -> bool {
        let filled = async {
            // The first may take any time, the others have `GATHER`.
            let mut end = None;
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                let more = self.receiver.recv_many(batch, room);
                let received = match end {
                    None => more.await,
                    Some(end) => timeout_at(end, more).await.unwrap_or(0),
                };
                if received == 0 {
                    break;
                }
                end.get_or_insert_with(|| Instant::now() + GATHER);
            }
        };
        tokio::select! {
            () = filled => {}
            () = closing.requested() => {
                self.receiver.close();
                let room = BATCH - batch.len();
                self.receiver.recv_many(batch, room).await;
            }
        }
        !batch.is_empty()
    }

    /// Sends a batch, more than once if need be. Gives how many the collector did not want.
    async fn deliver(&self, body: Bytes) -> Result<u64, Error> {
        let mut wait = RETRY;
        for _ in 1..TRIES {
            let error = match self.send(body.clone()).await {
                Ok(rejected) => return Ok(rejected),
                Err(error) => error,
            };
            match error.retry(wait) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
            wait *= 2;
        }
        self.send(body).await
    }

    async fn send(&self, body: Bytes) -> Result<u64, Error> {
        let request = self.http.post(self.target.url.clone());
        let request = request
            .headers(self.target.headers.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(body);
        let answer = request.send().await;
        let mut answer = answer.map_err(|error| Error::Unreachable(chain(&error)))?;
        if !answer.status().is_success() {
            return Err(Error::Refused {
                status: answer.status(),
                after: retry_after(&answer),
            });
        }
        let mut read = Vec::new();
        while let Ok(Some(piece)) = answer.chunk().await {
            read.extend_from_slice(&piece);
            if read.len() > ANSWER_BYTES_MAX {
                return Ok(0);
            }
        }
        Ok(S::rejected(&read))
    }

    fn note(&mut self, delivered: Result<u64, Error>) {
        let (signal, host) = (S::NAME, self.target.host());
        let count = self.under_way as u64;
        match delivered {
            Ok(rejected) => {
                let rejected = rejected.min(count);
                self.counters.exported.inc_by(count - rejected);
                self.counters.dropped.inc_by(rejected);
                if std::mem::take(&mut self.in_trouble) {
                    tracing::info!(signal, "telemetry is exported again");
                }
            }
            Err(error) => {
                self.counters.dropped.inc_by(count);
                if !std::mem::replace(&mut self.in_trouble, true) {
                    tracing::warn!(signal, host, %error, "telemetry cannot be exported: what is lost is counted");
                }
            }
        }
    }
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.parse().ok().map(Duration::from_secs)
}

/// Why there was no answer, without the address, which may hold a key.
fn chain(error: &reqwest::Error) -> String {
    let first = if error.is_timeout() {
        "timed out"
    } else {
        "failed"
    };
    let mut text = first.to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, after: Option<u64>) -> Error {
        Error::Refused {
            status: StatusCode::from_u16(status).expect("a status"),
            after: after.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_full_queue_drops_what_comes_and_counts_it() {
        let dropped = IntCounter::new("dropped", "test").expect("a name");
        let (inlet, mut receiver) = pair(dropped.clone());
        (0..QUEUE + 3).for_each(|item| inlet.put(item));
        assert_eq!((dropped.get(), inlet.has_room()), (3, false));
        assert_eq!(receiver.try_recv(), Ok(0), "the oldest stay");
        assert!(inlet.has_room());
    }

    #[test]
    fn only_what_may_go_well_later_is_sent_again_and_no_wait_is_endless() {
        let second = Duration::from_secs(1);
        for status in [429, 502, 503, 504] {
            assert_eq!(refused(status, None).retry(second), Some(second));
        }
        for status in [400, 401, 404, 413, 500] {
            assert_eq!(refused(status, Some(1)).retry(second), None);
        }
        let hour = refused(503, Some(3600));
        assert_eq!(hour.retry(second), Some(RETRY_MAX));
    }
}
