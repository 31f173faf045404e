//! Scanning an image: Clair is told where the layers are, and asked what is wrong with them.
//!
//! Clair itself keeps what it has found by the names below, which tell an image's digest: one
//! name is one image, whatever the tag, and an image that Clair knows in its present state is
//! not sent again. What vulnerabilities are known changes all the time, so the report is
//! always asked for.

use std::time::Duration;

use conche_runtime::egress::Response;
use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::vulnerability::Vulnerability;
use super::{Api, Asking, Error, Server, v1, v3, v4};
use crate::clients::registry::{self, Image, Place, Session, is_digest};

/// What Clair says of an image.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) api: Api,
    pub(crate) vulnerabilities: Vec<Vulnerability>,
    /// Whether Clair knew the image as it is.
    pub(crate) was_known: bool,
}

/// Why an image could not be scanned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Clair(#[from] Error),
}

impl Failed {
    /// Whether the same may go well later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Registry(error) => error.may_pass(),
            Self::Clair(error) => error.may_pass(),
        }
    }
}

/// One scan under way.
pub(super) struct Scan<'a> {
    server: &'a Server,
    until: Instant,
}

impl Scan<'_> {
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Response, Error> {
        let asking = Asking {
            query,
            ..Asking::get(path)
        };
        self.ask(asking).await
    }

    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Result<Response, Error> {
        let asking = Asking {
            method: Method::POST,
            body: Some(body),
            ..Asking::get(path)
        };
        self.ask(asking).await
    }

    pub(super) async fn unless(&self, path: &[&str], state: &str) -> Result<Response, Error> {
        let asking = Asking {
            if_none_match: Some(state),
            ..Asking::get(path)
        };
        self.ask(asking).await
    }

    async fn ask(&self, asking: Asking<'_>) -> Result<Response, Error> {
        let left = self.until.saturating_duration_since(Instant::now());
        let asking = Asking {
            limit: Some(left),
            ..asking
        };
        self.server.ask(asking).await
    }
}

impl Server {
    /// Scans an image, within this time.
    pub(crate) async fn scan(
        &self,
        api: Option<Api>,
        image: &Image,
        session: &mut Session<'_>,
        limit: Duration,
    ) -> Result<Report, Failed> {
        let scan = Scan {
            server: self,
            until: Instant::now() + limit,
        };
        let api = match api {
            Some(api) => api,
            None => generation(&scan).await?,
        };
        let (vulnerabilities, was_known) = match api {
            Api::V1 => v1::scan(&scan, image, session).await?,
            Api::V3 => v3::scan(&scan, image, session).await?,
            Api::V4 => v4::scan(&scan, image, session).await?,
        };
        Ok(Report {
            api,
            vulnerabilities,
            was_known,
        })
    }
}

/// Finds the generation out, by what only one of them has.
async fn generation(scan: &Scan<'_>) -> Result<Api, Error> {
    let state = scan
        .get(&["indexer", "api", "v1", "index_state"], &[])
        .await?;
    let is_v4 = state.status.is_success()
        && super::json(&state).is_ok_and(|body| body["state"].is_string());
    if is_v4 || state.status.as_u16() == 401 {
        return Ok(Api::V4);
    }
    let namespaces = scan.get(&["v1", "namespaces"], &[]).await?;
    if namespaces.status.is_success()
        && super::json(&namespaces).is_ok_and(|body| body["Namespaces"].is_array())
    {
        return Ok(Api::V1);
    }
    let ancestry = scan.get(&["ancestry", "conche"], &[]).await?;
    if ancestry.status.is_success() || super::message(&ancestry.body).is_some() {
        return Ok(Api::V3);
    }
    Err(Error::Foreign {
        status: ancestry.status,
    })
}

/// Where all layers are.
pub(super) async fn places(image: &Image, session: &mut Session<'_>) -> Result<Vec<Place>, Failed> {
    let mut places = Vec::new();
    for layer in &image.layers {
        places.push(session.place(layer).await?);
    }
    Ok(places)
}

/// The name of an image's layer for Clair 2: the digits of the image's digest and of the
/// layer's, as many characters as its database takes.
pub(super) fn layer_name(image: &Image, at: usize) -> String {
    let digits = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let layer = image.layers.get(at).map(|layer| digits(&layer.digest));
    format!("{}{}", digits(&image.digest), layer.unwrap_or_default())
}

/// The digest of the image that a layer was named for.
pub(crate) fn manifest_of_layer(name: &str) -> Option<String> {
    let digest = format!("sha256:{}", name.get(..64)?);
    (name.len() == 128 && is_digest(&digest)).then_some(digest)
}

/// The name of an image for API v3. The gateway takes neither `/` nor, in the last segment,
/// `:`, so each is written as a character that no image's name has.
pub(super) fn ancestry_name(image: &Image) -> String {
    let name = format!(
        "{}/{}@{}",
        image.reference.registry, image.reference.repository, image.digest
    );
    name.replace('/', "~").replace(':', "!")
}

/// The image that an ancestry was named for.
pub(crate) fn image_of(name: &str) -> Option<String> {
    let read = name.replace('~', "/").replace('!', ":");
    let (_, digest) = read.rsplit_once('@')?;
    (read != name && is_digest(digest)).then_some(read)
}
