//! Clair's only authentication: a JSON Web Token signed with a shared key.
//!
//! Source: Clair's `auth.psk`: HS256 with the base64-decoded key, `iss` one of those listed
//! there. A token is made for each request and lives two minutes around it. The key is read
//! when it is needed and never kept.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use conche_core::Timestamp;
use conche_runtime::secrets::Secrets;
use http::HeaderValue;
use ring::hmac;
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;

use super::Error;
use crate::config::SecretName;

/// How long before and after the moment it is made a token is good for, in seconds.
const VALID: i64 = 60;

/// The key that Clair has in `auth.psk`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Psk {
    /// The key in base64, as it stands in Clair's configuration: `{ secret: NAME }`.
    pub(crate) key: SecretName,
    /// Who we are to Clair: one of its `auth.psk.iss`. Default: `conche`.
    #[serde(default = "default_issuer")]
    pub(crate) issuer: String,
}

fn default_issuer() -> String {
    "conche".to_owned()
}

impl Psk {
    /// The value of `Authorization` for a request that is made now.
    pub(super) fn token(&self, secrets: &Secrets, now: Timestamp) -> Result<HeaderValue, Error> {
        let key = secrets.get(&self.key.secret)?;
        let key = STANDARD
            .decode(key.expose_secret().trim())
            .map_err(|_| Error::Key(format!("`{}` is not base64", self.key.secret)))?;
        let now = now.as_second();
        let header = json!({ "alg": "HS256", "typ": "JWT" });
        let claims =
            json!({ "iss": self.issuer, "iat": now, "nbf": now - VALID, "exp": now + VALID });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
        let token = format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(tag));
        let mut value = HeaderValue::from_str(&token)
            .map_err(|_| Error::Key("the token is no header value".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}
