//! Whether a delivery was signed by who may send: over the bytes as they came, before any of
//! them is understood.
//!
//! Signatures are compared in constant time. A sender is told whether a signature is missing,
//! wrong or too old, never which of the secrets it was compared with. Whoever can't be
//! verified, because no secret can be read, is refused.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_runtime::clock::SharedClock;
use conche_runtime::listener::guard::TokenSet;
use conche_runtime::secrets::Secrets;
use http::{HeaderMap, HeaderName};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::config::{Encoding, Verify};
use crate::BuildContext;
use crate::config::SecretName;

/// What a secret of Standard Webhooks begins with.
const STANDARD_PREFIX: &str = "whsec_";

/// A shorter key could be guessed; the specification asks for 24 to 64 bytes.
const STANDARD_KEY_MIN: usize = 24;

/// Why a delivery is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the delivery has no {0}, or more than one")]
    Missing(String),
    #[error("the signature is not that of this body by a secret known here")]
    Wrong,
    #[error("the delivery was signed at another time than now: more than {} s away", .tolerance.as_secs())]
    Stale { tolerance: Duration },
    #[error("{0}")]
    NoSecret(String),
}

/// Checks signatures.
pub(super) struct Verifier {
    scheme: Scheme,
    names: Vec<SecretName>,
    secrets: Arc<Secrets>,
    clock: SharedClock,
}

enum Scheme {
    /// HMAC of the body in a header; the first that is there counts.
    Body {
        headers: Vec<HeaderName>,
        prefix: String,
        encoding: Encoding,
    },
    Standard {
        tolerance: Duration,
    },
    Gitlab {
        tolerance: Duration,
    },
}

impl Verifier {
    pub(super) fn new(verify: &Verify, cx: &BuildContext) -> Result<Self, String> {
        let body = |headers: &[&'static str], prefix: &str| Scheme::Body {
            headers: headers
                .iter()
                .map(|name| HeaderName::from_static(name))
                .collect(),
            prefix: prefix.to_owned(),
            encoding: Encoding::Hex,
        };
        let scheme = match verify {
            Verify::Github(_) => body(&["x-hub-signature-256"], "sha256="),
            Verify::Gitea(_) => body(&["x-forgejo-signature", "x-gitea-signature"], ""),
            Verify::Gitlab(timed) => Scheme::Gitlab {
                tolerance: timed.tolerance.duration(),
            },
            Verify::StandardWebhooks(timed) => Scheme::Standard {
                tolerance: timed.tolerance.duration(),
            },
            Verify::Hmac(hmac) => Scheme::Body {
                headers: vec![
                    hmac.header
                        .parse()
                        .map_err(|_| format!("`{}` is not the name of a header", hmac.header))?,
                ],
                prefix: hmac.prefix.clone(),
                encoding: hmac.encoding,
            },
        };
        Ok(Self {
            scheme,
            names: verify.secrets().names(),
            secrets: cx.secrets.clone(),
            clock: cx.clock.clone(),
        })
    }

    /// Checks one delivery. Secrets are read each time, so that a changed one counts at once.
    pub(super) fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
        match &self.scheme {
            Scheme::Body {
                headers: names,
                prefix,
                encoding,
            } => {
                let shown = first(headers, names)?;
                let shown = shown.strip_prefix(prefix.as_str()).ok_or(Refused::Wrong)?;
                let shown = decode(shown, *encoding).ok_or(Refused::Wrong)?;
                self.any(|secret| {
                    let key = secret.expose_secret().as_bytes();
                    Ok(sign(key, &[body]).as_ref().ct_eq(&shown).into())
                })
            }
            Scheme::Standard { tolerance } => {
                let stamped = Stamped::read(headers)?;
                self.any(|secret| stamped.is_signed_by(secret, body))?;
                self.check_time(&stamped, *tolerance)
            }
            Scheme::Gitlab { tolerance } => self.check_gitlab(headers, body, *tolerance),
        }
    }

    /// Each secret says by its form how it is shown.
    fn check_gitlab(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        tolerance: Duration,
    ) -> Result<(), Refused> {
        let token = single(headers, "x-gitlab-token");
        let stamped = Stamped::read(headers);
        if let (Err(missing), Err(_)) = (&token, &stamped) {
            return Err(missing.clone());
        }
        let mut is_token = false;
        self.any(|secret| {
            if secret.expose_secret().starts_with(STANDARD_PREFIX) {
                return match &stamped {
                    Ok(stamped) => stamped.is_signed_by(secret, body),
                    Err(_) => Ok(false),
                };
            }
            let mut known = TokenSet::new();
            known.insert(secret, ());
            is_token = token
                .as_ref()
                .is_ok_and(|token| known.identify(token).is_some());
            Ok(is_token)
        })?;
        match stamped {
            Ok(stamped) if !is_token => self.check_time(&stamped, tolerance),
            _ => Ok(()),
        }
    }

    /// Whether the delivery is by any of the secrets. One that can't be read is passed over:
    /// the other may be the right one.
    fn any(
        &self,
        mut matches: impl FnMut(&SecretString) -> Result<bool, &'static str>,
    ) -> Result<(), Refused> {
        let mut refused = Refused::Wrong;
        for SecretName { secret: name } in &self.names {
            let found = self.secrets.get(name).map_err(|error| error.to_string());
            let found = found.and_then(|secret| {
                matches(&secret).map_err(|flaw| format!("secret `{name}`: the value {flaw}"))
            });
            match found {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => refused = Refused::NoSecret(error),
            }
        }
        Err(refused)
    }

    /// Looked at after the signature: who has none learns nothing about our clock.
    fn check_time(&self, stamped: &Stamped, tolerance: Duration) -> Result<(), Refused> {
        let away = self.clock.now().as_second().abs_diff(stamped.time);
        if away > tolerance.as_secs() {
            return Err(Refused::Stale { tolerance });
        }
        Ok(())
    }
}

/// What a delivery of Standard Webhooks has beside its body.
struct Stamped<'a> {
    id: &'a str,
    timestamp: &'a str,
    /// The timestamp in seconds since 1970.
    time: i64,
    signatures: &'a str,
}

impl<'a> Stamped<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, Refused> {
        let id = single(headers, "webhook-id")?;
        let timestamp = single(headers, "webhook-timestamp")?;
        let signatures = single(headers, "webhook-signature")?;
        // With a dot the same signed text could be read as another id, time and body.
        if id.contains('.') {
            return Err(Refused::Wrong);
        }
        let time = timestamp.parse().map_err(|_| Refused::Wrong)?;
        Ok(Self {
            id,
            timestamp,
            time,
            signatures,
        })
    }

    /// Whether one of the signatures of version 1 is by this secret.
    fn is_signed_by(&self, secret: &SecretString, body: &[u8]) -> Result<bool, &'static str> {
        let secret = secret.expose_secret();
        let encoded = secret.strip_prefix(STANDARD_PREFIX).unwrap_or(secret);
        let key = STANDARD.decode(encoded).unwrap_or_default();
        if key.len() < STANDARD_KEY_MIN {
            return Err("is not whsec_ and 24 bytes or more in base64");
        }
        let id_and_time = format!("{}.{}.", self.id, self.timestamp);
        let expected = sign(&key, &[id_and_time.as_bytes(), body]);
        let signatures = self.signatures.split(' ');
        Ok(signatures
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .filter_map(|signature| STANDARD.decode(signature).ok())
            .any(|shown| expected.as_ref().ct_eq(&shown).into()))
    }
}

fn sign(key: &[u8], parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign()
}

/// The value of the first of these headers that is there.
fn first<'a>(headers: &'a HeaderMap, names: &[HeaderName]) -> Result<&'a str, Refused> {
    let known = names.iter().find(|name| headers.contains_key(*name));
    match known.or(names.first()) {
        Some(name) => single(headers, name.as_str()),
        None => Err(Refused::Wrong),
    }
}

/// The value of a header that is sent once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refused> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (Some(Ok(text)), None) => Ok(text),
        _ => Err(Refused::Missing(name.to_owned())),
    }
}

fn decode(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Base64 => STANDARD.decode(text).ok(),
        Encoding::Hex => {
            let (pairs, odd) = text.as_bytes().as_chunks::<2>();
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
            odd.is_empty().then(|| pairs.iter().map(byte).collect())?
        }
    }
}

#[cfg(test)]
mod tests;
