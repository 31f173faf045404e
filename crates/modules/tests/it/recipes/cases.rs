//! Alerts of TheHive and events of MISP, against fakes that answer as their sources do, and
//! beside the services' own clients: what we send is what these send.

use conche_modules::Probed;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Fakes, Seen, Things, is_permanent, secret};
use crate::peers::{python, skipped};
use crate::support::{call, invoke};

/// What these services answer, each at its own paths.
pub(super) fn answer(things: &mut Things, seen: &Seen) -> Option<(u16, Value)> {
    let body = &seen.body;
    Some(match (seen.method.as_str(), seen.uri.as_str()) {
        ("POST", "/api/v1/alert") => alert(things, body),
        ("POST", "/events/add") => event(things, body),
        ("GET", uri) if uri.starts_with("/events/view/") => {
            let uuid = uri.strip_prefix("/events/view/").unwrap();
            match things.get(uuid) {
                Some(_) => (200, json!({ "Event": { "id": "7", "uuid": uuid } })),
                None => (
                    404,
                    json!({ "name": "Invalid event", "message": "Invalid event" }),
                ),
            }
        }
        // What the client of MISP asks before anything else.
        ("GET", "/servers/getVersion") => (200, json!({ "version": "2.5.34" })),
        ("GET", "/servers/getPyMISPVersion.json" | "/attributes/describeTypes.json") => {
            (200, json!({ "version": "2.5.34" }))
        }
        ("GET", "/users/view/me") => {
            let user = json!({ "id": "1", "org_id": "1", "role_id": "1" });
            (
                200,
                json!({ "User": user, "Role": { "id": "1" }, "UserSetting": [] }),
            )
        }
        _ => return None,
    })
}

/// TheHive has one alert for each type, source and sourceRef.
fn alert(things: &mut Things, body: &Value) -> (u16, Value) {
    let error = |message: String| (400, json!({ "type": "CreateError", "message": message }));
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    let observables = body["observables"].as_array().cloned().unwrap_or_default();
    if (1..observables.len()).any(|at| observables[..at].contains(&observables[at])) {
        return error("Observable already exists".to_owned());
    }
    let key = [text("type"), text("source"), text("sourceRef")].join(":");
    if things.insert(key.clone(), body.clone()).is_some() {
        return error(format!("Alert {key} already exist in organisation soc"));
    }
    (201, json!({ "_id": "~1", "number": things.len() }))
}

/// MISP has one event for each UUID.
fn event(things: &mut Things, body: &Value) -> (u16, Value) {
    let uuid = body["uuid"].as_str().unwrap().to_owned();
    if body["info"] == "blocked" {
        let errors = json!({ "Event": { "uuid": ["Please provide a valid RFC 4122 UUID"] } });
        let message = "Could not add Event";
        let told = json!({ "saved": false, "name": message, "message": message, "url": "/events/add", "errors": errors });
        return (403, told);
    }
    if things.insert(uuid.clone(), body.clone()).is_some() {
        let message = "Event already exists, if you would like to edit it, use the url in the location header.";
        return (
            404,
            json!({ "name": message, "message": message, "url": "/events/add" }),
        );
    }
    (200, json!({ "Event": { "id": "7", "uuid": uuid } }))
}

#[tokio::test]
async fn an_alert_of_thehive_exists_once_however_often_it_is_sent() {
    let fakes = Fakes::new().await;
    let hive = fakes.module("thehive", &json!({ "url": "URL", "key": secret("key") }));
    let observables = json!([{ "dataType": "ip", "data": "10.0.0.1" }]);
    let input = json!({ "title": "t", "description": "d", "severity": 3, "tlp": 2, "tags": ["x"], "observables": observables });
    let one = call("create_alert", &input);
    let first: Value = hive.invoke(&one).await.unwrap().read().unwrap();
    assert_eq!(first, json!({ "id": "~1", "number": 1 }));
    let seen = fakes.last();
    assert_eq!(
        seen.body,
        json!({
            "type": "conche", "source": "conche", "sourceRef": one.key.as_str(), "title": "t", "description": "d",
            "severity": 3, "tlp": 2, "tags": ["x"], "observables": observables,
        })
    );
    assert_eq!(seen.headers["authorization"], "Bearer hunter22-hunter22");
    let again: Value = hive.invoke(&one).await.unwrap().read().unwrap();
    assert_eq!(again, json!({ "id": null, "number": null }));
    assert_eq!(fakes.things(), 1);
    // That something else exists already is no success.
    let twice = json!([observables[0], observables[0]]);
    let input = json!({ "title": "t", "description": "d", "observables": twice });
    let refused = invoke(&hive, "create_alert", input).await;
    assert!(
        is_permanent(&refused, "Observable already exists"),
        "{refused:?}"
    );
    fakes.stop().await;
}

#[tokio::test]
async fn an_event_of_misp_can_be_asked_for_by_its_uuid() {
    let fakes = Fakes::new().await;
    let misp = fakes.module("misp", &json!({ "url": "URL", "key": secret("key") }));
    let attributes =
        json!([{ "type": "ip-dst", "category": "Network activity", "value": "10.0.0.1" }]);
    let input = json!({ "info": "i", "threat_level": 2, "attributes": attributes });
    let one = call("add_event", &input);
    assert_eq!(misp.probe(&one).await, Ok(Probed::NotHappened));
    let done: Value = misp.invoke(&one).await.unwrap().read().unwrap();
    let seen = fakes.last();
    let uuid = seen.body["uuid"].as_str().unwrap().to_owned();
    assert_eq!(done, json!({ "id": "7", "uuid": uuid }));
    let event = json!({
        "uuid": uuid, "info": "i", "threat_level_id": 2, "analysis": 0, "distribution": 0, "Attribute": attributes,
    });
    assert_eq!(seen.body, event);
    assert_eq!(seen.headers["authorization"], "hunter22-hunter22");
    assert_eq!(seen.headers["accept"], "application/json");
    let Ok(Probed::Happened(found)) = misp.probe(&one).await else {
        panic!("it did happen");
    };
    assert_eq!(found.read::<Value>().unwrap(), done);
    let other = call("add_event", &input);
    assert_eq!(misp.probe(&other).await, Ok(Probed::NotHappened));
    // One that came through after all, before its repeat.
    let again: Value = misp.invoke(&one).await.unwrap().read().unwrap();
    assert_eq!(again, json!({ "id": null, "uuid": null }));
    assert_eq!(fakes.things(), 1);
    let blocked = call("add_event", &json!({ "info": "blocked" }));
    let refused = misp.invoke(&blocked).await.map(|_| Value::Null);
    assert!(
        is_permanent(&refused, "a valid RFC 4122 UUID"),
        "{refused:?}"
    );
    fakes.stop().await;
}

/// Runs the services' own client, which sends to the fakes; `false`, said aloud, where it is
/// not installed.
async fn client(fakes: &Fakes, package: &str, script: &str, arguments: &[&str]) -> bool {
    let check = Command::new(python())
        .args(["-c", &format!("import {package}")])
        .output()
        .await;
    if !check.is_ok_and(|check| check.status.success()) {
        skipped(&format!("{package} is not installed"));
        return false;
    }
    let mut run = Command::new(python());
    run.args(["-c", script, &fakes.url]).args(arguments);
    let done = run.kill_on_drop(true).output().await.unwrap();
    assert!(done.status.success(), "{done:?}");
    true
}

/// What has to be the same: where a request goes, who it says it is, and its body. MISP takes
/// numbers as texts as well.
fn essence(seen: &Seen) -> (String, String, Option<String>, Option<String>, Value) {
    let header = |name: &str| seen.headers.get(name).cloned();
    let mut body = seen.body.clone();
    for member in body
        .as_object_mut()
        .into_iter()
        .flat_map(|body| body.values_mut())
    {
        if member.is_number() && seen.uri.starts_with("/events") {
            *member = member.to_string().into();
        }
    }
    let uri = seen.uri.clone();
    (
        seen.method.clone(),
        uri,
        header("authorization"),
        header("content-type"),
        body,
    )
}

#[tokio::test]
async fn thehives_own_client_sends_the_same_alert() {
    let fakes = Fakes::new().await;
    let script = r#"
import sys, thehive4py
hive = thehive4py.TheHiveApi(url=sys.argv[1], apikey="hunter22-hunter22")
hive.alert.create(alert={
    "type": "conche", "source": "conche", "sourceRef": "theirs", "title": "t", "description": "d",
    "severity": 3, "tlp": 2, "pap": 1, "tags": ["x"],
    "observables": [{"dataType": "ip", "data": "10.0.0.1"}],
})
"#;
    if !client(&fakes, "thehive4py", script, &[]).await {
        return;
    }
    let theirs = fakes.last();
    let hive = fakes.module("thehive", &json!({ "url": "URL", "key": secret("key") }));
    let input = json!({
        "title": "t", "description": "d", "source_ref": "ours", "severity": 3, "tlp": 2, "pap": 1,
        "tags": ["x"], "observables": [{ "dataType": "ip", "data": "10.0.0.1" }],
    });
    invoke(&hive, "create_alert", input).await.unwrap();
    let mut ours = fakes.last();
    ours.body["sourceRef"] = "theirs".into();
    assert_eq!(essence(&ours), essence(&theirs));
    fakes.stop().await;
}

#[tokio::test]
async fn misps_own_client_sends_the_same_event_and_asks_for_it_the_same_way() {
    let fakes = Fakes::new().await;
    let misp = fakes.module("misp", &json!({ "url": "URL", "key": secret("key") }));
    let attribute = json!({ "type": "ip-dst", "category": "Network activity", "value": "10.0.0.1", "to_ids": true });
    let input = json!({
        "info": "i", "threat_level": 2, "date": "2026-11-22", "attributes": [attribute],
        "tags": [{ "name": "tlp:red" }],
    });
    let one = call("add_event", &input);
    misp.probe(&one).await.unwrap();
    misp.invoke(&one).await.unwrap();
    let ours = fakes.seen();
    let uuid = ours[1].body["uuid"].as_str().unwrap().to_owned();
    fakes.kept.lock().unwrap().things.clear();
    let script = r#"
import sys, pymisp
misp = pymisp.PyMISP(sys.argv[1], "hunter22-hunter22")
event = pymisp.MISPEvent()
event.uuid, event.info, event.date = sys.argv[2], "i", "2026-11-22"
event.threat_level_id, event.analysis, event.distribution = 2, 0, 0
event.add_attribute("ip-dst", "10.0.0.1", category="Network activity")
event.add_tag("tlp:red")
misp.add_event(event)
misp.get_event(sys.argv[2])
"#;
    if !client(&fakes, "pymisp", script, &[&uuid]).await {
        return;
    }
    let theirs = fakes.seen();
    let mut added = theirs[theirs.len() - 2].clone();
    // Their attribute has more members that MISP would set itself.
    let members = added.body["Attribute"][0].as_object_mut().unwrap();
    members.retain(|name, _| attribute.get(name).is_some());
    assert_eq!(essence(&ours[1]), essence(&added));
    let (ours, asked) = (&ours[0], theirs.last().unwrap());
    let (ours, asked) = (essence(ours), essence(asked));
    assert_eq!((ours.0, ours.1, ours.2), (asked.0, asked.1, asked.2));
    fakes.stop().await;
}
