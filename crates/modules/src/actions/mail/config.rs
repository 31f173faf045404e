//! The configuration of `mail`: what is set, and what follows from it.

use std::net::IpAddr;
use std::path::PathBuf;

use conche_runtime::units::Span;
use lettre::Address;
use lettre::message::Mailbox;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use crate::BuildError;
use crate::config::{self as settings, SecretName};

pub(super) const PLACE: &str = "actions.mail";

/// Settings of `mail`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The mail server's name or address. It may be on this machine or in a private
    /// network: it is named here and nowhere else, so no script can choose it.
    server: String,
    /// The server's port. Default: 587 with `tls: starttls`, 465 with `implicit`, else 25.
    #[serde(default)]
    port: Option<u16>,
    /// The user to log in as. Default: none; nobody logs in.
    #[serde(default)]
    user: Option<String>,
    /// The user's password, or token with `auth: xoauth2`, as `{ secret: NAME }`. A text is
    /// taken as the password itself, as CSF's `mail.yml` has it; the server warns of it.
    /// Default: none.
    #[serde(default)]
    password: Option<Password>,
    /// How the connection is protected. Default: `implicit` on port 465; `starttls` where
    /// `user` is set; else `opportunistic`.
    #[serde(default)]
    tls: Option<TlsMode>,
    /// How to log in. Default: `auto` where `user` is set, else `none`.
    #[serde(default)]
    auth: Option<AuthMode>,
    /// Who the mails are from, as `a@b.c` or `Name <a@b.c>`. Default: `user`, as in CSF.
    #[serde(default)]
    from: Option<String>,
    /// Where answers go. Default: to `from`.
    #[serde(default)]
    reply_to: Option<String>,
    /// PEM file with the authorities to trust instead of the system's. Default: the system's.
    #[serde(default)]
    ca_file: Option<PathBuf>,
    /// The name to greet the server with. Default: this machine's.
    #[serde(default)]
    helo_name: Option<String>,
    /// The longest time for one mail, from the connection to the server's word. Default: `30s`.
    #[serde(default = "default_timeout")]
    timeout: Span,
    /// How many mails may be under way at a time. Default: 4.
    #[serde(default = "default_connections")]
    #[schemars(range(min = 1, max = 64))]
    connections: usize,
}

const fn default_timeout() -> Span {
    Span::from_secs(30)
}

const fn default_connections() -> usize {
    4
}

/// A password's name, or itself.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Password {
    /// By its name.
    Secret(SecretName),
    /// As text.
    Literal(String),
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret(name) => name.fmt(f),
            Self::Literal(_) => f.write_str("Literal(..)"),
        }
    }
}

/// How the connection is protected. Certificates are checked in every mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TlsMode {
    /// Begins in plain text; nothing is said before it is encrypted.
    Starttls,
    /// Encrypted from the first byte.
    Implicit,
    /// Encrypted where the server offers it. Passwords are sent only encrypted, or to this machine.
    Opportunistic,
    /// Not encrypted; only to this machine.
    None,
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AuthMode {
    /// By PLAIN or LOGIN, whichever the server offers.
    Auto,
    /// Not at all.
    None,
    /// By PLAIN.
    Plain,
    /// By LOGIN.
    Login,
    /// By XOAUTH2: the password is a token.
    Xoauth2,
}

/// What to log in with.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: PasswordOf,
    pub(super) mode: AuthMode,
}

/// Where the password is.
#[derive(Debug, Clone)]
pub(super) enum PasswordOf {
    /// Under `secrets:`, by this name.
    Secret(SecretName),
    /// In the configuration file.
    Literal(SecretString),
}

/// What the configuration comes to.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_loopback: bool,
    pub(super) tls: TlsMode,
    pub(super) login: Option<Login>,
    pub(super) from: Mailbox,
    pub(super) reply_to: Option<Mailbox>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) helo_name: Option<String>,
    pub(super) timeout: Span,
    pub(super) connections: usize,
}

impl Config {
    /// Applies the defaults and checks what can be checked without a connection.
    pub(super) fn settle(self) -> Result<Settings, BuildError> {
        let wrong = |message: String| settings::error(PLACE, message);
        let host = self.server.trim_matches(['[', ']']).to_owned();
        if host.is_empty() || host.contains(|char: char| char.is_whitespace() || char.is_control())
        {
            return Err(wrong(
                "`server` must be a host name or an address".to_owned(),
            ));
        }
        let is_loopback = host.eq_ignore_ascii_case("localhost")
            || host
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback());
        let tls = self.tls.unwrap_or(match (self.port, &self.user) {
            (Some(465), _) => TlsMode::Implicit,
            (_, Some(_)) => TlsMode::Starttls,
            _ => TlsMode::Opportunistic,
        });
        if tls == TlsMode::None && !is_loopback {
            return Err(wrong(format!(
                "`tls: none` is for a server on this machine; {host} is not: remove the line"
            )));
        }
        if !(1..=64).contains(&self.connections) {
            return Err(wrong("`connections` is from 1 to 64".to_owned()));
        }
        if self.helo_name.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(wrong("`helo_name` must be a host name".to_owned()));
        }
        let from = match (&self.from, &self.user) {
            (Some(from), _) => mailbox("from", from)?,
            (None, Some(user)) => user.parse::<Address>().map(Into::into).map_err(|_| {
                wrong("`user` is no mail address: write the sender as `from`".to_owned())
            })?,
            (None, None) => return Err(wrong("write the sender's address as `from`".to_owned())),
        };
        let reply_to = self.reply_to.as_deref();
        Ok(Settings {
            port: self.port.unwrap_or(match tls {
                TlsMode::Starttls => 587,
                TlsMode::Implicit => 465,
                TlsMode::Opportunistic | TlsMode::None => 25,
            }),
            login: login(self.user, self.password, self.auth)?,
            from,
            reply_to: reply_to.map(|text| mailbox("reply_to", text)).transpose()?,
            host,
            is_loopback,
            tls,
            ca_file: self.ca_file,
            helo_name: self.helo_name,
            timeout: self.timeout,
            connections: self.connections,
        })
    }
}

fn login(
    user: Option<String>,
    password: Option<Password>,
    mode: Option<AuthMode>,
) -> Result<Option<Login>, BuildError> {
    match (user, password, mode) {
        (_, _, Some(AuthMode::None)) | (None, None, None) => Ok(None),
        (Some(user), Some(password), mode) => Ok(Some(Login {
            user,
            password: match password {
                Password::Secret(name) => PasswordOf::Secret(name),
                Password::Literal(text) => PasswordOf::Literal(text.into()),
            },
            mode: mode.unwrap_or(AuthMode::Auto),
        })),
        _ => Err(settings::error(
            PLACE,
            "logging in needs both `user` and `password`; without it write `auth: none`",
        )),
    }
}

fn mailbox(key: &str, text: &str) -> Result<Mailbox, BuildError> {
    let parsed = text.parse::<Mailbox>().ok();
    parsed
        .filter(|_| !text.contains(char::is_control))
        .ok_or_else(|| settings::error(PLACE, format!("`{key}` is not a mail address: `{text}`")))
}

fn is_name(name: &str) -> bool {
    let allowed = |char: char| char.is_ascii_alphanumeric() || ".-:[]".contains(char);
    !name.is_empty() && name.len() <= 255 && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(config: serde_json::Value) -> Result<Settings, BuildError> {
        settings::read::<Config>(PLACE, config)?.settle()
    }

    #[test]
    fn port_and_protection_follow_from_what_is_set() {
        use TlsMode::{Implicit, None, Opportunistic, Starttls};
        let login = r#""user":"a@b.c","password":{"secret":"s"}"#;
        let table = [
            (r#""from":"a@b.c""#.to_owned(), Opportunistic, 25),
            (login.to_owned(), Starttls, 587),
            (format!(r#"{login},"port":465"#), Implicit, 465),
            (format!(r#"{login},"port":2525"#), Starttls, 2525),
            (format!(r#"{login},"tls":"implicit""#), Implicit, 465),
            (
                format!(r#"{login},"tls":"opportunistic""#),
                Opportunistic,
                25,
            ),
            (
                r#""from":"a@b.c","port":465,"tls":"starttls""#.to_owned(),
                Starttls,
                465,
            ),
            (r#""from":"a@b.c","tls":"none""#.to_owned(), None, 25),
        ];
        for (text, tls, port) in table {
            let text = format!(r#"{{"server":"localhost",{text}}}"#);
            let settings = settle(serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!((settings.tls, settings.port), (tls, port), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_or_is_unsafe_is_refused_with_the_place() {
        let table = [
            (r#"{"from":"a@b.c"}"#, "missing field `server`"),
            (r#"{"server":"x"}"#, "`from`"),
            (
                r#"{"server":"x","from":"a@b.c","tls":"none"}"#,
                "on this machine",
            ),
            (
                r#"{"server":"x","user":"u","password":{"secret":"s"}}"#,
                "no mail address",
            ),
            (
                r#"{"server":"x","user":"a@b.c"}"#,
                "both `user` and `password`",
            ),
            (
                r#"{"server":"x","from":"a@b.c","auth":"plain"}"#,
                "both `user` and `password`",
            ),
            (
                r#"{"server":"x","from":"a@b.c\r\nBcc: x@y.z"}"#,
                "not a mail address",
            ),
            (r#"{"server":"x y","from":"a@b.c"}"#, "`server`"),
            (
                r#"{"server":"x","from":"a@b.c","helo_name":"a\r\nb"}"#,
                "`helo_name`",
            ),
            (
                r#"{"server":"x","from":"a@b.c","sever":1}"#,
                "unknown field",
            ),
        ];
        for (text, expected) in table {
            let refused = settle(serde_json::from_str(text).unwrap()).unwrap_err();
            assert_eq!(refused.place, PLACE);
            assert!(
                refused.message.contains(expected),
                "{text}: {}",
                refused.message
            );
        }
    }

    #[test]
    fn a_password_in_the_file_is_not_shown() {
        let config = serde_json::json!({ "server": "x", "user": "a@b.c", "password": "hunter22" });
        let config: Config = settings::read(PLACE, config).unwrap();
        assert!(!format!("{config:?}").contains("hunter22"));
        assert!(!format!("{:?}", config.settle().unwrap()).contains("hunter22"));
    }
}
