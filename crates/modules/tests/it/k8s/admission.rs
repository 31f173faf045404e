//! `k8s_imagevalidator` and `k8s_imagevalidate`: every review is answered in time, by whom it
//! should be.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::middleware::Next;
use conche_core::EventId;
use conche_modules::{Action, Answer, BuildContext, Call, Refusal};
use conche_runtime::egress::{ClientTls, Egress, EgressConfig, Request, Response};
use conche_runtime::listener::Listener;
use conche_runtime::supervisor::{Stage, Supervisor};
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::running::until;
use crate::support::{FakeHost, FakeIntake, action, call, context, invoke, source};

struct Rig {
    address: SocketAddr,
    intake: Arc<FakeIntake>,
    validate: Arc<dyn Action>,
    cx: BuildContext,
    /// How long each answer took, from a request's head to the answer's.
    times: Arc<Mutex<Vec<Duration>>>,
    _supervisor: Supervisor,
    _dir: TempDir,
}

impl Rig {
    async fn new(settings: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cx = context(dir.path(), &[]);
        let mut config = json!({ "webhook_endpoint": "127.0.0.1:0" });
        config
            .as_object_mut()
            .unwrap()
            .extend(settings.as_object().unwrap().clone());
        let built = source("k8s_imagevalidator", config, &cx).unwrap();
        let intake = FakeIntake::new();
        let listener = Listener::bind("reviews", built.listener().unwrap())
            .await
            .unwrap();
        let address = listener.local_addr();
        let supervisor = Supervisor::new();
        let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let took = times.clone();
        let timed = move |request: axum::extract::Request, next: Next| {
            let took = took.clone();
            async move {
                let begun = Instant::now();
                let response = next.run(request).await;
                took.lock().unwrap().push(begun.elapsed());
                response
            }
        };
        let router = built.routes(intake.clone()).unwrap();
        let router = router.layer(axum::middleware::from_fn(timed));
        listener.serve(router, &supervisor.tasks(), Stage::Sources);
        Self {
            address,
            intake,
            validate: action("k8s_imagevalidate", Value::Null, &cx).unwrap(),
            cx,
            times,
            _supervisor: supervisor,
            _dir: dir,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        let mut request = Request {
            body: body.to_string().into(),
            ..Request::new(Method::POST, format!("http://{}{path}", self.address))
        };
        let json = "application/json".parse().unwrap();
        request.headers.insert(http::header::CONTENT_TYPE, json);
        self.cx.egress.request(request).await.unwrap()
    }

    async fn images(&self, query: &str, image: &str) -> Value {
        let response = self
            .post(&format!("/image_policy{query}"), &image_review(image))
            .await;
        assert_eq!(response.status, 200, "{response:?}");
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(answer["kind"], "ImageReview");
        assert_eq!(answer["apiVersion"], "imagepolicy.k8s.io/v1alpha1");
        answer["status"].clone()
    }

    async fn admission(&self, query: &str, review: &Value) -> Value {
        let response = self.post(&format!("/validate{query}"), review).await;
        assert_eq!(response.status, 200, "{response:?}");
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
        answer["response"].clone()
    }

    /// Events so far: their types and data.
    fn events(&self) -> Vec<(String, Value)> {
        let stored = self.intake.stored();
        let events = stored.events.iter();
        events
            .map(|(_, event)| (event.event_type.clone(), event.data.read().unwrap()))
            .collect()
    }

    /// Decides about the events from the `from`th on as reactions would, each when it comes.
    async fn decide(&self, from: usize, count: usize, decision: Value) {
        for number in from..from + count {
            until("the event", async || self.events().len() > number).await;
            let mut input = decision.clone();
            input["uuid"] = self.events()[number].1["uuid"].clone();
            let event = self.intake.stored().events[number].0;
            self.validate(Some(event), &input).await;
        }
    }

    /// Invokes `validate_image` in a new run that this event triggered.
    async fn validate(&self, event: Option<EventId>, input: &Value) {
        let host = FakeHost {
            intake: Some(self.intake.clone()),
            ..FakeHost::default()
        };
        let call = Call {
            event,
            host: Arc::new(host),
            ..call("validate_image", input)
        };
        let output = self.validate.invoke(&call).await.unwrap();
        assert_eq!(output.as_str(), "{}");
    }
}

fn image_review(image: &str) -> Value {
    json!({ "kind": "ImageReview", "apiVersion": "imagepolicy.k8s.io/v1alpha1",
        "metadata": { "creationTimestamp": null },
        "spec": { "containers": [{ "image": image }], "namespace": "default" },
        "status": { "allowed": false } })
}

fn admission_review(uid: &str, image: &str) -> Value {
    let pod = json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "p" },
        "spec": { "containers": [{ "name": "c", "image": image }] } });
    json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": uid, "namespace": "default", "operation": "CREATE", "name": "p",
        "userInfo": { "username": "admin" }, "object": pod, "oldObject": null, "dryRun": false } })
}

const PINNED: &str = "r.example/app@sha256:01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_review_is_csfs_event_and_the_action_answers_it() {
    let rig = Rig::new(json!({})).await;
    let (status, ()) = tokio::join!(
        rig.images("?timeout=30s", "nginx:1.25"),
        rig.decide(0, 1, json!({ "validate": false, "reason": "12 critical" })),
    );
    assert_eq!(status, json!({ "allowed": false, "reason": "12 critical" }));
    let events = rig.events();
    let [(name, data)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(name, "k8s_image_validation_request");
    assert_eq!(data["image_review"], image_review("nginx:1.25"));
    assert_eq!(data.as_object().unwrap().len(), 2);
    let (status, ()) = tokio::join!(
        rig.images("", "nginx:1.26"),
        rig.decide(1, 1, json!({ "validate": true })),
    );
    assert_eq!(status, json!({ "allowed": true }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csf_bug_7_a_review_that_nobody_answers_is_answered_in_time_all_the_same() {
    let rig = Rig::new(json!({ "answer_timeout": "10s" })).await;
    let begun = Instant::now();
    let status = rig.images("?timeout=1s", "nginx:1.25").await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(status["allowed"], false);
    assert_eq!(status["reason"], "conche: no decision in time");
    let rig = Rig::new(json!({ "answer_timeout": "200ms", "on_timeout": "allow" })).await;
    assert_eq!(rig.images("", "nginx:1.25").await["allowed"], true);
    // What is no review is no event, whatever else it is.
    for (path, body) in [
        ("/image_policy", json!(null)),
        ("/image_policy", json!({})),
        ("/validate", image_review("a")),
        (
            "/validate",
            json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1" }),
        ),
    ] {
        let response = rig.post(path, &body).await;
        assert_eq!(response.status, 400, "{path} {body}");
    }
    assert_eq!(rig.post("/elsewhere", &image_review("a")).await.status, 404);
    let get = Request::new(Method::GET, format!("http://{}/validate", rig.address));
    assert_eq!(rig.cx.egress.request(get).await.unwrap().status, 405);
    assert_eq!(rig.events().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_review_is_answered_within_its_budget_while_no_action_ever_ends() {
    let rig = Rig::new(json!({})).await;
    let ask = async |number: usize| {
        let review = admission_review(&format!("u{number}"), &format!("app:{number}"));
        let answer = rig.admission("?timeout=2s", &review).await;
        assert_eq!(answer["allowed"], false);
        assert_eq!(answer["status"]["message"], "conche: no decision in time");
    };
    join_all((0..200).map(ask)).await;
    let times = rig.times.lock().unwrap().clone();
    assert_eq!(times.len(), 200);
    let longest = times.into_iter().max().unwrap();
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admission_review_needs_the_yes_of_all_who_listen() {
    let rig = Rig::new(json!({})).await;
    for (images, whole, allowed) in [
        (true, true, true),
        (true, false, false),
        (false, true, false),
    ] {
        let first = rig.events().len();
        let review = admission_review(&format!("u{first}"), &format!("app:{first}"));
        let decide = async {
            for number in first..first + 2 {
                until("the event", async || rig.events().len() > number).await;
                let of_images = rig.events()[number].0 == "k8s_image_validation_request";
                let validate = if of_images { images } else { whole };
                let warnings = [format!(
                    "looked at {}",
                    if of_images { "images" } else { "all" }
                )];
                let decision = json!({ "validate": validate, "warnings": warnings });
                rig.decide(number, 1, decision).await;
            }
        };
        let (answer, ()) = tokio::join!(rig.admission("?timeout=10s", &review), decide);
        assert_eq!(answer["allowed"], allowed, "{answer}");
        if allowed {
            assert_eq!(answer["warnings"].as_array().unwrap().len(), 2);
        } else {
            assert_eq!(answer["status"]["code"], 403);
        }
    }
    let events = rig.events();
    let whole = events
        .iter()
        .find(|(name, _)| name == "admission.review")
        .unwrap();
    assert_eq!(whole.1["request"]["userInfo"]["username"], "admin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_nobody_listens_to_is_left_out() {
    let rig = Rig::new(json!({})).await;
    rig.intake.deafen("admission.review");
    let review = admission_review("u", "app:1");
    let (answer, ()) = tokio::join!(
        rig.admission("?timeout=10s", &review),
        rig.decide(0, 1, json!({ "validate": true })),
    );
    assert_eq!(answer["allowed"], true);
    assert_eq!(rig.events().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_question_is_asked_once_and_its_answer_kept_while_it_counts() {
    let rig = Rig::new(json!({})).await;
    rig.intake.deafen("admission.review");
    let asked = (0..20).map(async |number| {
        let review = admission_review(&format!("u{number}"), PINNED);
        rig.admission("?timeout=10s", &review).await["allowed"].clone()
    });
    let (answers, ()) = tokio::join!(
        join_all(asked),
        rig.decide(0, 1, json!({ "validate": true }))
    );
    assert_eq!(answers, vec![json!(true); 20]);
    assert_eq!(rig.events().len(), 1);
    // Later, by the other webhook and with a tag beside the digest: still the same.
    let tagged = PINNED.replace('@', ":7@");
    assert_eq!(rig.images("", &tagged).await["allowed"], true);
    assert_eq!(rig.events().len(), 1);
    // Other reactions may say otherwise.
    rig.intake.change_policy();
    let (status, ()) = tokio::join!(
        rig.images("", PINNED),
        rig.decide(1, 1, json!({ "validate": false })),
    );
    assert_eq!(status["allowed"], false);
    // And so they may when something new is known of the image.
    let forgotten = invoke(
        &rig.validate,
        "forget_decisions",
        json!({ "image": "sha256:01" }),
    )
    .await;
    assert_eq!(forgotten, Ok(json!({ "forgotten": 1 })));
    let (status, ()) = tokio::join!(
        rig.images("", PINNED),
        rig.decide(2, 1, json!({ "validate": true })),
    );
    assert_eq!(status["allowed"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_follows_asks_when_the_first_gives_up() {
    let rig = Rig::new(json!({})).await;
    let later = async {
        until("the first question", async || rig.events().len() == 1).await;
        rig.images("?timeout=20s", "app:1").await
    };
    let decide = async {
        until("the second question", async || rig.events().len() == 2).await;
        rig.decide(1, 1, json!({ "validate": true })).await;
    };
    let (first, second, ()) = tokio::join!(rig.images("?timeout=2s", "app:1"), later, decide);
    assert_eq!(first["allowed"], false);
    assert_eq!(second["allowed"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn respond_decides_too_and_what_is_no_decision_does_not() {
    let rig = Rig::new(json!({})).await;
    let answer = |body: &Value| {
        Some(Answer {
            status: 200,
            headers: Vec::new(),
            body: conche_core::Json::from(body),
        })
    };
    rig.intake
        .answer(answer(&json!({ "allowed": true, "reason": "fine" })));
    let status = rig.images("", "app:1").await;
    assert_eq!(status, json!({ "allowed": true, "reason": "fine" }));
    rig.intake.answer(answer(&json!("yes")));
    let status = rig.images("", "app:2").await;
    assert_eq!(status["allowed"], false);
    assert_eq!(
        status["reason"],
        "conche: the answer of `respond` is no decision"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_uid_that_is_used_again_for_other_content_asks_another_question() {
    let rig = Rig::new(json!({})).await;
    rig.intake.deafen("admission.review");
    let ask = async |uid: &str, image: &str| {
        let review = admission_review(uid, image);
        rig.admission("?timeout=10s", &review).await["allowed"].clone()
    };
    let evil = PINNED.replace("app", "evil");
    let yes = json!({ "validate": true });
    let no = json!({ "validate": false });
    let (allowed, ()) = tokio::join!(ask("u", PINNED), rig.decide(0, 1, yes.clone()));
    assert_eq!(allowed, true);
    let (allowed, ()) = tokio::join!(ask("u", &evil), rig.decide(1, 1, no.clone()));
    assert_eq!(allowed, false);
    assert_eq!(ask("v", &evil).await, false);
    assert_eq!(rig.events().len(), 2);
    // The same again is no new event, and what was said then is told to nobody else.
    rig.intake.change_policy();
    assert_eq!(ask("u", PINNED).await, true);
    assert_eq!(rig.events().len(), 2);
    let (allowed, ()) = tokio::join!(ask("w", PINNED), rig.decide(2, 1, no));
    assert_eq!(allowed, false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_decided_in_a_dry_run_answers_nothing_else() {
    let rig = Rig::new(json!({ "on_dry_run": "ask" })).await;
    rig.intake.deafen("admission.review");
    let mut dry = admission_review("u", PINNED);
    dry["request"]["dryRun"] = true.into();
    let real = async {
        until("the dry run", async || rig.events().len() == 1).await;
        let review = admission_review("v", PINNED);
        rig.admission("?timeout=10s", &review).await
    };
    let decide = async {
        until("both events", async || rig.events().len() == 2).await;
        rig.decide(0, 1, json!({ "validate": true })).await;
        rig.decide(1, 1, json!({ "validate": false })).await;
    };
    let (dry, real, ()) = tokio::join!(rig.admission("?timeout=10s", &dry), real, decide);
    assert_eq!(dry["allowed"], true);
    assert_eq!(real["allowed"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forgotten_while_it_is_asked_is_asked_again_by_the_next() {
    let rig = Rig::new(json!({})).await;
    for image in [json!({ "image": "sha256:01" }), json!({})] {
        let from = rig.events().len();
        let next = async {
            until("the question", async || rig.events().len() > from).await;
            let forgotten = invoke(&rig.validate, "forget_decisions", image).await;
            assert!(forgotten.is_ok(), "{forgotten:?}");
            rig.images("?timeout=10s", PINNED).await
        };
        let decide = async {
            until("the question anew", async || rig.events().len() > from + 1).await;
            // The later one first: it is what counts from now on.
            rig.decide(from + 1, 1, json!({ "validate": false })).await;
            rig.decide(from, 1, json!({ "validate": true })).await;
        };
        let (first, next, ()) = tokio::join!(rig.images("?timeout=10s", PINNED), next, decide);
        assert_eq!(first["allowed"], true);
        assert_eq!(next["allowed"], false);
        assert_eq!(rig.images("", PINNED).await["allowed"], false);
        assert_eq!(rig.events().len(), from + 2);
        let forgotten = invoke(&rig.validate, "forget_decisions", json!({})).await;
        assert_eq!(forgotten, Ok(json!({ "forgotten": 1 })));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_reviews_are_answered_while_large_ones_hold_all_their_room() {
    let rig = Rig::new(json!({})).await;
    rig.intake.deafen("admission.review");
    let large = || {
        let mut review = admission_review("large", PINNED);
        review["request"]["options"] = "x".repeat(100_000).into();
        review
    };
    // Each announces as much as is taken, and never sends the last of it.
    let mut held = Vec::new();
    let mut hold = async |bytes: usize| {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        let head = format!(
            "POST /validate?timeout=30s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n {{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        held.push(stream);
    };
    for _ in 0..16 {
        hold(4 * 1024 * 1024).await;
    }
    until("no room", async || {
        let answer = rig.post("/validate?timeout=200ms", &large()).await;
        answer.status == 503
    })
    .await;
    let from = rig.events().len();
    let (status, ()) = tokio::join!(
        rig.images("?timeout=30s", "small"),
        rig.decide(from, 1, json!({ "validate": true })),
    );
    assert_eq!(status["allowed"], true);
    drop(held);
    until("room again", async || {
        let answer = rig.post("/validate?timeout=1s", &large()).await;
        answer.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_that_is_too_large_is_refused_or_decided_without_reading_it() {
    let rig = Rig::new(json!({ "on_timeout": "allow" })).await;
    let mut review = admission_review("u", PINNED);
    review["request"]["object"]["many"] = vec![0; 300_000].into();
    let answer = rig.admission("", &review).await;
    assert_eq!(answer["allowed"], true);
    let heavy = admission_review("u", &"x".repeat(5 << 20));
    assert_eq!(rig.post("/validate", &heavy).await.status, 413);
    let rig = Rig::new(json!({ "body_bytes": "8MiB" })).await;
    let answer = rig.admission("", &review).await;
    let reason = "conche: the review has too many parts";
    assert_eq!(answer["status"]["message"], reason);
    let answer = rig.admission("", &heavy).await;
    let reason = "conche: the review is larger than limits.event_bytes";
    assert_eq!(answer["status"]["message"], reason);
    assert_eq!(rig.events(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_run_of_the_review_decides_about_it_and_only_by_its_name() {
    let rig = Rig::new(json!({})).await;
    let decide = async {
        until("the event", async || rig.events().len() == 1).await;
        let uuid = rig.events()[0].1["uuid"].clone();
        let yes = json!({ "uuid": uuid, "validate": true });
        // Runs of no event, and of another one, which know the review's name.
        rig.validate(None, &yes).await;
        rig.validate(Some(EventId::new(Uuid::now_v7())), &yes).await;
    };
    let (status, ()) = tokio::join!(rig.images("?timeout=1s", PINNED), decide);
    assert_eq!(status["reason"], "conche: no decision in time");
    let decide = async {
        until("the event", async || rig.events().len() == 2).await;
        let event = rig.intake.stored().events[1].0;
        let yes = json!({ "uuid": "some-other-review", "validate": true });
        rig.validate(Some(event), &yes).await;
    };
    let (status, ()) = tokio::join!(rig.images("", PINNED), decide);
    assert_eq!(status["allowed"], false);
    assert_eq!(
        status["reason"],
        "conche: a reaction decided about another review"
    );
    // Nothing of that is kept.
    let no = json!({ "validate": false, "reason": "no" });
    let (status, ()) = tokio::join!(rig.images("", PINNED), rig.decide(2, 1, no));
    assert_eq!(status["reason"], "no");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_runs_no_reaction_unless_asked_to() {
    let mut dry = admission_review("u", PINNED);
    dry["request"]["dryRun"] = true.into();
    let rig = Rig::new(json!({})).await;
    let answer = rig.admission("?timeout=5s", &dry).await;
    assert_eq!(answer["allowed"], true);
    assert_eq!(
        answer["warnings"],
        json!(["conche: not decided in a dry run"])
    );
    assert_eq!(rig.events(), []);
    let rig = Rig::new(json!({ "on_dry_run": "ask" })).await;
    rig.intake.deafen("admission.review");
    let (answer, ()) = tokio::join!(
        rig.admission("?timeout=10s", &dry),
        rig.decide(0, 1, json!({ "validate": false, "reason": "no" })),
    );
    assert_eq!(answer["status"]["message"], "no");
    assert_eq!(rig.events()[0].1["dry_run"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_lets_everything_in_and_says_what_it_would_not_have() {
    let rig = Rig::new(json!({ "mode": "audit", "answer_timeout": "300ms" })).await;
    let answer = rig
        .admission("?timeout=10s", &admission_review("u", PINNED))
        .await;
    assert_eq!(answer["allowed"], true);
    let told = "conche would deny this: conche: no decision in time";
    assert_eq!(answer["warnings"], json!([told]));
    assert_eq!(answer["auditAnnotations"]["would-deny"], told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_store_it_answers_or_refuses_as_it_is_told() {
    let rig = Rig::new(json!({ "on_timeout": "allow" })).await;
    let away = || Some(Refusal::Unavailable("the disk is full".to_owned()));
    rig.intake.refuse(away());
    let status = rig.images("", PINNED).await;
    assert_eq!(status["allowed"], true);
    assert!(!status.to_string().contains("disk"), "{status}");
    let rig = Rig::new(json!({ "on_store_failure": "refuse" })).await;
    rig.intake.refuse(away());
    assert_eq!(
        rig.post("/image_policy", &image_review(PINNED))
            .await
            .status,
        503
    );
}

/// Files of an authority, a server and a client of this name.
fn issue(dir: &std::path::Path, name: &str) -> ClientTls {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    write("ca.pem", authority.pem());
    let issuer = Issuer::new(params, key);
    let make = |file: &str, common: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        write(&format!("{file}.pem"), certificate.pem());
        write(&format!("{file}.key"), key.serialize_pem());
    };
    make("server", "server");
    make("client", name);
    ClientTls {
        ca_file: Some(dir.join("ca.pem")),
        certificate: Some(dir.join("client.pem")),
        key: Some(dir.join("client.key")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_callers_of_the_right_name_are_let_in() {
    for (name, status) in [("kube-apiserver", 200), ("somebody", 403)] {
        let dir = tempfile::tempdir().unwrap();
        let tls = issue(dir.path(), name);
        let file = |name: &str| dir.path().join(name);
        let rig = Rig::new(json!({
            "certificate": file("server.pem"), "key": file("server.key"),
            "client_ca": file("ca.pem"), "allowed_names": ["kube-apiserver"],
            "answer_timeout": "100ms",
        }))
        .await;
        let call = async |tls: ClientTls| {
            let egress = Egress::new(&EgressConfig {
                allow: vec!["127.0.0.1".parse().unwrap()],
                tls,
                ..EgressConfig::default()
            });
            let mut request = Request {
                body: image_review("a").to_string().into(),
                ..Request::new(
                    Method::POST,
                    format!("https://{}/image_policy", rig.address),
                )
            };
            let json = "application/json".parse().unwrap();
            request.headers.insert(http::header::CONTENT_TYPE, json);
            egress.unwrap().request(request).await
        };
        assert_eq!(call(tls.clone()).await.unwrap().status, status);
        let nameless = ClientTls {
            certificate: None,
            key: None,
            ..tls
        };
        assert!(call(nameless).await.is_err());
        let refused = rig.intake.refusals();
        assert_eq!(refused.len(), usize::from(status == 403));
    }
}

#[test]
fn settings_that_would_let_anyone_in_or_nobody_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (config, expected) in [
        (
            json!({ "webhook_endpoint": "0.0.0.0:1323" }),
            "write `certificate` and `key`",
        ),
        (
            json!({ "webhook_endpoint": "127.0.0.1:0", "allowed_names": ["a"] }),
            "needs `client_ca`",
        ),
        (
            json!({ "webhook_endpoint": "127.0.0.1:0", "certificate": "a" }),
            "need each other",
        ),
        (
            json!({ "webhook_endpoint": "127.0.0.1:0", "answer_timeout": "40s" }),
            "from 50ms to 30s",
        ),
        (
            json!({ "webhook_endpoint": "127.0.0.1:0", "admission_path": "x" }),
            "begins with `/`",
        ),
    ] {
        let cx = context(dir.path(), &[]);
        let refused = source("k8s_imagevalidator", config, &cx)
            .map(drop)
            .unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
}
