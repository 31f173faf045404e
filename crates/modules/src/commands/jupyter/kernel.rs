//! A kernel of a Jupyter server: started, opened, interrupted and deleted by the server's REST
//! API.

use std::time::Duration;

use conche_runtime::egress::{self, Response, Stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Error as Refusal;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::Url;

use crate::action::Error;
use crate::clients::outcome::Promise;
use crate::commands::over_http::{Client, Server};

/// The largest message of a kernel.
const MESSAGE_MAX: usize = 16 << 20;

/// The least time for each of the requests that clean up.
const LAST_MIN: Duration = Duration::from_millis(500);

/// Between two attempts to delete a kernel.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) struct Kernel<'a> {
    id: String,
    client: &'a Client,
    server: Server,
    end: Instant,
}

impl<'a> Kernel<'a> {
    /// Starts a kernel. What fails here has executed nothing; a kernel whose start was not
    /// answered is one that nobody uses, which the server may cull.
    pub(super) async fn start(
        client: &'a Client,
        server: Server,
        name: &str,
        end: Instant,
    ) -> Result<Self, Error> {
        let mut kernel = Self {
            id: String::new(),
            client,
            server,
            end,
        };
        let started = kernel
            .send(Method::POST, "/api/kernels", &json!({ "name": name }))
            .await
            .map_err(|error| of_kernel(name, error))?;
        let id = started["id"].as_str().unwrap_or_default();
        let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '-';
        if id.is_empty() || !id.chars().all(is_plain) {
            return Err(Error::permanent("the Jupyter server has started no kernel"));
        }
        id.clone_into(&mut kernel.id);
        Ok(kernel)
    }

    /// Opens the kernel's channels.
    pub(super) async fn open(&self) -> Result<WebSocketStream<Stream>, Error> {
        let url = self.url("/channels")?;
        let stream = self.client.connect(&url).await?;
        let socket = url.as_str().replacen("http", "ws", 1);
        let wrong = |error: Refusal| Error::retry(format!("the kernel's channels: {error}"));
        let mut request = socket.into_client_request().map_err(wrong)?;
        request.headers_mut().extend(self.headers()?);
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        let opened = client_async_with_config(request, stream, Some(limits)).await;
        opened.map(|(stream, _)| stream).map_err(wrong)
    }

    /// Stops the cell that is at work. Where that fails, deleting the kernel stops it too.
    pub(super) async fn interrupt(&self) {
        let path = format!("/api/kernels/{}/interrupt", self.id);
        self.send(Method::POST, &path, &json!({})).await.ok();
    }

    /// Ends the kernel. A server that is just restarting it refuses, so it is asked until it
    /// is gone or the time is up; then the server culls it, if it does that.
    pub(super) async fn delete(&self) {
        let path = format!("/api/kernels/{}", self.id);
        loop {
            let answer = self.ask(Method::DELETE, &path, &Value::Null).await;
            let is_gone = matches!(answer, Ok(Ok(answer))
                if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND);
            if is_gone || Instant::now() + PAUSE >= self.end {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn url(&self, below: &str) -> Result<Url, Error> {
        let path = format!("/api/kernels/{}{below}", self.id);
        self.server.base.join(&path)
    }

    fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        let authentication = self.server.authentication.as_ref();
        self.client
            .authorize(&mut headers, &self.server.receiver, authentication)?;
        Ok(headers)
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, Error> {
        let result = self.ask(method, path, body).await?;
        let told = self.client.judge(Promise::Safe, result)?;
        let told: Value = told.read().unwrap_or_default();
        Ok(told["json"].clone())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Result<Response, egress::Error>, Error> {
        let url = self.server.base.join(path)?;
        let left = self.end.saturating_duration_since(Instant::now());
        let mut request = self.client.request(method, &url, left.max(LAST_MIN));
        request.headers.extend(self.headers()?);
        if !body.is_null() {
            let kind = HeaderValue::from_static("application/json");
            request.headers.insert(header::CONTENT_TYPE, kind);
            request.body = body.to_string().into();
        }
        Ok(self.client.send(request).await)
    }
}

/// Says which kernel it was about: the server's own words for one that it does not have don't.
fn of_kernel(name: &str, error: Error) -> Error {
    let told = |message: String| format!("the kernel `{name}` was not started: {message}");
    match error {
        Error::Retry { message, after } => Error::Retry {
            message: told(message),
            after,
        },
        Error::Permanent(message) => Error::Permanent(told(message)),
        Error::Uncertain(message) => Error::Uncertain(told(message)),
    }
}
