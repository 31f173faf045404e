//! Notifications of Docker's registry and of the CNCF's Distribution: one event
//! `registry.push`, `registry.pull`, `registry.mount` or `registry.delete` for each.
//!
//! The envelopes `…events.v1+json` and `…events.v2+json` differ in their media type only. A
//! push of an image notifies of each of its layers, too: they are left out by [`IMAGES`] and
//! kept by [`ALL`], and a delivery of layers alone has no event. What says not what it is,
//! as deletions do, is kept. The registry repeats a delivery until it is answered 2xx, hence
//! one without events is answered so.

use conche_core::Json;
use serde::Deserialize;
use serde_json::json;

use super::super::decode::check_count;
use super::{Decoder, Delivered, FormatName, Found, Loose, Reject, other, read, word};

const KIND: &str = "notification of a registry";

/// Events of images.
pub(super) static IMAGES: Decoder = Decoder {
    name: "registry",
    format: FormatName::Registry,
    several: true,
    read: |delivered| decode(delivered, false),
};

/// Events of images and of their layers.
pub(super) static ALL: Decoder = Decoder {
    name: "registry_all",
    format: FormatName::RegistryAll,
    several: true,
    read: |delivered| decode(delivered, true),
};

#[derive(Deserialize)]
struct Envelope {
    events: Vec<Json>,
}

#[derive(Deserialize)]
struct Notification {
    id: String,
    action: String,
    target: Target,
    #[serde(default)]
    timestamp: Loose<String>,
    #[serde(default)]
    request: Loose<Request>,
    #[serde(default)]
    actor: Loose<Actor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    repository: String,
    #[serde(default)]
    media_type: Loose<String>,
    #[serde(default)]
    digest: Loose<String>,
    #[serde(default)]
    tag: Loose<String>,
    #[serde(default)]
    url: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    addr: Loose<String>,
    host: Loose<String>,
    useragent: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Actor {
    name: Loose<String>,
}

fn decode(delivered: &Delivered<'_>, with_layers: bool) -> Result<Vec<Found>, Reject> {
    let envelope: Envelope = read(KIND, delivered.body)?;
    if envelope.events.is_empty() {
        return Err(other(KIND, "it has no events"));
    }
    check_count("events", envelope.events.len())?;
    let mut found = Vec::new();
    for raw in envelope.events {
        let event: Notification = read(KIND, &raw)?;
        if with_layers || !event.target.is_layer() {
            found.push(event.found(raw)?);
        }
    }
    Ok(found)
}

impl Notification {
    fn found(self, raw: Json) -> Result<Found, Reject> {
        let action = word(KIND, "action", &self.action)?;
        let (target, request) = (self.target, self.request.0);
        let summary = json!({
            "action": action,
            "repository": target.repository,
            "tag": target.tag,
            "digest": target.digest,
            "media_type": target.media_type,
            "image": target.image(&request.host.0),
            "url": target.url,
            "actor": self.actor.0.name,
            "address": request.addr,
            "user_agent": request.useragent,
        });
        Ok(Found {
            id: Some(self.id),
            event_type: format!("registry.{action}"),
            subject: target.repository,
            time: self.timestamp.0,
            summary,
            raw,
        })
    }
}

impl Target {
    /// Whether it is a layer or a configuration; manifests and lists of them say so.
    fn is_layer(&self) -> bool {
        let kind = &self.media_type.0;
        let is_image = [".manifest.", ".index."];
        !kind.is_empty() && !is_image.iter().any(|part| kind.contains(part))
    }

    /// The image's name as scanners take it.
    fn image(&self, host: &str) -> String {
        let slash = if host.is_empty() { "" } else { "/" };
        let place = format!("{host}{slash}{}", self.repository);
        match (self.tag.0.as_str(), self.digest.0.as_str()) {
            ("", "") => place,
            ("", digest) => format!("{place}@{digest}"),
            (tag, _) => format!("{place}:{tag}"),
        }
    }
}
