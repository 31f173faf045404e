//! What the commands share that are carried out over HTTP.
//!
//! Where a request goes is the playbook's to say, so it is checked by the egress client at the
//! moment of connecting; redirects are never followed, since they would lead elsewhere. A
//! credential is read when it is sent, goes into its header and nowhere else, and is masked
//! in every text that leaves.

mod address;
mod line;
mod server;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_core::Json;
use conche_core::json::Limits;
use conche_runtime::clock::SharedClock;
use conche_runtime::egress::{self, ClientTls, Egress, Request, Stream};
use conche_runtime::secrets::{Host, Masker, Receiver, Secrets};
use conche_runtime::units::{Size, Span};
use http::{HeaderMap, HeaderName, Method, header};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

pub(super) use self::address::Base;
pub(super) use self::line::StartLine;
pub(super) use self::server::{Configured, Server, unavailable};
use crate::action::Error;
use crate::clients::outcome::{Faults, Judge, Promise};
use crate::clients::request::{HEADERS_MAX, agent, basic, header_name, header_value, sensitive};
use crate::command::{Authentication, Command, Credential};
use crate::{BuildContext, BuildError, config as settings};

/// Headers that belong to the connection or to the framing, not to the command.
const OWN_HEADERS: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
];

/// The same, which have no constant.
const OWN_NAMES: [&str; 2] = ["keep-alive", "proxy-connection"];

/// Settings of a command type that is carried out over HTTP.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// The longest time for one request; the step's `timeout` counts as well. Default: `30s`.
    pub(super) timeout: Span,
    /// So much of an answer is kept; the rest is cut off and the result says `truncated`. It
    /// holds the body as text and as JSON and has to fit `limits.result_bytes`. Default: `256KiB`.
    pub(super) max_response: Size,
    /// Whom to trust and as whom to appear. Default: as set under `egress:`.
    pub(super) tls: Option<ClientTls>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: Span::from_secs(30),
            max_response: Size::from_kib(256),
            tls: None,
        }
    }
}

/// Sends the requests of one command type.
pub(super) struct Client {
    config: Config,
    egress: Egress,
    secrets: Arc<Secrets>,
    clock: SharedClock,
    limits: Limits,
}

impl Client {
    /// `place` is that of its configuration, e.g. `actions.http-api`.
    pub(super) fn build(
        place: &str,
        config: Config,
        cx: &BuildContext,
    ) -> Result<Self, BuildError> {
        let egress = match &config.tls {
            None => cx.egress.without_redirects(),
            Some(tls) => cx
                .egress
                .with_tls(tls)
                .map_err(|error| settings::error(place, error.to_string()))?
                .without_redirects(),
        };
        Ok(Self {
            config,
            egress,
            secrets: cx.secrets.clone(),
            clock: cx.clock.clone(),
            limits: cx.json,
        })
    }

    /// Puts credentials into the headers of a request to a receiver that may get them; they
    /// replace what the command wrote there.
    pub(super) fn authorize(
        &self,
        headers: &mut HeaderMap,
        to: &Receiver,
        authentication: Option<&Authentication>,
    ) -> Result<(), Error> {
        let Some(authentication) = authentication else {
            return Ok(());
        };
        let text = match authentication.kind.as_str() {
            "http-basic" | "user-auth" => {
                let user = authentication.user.as_deref().unwrap_or_default();
                let password = self.read(to, authentication, authentication.password.as_ref())?;
                basic(user, password.expose_secret())
            }
            "oauth2" => {
                let scheme = authentication.oauth_header.as_deref().unwrap_or_default();
                let scheme = scheme.trim().trim_end_matches(':');
                let scheme = if scheme.is_empty() { "Bearer" } else { scheme };
                let token = self.read(to, authentication, authentication.token.as_ref())?;
                format!("{scheme} {}", token.expose_secret())
            }
            other => {
                return Err(Error::permanent(format!(
                    "credentials of type `{other}` can't be shown to an HTTP service"
                )));
            }
        };
        let value = sensitive(&text).ok_or_else(|| {
            Error::permanent(format!(
                "the credentials `{}` can't be a header's value",
                authentication.id
            ))
        })?;
        headers.insert(header::AUTHORIZATION, value);
        Ok(())
    }

    /// The secret that credentials hold, for services that want it in a header of their own.
    pub(super) fn secret(
        &self,
        to: &Receiver,
        authentication: &Authentication,
    ) -> Result<SecretString, Error> {
        let held = authentication.token.as_ref();
        let held = held.or(authentication.password.as_ref());
        self.read(to, authentication, held)
    }

    /// The value of one secret, for credentials of a form of their own.
    pub(super) fn value(
        &self,
        to: &Receiver,
        credential: &Credential,
    ) -> Result<SecretString, Error> {
        credential.read(&self.secrets, std::slice::from_ref(to))
    }

    fn read(
        &self,
        to: &Receiver,
        authentication: &Authentication,
        credential: Option<&Credential>,
    ) -> Result<SecretString, Error> {
        let credential = credential.ok_or_else(|| {
            Error::permanent(format!(
                "the credentials `{}` of type `{}` hold no secret",
                authentication.id, authentication.kind
            ))
        })?;
        self.value(to, credential)
    }

    /// A request within the configured limits and what is left of the call's time.
    pub(super) fn request(&self, method: Method, url: &Url, left: Duration) -> Request {
        let mut request = Request::new(method, url.as_str());
        request.headers.insert(header::USER_AGENT, agent());
        request.timeout = Some(self.config.timeout.duration().min(left));
        request.max_response = Some(self.config.max_response);
        request
    }

    /// Sends a request. Every status is an answer.
    pub(super) async fn send(&self, request: Request) -> Result<egress::Response, egress::Error> {
        self.egress.request(request).await
    }

    /// A connection to a URL's host that becomes another protocol's, such as WebSocket.
    pub(super) async fn connect(&self, url: &Url) -> Result<Stream, Error> {
        match self.egress.connect(url.as_str()).await {
            Ok(stream) => Ok(stream),
            Err(error) => match self.judge(Promise::Safe, Err(error)) {
                Err(error) => Err(error),
                Ok(_) => Err(Error::retry("no connection")),
            },
        }
    }

    /// What an answer means for the step; 2xx is success and all else that arrives is failure.
    pub(super) fn judge(
        &self,
        promise: Promise,
        result: Result<egress::Response, egress::Error>,
    ) -> Result<Json, Error> {
        let judge = Judge {
            promise,
            faults: Faults::Failed,
            expect: &[],
            masker: &self.masker(),
            limits: self.limits,
            now: self.clock.now(),
        };
        judge.judge(result)
    }

    /// A body as JSON without secrets; none where it is no JSON within the limits.
    pub(super) fn json(&self, body: &[u8]) -> Option<Value> {
        let mut value = Json::parse(body, self.limits).ok()?.read().ok()?;
        self.masker().mask_json(&mut value);
        Some(value)
    }

    pub(super) fn masker(&self) -> Masker {
        self.secrets.masker()
    }

    /// The same failure without secrets that a playbook's texts may hold.
    pub(super) fn masked(&self, error: Error) -> Error {
        let mask = |text: String| self.masker().mask(&text).into_owned();
        match error {
            Error::Retry { message, after } => Error::Retry {
                message: mask(message),
                after,
            },
            Error::Permanent(message) => Error::Permanent(mask(message)),
            Error::Uncertain(message) => Error::Uncertain(mask(message)),
        }
    }
}

/// Who gets what is sent to a URL.
pub(super) fn receiver(url: &Url) -> Result<Receiver, Error> {
    let host = Host::of(url).map(Receiver::Host);
    host.ok_or_else(|| Error::permanent("the URL has no host"))
}

/// A command's header lists.
pub(super) fn headers(command: &Command) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, values) in &command.headers {
        let parsed = header_name(name).map_err(Error::Permanent)?;
        if OWN_HEADERS.contains(&parsed) || OWN_NAMES.contains(&parsed.as_str()) {
            return Err(Error::permanent(format!(
                "`{name}` can't be set by a command: it is the connection's"
            )));
        }
        for text in values {
            let value = header_value(name, text).map_err(Error::Permanent)?;
            headers.append(parsed.clone(), value);
        }
    }
    if headers.len() > HEADERS_MAX {
        return Err(Error::permanent(format!(
            "a request has at most {HEADERS_MAX} headers"
        )));
    }
    Ok(headers)
}

/// A command's body: `content`, or `content_b64` where its bytes are no text. None where it
/// has neither; both at once leave open which is meant.
pub(super) fn content(command: &Command) -> Result<Option<Vec<u8>>, Error> {
    match (&command.content, &command.content_b64) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(text.clone().into_bytes())),
        (None, Some(encoded)) => match STANDARD.decode(encoded.trim()) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => Err(Error::permanent("`content_b64` is no base64")),
        },
        (Some(_), Some(_)) => Err(Error::permanent(
            "write `content` or `content_b64`, not both",
        )),
    }
}

/// A command's text: `command`, or `command_b64` decoded.
pub(super) fn text(command: &Command) -> Result<&str, Error> {
    match (&command.command, &command.command_b64) {
        (Some(text), None) if !text.trim().is_empty() => Ok(text),
        (Some(_) | None, None) => Err(Error::permanent("the command is empty")),
        (None, Some(_)) => Err(Error::permanent("`command_b64` holds no text")),
        (Some(_), Some(_)) => Err(Error::permanent(
            "write `command` or `command_b64`, not both",
        )),
    }
}
