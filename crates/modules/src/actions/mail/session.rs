//! One mail handed to the server, and the connections kept between mails.
//!
//! The conversation is led here and not by the library's transport, because each
//! recipient's answer counts, and because it must be known whether the message's text was
//! under way when a connection broke: until then nothing was sent, after that only the
//! server knows.
//!
//! Connections go straight to the configured server and not through the egress check: that
//! is for destinations that come from events and scripts, and no script can choose this one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use conche_runtime::secrets::Secrets;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::config::{AuthMode, Login, PLACE, PasswordOf, Settings, TlsMode};
use super::message::Mail;
use crate::action::Error;
use crate::{BuildError, config};

/// An idle connection is kept for this long: well under the minutes after which servers
/// close one.
const IDLE: Duration = Duration::from_secs(30);

/// So often a recipient refused for now defers the whole mail; after that the others get it.
const DEFERRALS: u32 = 2;

/// Who refused what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Refusal {
    /// The address that was refused.
    pub(super) address: String,
    /// The server's reply code.
    pub(super) code: u16,
    /// The server's words.
    pub(super) message: String,
}

/// What became of a mail's recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) accepted: Vec<String>,
    pub(super) refused: Vec<Refusal>,
}

/// The way to the server.
pub(super) struct Sessions {
    settings: Settings,
    tls: Option<TlsParameters>,
    secrets: Arc<Secrets>,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
    slots: Semaphore,
}

impl Sessions {
    /// Reads the authorities to trust; connects to nothing.
    pub(super) fn new(settings: Settings, secrets: Arc<Secrets>) -> Result<Self, BuildError> {
        let tls = match settings.tls {
            TlsMode::None => None,
            _ => Some(tls_parameters(&settings)?),
        };
        Ok(Self {
            slots: Semaphore::new(settings.connections),
            idle: Mutex::new(Vec::new()),
            settings,
            tls,
            secrets,
        })
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Hands a mail to the server within `limit`.
    pub(super) async fn send(
        &self,
        mail: &Mail,
        attempt: u32,
        limit: Duration,
    ) -> Result<Delivered, Error> {
        let in_doubt = AtomicBool::new(false);
        let limit = limit.min(self.settings.timeout.duration());
        match timeout(limit, self.converse(mail, attempt, &in_doubt)).await {
            Ok(result) => result,
            Err(_elapsed) if in_doubt.load(Ordering::Relaxed) => Err(Error::Uncertain(
                "the mail server did not confirm the mail in time".to_owned(),
            )),
            Err(_elapsed) => Err(Error::retry("the mail server did not answer in time")),
        }
    }

    async fn converse(
        &self,
        mail: &Mail,
        attempt: u32,
        in_doubt: &AtomicBool,
    ) -> Result<Delivered, Error> {
        let _slot = self
            .slots
            .acquire()
            .await
            .map_err(|_| Error::retry("mail is closed"))?;
        let mut connection = self.connection().await?;
        let delivered = recipients(&mut connection, mail, attempt).await?;
        connection
            .command(Data)
            .await
            .map_err(|error| self.failure(&error))?;
        in_doubt.store(true, Ordering::Relaxed);
        match connection.message(&mail.bytes).await {
            Ok(_) => {}
            Err(error) if error.status().is_some() => return Err(self.failure(&error)),
            Err(error) => {
                return Err(Error::Uncertain(self.masked(&format!(
                    "the connection broke before the mail server confirmed the mail: {error}"
                ))));
            }
        }
        if !connection.has_broken() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push((connection, Instant::now()));
        }
        Ok(delivered)
    }

    /// A kept connection that still answers, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Error> {
        while let Some(mut connection) = self.take_idle() {
            if connection.command(Rset).await.is_ok() {
                return Ok(connection);
            }
        }
        self.connect().await.map_err(|error| match error {
            Failure::Smtp(error) => self.failure(&error),
            Failure::Action(error) => error,
        })
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < IDLE);
        idle.pop().map(|(connection, _)| connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let settings = &self.settings;
        let hello = settings
            .helo_name
            .clone()
            .map_or_else(ClientId::default, ClientId::Domain);
        let implicit = self
            .tls
            .clone()
            .filter(|_| settings.tls == TlsMode::Implicit);
        let address = (settings.host.as_str(), settings.port);
        let limit = Some(settings.timeout.duration());
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, limit, &hello, implicit, None).await?;
        let upgrade = match settings.tls {
            TlsMode::Starttls => true,
            TlsMode::Opportunistic => connection.can_starttls(),
            TlsMode::Implicit | TlsMode::None => false,
        };
        if let Some(tls) = self.tls.clone().filter(|_| upgrade) {
            connection.starttls(tls, &hello).await?;
        }
        if let Some(login) = &settings.login {
            self.log_in(&mut connection, login).await?;
        }
        Ok(connection)
    }

    async fn log_in(
        &self,
        connection: &mut AsyncSmtpConnection,
        login: &Login,
    ) -> Result<(), Failure> {
        if !connection.is_encrypted() && !self.settings.is_loopback {
            return Err(Failure::Action(Error::permanent(
                "the mail server offers no encryption, so no password is sent to it",
            )));
        }
        let password = match &login.password {
            PasswordOf::Literal(value) => value.clone(),
            PasswordOf::Secret(name) => self
                .secrets
                .get(&name.secret)
                .map_err(|error| Failure::Action(Error::retry(error.to_string())))?,
        };
        let mechanisms: &[Mechanism] = match login.mode {
            AuthMode::Auto => &[Mechanism::Plain, Mechanism::Login],
            AuthMode::Plain => &[Mechanism::Plain],
            AuthMode::Login => &[Mechanism::Login],
            AuthMode::Xoauth2 => &[Mechanism::Xoauth2],
            AuthMode::None => return Ok(()),
        };
        let credentials = Credentials::new(login.user.clone(), password.expose_secret().to_owned());
        connection.auth(mechanisms, &credentials).await?;
        Ok(())
    }

    fn masked(&self, text: &str) -> String {
        self.secrets.masker().mask(text).into_owned()
    }

    /// What a failure before the text was sent, or a refusal of it, means.
    fn failure(&self, error: &SmtpError) -> Error {
        let message = self.masked(&format!("the mail server: {error}"));
        if error.is_permanent() || error.is_client() {
            Error::Permanent(message)
        } else {
            Error::retry(message)
        }
    }
}

/// Why there is no connection.
enum Failure {
    Smtp(SmtpError),
    Action(Error),
}

impl From<SmtpError> for Failure {
    fn from(error: SmtpError) -> Self {
        Self::Smtp(error)
    }
}

/// Names the sender and each recipient. Fails where nobody is accepted, and, the first
/// times, where somebody is refused for now: nothing was sent yet, so all can wait.
async fn recipients(
    connection: &mut AsyncSmtpConnection,
    mail: &Mail,
    attempt: u32,
) -> Result<Delivered, Error> {
    let parameters = parameters(connection, mail)?;
    let from = MailFrom::new(Some(mail.from.clone()), parameters);
    connection
        .command(from)
        .await
        .map_err(|error| spoken(&error))?;
    let mut delivered = Delivered {
        accepted: Vec::new(),
        refused: Vec::new(),
    };
    let mut deferred = false;
    for address in &mail.recipients {
        match connection
            .command(Rcpt::new(address.clone(), Vec::new()))
            .await
        {
            Ok(_) => delivered.accepted.push(address.to_string()),
            Err(error) => {
                let Some(code) = error.status() else {
                    return Err(spoken(&error));
                };
                deferred |= error.is_transient();
                delivered.refused.push(Refusal {
                    address: address.to_string(),
                    code: code.to_string().parse().unwrap_or(0),
                    message: std::error::Error::source(&error)
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                });
            }
        }
    }
    let none = delivered.accepted.is_empty();
    if deferred && (none || attempt <= DEFERRALS) {
        return Err(Error::retry(refusals("for now", &delivered.refused)));
    }
    if none {
        return Err(Error::permanent(refusals("for good", &delivered.refused)));
    }
    Ok(delivered)
}

fn refusals(how: &str, refused: &[Refusal]) -> String {
    let each = refused
        .iter()
        .map(|one| format!("{}: {} {}", one.address, one.code, one.message));
    let each: Vec<_> = each.collect();
    format!("the mail server refused {how} {}", each.join("; "))
}

/// A failure of a command that carries no secret.
fn spoken(error: &SmtpError) -> Error {
    let message = format!("the mail server: {error}");
    if error.is_permanent() || error.is_client() {
        Error::Permanent(message)
    } else {
        Error::retry(message)
    }
}

/// What the mail needs of the server, and whether it has it.
fn parameters(connection: &AsyncSmtpConnection, mail: &Mail) -> Result<Vec<MailParameter>, Error> {
    let server = connection.server_info();
    let mut parameters = Vec::new();
    let names = std::iter::once(&mail.from).chain(&mail.recipients);
    if names
        .into_iter()
        .any(|address| !AsRef::<str>::as_ref(address).is_ascii())
    {
        if !server.supports_feature(Extension::SmtpUtfEight) {
            return Err(Error::permanent(
                "the mail server takes ASCII addresses only (it lacks SMTPUTF8)",
            ));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !mail.bytes.is_ascii() {
        if !server.supports_feature(Extension::EightBitMime) {
            return Err(Error::permanent(
                "the mail server takes ASCII mails only (it lacks 8BITMIME)",
            ));
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

fn tls_parameters(settings: &Settings) -> Result<TlsParameters, BuildError> {
    let wrong = |message: String| config::error(PLACE, message);
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let pem = std::fs::read(path)
            .map_err(|error| wrong(format!("can't read `ca_file` {}: {error}", path.display())))?;
        let authority = Certificate::from_pem(&pem).map_err(|_| {
            wrong(format!(
                "`ca_file` {} is not a PEM certificate",
                path.display()
            ))
        })?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(authority);
    }
    builder.build().map_err(|error| wrong(error.to_string()))
}
