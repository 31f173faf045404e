//! One HTTP/1.1 connection for requests that belong together.
//!
//! Some services take who one is for the property of a connection (NTLM). Requests by the pool
//! may each go by another; these go by one, one after the other. It is checked by the policy as
//! all others are, is never shared, and ends when it is dropped: nothing runs in between.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::Fuse};
use http::{HeaderValue, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};
use url::{Position, Url};

use super::{
    Egress, Limit,
    connect::Stream,
    error::{Error, describe, uncertain},
    read,
    request::{Request, Response, host_of, own_headers_removed, parse_url},
};
use crate::units::Size;

/// An open connection to one origin.
pub struct Connection {
    origin: Url,
    certificate: Option<Vec<u8>>,
    sender: http1::SendRequest<Full<Bytes>>,
    line: Fuse<http1::Connection<TokioIo<Stream>, Full<Bytes>>>,
    timeout: Duration,
    response_bytes: Size,
    /// Whether a request was given up half-way: what comes next is its answer.
    is_spoilt: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("host", &host_of(&self.origin))
            .finish_non_exhaustive()
    }
}

impl Egress {
    /// A connection to a URL's host for several requests. None is sent yet.
    pub async fn open(&self, url: &str) -> Result<Connection, Error> {
        let origin = parse_url(url)?;
        let stream = self.connect(url).await?;
        let certificate = stream.certificate().map(<[u8]>::to_vec);
        let (sender, line) = match http1::handshake(TokioIo::new(stream)).await {
            Ok(open) => open,
            Err(error) => return Err(not_sent(&origin, describe(&error))),
        };
        Ok(Connection {
            origin,
            certificate,
            sender,
            line: line.fuse(),
            timeout: self.timeout,
            response_bytes: self.response_bytes,
            is_spoilt: false,
        })
    }
}

impl Connection {
    /// The server's certificate (DER), where the connection is TLS.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// Sends a request to the origin of this connection and reads the whole answer. Every
    /// status is an answer; no redirect is followed. [`Error::NotSent`] where the connection
    /// had ended before.
    pub async fn request(&mut self, request: Request) -> Result<Response, Error> {
        let deadline = Instant::now() + request.timeout.unwrap_or(self.timeout);
        let limit = Limit {
            size: request.max_response.unwrap_or(self.response_bytes),
            cut: request.cut,
        };
        let message = self.message(request)?;
        if self.is_spoilt {
            return Err(not_sent(&self.origin, "the connection is gone".to_owned()));
        }
        self.is_spoilt = true;
        let result = self.exchange(message, deadline, limit).await;
        self.is_spoilt = result.is_err();
        result
    }

    fn message(&self, request: Request) -> Result<http::Request<Full<Bytes>>, Error> {
        let url = parse_url(&request.url)?;
        if url.origin() != self.origin.origin() {
            return Err(Error::Invalid(
                "it is for another host than the connection".to_owned(),
            ));
        }
        let invalid = |error: &dyn fmt::Display| Error::Invalid(error.to_string());
        let host = &url[Position::BeforeHost..Position::AfterPort];
        let host = HeaderValue::from_str(host).map_err(|error| invalid(&error))?;
        let path: Uri = url[Position::BeforePath..Position::AfterQuery]
            .parse()
            .map_err(|error| invalid(&error))?;
        let mut headers = own_headers_removed(request.headers, &url)?;
        headers.insert(header::HOST, host);
        let mut message = http::Request::new(Full::new(request.body));
        *message.method_mut() = request.method;
        *message.uri_mut() = path;
        *message.headers_mut() = headers;
        Ok(message)
    }

    async fn exchange(
        &mut self,
        message: http::Request<Full<Bytes>>,
        deadline: Instant,
        limit: Limit,
    ) -> Result<Response, Error> {
        let Self {
            sender,
            line,
            origin,
            ..
        } = self;
        let origin = &*origin;
        let host = host_of(origin);
        match timeout_at(deadline, driven(line, sender.ready())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(not_sent(origin, describe(&error))),
            Err(_elapsed) => return Err(not_sent(origin, "it was not ready in time".to_owned())),
        }
        let sent = driven(line, sender.try_send_request(message));
        let response = match timeout_at(deadline, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(mut error)) => {
                let reason = describe(error.error());
                return Err(match error.take_message() {
                    Some(_) => not_sent(origin, reason),
                    None => uncertain(host, reason),
                });
            }
            Err(_elapsed) => return Err(uncertain(host, "no answer in time".to_owned())),
        };
        let (parts, body) = response.into_parts();
        match timeout_at(deadline, driven(line, read(body, limit))).await {
            Ok(Ok((_, true))) if !limit.cut => Err(Error::TooLarge {
                host: host.to_owned(),
                status: parts.status,
                limit: limit.size,
            }),
            Ok(Ok((body, is_cut))) => Ok(Response {
                status: parts.status,
                headers: parts.headers,
                body,
                is_cut,
            }),
            Ok(Err(error)) => Err(uncertain(host, describe(&error))),
            Err(_elapsed) => Err(uncertain(
                host,
                "the answer was not complete in time".to_owned(),
            )),
        }
    }
}

/// Does a piece of work while the connection reads and writes for it.
async fn driven<T>(
    line: &mut Fuse<http1::Connection<TokioIo<Stream>, Full<Bytes>>>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        // How it ends is told to the work, which waits for it.
        if let Poll::Ready(_end) = Pin::new(&mut *line).poll(cx) {}
        work.as_mut().poll(cx)
    })
    .await
}

fn not_sent(origin: &Url, reason: String) -> Error {
    Error::NotSent {
        host: host_of(origin).to_owned(),
        reason,
    }
}
