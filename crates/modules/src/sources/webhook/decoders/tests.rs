//! What each sender's payload becomes, what is refused as no such payload, and that no JSON
//! does harm. The payloads are in `tests/it/samples/senders`.

mod properties;

use serde_json::json;

use conche_core::json::Limits;

use super::super::decode::EVENTS_MAX;
use super::*;

macro_rules! sample {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!(
                "../../../../tests/it/samples/senders/",
                $name,
                ".json"
            )),
        )
    };
}

/// The decoder, the sample and, of GitHub, the event.
type Sample = (&'static str, (&'static str, &'static str), &'static str);

const SAMPLES: &[Sample] = &[
    ("alertmanager", sample!("alertmanager"), ""),
    ("alertmanager_groups", sample!("alertmanager"), ""),
    ("falco", sample!("falco"), ""),
    (
        "github",
        sample!("github_code_scanning_alert"),
        "code_scanning_alert",
    ),
    (
        "github",
        sample!("github_dependabot_alert"),
        "dependabot_alert",
    ),
    (
        "github",
        sample!("github_repository_vulnerability_alert"),
        "repository_vulnerability_alert",
    ),
    (
        "github",
        sample!("github_secret_scanning_alert"),
        "secret_scanning_alert",
    ),
    (
        "github",
        sample!("github_security_advisory"),
        "security_advisory",
    ),
    ("gitlab", sample!("gitlab_pipeline"), ""),
    ("gitlab", sample!("gitlab_vulnerability"), ""),
    ("grype", sample!("grype"), ""),
    ("harbor", sample!("harbor"), ""),
    ("harbor", sample!("harbor_cloudevent"), ""),
    ("registry", sample!("registry"), ""),
    ("registry_all", sample!("registry"), ""),
    ("trivy", sample!("trivy"), ""),
    ("wazuh", sample!("wazuh"), ""),
];

fn named(name: &str) -> &'static Decoder {
    ALL.iter().find(|decoder| decoder.name == name).unwrap()
}

fn sent(decoder: &str, body: &str, event: &str) -> Result<Vec<NewEvent>, Reject> {
    let body = Json::parse(body.as_bytes(), Limits::default()).unwrap();
    let mut headers = HeaderMap::new();
    if !event.is_empty() {
        headers.insert("x-github-event", event.parse().unwrap());
        headers.insert("x-github-delivery", "guid".parse().unwrap());
    }
    named(decoder).decode(&body, &headers, Some("usual"))
}

fn parts(event: &NewEvent) -> (Value, Value) {
    let data: Value = event.data.read().unwrap();
    (data["summary"].clone(), data["raw"].clone())
}

/// `type | id | subject | time`.
fn told(event: &NewEvent) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let time = event
        .time
        .map_or_else(|| "-".to_owned(), |time| time.to_string());
    let (id, subject) = (text(&event.id), text(&event.subject));
    format!("{} | {id} | {subject} | {time}", event.event_type)
}

#[test]
fn every_senders_payload_becomes_events_with_type_id_subject_and_time() {
    let expected = [
        "alertmanager.alert.firing | 5ef77f1f8a3ecfe1 2026-11-22T08:15:04.127Z firing | DiskFull | 2026-11-22T08:15:04.127Z",
        "alertmanager.alert.resolved | 9f3c1d2ab4417a02 2026-11-22T07:00:00Z resolved | DiskFull | 2026-11-22T08:10:00Z",
        "alertmanager.group.firing | 59b5dea0868f2fb5867d147694ebe0907d9ee5d4862c0f62dcaa87df1baace33 | DiskFull | -",
        "falco.alert | usual | Terminal shell in container | 2026-11-22T08:15:04.127481Z",
        "github.code_scanning_alert.created | guid | example/app | 2026-11-22T08:15:04Z",
        "github.dependabot_alert.created | guid | example/app | 2023-06-24T13:57:12Z",
        "github.repository_vulnerability_alert.create | guid | example/app | 2020-12-12T14:26:49Z",
        "github.secret_scanning_alert.created | guid | example/app | 2026-11-22T08:15:04Z",
        "github.security_advisory.published | guid | GHSA-rf4j-j272-fj86 | 2018-10-03T21:13:54Z",
        "gitlab.pipeline.failed | usual | team/app | 2016-08-12T15:26:29Z",
        "gitlab.vulnerability.confirmed | usual | https://gitlab.example.com/team/app/-/security/vulnerabilities/1 | 2025-01-08T00:46:14.413Z",
        "grype.report | usual | registry.example.com/team/app:1.0 | 2026-11-22T08:15:04.127481Z",
        "harbor.scan.completed | usual | team/app | 2023-04-03T06:12:55Z",
        "harbor.artifact.pushed | /projects/2/webhook/policies/15 343f1623-7cba-487c-88f1-c5ebf55e93aa | team/app | 2023-04-03T06:16:38Z",
        "registry.push | 752dfa02-8cfc-4019-b1db-ca9f3724367f | team/app | 2026-11-22T01:26:45.198977987Z",
        "registry.push | ae54aa48-ef65-47ed-a8f1-2cd33e19bdc6 | team/app | 2026-11-22T01:26:45.111586965Z",
        "registry.push | 752dfa02-8cfc-4019-b1db-ca9f3724367f | team/app | 2026-11-22T01:26:45.198977987Z",
        "trivy.report | 019ac2f0-6f5e-7c40-8a5f-1f0f4b6d2a11 | registry.example.com/team/app:1.0 | 2026-11-22T08:15:04.127Z",
        "wazuh.alert | wazuh-1 1795335304.49031 | web-1 | 2026-11-22T08:15:04.127Z",
    ];
    let mut found = Vec::new();
    for (decoder, (_, body), event) in SAMPLES {
        for event in sent(decoder, body, event).unwrap() {
            let is_known = EVENTS.iter().any(|(name, _)| *name == event.event_type);
            assert!(is_known, "{} is in no list", event.event_type);
            found.push(told(&event));
        }
    }
    assert_eq!(found, expected);
}

/// A decoder or a sample, and members of its first event's summary.
const SUMMARIES: &[(&str, &str)] = &[
    (
        "alertmanager",
        r#"{ "status": "firing", "severity": "critical", "instance": "web-1:9100", "group": { "alertname": "DiskFull" }, "truncated": 0 }"#,
    ),
    (
        "alertmanager_groups",
        r#"{ "firing": 1, "resolved": 1, "receiver": "conche" }"#,
    ),
    (
        "falco",
        r#"{ "priority": "notice", "level": 5, "namespace": "shop", "pod": "web-7d4b", "user": "root", "command": "bash" }"#,
    ),
    (
        "github_code_scanning_alert",
        r#"{ "severity": "high", "identifier": "js/sql-injection", "package": "CodeQL", "number": 10 }"#,
    ),
    (
        "github_dependabot_alert",
        r#"{ "severity": "medium", "identifier": "CVE-2022-25883", "package": "semver", "action": "created" }"#,
    ),
    (
        "github_repository_vulnerability_alert",
        r#"{ "severity": "high", "identifier": "CVE-2020-7788", "package": "ini" }"#,
    ),
    (
        "github_secret_scanning_alert",
        r#"{ "severity": "unknown", "identifier": "adafruit_io_key", "title": "Adafruit IO Key" }"#,
    ),
    (
        "github_security_advisory",
        r#"{ "severity": "medium", "identifier": "CVE-2018-6188", "package": "django", "repository": "" }"#,
    ),
    (
        "gitlab_pipeline",
        r#"{ "state": "failed", "project": "team/app", "ref": "main", "failed_jobs": ["container_scanning"], "user": "root" }"#,
    ),
    (
        "gitlab_vulnerability",
        r#"{ "severity": "high", "report_type": "dependency_scanning", "identifiers": ["CVE-2024-41123"] }"#,
    ),
    (
        "grype",
        r#"{ "artifact": "registry.example.com/team/app:1.0", "kind": "image", "highest": "high", "total": 2, "fixable": 1 }"#,
    ),
    (
        "harbor",
        r#"{ "severities": { "critical": 0, "high": 4, "medium": 0, "low": 0, "negligible": 0, "unknown": 1 }, "highest": "high", "total": 5, "fixable": 4, "scan_status": "Success", "project": "team" }"#,
    ),
    (
        "harbor_cloudevent",
        r#"{ "operator": "admin", "tag": "1.0", "image": "harbor.example.com/team/app:1.0", "highest": "none" }"#,
    ),
    (
        "registry",
        r#"{ "action": "push", "tag": "1.0", "image": "127.0.0.1:15000/team/app:1.0" }"#,
    ),
    (
        "trivy",
        r#"{ "highest": "critical", "total": 3, "fixable": 1, "misconfigurations": 1, "secrets": 1, "kind": "container_image" }"#,
    ),
    (
        "wazuh",
        r#"{ "level": 10, "rule_id": "5712", "mitre": ["T1110"], "source_ip": "203.0.113.9", "user": "root", "agent_ip": "192.0.2.10" }"#,
    ),
];

#[test]
fn a_summary_has_what_reactions_decide_by() {
    for (name, expected) in SUMMARIES {
        let of = |sample: &&Sample| sample.0 == *name || sample.1.0 == *name;
        let (decoder, (_, body), event) = SAMPLES.iter().find(of).unwrap();
        let (summary, _) = parts(&sent(decoder, body, event).unwrap()[0]);
        let expected: Value = serde_json::from_str(expected).unwrap();
        for (member, value) in expected.as_object().unwrap() {
            assert_eq!(&summary[member], value, "{name}: {member}");
        }
    }
}

#[test]
fn raw_is_what_was_sent_letter_by_letter() {
    let body = r#"{"rule" : "r", "priority":"Info","time":"2026-11-22T08:15:04Z","n":1.0}"#;
    let events = sent("falco", body, "").unwrap();
    let data = events[0].data.as_str();
    assert!(data.ends_with(&format!("\"raw\":{body}}}")), "{data}");
    let (decoder, (_, body), _) = SAMPLES[0];
    let whole: Value = serde_json::from_str(body).unwrap();
    let (_, raw) = parts(&sent(decoder, body, "").unwrap()[1]);
    assert_eq!(raw, whole["alerts"][1]);
}

#[test]
fn a_payload_of_another_sender_is_refused_with_what_it_lacks() {
    for (decoder, (name, _), event) in SAMPLES {
        for (_, (foreign, body), _) in SAMPLES {
            let same = foreign.split('_').next() == name.split('_').next();
            // One sender's kinds are told apart by less than those of two.
            if same {
                continue;
            }
            let refused = sent(decoder, body, event).unwrap_err();
            assert!(
                matches!(refused, Reject::OtherKind { .. }),
                "{foreign} as {name}: {refused}"
            );
        }
    }
}

/// A decoder, a payload in which `SECRET` stands for a text, and what is said of it.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "alertmanager",
        r#"{ "version": "3", "groupKey": "", "status": "firing", "receiver": "", "alerts": [] }"#,
        "version is not 4",
    ),
    (
        "alertmanager",
        r#"{ "version": "4", "groupKey": "", "status": "firing", "receiver": "", "alerts": [] }"#,
        "no alerts",
    ),
    (
        "alertmanager",
        r#"{ "version": "4", "groupKey": "", "status": SECRET, "receiver": "", "alerts": [] }"#,
        "expected `firing` or `resolved`",
    ),
    (
        "alertmanager",
        r#"{ "version": "4", "groupKey": "", "status": "firing", "receiver": "", "alerts": [{}] }"#,
        "missing field `status`",
    ),
    (
        "falco",
        r#"{ "rule": "r", "priority": SECRET, "time": "" }"#,
        "none of Falco's",
    ),
    (
        "falco",
        r#"{ "rule": "r", "priority": "Notice" }"#,
        "missing field `time`",
    ),
    (
        "falco",
        r#"{ "rule": [SECRET], "priority": "Notice", "time": "" }"#,
        "expected a string",
    ),
    (
        "gitlab",
        r#"{ "object_kind": "pipeline", "object_attributes": {} }"#,
        "status is no plain word",
    ),
    (
        "gitlab",
        r#"{ "object_kind": SECRET }"#,
        "kind is no plain word",
    ),
    ("gitlab", "{}", "missing field `object_kind`"),
    (
        "grype",
        r#"{ "matches": [], "descriptor": { "name": SECRET } }"#,
        "not that of grype",
    ),
    (
        "harbor",
        r#"{ "type": "A", "occur_at": SECRET, "event_data": {} }"#,
        "expected i64",
    ),
    (
        "harbor",
        r#"{ "specversion": "0.3" }"#,
        "specversion is not 1.0",
    ),
    (
        "harbor",
        r#"{ "specversion": "1.0", "type": SECRET, "id": "1", "source": "/", "data": {} }"#,
        "does not begin with `harbor.`",
    ),
    ("registry", r#"{ "events": [] }"#, "no events"),
    (
        "registry",
        r#"{ "events": [{ "id": "1", "action": "push" }] }"#,
        "missing field `target`",
    ),
    ("registry", r#"{ "events": [[]] }"#, "not an object"),
    (
        "registry",
        r#"{ "events": [{ "id": "1", "action": SECRET, "target": { "repository": "r" } }] }"#,
        "action is no plain word",
    ),
    ("trivy", r#"[2, "a"]"#, "not an object"),
    (
        "trivy",
        r#"{ "SchemaVersion": 1, "ArtifactName": "" }"#,
        "SchemaVersion is not 2",
    ),
    (
        "wazuh",
        r#"{ "rule": { "level": SECRET, "id": "1" } }"#,
        "expected u64",
    ),
    (
        "wazuh",
        r#"{ "rule": { "level": 1, "id": [SECRET] } }"#,
        "expected the id of a rule",
    ),
];

#[test]
fn what_a_kind_is_known_by_must_be_there_and_the_reason_repeats_nothing() {
    for (decoder, body, expected) in REFUSED {
        let body = body.replace("SECRET", r#""hunter22, expected nothing""#);
        let refused = sent(decoder, &body, "").unwrap_err().to_string();
        assert!(refused.contains(expected), "{body}: {refused}");
        assert!(!refused.contains("hunter22"), "{refused}");
        assert!(refused.starts_with("this is no "), "{refused}");
    }
    let nameless = sent("github", "{}", "").unwrap_err();
    assert!(matches!(nameless, Reject::Missing { .. }), "{nameless}");
    assert!(sent("github", "{}", "a b").is_err());
}

#[test]
fn one_wrong_event_refuses_the_whole_delivery() {
    let (_, (_, body), _) = SAMPLES[13];
    let mut body: Value = serde_json::from_str(body).unwrap();
    body["events"][1] = json!({ "id": "1" });
    assert!(sent("registry", &body.to_string(), "").is_err());
    let many = vec![body["events"][0].clone(); EVENTS_MAX + 1];
    let refused = sent("registry", &json!({ "events": many }).to_string(), "").unwrap_err();
    assert!(matches!(refused, Reject::LargeBatch { .. }), "{refused}");
}

#[test]
fn what_a_registry_does_not_call_a_layer_is_kept() {
    let event = |media_type: &str| json!({ "events": [{ "id": "1", "action": "delete", "target": { "repository": "r", "digest": "sha256:1", "mediaType": media_type } }] });
    for (media_type, count) in [
        ("", 1),
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            1,
        ),
        (
            "application/vnd.docker.distribution.manifest.list.v2+json",
            1,
        ),
        ("application/vnd.oci.image.index.v1+json", 1),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", 0),
        ("application/octet-stream", 0),
    ] {
        let events = sent("registry", &event(media_type).to_string(), "").unwrap();
        assert_eq!(events.len(), count, "{media_type}");
    }
}

#[test]
fn what_alertmanager_repeats_is_one_event_and_what_fires_again_another() {
    let (_, (_, body), _) = SAMPLES[0];
    let ids = |decoder: &str, body: &str| -> Vec<_> {
        let events = sent(decoder, body, "").unwrap().into_iter();
        events.map(|event| event.id.unwrap()).collect()
    };
    let again = body.replace("2026-11-22T08:15:04.127Z", "2026-11-23T08:15:04.127Z");
    for decoder in ["alertmanager", "alertmanager_groups"] {
        assert_eq!(ids(decoder, body), ids(decoder, body));
        assert_ne!(ids(decoder, body)[0], ids(decoder, &again)[0]);
    }
    let mut turned: Value = serde_json::from_str(body).unwrap();
    turned["alerts"].as_array_mut().unwrap().reverse();
    let turned = turned.to_string();
    assert_eq!(
        ids("alertmanager_groups", body),
        ids("alertmanager_groups", &turned)
    );
}

#[test]
fn other_events_of_github_and_gitlab_are_told_by_name() {
    let events = sent("github", r#"{"zen":"Keep it simple","hook_id":1}"#, "ping").unwrap();
    assert_eq!(told(&events[0]), "github.ping | guid | - | -");
    let push = r#"{"object_kind":"push","project":{"path_with_namespace":"a/b"}}"#;
    let events = sent("gitlab", push, "").unwrap();
    assert_eq!(told(&events[0]), "gitlab.push | usual | a/b | -");
    let system = r#"{"event_name":"project_create"}"#;
    let events = sent("gitlab", system, "").unwrap();
    assert_eq!(told(&events[0]), "gitlab.project_create | usual | - | -");
}

#[test]
fn times_are_read_as_senders_write_them() {
    for (text, expected) in [
        (
            "2026-11-22T08:15:04.127+0100",
            Some("2026-11-22T07:15:04.127Z"),
        ),
        ("2016-08-12 15:23:28 UTC", Some("2016-08-12T15:23:28Z")),
        (
            "2026-11-22T08:15:04.127481000Z",
            Some("2026-11-22T08:15:04.127481Z"),
        ),
        ("yesterday", None),
        ("", None),
    ] {
        let read = time(text).map(|time| time.to_string());
        assert_eq!(read.as_deref(), expected, "{text}");
    }
}

#[test]
fn every_decoder_has_a_sample_a_setting_and_a_place_in_the_docs() {
    let docs = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/integrations/webhook-decoders.md"
    );
    let docs = std::fs::read_to_string(docs).unwrap();
    for decoder in ALL {
        let name = decoder.name;
        assert!(SAMPLES.iter().any(|sample| sample.0 == name), "{name}");
        let format: FormatName = serde_json::from_value(name.into()).unwrap();
        assert_eq!(Decoder::of(&format).unwrap().name, name);
        assert!(docs.contains(&format!("format: {name}\n")), "{name}");
    }
    for (event, _) in EVENTS {
        assert!(docs.contains(event), "{event}");
    }
    assert!(Decoder::of(&FormatName::Json).is_none());
}
