//! How a client shows who it is.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

/// Credentials. The secret parts are in no `Debug` output and go into one header only.
#[derive(Clone, Default)]
pub enum Auth {
    /// None: enough for `GET /`, `GET /api/v1` and web actions.
    #[default]
    None,
    /// An OpenWhisk key: user and password of HTTP Basic.
    Basic {
        /// The key's first part, a UUID.
        user: String,
        /// The key's second part.
        key: SecretString,
    },
    /// A token of a provider that has such (`Authorization: Bearer …`).
    Bearer(SecretString),
}

/// Why credentials can't be used. No variant holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not `user:key`.
    #[error("a key of OpenWhisk is written `user:key`, with a `:` between its two parts")]
    NoKey,
    /// It has characters that no header has.
    #[error("the credentials have characters that can't be sent in a header")]
    NoHeader,
}

impl Auth {
    /// Reads a key as `wsk` stores it: `user:key`.
    pub fn parse_key(text: &SecretString) -> Result<Self, AuthError> {
        let (user, key) = text
            .expose_secret()
            .trim()
            .split_once(':')
            .filter(|(user, key)| !user.is_empty() && !key.is_empty())
            .ok_or(AuthError::NoKey)?;
        Ok(Self::Basic {
            user: user.to_owned(),
            key: SecretString::from(key.to_owned()),
        })
    }

    /// The value of the header `Authorization`, marked as sensitive; none without credentials.
    ///
    /// # Errors
    /// [`AuthError::NoHeader`]
    pub fn header(&self) -> Result<Option<HeaderValue>, AuthError> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Basic { user, key } => {
                let pair = format!("{user}:{}", key.expose_secret());
                format!("Basic {}", STANDARD.encode(pair))
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose_secret().trim()),
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| AuthError::NoHeader)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Basic { user, .. } => f
                .debug_struct("Basic")
                .field("user", user)
                .finish_non_exhaustive(),
            Self::Bearer(_) => f.write_str("Bearer(…)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_as_basic_and_shown_nowhere() {
        let auth = Auth::parse_key(&"uuid:s3cret:x\n".into()).unwrap();
        let header = auth.header().unwrap().unwrap();
        assert_eq!(
            header.to_str().unwrap(),
            format!("Basic {}", STANDARD.encode("uuid:s3cret:x"))
        );
        let token = Auth::Bearer("t0ken".into());
        assert_eq!(token.header().unwrap().unwrap(), "Bearer t0ken");
        let shown = format!("{auth:?} {token:?} {header:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("t0ken"),
            "{shown}"
        );
        for text in ["", "uuid", ":", "a:", ":b"] {
            assert_eq!(
                Auth::parse_key(&text.into()).err(),
                Some(AuthError::NoKey),
                "{text}"
            );
        }
        assert_eq!(
            Auth::Bearer("a\nb".into()).header().err(),
            Some(AuthError::NoHeader)
        );
    }
}
