//! What an API server asks: from the bytes of a request to a review. Pure.
//!
//! An AdmissionReview about something that runs containers is an ImageReview too, put together
//! as the API server's own ImagePolicyWebhook would. What a decision may depend on is digested
//! here, so that the same question is asked once: for images the review's content, in which an
//! image that names its digest counts without its tag.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::admission::Question;

/// Annotations that an ImageReview has begin or go on so.
const POLICY_MARK: &str = ".image-policy.k8s.io/";

/// The most values of a review that is read: the largest objects of a cluster have some ten
/// thousand, and an update shows two.
const VALUES_MAX: usize = 200_000;

/// Why a request is no review.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reject {
    /// Not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// Another kind, or a version that is not known.
    #[error("the body is no {expected}: it says kind {kind:?}, apiVersion {api_version:?}")]
    NotAReview {
        expected: &'static str,
        kind: String,
        api_version: String,
    },
    /// A part that every review has is missing.
    #[error("the review has no `{0}`")]
    Missing(&'static str),
}

/// Which of the two an API server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Admission,
}

/// One question of an API server's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Review {
    pub(super) kind: Kind,
    /// As it is to be answered.
    pub(super) api_version: String,
    /// The AdmissionReview's own id.
    pub(super) uid: Option<String>,
    pub(super) dry_run: bool,
    /// The images' part; none where nothing is asked that has images.
    pub(super) images: Option<ImageReview>,
    /// The whole request of an AdmissionReview.
    pub(super) request: Option<Value>,
}

/// What is asked about images.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ImageReview {
    /// As CSF's event has it.
    pub(super) review: Value,
    /// The images, each once, without tags where they have digests.
    pub(super) names: Vec<String>,
    /// Whether each has a digest.
    pub(super) pinned: bool,
}

/// Whether a body has more values than are kept: objects and arrays of nothing take a hundred
/// times their text.
pub(super) fn is_heavy(body: &[u8]) -> bool {
    let (mut values, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            // Each value follows one of these, but for the first.
            (false, b',' | b'[' | b'{') => values += 1,
            (false, _) => {}
        }
    }
    values > VALUES_MAX
}

/// Only what is needed to answer a review that is not read any further.
pub(super) fn head(kind: Kind, body: &[u8]) -> Result<Review, Reject> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default)]
        kind: String,
        #[serde(default, rename = "apiVersion")]
        api_version: String,
        request: Option<Request>,
    }
    #[derive(Deserialize)]
    struct Request {
        #[serde(default)]
        uid: String,
    }
    let head: Head = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    kind.check(&head.kind, &head.api_version)?;
    let uid = head.request.map(|request| request.uid);
    let uid = uid.filter(|uid| !uid.is_empty());
    if kind == Kind::Admission && uid.is_none() {
        return Err(Reject::Missing("request.uid"));
    }
    Ok(Review {
        kind,
        api_version: head.api_version,
        uid,
        dry_run: false,
        images: None,
        request: None,
    })
}

/// Reads a request's body.
pub(super) fn read(kind: Kind, body: &[u8]) -> Result<Review, Reject> {
    let value: Value = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let api_version = text("apiVersion");
    kind.check(&text("kind"), &api_version)?;
    match kind {
        Kind::Image => image_review(value, api_version),
        Kind::Admission => admission_review(value, api_version),
    }
}

fn not_json(error: &serde_json::Error) -> Reject {
    Reject::NotJson(error.to_string())
}

impl Kind {
    /// Refuses what says that it is something else.
    fn check(self, kind: &str, api_version: &str) -> Result<(), Reject> {
        let (expected, is_known) = match self {
            Self::Image => (
                "ImageReview",
                api_version.starts_with("imagepolicy.k8s.io/"),
            ),
            Self::Admission => ("AdmissionReview", api_version == "admission.k8s.io/v1"),
        };
        if kind == expected && is_known {
            return Ok(());
        }
        Err(Reject::NotAReview {
            expected,
            kind: kind.to_owned(),
            api_version: api_version.to_owned(),
        })
    }
}

fn image_review(value: Value, api_version: String) -> Result<Review, Reject> {
    let containers = value["spec"]["containers"].as_array();
    let containers = containers.ok_or(Reject::Missing("spec.containers"))?;
    let names = containers.iter().filter_map(|one| one["image"].as_str());
    let (names, pinned) = names_of(names);
    // What else a caller put beside an image is a part of what is asked.
    let is_plain =
        |one: &Value| one["image"].is_string() && one.as_object().map(Map::len) == Some(1);
    let pinned = pinned && containers.iter().all(is_plain);
    Ok(Review {
        kind: Kind::Image,
        api_version,
        uid: None,
        dry_run: false,
        images: Some(ImageReview {
            review: value,
            names,
            pinned,
        }),
        request: None,
    })
}

fn admission_review(mut value: Value, api_version: String) -> Result<Review, Reject> {
    let mut request = value["request"].take();
    let uid = request["uid"].as_str().filter(|uid| !uid.is_empty());
    let uid = uid.ok_or(Reject::Missing("request.uid"))?.to_owned();
    for name in ["object", "oldObject"] {
        strip(&mut request[name]);
    }
    Ok(Review {
        kind: Kind::Admission,
        api_version,
        uid: Some(uid),
        dry_run: request["dryRun"] == true,
        images: images_of(&request),
        request: Some(request),
    })
}

/// Leaves out what is bookkeeping, and what is secret.
fn strip(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if object["kind"] == "Secret" {
        for part in ["data", "stringData"] {
            if let Some(members) = object.get_mut(part).and_then(Value::as_object_mut) {
                members.values_mut().for_each(|value| *value = Value::Null);
            }
        }
        let annotations = object.pointer_mut("/metadata/annotations");
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
}

/// The ImageReview that ImagePolicyWebhook would send about the same object.
fn images_of(request: &Value) -> Option<ImageReview> {
    let object = &request["object"];
    let templates = [
        ("", ""),
        ("/spec/template", "/spec/template"),
        (
            "/spec/jobTemplate/spec/template",
            "/spec/jobTemplate/spec/template",
        ),
    ];
    let (spec, annotations) = templates.iter().find_map(|(at, metadata)| {
        let spec = object.pointer(&format!("{at}/spec"))?;
        spec["containers"].as_array()?;
        Some((
            spec,
            object.pointer(&format!("{metadata}/metadata/annotations")),
        ))
    })?;
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let images: Vec<&str> = lists
        .iter()
        .filter_map(|list| spec[*list].as_array())
        .flatten()
        .filter_map(|container| container["image"].as_str())
        .collect();
    let containers: Vec<Value> = images
        .iter()
        .map(|image| json!({ "image": image }))
        .collect();
    let annotations: Map<String, Value> = annotations
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.contains(POLICY_MARK))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut spec = json!({ "containers": containers, "namespace": request["namespace"] });
    if !annotations.is_empty() {
        spec["annotations"] = annotations.into();
    }
    let (names, pinned) = names_of(images.into_iter());
    let review = json!({
        "kind": "ImageReview",
        "apiVersion": "imagepolicy.k8s.io/v1alpha1",
        "metadata": { "creationTimestamp": null },
        "spec": spec,
        "status": { "allowed": false },
    });
    Some(ImageReview {
        review,
        names,
        pinned,
    })
}

fn names_of<'a>(images: impl Iterator<Item = &'a str>) -> (Vec<String>, bool) {
    let mut names: Vec<String> = images.map(canonical).collect();
    names.sort();
    names.dedup();
    let pinned = !names.is_empty() && names.iter().all(|name| name.contains('@'));
    (names, pinned)
}

/// An image without its tag, where it has a digest: the tag then means nothing.
fn canonical(image: &str) -> String {
    let Some((name, digest)) = image.split_once('@') else {
        return image.to_owned();
    };
    let repository = match name.rsplit_once(':') {
        // A `/` after the colon: that was the port of a registry.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    format!("{repository}@{digest}")
}

impl ImageReview {
    /// All that a decision about the images may depend on: the whole review, but for the tags of
    /// images that have digests.
    pub(super) fn question(&self, source: &str) -> Question {
        let mut digest = Sha256::new();
        feed(&mut digest, &("images", source));
        feed_members(&mut digest, &self.review, "spec");
        feed_members(&mut digest, &self.review["spec"], "containers");
        if self.pinned {
            feed(&mut digest, &self.names);
        } else {
            feed(&mut digest, &self.review["spec"]["containers"]);
        }
        digest.finalize().into()
    }
}

impl Review {
    /// All that a decision about the request may depend on: everything but its own id.
    pub(super) fn question(&self, source: &str) -> Option<Question> {
        let mut digest = Sha256::new();
        feed(&mut digest, &("request", source));
        let request = self.request.as_ref()?.as_object()?;
        for member in request.iter().filter(|(name, _)| *name != "uid") {
            feed(&mut digest, &member);
        }
        Some(digest.finalize().into())
    }
}

/// Digests an object's members but one, in the order of their names.
fn feed_members(digest: &mut Sha256, object: &Value, but: &str) {
    let members = object.as_object().into_iter().flatten();
    let mut members: Vec<_> = members.filter(|(name, _)| *name != but).collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    feed(digest, &members);
}

/// Digests a value's JSON text as it is written, without keeping it.
fn feed(digest: &mut Sha256, value: &impl serde::Serialize) {
    // A digest takes everything, and values of JSON can be written.
    let written = serde_json::to_writer(&mut *digest, value);
    debug_assert!(written.is_ok(), "{written:?}");
    digest.update([0]);
}

/// How long the caller waits, as it says in its query: Go's way to write durations.
pub(super) fn caller_timeout(query: Option<&str>) -> Option<Duration> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let mut text = pairs
        .filter(|(name, _)| *name == "timeout")
        .map(|(_, value)| value);
    go_duration(text.next_back()?)
}

fn go_duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|char: char| char.is_ascii_digit());
        let end = unit.map_or(rest.len(), |unit| digits + unit);
        let seconds = match &rest[digits..end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        total += number * seconds;
        rest = &rest[end..];
    }
    let is_some = !text.is_empty() && total.is_finite() && (0.0..86_400.0).contains(&total);
    is_some.then(|| Duration::from_secs_f64(total))
}

#[cfg(test)]
mod tests;
