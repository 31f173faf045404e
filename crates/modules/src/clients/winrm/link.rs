//! The way to a host's WinRM service: one connection, over HTTPS, and who logs in.
//!
//! NTLM shows who one is for a connection, so all requests of a shell go by one. Where it
//! has ended between two requests another one is made. Nothing is ever sent without TLS, and a
//! password goes into its header or its answer and nowhere else.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_core::Timestamp;
use conche_runtime::egress::{self, Connection, Egress, Request, Response};
use conche_runtime::units::Size;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use url::Url;

use super::answer::{self, Fault};
use super::config::Scheme;
use super::ntlm::{self, Account, Chance};
use crate::clients::request::{agent, basic, sensitive};

/// The largest answer that is read; a host keeps to what the envelope allows it.
const ANSWER_MAX: Size = Size::from_mib(1);

/// Why there is no answer that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing was done, and another try may go well.
    NotNow(String),
    /// Nothing was done, and nothing will be.
    Refused(String),
    /// The host may have done it.
    Unknown(String),
}

/// What a host answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// It did what it was asked.
    Done(String),
    /// It did not, or not wholly.
    Fault(Fault),
}

/// Who logs in, and how.
pub(super) struct Login {
    pub(super) scheme: Scheme,
    pub(super) user: String,
    pub(super) password: SecretString,
}

/// A host, with the connection to it while there is one.
pub(super) struct Link<'a> {
    egress: &'a Egress,
    url: Url,
    login: Login,
    now: Timestamp,
    open: Option<Open>,
}

struct Open {
    connection: Connection,
    /// Whether the host knows who is at the other end.
    is_known: bool,
}

impl<'a> Link<'a> {
    /// `url` is one of `https`.
    pub(super) fn new(egress: &'a Egress, url: Url, login: Login, now: Timestamp) -> Self {
        Self {
            egress,
            url,
            login,
            now,
            open: None,
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Sends an envelope and gives the answer to it, within the time.
    pub(super) async fn post(&mut self, envelope: &str, until: Instant) -> Result<Reply, Failure> {
        let was_open = self.open.is_some();
        let response = match self.exchange(envelope, until).await {
            // The host has ended what was kept open, or wants to know anew who asks.
            Err(Failure::NotNow(_)) if was_open => {
                self.open = None;
                self.exchange(envelope, until).await
            }
            other => other,
        };
        if response.is_err() {
            self.open = None;
        }
        read(&response?)
    }

    async fn exchange(&mut self, envelope: &str, until: Instant) -> Result<Response, Failure> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect(until).await?,
        };
        let shown = match self.login.scheme {
            Scheme::Basic => Some(self.basic()?),
            Scheme::Ntlm if open.is_known => None,
            Scheme::Ntlm => Some(self.answered(&mut open.connection, until).await?),
        };
        let is_first = shown.is_some();
        let request = self.request(envelope, shown, until);
        let response = open.connection.request(request).await.map_err(failure)?;
        if response.status == StatusCode::UNAUTHORIZED {
            return Err(self.refused(&response.headers, is_first));
        }
        open.is_known = true;
        self.open = Some(open);
        Ok(response)
    }

    async fn connect(&mut self, until: Instant) -> Result<Open, Failure> {
        let open = tokio::time::timeout_at(until, self.egress.open(self.url.as_str())).await;
        let late = |_elapsed| Failure::NotNow("there was no connection in time".to_owned());
        Ok(Open {
            connection: open.map_err(late)?.map_err(failure)?,
            is_known: false,
        })
    }

    fn request(&self, envelope: &str, shown: Option<HeaderValue>, until: Instant) -> Request {
        let mut request = Request::post(self.url.as_str(), envelope.to_owned());
        let kind = HeaderValue::from_static("application/soap+xml;charset=UTF-8");
        request.headers.insert(header::CONTENT_TYPE, kind);
        request.headers.insert(header::USER_AGENT, agent());
        if let Some(shown) = shown {
            request.headers.insert(header::AUTHORIZATION, shown);
        }
        request.timeout = Some(until.saturating_duration_since(Instant::now()));
        request.max_response = Some(ANSWER_MAX);
        request
    }

    fn basic(&self) -> Result<HeaderValue, Failure> {
        let text = basic(&self.login.user, self.login.password.expose_secret());
        sensitive(&text).ok_or_else(|| Failure::Refused("the credentials are no header".to_owned()))
    }

    /// Asks for a challenge and answers it.
    async fn answered(
        &mut self,
        connection: &mut Connection,
        until: Instant,
    ) -> Result<HeaderValue, Failure> {
        let negotiate = |message: &[u8]| {
            let text = format!("Negotiate {}", STANDARD.encode(message));
            sensitive(&text).ok_or_else(|| Failure::Refused("no header".to_owned()))
        };
        let first = ntlm::negotiate();
        let request = self.request("", Some(negotiate(&first)?), until);
        let response = connection.request(request).await;
        // There was nothing to do in it.
        let response = response.map_err(|error| match failure(error) {
            Failure::Unknown(reason) => Failure::NotNow(reason),
            other => other,
        })?;
        let challenge = challenge(&response).ok_or_else(|| self.no_challenge(&response))?;
        let account = Account::new(&self.login.user, self.login.password.expose_secret());
        let host = self.url.host_str().unwrap_or_default();
        let to = (host, ntlm::binding(connection.certificate()));
        let message = Chance::new(self.now)
            .and_then(|chance| ntlm::authenticate(&first, &challenge, &account, to, chance))
            .map_err(|error| Failure::Refused(error.to_string()))?;
        negotiate(&message)
    }

    fn no_challenge(&self, response: &Response) -> Failure {
        match response.status {
            StatusCode::UNAUTHORIZED => Failure::Refused(format!(
                "the host takes no NTLM (it offers: {}); Basic is chosen by \
                 `winrm.authentication: basic` or credentials of type `http-basic`",
                offers(&response.headers)
            )),
            status if is_passing(status) => Failure::NotNow(format!("the host answered {status}")),
            status => Failure::Refused(format!(
                "the host answered {status} and not with a challenge: is WinRM at {}?",
                self.url
            )),
        }
    }

    /// Nothing is done for one who is not known.
    fn refused(&self, headers: &HeaderMap, was_shown: bool) -> Failure {
        let user = &self.login.user;
        let offers = offers(headers);
        if !was_shown {
            return Failure::NotNow("the host wants to know anew who asks".to_owned());
        }
        Failure::Refused(match self.login.scheme {
            Scheme::Basic if !offers.contains("Basic") => format!(
                "the host takes no Basic authentication (it offers: {offers}): it is off unless \
                 its `winrm set winrm/config/service/auth @{{Basic=\"true\"}}` turns it on; or use \
                 `winrm.authentication: ntlm` with credentials of type `user-auth`"
            ),
            Scheme::Basic => format!(
                "the host refused `{user}` by Basic, which is for users of the host itself and \
                 not for those of a domain"
            ),
            Scheme::Ntlm => format!(
                "the host refused `{user}` by NTLM: user or password are wrong, or NTLM is not \
                 allowed for it"
            ),
        })
    }
}

/// The bytes behind `Negotiate` in an answer that asks who one is.
fn challenge(response: &Response) -> Option<Vec<u8>> {
    if response.status != StatusCode::UNAUTHORIZED {
        return None;
    }
    let all = response.headers.get_all(header::WWW_AUTHENTICATE);
    let texts = all.iter().filter_map(|value| value.to_str().ok());
    let mut tokens = texts.filter_map(|text| {
        let (scheme, token) = text.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("Negotiate").then_some(token)
    });
    STANDARD.decode(tokens.next()?.trim()).ok()
}

/// The schemes that a host offers, for people.
fn offers(headers: &HeaderMap) -> String {
    let all = headers.get_all(header::WWW_AUTHENTICATE);
    let texts = all.iter().filter_map(|value| value.to_str().ok());
    let words = texts.flat_map(|text| text.split(',')).filter_map(|text| {
        let word = text.trim().split(' ').next()?;
        (!word.is_empty() && !word.contains('=')).then_some(word)
    });
    let words: Vec<_> = words.take(8).collect();
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join(", ")
    }
}

/// Whether the host says that it is the time and not the request.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 503)
}

fn read(response: &Response) -> Result<Reply, Failure> {
    let status = response.status;
    let text = String::from_utf8_lossy(&response.body);
    if status == StatusCode::OK {
        return Ok(Reply::Done(text.into_owned()));
    }
    if let Some(fault) = answer::fault(&text) {
        return Ok(Reply::Fault(fault));
    }
    let message = format!("the host answered {status}");
    Err(if is_passing(status) {
        Failure::NotNow(message)
    } else if status.is_server_error() || status.is_success() {
        Failure::Unknown(message)
    } else {
        Failure::Refused(message)
    })
}

fn failure(error: egress::Error) -> Failure {
    let message = error.to_string();
    match error {
        egress::Error::NotSent { .. } => Failure::NotNow(message),
        egress::Error::Uncertain { .. } | egress::Error::TooLarge { .. } => {
            Failure::Unknown(message)
        }
        egress::Error::Invalid(_) | egress::Error::Refused { .. } => Failure::Refused(message),
    }
}

/// What is left until then.
pub(super) fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
