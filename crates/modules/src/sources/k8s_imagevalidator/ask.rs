//! The questions of a review, as the events that they become. Pure.
//!
//! What is asked about images and what is asked about the whole request are two questions. An
//! event is named by its content besides the caller's `uid`, so that the answer to it is the
//! answer to nothing else: whoever uses a `uid` again for something else asks something else.

use conche_core::Json;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::review::Review;
use crate::admission::Question;

/// CSF's event.
pub(super) const IMAGES: &str = "k8s_image_validation_request";
/// The event about any object.
pub(super) const REVIEW: &str = "admission.review";

/// So much of a caller's `uid` is seen in the event's id.
const UID_CHARS: usize = 64;

/// One of a review's questions.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) event_type: &'static str,
    /// The event's id: one for each `uid` and content.
    pub(super) id: String,
    /// What the reaction passes back.
    pub(super) uuid: String,
    /// All that the decision may depend on.
    pub(super) question: Question,
    pub(super) subject: Option<String>,
    pub(super) data: Json,
    /// The images that it is about.
    pub(super) images: Vec<String>,
    /// Whether its decision may be used for as long as the images mean the same.
    pub(super) pinned: bool,
    pub(super) dry_run: bool,
}

/// The questions of a review that somebody listens to; all of them where nobody does, since the
/// event is then the only trace.
pub(super) fn asks(review: Review, source: &str, listens: impl Fn(&str) -> bool) -> Vec<Ask> {
    let mut types: Vec<&'static str> = Vec::new();
    types.extend(review.images.is_some().then_some(IMAGES));
    types.extend(review.request.is_some().then_some(REVIEW));
    if types.iter().any(|event_type| listens(event_type)) {
        types.retain(|event_type| listens(event_type));
    }
    let dry_run = review.dry_run;
    let listened = types.contains(&REVIEW);
    let whole = listened.then(|| review.question(source)).flatten();
    let uid = review.uid.unwrap_or_else(|| Uuid::now_v7().to_string());
    let name = review.request.as_ref().and_then(|request| {
        let name = request["name"].as_str()?;
        Some(name.to_owned())
    });
    let names = review.images.as_ref().map(|images| images.names.clone());
    let mut asks = Vec::with_capacity(types.len());
    if let Some(images) = review.images.filter(|_| types.contains(&IMAGES)) {
        let question = images.question(source);
        let namespace = images.review["spec"]["namespace"].as_str();
        let subject = subject(namespace, None);
        let mut data = object([
            ("uuid", uid.clone().into()),
            ("image_review", images.review),
        ]);
        if dry_run {
            data.insert("dry_run".to_owned(), true.into());
        }
        let (event_type, uuid) = (IMAGES, uid.clone());
        let data = Json::from(&Value::from(data));
        asks.push(Ask {
            id: id(&uuid, &data),
            event_type,
            uuid,
            question,
            subject,
            data,
            images: images.names,
            pinned: images.pinned,
            dry_run,
        });
    }
    if let (Some(request), Some(question)) = (review.request, whole) {
        // Each question has its own answer, so each has its own name.
        let uuid = format!("review-{uid}");
        let subject = subject(request["namespace"].as_str(), name.as_deref());
        let data = object([
            ("uuid", uuid.clone().into()),
            ("request", request),
            ("dry_run", dry_run.into()),
        ]);
        let data = Json::from(&Value::from(data));
        asks.push(Ask {
            id: id(&uuid, &data),
            event_type: REVIEW,
            uuid,
            question,
            subject,
            data,
            images: names.unwrap_or_default(),
            pinned: false,
            dry_run,
        });
    }
    asks
}

/// Made of what is moved in: `json!` would copy it.
fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let members = members.into_iter();
    members
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn id(uuid: &str, data: &Json) -> String {
    let head: String = uuid.chars().take(UID_CHARS).collect();
    format!("{head}:{:x}", Sha256::digest(data.as_str()))
}

/// What the review is about: `namespace/name` of the object, or the namespace.
fn subject(namespace: Option<&str>, name: Option<&str>) -> Option<String> {
    let name = name.filter(|name| !name.is_empty());
    let parts: Vec<&str> = namespace.into_iter().chain(name).collect();
    let subject = parts.join("/");
    (!subject.is_empty() && subject.len() <= 512).then_some(subject)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::review::{Kind, read};
    use super::*;

    fn both(uid: &str, image: &str, dry_run: bool) -> Vec<Ask> {
        let pod = json!({ "kind": "Pod", "spec": { "containers": [{ "image": image }] } });
        let review = json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "request": { "uid": uid, "namespace": "n", "name": "p", "object": pod,
                "dryRun": dry_run } });
        let review = read(Kind::Admission, review.to_string().as_bytes()).unwrap();
        asks(review, "s", |_| true)
    }

    #[test]
    fn a_question_is_named_by_its_content_and_not_by_the_callers_id_alone() {
        let ids = |uid: &str, image: &str, dry_run: bool| -> Vec<String> {
            let asks = both(uid, image, dry_run).into_iter();
            asks.map(|ask| ask.id).collect()
        };
        let first = ids("u", "good@sha256:01", false);
        assert_eq!(first.len(), 2);
        assert_eq!(first, ids("u", "good@sha256:01", false));
        for other in [
            ids("u", "evil@sha256:01", false),
            ids("u", "good@sha256:01", true),
            ids("v", "good@sha256:01", false),
        ] {
            assert!(other.iter().all(|id| !first.contains(id)), "{other:?}");
        }
    }

    #[test]
    fn only_what_somebody_listens_to_is_asked_unless_nobody_does() {
        let review = |listens: &dyn Fn(&str) -> bool| -> Vec<&str> {
            let pod = json!({ "spec": { "containers": [{ "image": "a" }] } });
            let review = json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
                "request": { "uid": "u", "object": pod } });
            let review = read(Kind::Admission, review.to_string().as_bytes()).unwrap();
            let asks = asks(review, "s", listens).into_iter();
            asks.map(|ask| ask.event_type).collect()
        };
        assert_eq!(review(&|name| name == REVIEW), [REVIEW]);
        assert_eq!(review(&|name| name == IMAGES), [IMAGES]);
        assert_eq!(review(&|_| false), [IMAGES, REVIEW]);
    }

    #[test]
    fn the_event_has_csfs_form() {
        let asks = both("u", "a:1", false);
        let data: Value = asks[0].data.read().unwrap();
        assert_eq!(data["uuid"], "u");
        assert_eq!(
            data["image_review"]["spec"]["containers"][0]["image"],
            "a:1"
        );
        assert_eq!(data.as_object().unwrap().len(), 2);
        assert_eq!(asks[0].subject.as_deref(), Some("n"));
        assert_eq!(asks[1].subject.as_deref(), Some("n/p"));
        assert_eq!(asks[1].images, ["a:1"]);
    }
}
