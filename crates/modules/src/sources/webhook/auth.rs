//! Whether a sender is who may send. Fails closed, compares in constant time, and never
//! says which part was wrong.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_runtime::listener::guard::{TokenSet, bearer_token};
use conche_runtime::secrets::{self, Secrets};
use http::{HeaderMap, HeaderValue, header};

use super::config::Auth;
use crate::config::SecretName;

/// What came of the check.
#[derive(Debug)]
pub(in crate::sources) enum Refused {
    /// Wrong or no credentials: answer 401 with this challenge.
    Unknown(HeaderValue),
    /// The secret to compare with can't be read.
    NoSecret(secrets::Error),
}

/// Who may send.
pub(in crate::sources) struct Gate {
    auth: Auth,
    secrets: Arc<Secrets>,
}

impl Gate {
    pub(in crate::sources) const fn new(auth: Auth, secrets: Arc<Secrets>) -> Self {
        Self { auth, secrets }
    }

    /// Checks a request by its headers. The secret is read each time, so that a changed one
    /// counts at once.
    pub(in crate::sources) fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        match &self.auth {
            Auth::None => Ok(()),
            Auth::Bearer(tokens) => {
                let shown = bearer_token(headers).unwrap_or_default();
                self.compare(tokens.names(), "", shown, "Bearer")
            }
            Auth::Basic(basic) => {
                let shown = basic_credentials(headers).unwrap_or_default();
                let user = format!("{}:", basic.user);
                self.compare(
                    std::slice::from_ref(&basic.password),
                    &user,
                    &shown,
                    "Basic charset=\"UTF-8\"",
                )
            }
        }
    }

    /// Compares `shown` with each secret behind `before`; all are digested first, so that
    /// the time says nothing about where they differ. One that can't be read is passed over:
    /// the other may be the right one.
    fn compare(
        &self,
        secrets: &[SecretName],
        before: &str,
        shown: &str,
        challenge: &'static str,
    ) -> Result<(), Refused> {
        use secrecy::ExposeSecret as _;
        let mut known = TokenSet::new();
        let mut refused = Refused::Unknown(HeaderValue::from_static(challenge));
        for name in secrets {
            match self.secrets.get(&name.secret) {
                Ok(value) => {
                    let expected = format!("{before}{}", value.expose_secret());
                    known.insert(&expected.into(), ());
                }
                Err(error) => refused = Refused::NoSecret(error),
            }
        }
        known.identify(shown).ok_or(refused)
    }
}

/// `user:password` of HTTP Basic; none where the header is absent, repeated or malformed.
fn basic_credentials(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    String::from_utf8(STANDARD.decode(encoded.trim_matches(' ')).ok()?).ok()
}
