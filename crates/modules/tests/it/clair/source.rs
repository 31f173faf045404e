//! The source: from Clair's word to stored events.

use std::sync::Arc;
use std::time::Duration;

use conche_modules::{BuildContext, Refusal, Source};
use conche_runtime::egress::{Egress, EgressConfig, Request, Response};
use serde_json::{Value, json};

use super::fake::{FakeClair, Fault, Kind, Notification, Served, certificate};
use crate::running::{Running, soon, stored, until};
use crate::support::{FakeIntake, Stored, context, source};

const ID: &str = "c31aa958-586d-4967-93f2-117d4c7e4f63";

/// A source, what it stores into, and where Clair can speak to it.
struct Site {
    cx: BuildContext,
    folder: tempfile::TempDir,
    intake: Arc<FakeIntake>,
    source: Arc<dyn Source>,
    served: Served,
}

impl Site {
    async fn new(clair: &FakeClair, more: Value) -> Self {
        Self::with_secrets(clair, more, &[]).await
    }

    async fn with_secrets(clair: &FakeClair, more: Value, secrets: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Nothing of this machine is opened but what the configuration names.
        let mut cx = context(folder.path(), secrets);
        cx.egress = Arc::new(Egress::new(&EgressConfig::default()).unwrap());
        Self::on(FakeIntake::new(), folder, cx, clair, more).await
    }

    async fn on(
        intake: Arc<FakeIntake>,
        folder: tempfile::TempDir,
        cx: BuildContext,
        clair: &FakeClair,
        more: Value,
    ) -> Self {
        let mut config = json!({ "notification_endpoint": clair.endpoint(), "page_size": 2, "timeout": "300ms" });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        let built = source("Clair", config, &cx).unwrap();
        let served = Served::start(built.routes(intake.clone()).unwrap(), 0, None).await;
        Self {
            cx,
            folder,
            intake,
            source: built,
            served,
        }
    }

    fn run(&self) -> Running {
        Running::start(&self.source, &self.intake)
    }

    async fn say(&self, body: &str) -> Response {
        self.say_to("/clair", &[], body).await
    }

    async fn say_to(&self, path: &str, headers: &[(&'static str, &str)], body: &str) -> Response {
        let mut request = Request::post(
            format!("http://{}{path}", self.served.address),
            body.to_owned(),
        );
        request
            .headers
            .insert("content-type", "application/json".parse().unwrap());
        for (name, value) in headers {
            request.headers.insert(*name, value.parse().unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        context(folder.path(), &[])
            .egress
            .request(request)
            .await
            .unwrap()
    }

    fn pending(&self) -> Vec<Value> {
        let cursor = self.intake.stored().cursors.get("s").cloned();
        let cursor: Value = cursor.map_or(json!({ "pending": [] }), |text| {
            serde_json::from_str(&text).unwrap()
        });
        cursor["pending"].as_array().unwrap().clone()
    }
}

fn images(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("image-{number}")).collect()
}

fn of_type(stored: &Stored, event_type: &str) -> Vec<Value> {
    let events = stored.events.iter().map(|(_, event)| event);
    let found = events.filter(|event| event.event_type == event_type);
    found.map(|event| event.data.read().unwrap()).collect()
}

fn names(side: &Value) -> Vec<String> {
    let all = side["ancestries"].as_array().unwrap().iter();
    all.map(|image| image["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn done(clair: &FakeClair, site: &Site) {
    until("Clair to be told", async || {
        clair.deleted().contains(&ID.to_owned())
    })
    .await;
    until("nothing to be pending", async || site.pending().is_empty()).await;
}

#[tokio::test]
async fn csf_bug_8_every_page_of_each_generation_is_one_event_and_deleted_at_clair() {
    for kind in [Kind::V1, Kind::V3, Kind::V4] {
        let clair = FakeClair::start(kind).await;
        let site = Site::new(&clair, json!({})).await;
        let running = site.run();
        let (new, old) = (images(7), images(3));
        clair.notify(
            ID,
            Notification {
                new: new.clone(),
                old: old.clone(),
            },
        );
        let answer = site.say(&clair.ping(ID)).await;
        assert_eq!(answer.status, 200, "{kind:?}");
        done(&clair, &site).await;
        running.stop().await;
        let events = of_type(&site.intake.stored(), "new_vuln");
        // Clair 4 tells a vulnerability that went apart from one that came.
        let expected = if kind == Kind::V4 { 2 } else { 1 };
        assert_eq!(events.len(), expected, "{kind:?}: {events:?}");
        let side = |key: &str| {
            events
                .iter()
                .map(|event| &event[key])
                .find(|side| !side.is_null())
                .unwrap()
        };
        assert_eq!(names(side("new")), new, "{kind:?}");
        assert_eq!(names(side("old")), old, "{kind:?}");
        for key in [
            "currentPage",
            "nextPage",
            "limit",
            "vulnerability",
            "ancestries",
        ] {
            assert!(side("new").get(key).is_some(), "{kind:?} {key}");
        }
        assert_eq!(side("new")["vulnerability"]["severity"], "High");
        let rich = of_type(&site.intake.stored(), "clair.notification");
        assert_eq!(rich.len(), expected);
        let word = format!("{kind:?}").to_lowercase();
        assert_eq!(
            (&rich[0]["api"], &rich[0]["notification"]),
            (&json!(word), &json!(ID))
        );
        let subject = site.intake.stored().events[0].1.subject.clone();
        assert_eq!(subject.as_deref(), Some("CVE-2099-0001"));
        // Named again after it was done: the same events, and nothing new.
        clair.notify(ID, Notification { new, old });
        let running = site.run();
        site.say(&clair.ping(ID)).await;
        until("Clair to be told again", async || {
            clair.deleted().len() == 2
        })
        .await;
        running.stop().await;
        assert_eq!(of_type(&site.intake.stored(), "new_vuln").len(), expected);
    }
}

#[tokio::test]
async fn csf_bug_8_clair_is_answered_only_after_the_name_is_on_disk_and_a_restart_goes_on() {
    let mut clair = FakeClair::start(Kind::V3).await;
    let site = Site::new(&clair, json!({})).await;
    clair.notify(
        ID,
        Notification {
            new: images(3),
            old: Vec::new(),
        },
    );
    site.intake
        .refuse(Some(Refusal::Unavailable("disk full".to_owned())));
    let answer = site.say(&clair.ping(ID)).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["retry-after"]),
        (503, &"5".parse().unwrap())
    );
    site.intake.refuse(None);
    clair.down().await;
    assert_eq!(site.say(&clair.ping(ID)).await.status, 200);
    assert_eq!(site.pending()[0]["name"], ID);
    let running = site.run();
    // It has tried, in vain, and is stopped with the notification still to be fetched.
    running.stop().await;
    let Site {
        intake,
        cx,
        folder,
        source,
        ..
    } = site;
    drop(source);
    clair.up(None).await;
    let site = Site::on(intake, folder, cx, &clair, json!({})).await;
    let running = site.run();
    done(&clair, &site).await;
    running.stop().await;
    assert_eq!(
        names(&of_type(&site.intake.stored(), "new_vuln")[0]["new"]),
        images(3)
    );
}

#[tokio::test]
async fn csf_bugs_3_and_6_no_answer_of_clair_ends_the_process_or_loses_the_notification() {
    for kind in [Kind::V1, Kind::V3, Kind::V4] {
        let clair = FakeClair::start(kind).await;
        let site = Site::new(&clair, json!({ "page_size": 100 })).await;
        let faults = [
            Fault::Status(404, "404 page not found\n"),
            Fault::Status(200, "<html>login</html>"),
            Fault::Status(200, "{}"),
            Fault::Status(200, r#"{"notification":{"new":{"vulnerability":[]}}}"#),
            Fault::Status(500, r#"{"Error":{"Message":"database is away"}}"#),
            Fault::Half,
            Fault::Silent,
        ];
        // Each notification fails once, in its own way.
        let names: Vec<String> = (0..faults.len())
            .map(|number| format!("c31aa958-586d-4967-93f2-117d4c7e4f{number:02x}"))
            .collect();
        clair.fail(faults);
        for name in &names {
            let new = images(2);
            clair.notify(
                name,
                Notification {
                    new,
                    ..Notification::default()
                },
            );
            assert_eq!(site.say(&clair.ping(name)).await.status, 200);
        }
        let running = site.run();
        until("Clair to be told", async || {
            clair.deleted().len() == names.len()
        })
        .await;
        until("nothing to be pending", async || site.pending().is_empty()).await;
        running.stop().await;
        let events = of_type(&site.intake.stored(), "new_vuln");
        assert_eq!(events.len(), names.len(), "{kind:?}");
        assert!(clair.state.lock().unwrap().faults.is_empty());
        assert!(site.intake.refusals().is_empty());
    }
}

#[tokio::test]
async fn a_clair_that_goes_away_between_two_pages_is_read_to_the_end_when_it_is_back() {
    let mut clair = FakeClair::start(Kind::V3).await;
    let site = Site::new(&clair, json!({ "per_page": true })).await;
    clair.notify(
        ID,
        Notification {
            new: images(6),
            old: Vec::new(),
        },
    );
    let running = site.run();
    site.say(&clair.ping(ID)).await;
    stored(&site.intake, 2).await;
    clair.down().await;
    clair.up(None).await;
    done(&clair, &site).await;
    running.stop().await;
    let pages: Vec<_> = of_type(&site.intake.stored(), "new_vuln")
        .iter()
        .map(|event| names(&event["new"]))
        .collect();
    assert_eq!(
        pages.concat(),
        images(6),
        "one event a page, and none twice"
    );
    assert_eq!(pages.len(), 3);
}

#[tokio::test]
async fn a_notification_is_not_deleted_before_its_events_are_stored() {
    let clair = FakeClair::start(Kind::V1).await;
    let site = Site::new(&clair, json!({ "page_size": 100 })).await;
    clair.notify(
        ID,
        Notification {
            new: images(2),
            old: Vec::new(),
        },
    );
    site.say(&clair.ping(ID)).await;
    site.intake
        .refuse(Some(Refusal::Unavailable("disk full".to_owned())));
    let running = site.run();
    until("the page to be fetched", async || {
        clair.requests().iter().any(|line| line.starts_with("GET"))
    })
    .await;
    assert!(clair.deleted().is_empty());
    // Deleting fails, too: it is tried again by itself, and nothing is fetched twice.
    clair.fail([Fault::Status(500, "oops")]);
    site.intake.refuse(None);
    done(&clair, &site).await;
    running.stop().await;
    let fetched = clair
        .requests()
        .iter()
        .filter(|line| line.starts_with("GET"))
        .count();
    assert_eq!(
        (fetched, of_type(&site.intake.stored(), "new_vuln").len()),
        (1, 1)
    );
}

#[tokio::test]
async fn what_clair_does_not_know_is_forgotten_and_counted() {
    for kind in [Kind::V1, Kind::V3, Kind::V4] {
        let clair = FakeClair::start(kind).await;
        let site = Site::new(&clair, json!({})).await;
        let running = site.run();
        assert_eq!(site.say(&clair.ping(ID)).await.status, 200);
        until("it to be counted", async || {
            site.intake.refusals() == ["unusable"]
        })
        .await;
        until("it to be forgotten", async || site.pending().is_empty()).await;
        running.stop().await;
        assert!(site.intake.stored().events.is_empty());
    }
}

#[tokio::test]
async fn a_callback_that_names_another_host_is_not_called() {
    let evil = FakeClair::start(Kind::V4).await;
    let clair = FakeClair::start(Kind::V4).await;
    let site = Site::new(&clair, json!({})).await;
    clair.notify(
        ID,
        Notification {
            new: images(1),
            old: Vec::new(),
        },
    );
    let running = site.run();
    let body = json!({ "callback": format!("{}/{ID}", evil.endpoint()) }).to_string();
    assert_eq!(site.say(&body).await.status, 200);
    done(&clair, &site).await;
    running.stop().await;
    assert!(evil.requests().is_empty());
    for body in [
        "",
        "[]",
        "{}",
        r#"{"Notification":{"Name":"../x"}}"#,
        r#"{"callback":"http://h/"}"#,
    ] {
        assert_eq!(site.say(body).await.status, 400, "{body}");
    }
    assert_eq!(site.say(&"x".repeat(20_000)).await.status, 413);
}

#[tokio::test]
async fn pages_that_go_round_in_a_circle_hold_up_no_other_notification() {
    let clair = FakeClair::start(Kind::V3).await;
    let site = Site::new(&clair, json!({})).await;
    let circle = r#"{"notification":{"new":{"nextPage":"p1","vulnerability":{"name":"CVE-1"},"ancestries":[]}}}"#;
    clair.fail([Fault::Status(200, circle), Fault::Status(200, circle)]);
    clair.notify(
        "round",
        Notification {
            new: images(1),
            old: Vec::new(),
        },
    );
    clair.notify(
        ID,
        Notification {
            new: images(1),
            old: Vec::new(),
        },
    );
    site.say(&clair.ping("round")).await;
    site.say(&clair.ping(ID)).await;
    let running = site.run();
    until("both to be done", async || clair.deleted().len() == 2).await;
    running.stop().await;
    assert!(clair.deleted().contains(&ID.to_owned()));
}

#[tokio::test]
async fn a_notification_whose_answer_hangs_holds_up_no_other() {
    let clair = FakeClair::start(Kind::V4).await;
    let site = Site::new(&clair, json!({ "timeout": "1h" })).await;
    let other = "00000000-0000-4000-8000-000000000001";
    for name in [ID, other] {
        let (new, old) = (images(1), Vec::new());
        clair.notify(name, Notification { new, old });
    }
    clair.fail([Fault::Silent]);
    let running = site.run();
    site.say(&clair.ping(other)).await;
    until("the first to be asked for", async || {
        !clair.requests().is_empty()
    })
    .await;
    site.say(&clair.ping(ID)).await;
    until("the second to be taken", async || {
        clair.deleted().contains(&ID.to_owned())
    })
    .await;
    until("the second to be done", async || site.pending().len() == 1).await;
    // It waits for nothing when it is to stop, and goes on with the first when it starts.
    running.stop().await;
    let running = site.run();
    until("the first to be done", async || site.pending().is_empty()).await;
    running.stop().await;
}

#[tokio::test]
async fn clair_4_is_shown_a_token_signed_with_its_key() {
    let clair = FakeClair::start(Kind::V4).await;
    clair.protect(b"0123456789abcdef");
    clair.notify(
        ID,
        Notification {
            new: images(1),
            old: Vec::new(),
        },
    );
    let config = json!({ "psk": { "key": { "secret": "psk" } } });
    // Not the key yet: it is asked again until the secret's file holds it.
    let site = Site::with_secrets(&clair, config, &[("psk", "d3Jvbmc=")]).await;
    let running = site.run();
    site.say(&clair.ping(ID)).await;
    until("Clair to refuse", async || !clair.requests().is_empty()).await;
    std::fs::write(site.folder.path().join("psk"), "MDEyMzQ1Njc4OWFiY2RlZg==\n").unwrap();
    done(&clair, &site).await;
    running.stop().await;
    assert_eq!(of_type(&site.intake.stored(), "new_vuln").len(), 1);
}

#[tokio::test]
async fn a_clair_with_a_certificate_that_is_not_trusted_gets_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let tls = certificate(folder.path());
    let ca = tls.certificate.clone();
    let mut clair = FakeClair::stopped(Kind::V3, 0);
    clair.up(Some(tls)).await;
    clair.notify(
        ID,
        Notification {
            new: images(1),
            old: Vec::new(),
        },
    );
    let site = Site::new(&clair, json!({})).await;
    let running = site.run();
    site.say(&clair.ping(ID)).await;
    running.stop().await;
    assert!(clair.requests().is_empty());
    assert_eq!(site.pending().len(), 1);
    let Site {
        intake, cx, folder, ..
    } = site;
    let trusting = Site::on(
        intake,
        folder,
        cx,
        &clair,
        json!({ "tls": { "ca_file": ca } }),
    )
    .await;
    let running = trusting.run();
    done(&clair, &trusting).await;
    running.stop().await;
}

#[tokio::test]
async fn who_may_speak_and_how_much_may_wait_is_limited() {
    let clair = FakeClair::start(Kind::V1).await;
    let config =
        json!({ "auth": { "bearer": { "secret": "token" } }, "pending_max": 1, "path": "*" });
    let site = Site::with_secrets(&clair, config, &[("token", "hunter22")]).await;
    let known = [("authorization", "Bearer hunter22")];
    let refused = site.say_to("/any/path", &[], &clair.ping(ID)).await;
    assert_eq!((refused.status.as_u16(), site.pending().len()), (401, 0));
    assert_eq!(
        site.say_to("/any/path", &known, &clair.ping(ID))
            .await
            .status,
        200
    );
    assert_eq!(
        site.say_to("/", &known, &clair.ping(ID)).await.status,
        200,
        "the same one"
    );
    let full = site.say_to("/", &known, &clair.ping("another")).await;
    assert_eq!((full.status.as_u16(), site.pending().len()), (429, 1));
}

#[tokio::test]
async fn an_old_notification_that_cannot_be_had_is_given_up_and_stays_at_clair() {
    let clair = FakeClair::start(Kind::V1).await;
    let site = Site::new(&clair, json!({ "give_up": "0s" })).await;
    clair.notify(
        ID,
        Notification {
            new: images(1),
            old: Vec::new(),
        },
    );
    let since = conche_core::Timestamp::now() - Duration::from_mins(1);
    let cursor =
        json!({ "pending": [{ "name": ID, "since": since.as_second(), "left": "fetch" }] });
    site.intake.resume("s", &cursor.to_string());
    clair.fail([Fault::Status(500, "oops")]);
    let running = site.run();
    until("it to be given up", async || site.pending().is_empty()).await;
    soon("the source to stop", running.stop()).await;
    assert_eq!(site.intake.refusals(), ["unusable"]);
    assert!(clair.deleted().is_empty());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    for (config, expected) in [
        (json!({}), "notification_endpoint"),
        (
            json!({ "notification_endpoint": "clair" }),
            "`notification_endpoint`",
        ),
        (
            json!({ "notification_endpoint": "http://u:hunter22@clair/" }),
            "without user",
        ),
        (
            json!({ "notification_endpoint": "http://clair/", "path": "clair" }),
            "path",
        ),
        (
            json!({ "notification_endpoint": "http://clair/", "page_size": 0 }),
            "page_size",
        ),
        (
            json!({ "notification_endpoint": "http://clair/", "clair_api": "v2" }),
            "v2",
        ),
        (
            json!({ "notification_endpoint": "http://clair/", "psk": { "key": { "secret": "nope" } } }),
            "nope",
        ),
    ] {
        let refused = source("Clair", config, &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{refused}");
    }
}
