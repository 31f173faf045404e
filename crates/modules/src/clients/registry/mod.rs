//! Container registries: what an image is made of and where its layers are, without fetching them.
//!
//! An own client of a few requests instead of the `oci-client` crate: that one brings an HTTP
//! client of its own, which would pass by the egress check and follow redirects by itself, and
//! names of images come from events. Here
//!
//! - every address is checked by the egress policy; a registry that the configuration names
//!   may be a private one, any other may not,
//! - credentials go to the registry they are configured for and to the token server that this
//!   registry names, over HTTPS; a token asks for reading one repository,
//! - no redirect is followed: the layer's final address is told to who asked, without
//!   credentials where it is another origin's,
//! - what is answered to a digest has that digest.

mod challenge;
mod manifest;
mod reference;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_runtime::egress::{self, ClientTls, Egress, Request, Response};
use conche_runtime::secrets::{self, Secrets};
use conche_runtime::units::Size;
use http::{HeaderName, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use self::challenge::Challenge;
use self::manifest::Manifest;
pub(crate) use self::manifest::{Layer, Platform};
pub(crate) use self::reference::{Invalid, Reference, is_digest, place};
use crate::config::SecretName;

/// A manifest is not larger (the Distribution specification's own limit).
const MANIFEST_MAX: Size = Size::from_mib(4);

/// A token is not larger.
const TOKEN_MAX: Size = Size::from_kib(64);

/// So much of a layer is read to see where it is.
const GLANCE: Size = Size::from_kib(1);

/// Why an image could not be resolved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Name(#[from] Invalid),
    #[error(transparent)]
    Egress(#[from] egress::Error),
    #[error(transparent)]
    Secret(#[from] secrets::Error),
    /// The registry says no.
    #[error("the registry answered {status} for {what}")]
    Refused { status: StatusCode, what: String },
    /// The registry wants to be shown who asks, and not by a way that is known or allowed.
    #[error("the registry's token server: {0}")]
    Realm(String),
    /// What was answered is not what was asked for.
    #[error("the registry answered another manifest than {wanted}: it has {found}")]
    OtherDigest { wanted: String, found: String },
    #[error("the registry's answer cannot be understood: {0}")]
    Nonsense(String),
    #[error("the image is not there for {wanted}; it is for: {known}")]
    NoPlatform { wanted: String, known: String },
    #[error("it is no image: it holds {0}")]
    NoImage(String),
}

impl Error {
    /// Whether the same may go well later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Egress(error) => !matches!(
                error,
                egress::Error::Invalid(_)
                    | egress::Error::Refused { .. }
                    | egress::Error::TooLarge { .. }
            ),
            Self::Refused { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 429)
            }
            Self::Secret(_) | Self::Nonsense(_) => true,
            _ => false,
        }
    }
}

/// Who we are to a registry.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// User and password.
    Basic { user: String, password: Password },
    /// What stands behind `Basic `, as CSF's `dockerConfig.token`.
    Token(Password),
}

/// A password by its name, or itself.
#[derive(Clone)]
pub(crate) enum Password {
    Secret(SecretName),
    Literal(SecretString),
}

/// How a registry is reached.
#[derive(Clone, Default)]
pub(crate) struct Access {
    pub(crate) credentials: Option<Credentials>,
    /// Over HTTP instead of HTTPS.
    pub(crate) plain_http: bool,
}

/// The registries, as far as something is known of them.
#[derive(Clone)]
pub(crate) struct Registries {
    egress: Egress,
    secrets: Arc<Secrets>,
    known: BTreeMap<String, Access>,
    /// How all others are reached.
    others: Access,
    timeout: Duration,
}

/// An image that was found.
pub(crate) struct Image {
    /// The name that was asked for.
    pub(crate) reference: Reference,
    /// The digest of the manifest of the one platform.
    pub(crate) digest: String,
    /// The base first.
    pub(crate) layers: Vec<Layer>,
}

/// Where a layer can be fetched.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) url: String,
    /// The value of `Authorization` that is needed there.
    pub(crate) authorization: Option<String>,
}

impl Registries {
    /// `known` by host, `docker.io` for Docker Hub.
    pub(crate) fn new(
        egress: &Egress,
        tls: Option<&ClientTls>,
        secrets: Arc<Secrets>,
        known: BTreeMap<String, Access>,
        others: Access,
        timeout: Duration,
    ) -> Result<Self, String> {
        let mut rules = Vec::new();
        for (host, access) in &known {
            let named = format!("{host}/image").parse::<Reference>();
            let named = named.ok().filter(|named| named.registry == *host);
            let named = named.ok_or_else(|| {
                format!("`{host}` is not a registry's host as names of images have it")
            })?;
            let scheme = if access.plain_http { "http" } else { "https" };
            let url = Url::parse(&format!("{scheme}://{}", named.host()));
            let url = url.map_err(|error| format!("`{host}`: {error}"))?;
            rules.push(crate::clients::clair::rule(&url)?);
        }
        let egress = match tls {
            None => egress.clone(),
            Some(tls) => egress.with_tls(tls).map_err(|error| error.to_string())?,
        };
        Ok(Self {
            egress: egress.opened_to(&rules).without_redirects(),
            secrets,
            known,
            others,
            timeout,
        })
    }

    /// Begins to speak of one image.
    pub(crate) fn session(&self, reference: Reference) -> Session<'_> {
        let access = self.known.get(&reference.registry).unwrap_or(&self.others);
        let scheme = if access.plain_http { "http" } else { "https" };
        Session {
            base: format!(
                "{scheme}://{}/v2/{}",
                reference.host(),
                reference.repository
            ),
            registries: self,
            reference,
            access,
            authorization: None,
        }
    }
}

/// Requests for one image, with the authorization that they turned out to need.
pub(crate) struct Session<'a> {
    registries: &'a Registries,
    reference: Reference,
    access: &'a Access,
    base: String,
    authorization: Option<HeaderValue>,
}

impl Session<'_> {
    /// Finds the image for a platform.
    pub(crate) async fn image(&mut self, platform: &Platform) -> Result<Image, Error> {
        let wanted = self.reference.wanted().to_owned();
        let (mut digest, mut manifest) = self.manifest(&wanted).await?;
        if let Manifest::Index(choices) = &manifest {
            let chosen = manifest::choose(choices, platform)?.digest.clone();
            (digest, manifest) = self.manifest(&chosen).await?;
        }
        match manifest {
            Manifest::Image(layers) => Ok(Image {
                reference: self.reference.clone(),
                digest,
                layers,
            }),
            Manifest::Index(_) => Err(Error::Nonsense("a list in a list".to_owned())),
        }
    }

    async fn manifest(&mut self, wanted: &str) -> Result<(String, Manifest), Error> {
        let url = format!("{}/manifests/{wanted}", self.base);
        let accept = (header::ACCEPT, HeaderValue::from_static(manifest::ACCEPTED));
        let response = self.get(&url, accept, MANIFEST_MAX).await?;
        if !response.status.is_success() {
            return Err(Error::Refused {
                status: response.status,
                what: format!("manifest {wanted}"),
            });
        }
        let found = hex(&Sha256::digest(&response.body));
        if is_digest(wanted) && wanted != found {
            return Err(Error::OtherDigest {
                wanted: wanted.to_owned(),
                found,
            });
        }
        Ok((found, Manifest::read(&response.body)?))
    }

    /// Where a layer is, for somebody else to fetch: its first byte is asked for, and what the
    /// registry redirects to is passed on and never followed.
    pub(crate) async fn place(&mut self, layer: &Layer) -> Result<Place, Error> {
        let own = format!("{}/blobs/{}", self.base, layer.digest);
        if let Some(elsewhere) = layer.elsewhere.as_deref().filter(|to| !is_at(&own, to)) {
            return self.elsewhere(&own, elsewhere).await;
        }
        let range = (header::RANGE, HeaderValue::from_static("bytes=0-0"));
        let status = match self.get(&own, range, GLANCE).await {
            Ok(response) if response.status.is_redirection() => {
                let to = response.headers.get(header::LOCATION);
                let to = to.and_then(|to| to.to_str().ok());
                let to = to.ok_or_else(|| Error::Nonsense("a redirect to nowhere".to_owned()))?;
                return self.elsewhere(&own, to).await;
            }
            Ok(response) => response.status,
            // It gives all of it, whatever was asked for.
            Err(Error::Egress(egress::Error::TooLarge { status, .. })) => status,
            Err(error) => return Err(error),
        };
        if !status.is_success() {
            let what = format!("layer {}", layer.digest);
            return Err(Error::Refused { status, what });
        }
        Ok(Place {
            url: own,
            authorization: self.shown(),
        })
    }

    /// An address that the registry names, checked before somebody else is sent there.
    async fn elsewhere(&self, own: &str, to: &str) -> Result<Place, Error> {
        let wrong = |what: &str| Error::Nonsense(format!("it redirects to {what}"));
        let own = Url::parse(own).map_err(|error| Error::Nonsense(error.to_string()))?;
        let to = own.join(to).map_err(|error| wrong(&error.to_string()))?;
        let is_down = own.scheme() == "https" && to.scheme() != "https";
        if is_down || !matches!(to.scheme(), "http" | "https") {
            return Err(wrong("something that is not HTTPS"));
        }
        let host = to.host_str().ok_or_else(|| wrong("no host"))?;
        let port = to.port_or_known_default().unwrap_or_default();
        self.registries.egress.resolve_and_check(host, port).await?;
        Ok(Place {
            authorization: (to.origin() == own.origin())
                .then(|| self.shown())
                .flatten(),
            url: to.into(),
        })
    }

    fn shown(&self) -> Option<String> {
        let value = self.authorization.as_ref()?;
        value.to_str().ok().map(str::to_owned)
    }

    /// A request; where the registry asks who we are, it is made again with the answer.
    async fn get(
        &mut self,
        url: &str,
        (name, value): (HeaderName, HeaderValue),
        max_response: Size,
    ) -> Result<Response, Error> {
        let mut asked = false;
        loop {
            let mut request = Request::get(url);
            request.headers.insert(name.clone(), value.clone());
            if let Some(authorization) = &self.authorization {
                request
                    .headers
                    .insert(header::AUTHORIZATION, authorization.clone());
            }
            request.timeout = Some(self.registries.timeout);
            request.max_response = Some(max_response);
            let response = self.registries.egress.request(request).await?;
            if response.status != StatusCode::UNAUTHORIZED || asked {
                return Ok(response);
            }
            asked = true;
            self.authorization = match Challenge::of(&response.headers) {
                None => return Ok(response),
                Some(Challenge::Basic) => match self.basic()? {
                    None => return Ok(response),
                    basic => basic,
                },
                Some(Challenge::Bearer { realm, service }) => {
                    Some(self.token(&realm, service.as_deref()).await?)
                }
            };
        }
    }

    /// What our credentials are as Basic.
    fn basic(&self) -> Result<Option<HeaderValue>, Error> {
        let password = |password: &Password| match password {
            Password::Secret(name) => self.registries.secrets.get(&name.secret),
            Password::Literal(text) => Ok(text.clone()),
        };
        let encoded = match &self.access.credentials {
            None => return Ok(None),
            Some(Credentials::Token(token)) => password(token)?.expose_secret().to_owned(),
            Some(Credentials::Basic { user, password: of }) => {
                STANDARD.encode(format!("{user}:{}", password(of)?.expose_secret()))
            }
        };
        sensitive(format!("Basic {encoded}")).map(Some)
    }

    /// Gets a token to read this repository, and nothing more.
    async fn token(&self, realm: &str, service: Option<&str>) -> Result<HeaderValue, Error> {
        let mut url = Url::parse(realm).map_err(|error| Error::Realm(error.to_string()))?;
        if url.scheme() != "https" && !self.access.plain_http {
            return Err(Error::Realm("it is not reached over HTTPS".to_owned()));
        }
        let scope = format!("repository:{}:pull", self.reference.repository);
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        url.query_pairs_mut().append_pair("scope", &scope);
        let mut request = Request::get(url.as_str());
        if let Some(basic) = self.basic()? {
            request.headers.insert(header::AUTHORIZATION, basic);
        }
        request.timeout = Some(self.registries.timeout);
        request.max_response = Some(TOKEN_MAX);
        let response = self.registries.egress.request(request).await?;
        if !response.status.is_success() {
            return Err(Error::Refused {
                status: response.status,
                what: "a token".to_owned(),
            });
        }
        let body: Value = serde_json::from_slice(&response.body)
            .map_err(|error| Error::Realm(error.to_string()))?;
        let token = body["token"]
            .as_str()
            .or_else(|| body["access_token"].as_str());
        let token = token.ok_or_else(|| Error::Realm("it gave no token".to_owned()))?;
        sensitive(format!("Bearer {token}"))
    }
}

/// Whether a layer's address is at its own registry. It was written by whoever made the image,
/// who must not send anybody to another path there with our credentials: a layer that is in
/// the registry is where all layers are.
fn is_at(own: &str, to: &str) -> bool {
    let Ok(own) = Url::parse(own) else {
        return false;
    };
    own.join(to).is_ok_and(|to| to.origin() == own.origin())
}

fn sensitive(text: String) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Error::Realm("the credentials are no header value".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a text cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
