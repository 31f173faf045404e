//! What a real API server asked, and what might be sent in its place.

use super::*;

/// As captured from kube-apiserver's ImagePolicyWebhook.
const IMAGE_REVIEW: &str = r#"{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1","metadata":{"creationTimestamp":null},"spec":{"containers":[{"image":"nginx:1.25"},{"image":"init:1"}],"annotations":{"mycluster.image-policy.k8s.io/ticket-1234":"break-glass"},"namespace":"default"},"status":{"allowed":false}}"#;

/// As captured from kube-apiserver's ValidatingAdmissionWebhook, shortened.
fn admission(object: &Value) -> Value {
    json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "18f85ce4-2eac-4cc0-954b-50d636319624",
        "kind": { "group": "", "version": "v1", "kind": "Pod" },
        "resource": { "group": "", "version": "v1", "resource": "pods" },
        "name": "good2", "namespace": "default", "operation": "CREATE",
        "userInfo": { "username": "admin", "uid": "1", "groups": ["system:masters"] },
        "object": object, "oldObject": null, "dryRun": false,
        "options": { "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1" } } })
}

fn pod(image: &str) -> Value {
    json!({ "kind": "Pod", "apiVersion": "v1",
        "metadata": { "name": "good2", "managedFields": [{ "manager": "curl" }], "annotations":
            { "mycluster.image-policy.k8s.io/ticket-1234": "break-glass", "other": "x" } },
        "spec": { "containers": [{ "name": "c", "image": image }],
            "initContainers": [{ "name": "i", "image": "init:1" }] } })
}

fn read_admission(object: &Value) -> Review {
    read(Kind::Admission, admission(object).to_string().as_bytes()).unwrap()
}

#[test]
fn an_admission_review_of_a_pod_is_the_image_review_that_would_be_sent_of_it() {
    let sent: Value = serde_json::from_str(IMAGE_REVIEW).unwrap();
    let review = read_admission(&pod("nginx:1.25"));
    let images = review.images.clone().unwrap();
    assert_eq!(images.review, sent);
    assert!(!images.pinned);
    assert_eq!(
        review.uid.as_deref(),
        Some("18f85ce4-2eac-4cc0-954b-50d636319624")
    );
    let request = review.request.as_ref().unwrap();
    assert_eq!(request["object"]["metadata"].get("managedFields"), None);
    // Both ask the same about images.
    let other = read(Kind::Image, IMAGE_REVIEW.as_bytes()).unwrap();
    let other = other.images.unwrap();
    assert_eq!(other.review, sent);
    assert_eq!(other.question("s"), images.question("s"));
    assert_ne!(other.question("s"), images.question("t"));
}

#[test]
fn a_template_of_pods_is_asked_about_and_what_runs_nothing_is_not() {
    let template = json!({ "template": pod("nginx:1.25") });
    let deployment = json!({ "kind": "Deployment", "metadata": {}, "spec": template });
    let job = json!({ "kind": "CronJob", "spec": { "jobTemplate": { "spec": template } } });
    for object in [deployment, job] {
        let images = read_admission(&object).images.unwrap();
        assert_eq!(images.names, ["init:1", "nginx:1.25"]);
        assert_eq!(
            images.review["spec"]["annotations"],
            json!({ "mycluster.image-policy.k8s.io/ticket-1234": "break-glass" })
        );
    }
    for object in [json!(null), json!({ "kind": "ConfigMap", "data": {} })] {
        assert_eq!(read_admission(&object).images, None);
    }
}

#[test]
fn a_tag_beside_a_digest_asks_nothing_new() {
    let question = |image: &str| {
        let mut object = pod(image);
        object["spec"]
            .as_object_mut()
            .unwrap()
            .remove("initContainers");
        let images = read_admission(&object).images.unwrap();
        (images.pinned, images.question("s"))
    };
    let pinned = question("r.example:5000/app:1@sha256:01");
    assert!(pinned.0);
    assert_eq!(pinned, question("r.example:5000/app:2@sha256:01"));
    assert_ne!(pinned, question("r.example:5000/app:1@sha256:02"));
    assert_ne!(pinned, question("evil.example/app:1@sha256:01"));
    assert_ne!(question("app:1"), question("app:2"));
}

#[test]
fn annotations_and_namespaces_are_parts_of_the_question() {
    let whole = read(Kind::Image, IMAGE_REVIEW.as_bytes())
        .unwrap()
        .images
        .unwrap();
    for (from, to) in [("break-glass", "none"), ("\"default\"", "\"other\"")] {
        let other = IMAGE_REVIEW.replace(from, to);
        let other = read(Kind::Image, other.as_bytes()).unwrap().images.unwrap();
        assert_ne!(whole.question("s"), other.question("s"), "{from}");
    }
}

#[test]
fn the_same_request_with_another_id_is_the_same_question() {
    let one = read_admission(&pod("nginx:1.25"));
    let mut other = admission(&pod("nginx:1.25"));
    other["request"]["uid"] = "another".into();
    let other = read(Kind::Admission, other.to_string().as_bytes()).unwrap();
    assert_eq!(one.question("s"), other.question("s"));
    assert_ne!(
        one.question("s"),
        read_admission(&pod("nginx:1.26")).question("s")
    );
}

#[test]
fn the_values_of_a_secret_are_left_out() {
    let secret = json!({ "kind": "Secret", "data": { "password": "aHVzaA==" } });
    let request = read_admission(&secret).request.unwrap();
    assert_eq!(request["object"]["data"], json!({ "password": null }));
}

#[test]
fn what_is_no_review_is_refused() {
    let mut old = admission(&pod("a"));
    old["apiVersion"] = "admission.k8s.io/v1beta1".into();
    let old = old.to_string();
    for (kind, body) in [
        (Kind::Image, "nonsense"),
        (Kind::Image, "{}"),
        (Kind::Image, "null"),
        (
            Kind::Image,
            r#"{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1"}"#,
        ),
        (Kind::Admission, IMAGE_REVIEW),
        (
            Kind::Admission,
            r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#,
        ),
        (Kind::Admission, &old),
    ] {
        assert!(read(kind, body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn go_says_how_long_it_waits() {
    for (query, expected) in [
        ("timeout=10s", Some(10_000)),
        ("timeout=1m30s", Some(90_000)),
        ("a=b&timeout=500ms", Some(500)),
        ("timeout=2.5s", Some(2_500)),
        ("timeout=", None),
        ("timeout=10", None),
        ("timeout=99999h", None),
        ("timeout=-1s", None),
        ("timeout=s", None),
    ] {
        let found = caller_timeout(Some(query));
        assert_eq!(found, expected.map(Duration::from_millis), "{query}");
    }
    assert_eq!(caller_timeout(None), None);
}

#[test]
fn what_else_an_image_review_says_is_a_part_of_the_question() {
    let question = |review: &Value| {
        let review = read(Kind::Image, review.to_string().as_bytes()).unwrap();
        review.images.unwrap().question("s")
    };
    let plain = json!({ "kind": "ImageReview", "apiVersion": "imagepolicy.k8s.io/v1alpha1",
        "spec": { "containers": [{ "image": "a@sha256:01" }] } });
    for (place, value) in [
        (
            "/spec/containers/0",
            json!({ "image": "a@sha256:01", "x": 1 }),
        ),
        (
            "/spec",
            json!({ "containers": [{ "image": "a@sha256:01" }], "x": 1 }),
        ),
        ("/apiVersion", json!("imagepolicy.k8s.io/v1")),
    ] {
        let mut other = plain.clone();
        *other.pointer_mut(place).unwrap() = value;
        assert_ne!(question(&other), question(&plain), "{place}");
    }
}

#[test]
fn a_review_of_too_many_values_is_known_by_its_text_and_its_head_is_read() {
    let mut review = admission(&pod("a"));
    let text = review.to_string();
    assert!(!is_heavy(text.as_bytes()));
    review["request"]["object"]["text"] = "[,{".repeat(VALUES_MAX).into();
    assert!(!is_heavy(review.to_string().as_bytes()), "it is one text");
    review["request"]["object"]["many"] = vec![json!([]); VALUES_MAX / 2 + 1].into();
    let text = review.to_string();
    assert!(is_heavy(text.as_bytes()));
    let head = super::head(Kind::Admission, text.as_bytes()).unwrap();
    assert_eq!(head.uid, read_admission(&pod("a")).uid);
    assert_eq!((head.images, head.request), (None, None));
    for (kind, body) in [
        (Kind::Image, &*text),
        (Kind::Admission, IMAGE_REVIEW),
        (Kind::Admission, "["),
    ] {
        assert!(super::head(kind, body.as_bytes()).is_err(), "{body:.80}");
    }
}
