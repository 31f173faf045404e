//! Who is let in, and settings that would open the door.

use serde_json::json;

use super::{Served, problem};
use crate::support::{context, source};

#[tokio::test]
async fn who_does_not_show_the_secret_gets_401_before_the_body_counts() {
    let basic = json!({
        "path": "/basic", "event_type": "t", "auth": { "basic": { "user": "u", "password": { "secret": "token" } } },
    });
    let bearer = json!({ "path": "/bearer", "event_type": "t", "auth": { "bearer": { "secret": "token" } } });
    let served = Served::new(&[basic, bearer]).await;
    let right = "dTpodW50ZXIyMi1odW50ZXIyMg=="; // u:hunter22-hunter22
    for value in [format!("Basic {right}"), format!("bASIC {right}")] {
        let response = served
            .post("/basic", &[("authorization", &value)], "{}")
            .await;
        assert_eq!(response.status, 202, "{value}");
    }
    let wrong = [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic dTo=",
        "Basic aHVudGVyMjItaHVudGVyMjI=",
        "Bearer hunter22-hunter22",
        "Basic eDpodW50ZXIyMi1odW50ZXIyMg==",
    ];
    for value in wrong {
        let response = served
            .post("/basic", &[("authorization", value)], "not json")
            .await;
        assert_eq!(
            problem(&response),
            (401, "unauthorized".to_owned()),
            "{value}"
        );
        assert!(
            response.headers["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Basic")
        );
    }
    let wrong = [
        "Bearer",
        "Bearer ",
        "Bearer nothing",
        "Bearer hunter22-hunter2",
        "hunter22-hunter22",
        "Bearer hunter22-hunter22,x",
    ];
    for value in wrong {
        let response = served
            .post("/bearer", &[("authorization", value)], "{}")
            .await;
        assert_eq!(
            problem(&response),
            (401, "unauthorized".to_owned()),
            "{value}"
        );
        assert_eq!(response.headers["www-authenticate"], "Bearer");
    }
    let twice = [
        ("authorization", "Bearer hunter22-hunter22"),
        ("authorization", "Bearer x"),
    ];
    assert_eq!(served.post("/bearer", &twice, "{}").await.status, 401);
    assert_eq!(served.post("/bearer", &[], "{}").await.status, 401);
    assert_eq!(served.intake.stored().events.len(), 2);
    served.stop().await;
}

#[tokio::test]
async fn either_of_two_tokens_lets_in_while_one_is_replaced_by_the_other() {
    let served = Served::new(&[
        json!({ "path": "/in", "event_type": "t", "auth": { "bearer": [{ "secret": "token" }, { "secret": "next" }] } }),
    ])
    .await;
    let status = async |value: &str| {
        let headers = [("authorization", value)];
        served.post("/in", &headers, "{}").await.status.as_u16()
    };
    assert_eq!(status("Bearer hunter22-hunter22").await, 202);
    assert_eq!(status("Bearer hunter33-hunter33").await, 202);
    assert_eq!(status("Bearer hunter22-hunter33").await, 401);
    assert_eq!(status("Bearer ").await, 401);
    std::fs::remove_file(served.folder.path().join("token")).unwrap();
    assert_eq!(status("Bearer hunter33-hunter33").await, 202);
    // It may be the one that can't be read.
    assert_eq!(status("Bearer hunter22-hunter22").await, 503);
    served.stop().await;
}

#[tokio::test]
async fn a_secret_that_can_not_be_read_lets_nobody_in() {
    let served = Served::new(&[
        json!({ "path": "/in", "event_type": "t", "auth": { "bearer": { "secret": "token" } } }),
    ])
    .await;
    std::fs::remove_file(served.folder.path().join("token")).unwrap();
    for value in ["Bearer hunter22-hunter22", "Bearer ", ""] {
        let response = served.post("/in", &[("authorization", value)], "{}").await;
        assert_eq!(problem(&response), (503, "secret-unavailable".to_owned()));
    }
    assert!(served.intake.stored().events.is_empty());
    served.stop().await;
}

#[test]
fn settings_that_contradict_each_other_or_open_the_door_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let table = [
        (json!({ "event_type": "t" }), "missing field `auth`"),
        (json!({ "auth": "none" }), "exactly one of `event_type`"),
        (
            json!({ "auth": "none", "event_type": "t", "event_type_from": { "header": "x" } }),
            "exactly one of `event_type`",
        ),
        (
            json!({ "auth": "none", "event_type_from": { "header": "x", "pointer": "/a" } }),
            "`event_type_from` needs",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "split": "a" }),
            "not a JSON Pointer",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "id_from": { "header": "a b" } }),
            "name of a header",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "split": "/a", "respond": {} }),
            "can't go with `split`",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "format": "ndjson", "respond": {} }),
            "can't go with `split` or lines",
        ),
        (
            json!({ "auth": "none", "format": "registry", "respond": {} }),
            "nor with a format of several events",
        ),
        (
            json!({ "auth": "none", "format": "trivy", "event_type": "t" }),
            "`format: trivy` names each event's type, id and subject itself: leave out `event_type`",
        ),
        (
            json!({ "auth": "none", "format": "falco", "id_from": { "pointer": "/a" } }),
            "leave out `id_from`",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "format": "ndjson", "split": "/a" }),
            "`format: json` only",
        ),
        (
            json!({ "auth": "none", "format": { "cloudevents": {} } }),
            "CloudEvents need `event_type`",
        ),
        (
            json!({ "auth": "none", "format": { "cloudevents": { "type_prefixes": [""] } } }),
            "an empty prefix",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "format": { "cloudevents": {} }, "id_from": { "header": "x" } }),
            "leave out",
        ),
        (
            json!({ "event_type": "t", "verify": { "github": { "secret": "nope" } } }),
            "no secret `nope`",
        ),
        (
            json!({ "event_type": "t", "verify": { "github": { "secret": [] } } }),
            "one name, or a list of two",
        ),
        (
            json!({ "event_type": "t", "verify": { "github": { "secret": { "secret": "x" } } } }),
            "expected the name of a secret",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "methods": ["GET"] }),
            "unknown variant",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "methods": [] }),
            "must not be empty",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "respond": { "on_timeout": { "status": 99 } } }),
            "200 to 599",
        ),
    ];
    for (mut config, expected) in table {
        config["path"] = "/x".into();
        let refused = source("webhook", config.clone(), &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{config}: {refused}");
    }
    let config = json!({ "path": "/a/../b", "auth": "none", "event_type": "t" });
    assert!(source("webhook", config, &cx).is_err());
}
