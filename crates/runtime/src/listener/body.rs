//! Request bodies under their limits, and answers that are watched while they
//! are taken.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::{
    config::ListenerLimits,
    connections::{Connection, InFlight},
    problem::Problem,
};
use crate::{supervisor::BoxError, units::Size};

/// An answer is handed on in pieces of this size, so that a large piece that
/// is being taken at a fair pace can be told from one that is not taken.
const PIECE_BYTES: usize = 64 << 10;

/// What was wrong with a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("the request body is larger than {0}")]
    TooLarge(Size),
    #[error("the request body did not arrive in time")]
    TooSlow,
}

impl Flaw {
    pub(super) fn problem(self) -> Problem {
        let (status, code) = match self {
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body-too-slow"),
        };
        Problem::new(status, code, self.to_string())
    }
}

/// A request's body, bounded in size and time while it streams.
pub(super) struct RequestBody {
    inner: Incoming,
    size: Size,
    left: u64,
    total: Duration,
    idle: Duration,
    /// When it was first asked for, and when it last gave something.
    began: Option<Instant>,
    progress: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// Tells the service what to answer, whatever the route makes of the error.
    flaw: Arc<OnceLock<Flaw>>,
    connection: Arc<Connection>,
    ended: bool,
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.ended && !self.inner.is_end_stream() {
            self.connection.leaves_unread();
        }
    }
}

impl RequestBody {
    pub(super) fn new(
        inner: Incoming,
        limits: &ListenerLimits,
        flaw: Arc<OnceLock<Flaw>>,
        connection: Arc<Connection>,
    ) -> Self {
        Self {
            inner,
            size: limits.body_bytes,
            left: limits.body_bytes.bytes(),
            total: limits.body_read.duration(),
            idle: limits.body_idle.duration(),
            began: None,
            progress: Instant::now(),
            timer: None,
            flaw,
            connection,
            ended: false,
        }
    }

    fn fail(&self, flaw: Flaw) -> BoxError {
        Box::new(*self.flaw.get_or_init(|| flaw))
    }

    /// Ready when the body is too slow.
    fn poll_late(&mut self, began: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = (began + self.total).min(self.progress + self.idle);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let began = match self.began {
            Some(began) => began,
            None => {
                self.progress = Instant::now();
                *self.began.insert(Instant::now())
            }
        };
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            ready!(self.poll_late(began, cx));
            return Poll::Ready(Some(Err(self.fail(Flaw::TooSlow))));
        };
        let Some(frame) = frame.transpose()? else {
            self.ended = true;
            return Poll::Ready(None);
        };
        let now = Instant::now();
        self.progress = now;
        if now.duration_since(began) >= self.total && !self.inner.is_end_stream() {
            // A peer that always has another byte ready must not get past the timer.
            return Poll::Ready(Some(Err(self.fail(Flaw::TooSlow))));
        }
        if let Some(data) = frame.data_ref() {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(self.fail(Flaw::TooLarge(self.size))))),
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body. Its request is in flight until it is dropped.
pub(super) struct AnswerBody {
    inner: Body,
    /// What is left of a frame that is handed on in pieces.
    rest: Bytes,
    request: InFlight,
}

impl AnswerBody {
    pub(super) fn new(inner: Body, request: InFlight) -> Self {
        Self {
            inner,
            rest: Bytes::new(),
            request,
        }
    }

    fn piece(&mut self, mut data: Bytes) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.rest = if data.len() > PIECE_BYTES {
            data.split_off(PIECE_BYTES)
        } else {
            Bytes::new()
        };
        self.request.waits_for_peer(true);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.request.waits_for_peer(false);
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return self.piece(rest);
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.piece(data),
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            },
            end => Poll::Ready(end),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
