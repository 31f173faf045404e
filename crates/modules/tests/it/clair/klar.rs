//! `klar`: images of a real registry, scanned by a Clair that fetches their layers.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use conche_modules::{Action, Error};
use conche_runtime::egress::{Egress, EgressConfig};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::fake::{FakeClair, Fault, Kind, Served, certificate};
use super::fake_scan::sha256;
use super::registry::{Gate, Registry, Seen, note};
use crate::running::soon;
use crate::support::{action, context, invoke};

const BASE: &str = "package zlib 1.2.13\n";
const APP: &str = "package openssl 3.0.1-1\npackage curl 8\n";
const CLEAN: &str = "package curl 8\n";

struct Site {
    folder: tempfile::TempDir,
    clair: FakeClair,
}

impl Site {
    async fn new(kind: Kind) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clair: FakeClair::start(kind).await,
        }
    }

    fn module(&self, more: Value) -> Arc<dyn Action> {
        let mut config = json!({ "clairAddress": self.clair.base(), "platform": "linux/amd64" });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        let mut cx = context(self.folder.path(), &[("registry", "hunter22")]);
        // Nothing of this machine is opened but what the configuration names.
        cx.egress = Arc::new(Egress::new(&EgressConfig::default()).unwrap());
        action("klar", config, &cx).unwrap()
    }
}

/// The registry at this host, over plain HTTP.
fn plain(host: &str) -> Value {
    json!({ "registries": { host: { "plain_http": true } } })
}

fn named(vulns: &Value) -> Vec<&str> {
    let mut names: Vec<_> = vulns
        .as_array()
        .unwrap()
        .iter()
        .map(|vuln| vuln["Name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn an_image_is_scanned_by_each_generation_of_clair_in_klars_words() {
    let Some(registry) = Registry::start(false).await else {
        return;
    };
    let app = registry.image("team/app", "1.0", false, &[BASE, APP]).await;
    let image = format!("{}/team/app:1.0", registry.host());
    for kind in [Kind::V1, Kind::V3, Kind::V4] {
        let site = Site::new(kind).await;
        let klar = site.module(plain(&registry.host()));
        let result = invoke(&klar, "scan_image", json!({ "image": image, "other": 1 }))
            .await
            .unwrap();
        assert_eq!(
            named(&result["vulns"]),
            ["CVE-2099-0001", "CVE-2099-0002"],
            "{kind:?}"
        );
        let vulns = result["vulns"].as_array().unwrap().iter();
        let openssl = vulns
            .clone()
            .find(|vuln| vuln["FeatureName"] == "openssl")
            .unwrap();
        for (name, value) in [
            ("Severity", json!("High")),
            ("NamespaceName", json!("debian:12")),
            ("FeatureVersion", json!("3.0.1-1")),
            ("FixedBy", json!("3.0.9-1")),
            ("Description", json!("test")),
            ("Link", json!("https://x")),
            ("FixedIn", json!([])),
        ] {
            assert_eq!(openssl[name], value, "{kind:?} {name}");
        }
        assert!(openssl["Metadata"].is_object() && openssl.get("severity").is_none());
        let report = &result["report"];
        assert_eq!(
            (&report["digest"], &report["cached"]),
            (&json!(app.digest), &json!(false))
        );
        assert_eq!(
            (
                &report["summary"]["High"],
                &report["summary"]["Low"],
                &report["fixable"]
            ),
            (&json!(1), &json!(1), &json!(1))
        );
        assert_eq!(report["over_threshold"], true);
        // Clair knows it by now, in the state that it is in: it is not sent again.
        let posts = |site: &Site| {
            site.clair
                .requests()
                .iter()
                .filter(|line| line.starts_with("POST"))
                .count()
        };
        let before = posts(&site);
        let again = invoke(&klar, "scan_image", json!({ "image": image }))
            .await
            .unwrap();
        assert_eq!(
            (posts(&site), &again["report"]["cached"]),
            (before, &json!(true)),
            "{kind:?}"
        );
        assert_eq!(again["vulns"], result["vulns"]);
    }
}

#[tokio::test]
async fn csf_bug_14_each_tag_registry_and_platform_is_an_image_of_its_own() {
    let Some(registry) = Registry::start(false).await else {
        return;
    };
    let host = registry.host();
    let bad = registry.image("team/app", "bad", false, &[BASE, APP]).await;
    let good = registry.image("team/app", "good", true, &[CLEAN]).await;
    registry
        .index("team/app", "all", &[("arm64", &bad), ("amd64", &good)])
        .await;
    for kind in [Kind::V1, Kind::V3, Kind::V4] {
        let site = Site::new(kind).await;
        let klar = site.module(plain(&host));
        for (name, platform, expected) in [
            ("app:bad".to_owned(), "linux/amd64", 2),
            ("app:good".to_owned(), "linux/amd64", 0),
            ("app:bad".to_owned(), "linux/amd64", 2),
            ("app:all".to_owned(), "linux/arm64", 2),
            ("app:all".to_owned(), "linux/amd64", 0),
            (format!("app@{}", bad.digest), "linux/amd64", 2),
        ] {
            let input = json!({ "image": format!("{host}/team/{name}"), "platform": platform });
            let result = invoke(&klar, "scan_image", input).await.unwrap();
            assert_eq!(
                result["vulns"].as_array().unwrap().len(),
                expected,
                "{kind:?} {name} {platform}"
            );
        }
        let input = json!({ "image": format!("{host}/team/app:all"), "platform": "linux/s390x" });
        let refused = invoke(&klar, "scan_image", input).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Permanent(why) if why.contains("linux/arm64, linux/amd64")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn csf_bugs_5_and_13_many_images_are_scanned_and_one_that_fails_fails_alone() {
    let Some(registry) = Registry::start(false).await else {
        return;
    };
    let host = registry.host();
    let mut images = Vec::new();
    for number in 0..12 {
        let layer = format!("package openssl 3.0.{number}\n");
        registry
            .image("many", &number.to_string(), false, &[BASE, &layer])
            .await;
        images.push(format!("{host}/many:{number}"));
    }
    let site = Site::new(Kind::V3).await;
    let klar = site.module(plain(&host));
    let (missing, wrong) = (format!("{host}/many:none"), "NoImage".to_owned());
    let all = [
        images.clone(),
        vec![missing.clone(), wrong.clone(), images[0].clone()],
    ]
    .concat();
    let result = invoke(&klar, "scan_images", json!({ "images": all }))
        .await
        .unwrap();
    for (number, image) in images.iter().enumerate() {
        let vulns = result[image].as_array().unwrap();
        let openssl = vulns
            .iter()
            .find(|vuln| vuln["FeatureName"] == "openssl")
            .unwrap();
        assert_eq!(openssl["FeatureVersion"], format!("3.0.{number}"));
        assert!(result["report"]["images"][image]["digest"].is_string());
    }
    let failed = &result["report"]["failed"];
    assert!(
        failed[&missing].as_str().unwrap().contains("404"),
        "{failed}"
    );
    assert!(
        failed[&wrong].as_str().unwrap().contains("not the name"),
        "{failed}"
    );
    assert!(
        result.get(&missing).is_none(),
        "an image that was not scanned looks like no clean one"
    );
    let empty = invoke(&klar, "scan_images", json!({ "images": [] }))
        .await
        .unwrap();
    assert_eq!(empty["report"]["images"], json!({}));
    for images in [json!([7]), json!("nginx"), json!(["report"]), json!(null)] {
        let result = invoke(&klar, "scan_images", json!({ "images": images })).await;
        let is_told = match &result {
            Ok(result) => result["report"]["failed"].as_object().unwrap().len() == 1,
            Err(error) => matches!(error, Error::Permanent(_)),
        };
        assert!(is_told, "{images}: {result:?}");
    }
}

#[tokio::test]
async fn credentials_go_to_their_registry_and_its_token_server_and_to_no_other() {
    let Some(behind) = Registry::start(false).await else {
        return;
    };
    behind.image("team/app", "1.0", false, &[BASE, APP]).await;
    let gate = Gate::start(&behind).await;
    let host = gate.registry.address.to_string();
    let access =
        json!({ "user": "conche", "password": { "secret": "registry" }, "plain_http": true });
    // The token server and the store are named by the registry: the egress policy opens them.
    let named =
        |address: std::net::SocketAddr| (address.to_string(), json!({ "plain_http": true }));
    let mut registries: serde_json::Map<String, Value> =
        [named(gate.tokens.address), named(gate.store.address)]
            .into_iter()
            .collect();
    let image = json!({ "image": format!("{host}/team/app:1.0") });
    for kind in [Kind::V1, Kind::V3, Kind::V4] {
        gate.seen.lock().unwrap().clear();
        registries.insert(host.clone(), access.clone());
        let site = Site::new(kind).await;
        let klar = site.module(json!({ "registries": registries }));
        let result = invoke(&klar, "scan_image", image.clone()).await.unwrap();
        assert_eq!(result["vulns"].as_array().unwrap().len(), 2, "{kind:?}");
        let seen = gate.seen.lock().unwrap().clone();
        let store: Vec<_> = seen
            .iter()
            .filter(|line| line.starts_with("store"))
            .collect();
        assert_eq!(
            store.len(),
            2,
            "Clair fetched the layers, and nobody else: {seen:?}"
        );
        for line in store {
            assert!(line.ends_with("?signature=s -"), "{line}");
        }
        for line in seen.iter().filter(|line| line.contains("Basic")) {
            assert!(
                line.starts_with(
                    "tokens GET /token?service=gate&scope=repository%3Ateam%2Fapp%3Apull Basic"
                ),
                "{line}"
            );
        }
        assert!(!result.to_string().contains("hunter22") && !result.to_string().contains("t0k3n"));
    }
    // The store may not be called: then Clair is not sent there either.
    registries.remove(&gate.store.address.to_string());
    let site = Site::new(Kind::V4).await;
    let klar = site.module(json!({ "registries": registries }));
    let refused = invoke(&klar, "scan_image", image.clone())
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, Error::Permanent(why) if why.contains("egress")),
        "{refused}"
    );
    // Without credentials for this registry none are shown, to nobody.
    gate.seen.lock().unwrap().clear();
    registries.insert(host.clone(), json!({ "plain_http": true }));
    let elsewhere = json!({ "user": "conche", "password": { "secret": "registry" } });
    registries.insert("other.example.com".to_owned(), elsewhere);
    let klar = site.module(json!({ "registries": registries }));
    let refused = invoke(&klar, "scan_image", image).await.unwrap_err();
    assert!(refused.to_string().contains("401"), "{refused}");
    assert!(
        gate.seen
            .lock()
            .unwrap()
            .iter()
            .all(|line| !line.contains("Basic"))
    );
}

#[tokio::test]
async fn a_registry_with_passwords_is_read_with_csfs_settings() {
    let Some(registry) = Registry::start(true).await else {
        return;
    };
    registry.image("team/app", "1.0", true, &[BASE, APP]).await;
    let input = json!({ "image": format!("{}/team/app:1.0", registry.host()) });
    let site = Site::new(Kind::V3).await;
    let host = registry.host();
    let config = |docker: Value| json!({ "clairOutput": "Medium", "threshold": 1, "clairTimeout": 60, "dockerConfig": docker });
    for docker in [
        json!({ "hosts": [host], "user": "conche", "password": "hunter22", "token": "", "insecureTLS": false, "insecureRegistry": true, "timeout": 60 }),
        json!({ "hosts": [host], "token": "Y29uY2hlOmh1bnRlcjIy", "insecureRegistry": true }),
    ] {
        let klar = site.module(config(docker));
        let result = invoke(&klar, "scan_image", input.clone()).await.unwrap();
        assert_eq!(
            named(&result["vulns"]),
            ["CVE-2099-0001"],
            "less than Medium is left out"
        );
        assert_eq!(result["report"]["over_threshold"], false);
    }
    let wrong =
        json!({ "hosts": [host], "user": "conche", "password": "wrong", "insecureRegistry": true });
    let refused = invoke(&site.module(config(wrong)), "scan_image", input)
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, Error::Permanent(why) if why.contains("401")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_peer_that_is_away_or_talks_nonsense_is_a_failure_to_repeat_and_never_a_clean_image() {
    let Some(mut registry) = Registry::start(false).await else {
        return;
    };
    registry.image("team/app", "1.0", false, &[BASE, APP]).await;
    let input = json!({ "image": format!("{}/team/app:1.0", registry.host()) });
    for kind in [Kind::V1, Kind::V3, Kind::V4] {
        let mut site = Site::new(kind).await;
        let mut config = plain(&registry.host());
        config["clair_api"] = json!(format!("{kind:?}").to_lowercase());
        let klar = site.module(config.clone());
        config["clairTimeout"] = json!("500ms");
        let hasty = site.module(config);
        for fault in [
            Fault::Status(500, "oops"),
            Fault::Status(503, r#"{"error":"starting","code":14}"#),
            Fault::Status(404, "404 page not found\n"),
            Fault::Status(200, "<html>login</html>"),
            Fault::Status(200, "{}"),
            Fault::Status(200, "[]"),
            Fault::Half,
            Fault::Silent,
        ] {
            site.clair.fail([fault]);
            let module = if matches!(fault, Fault::Silent) {
                &hasty
            } else {
                &klar
            };
            let failed = soon("an answer", invoke(module, "scan_image", input.clone())).await;
            assert!(
                matches!(failed, Err(Error::Retry { .. })),
                "{kind:?} {fault:?}: {failed:?}"
            );
        }
        site.clair.down().await;
        let away = invoke(&klar, "scan_image", input.clone()).await;
        assert!(
            matches!(away, Err(Error::Retry { .. })),
            "{kind:?}: {away:?}"
        );
        site.clair.up(None).await;
        let back = invoke(&klar, "scan_image", input.clone()).await.unwrap();
        assert_eq!(back["vulns"].as_array().unwrap().len(), 2);
    }
    let site = Site::new(Kind::V4).await;
    let klar = site.module(plain(&registry.host()));
    registry.down().await;
    let both = json!({ "images": [input["image"], "NoImage"] });
    for (action, input) in [("scan_image", &input), ("scan_images", &both)] {
        let away = invoke(&klar, action, input.clone()).await;
        assert!(matches!(away, Err(Error::Retry { .. })), "{away:?}");
    }
    registry.up().await;
    invoke(&klar, "scan_image", input).await.unwrap();
}

#[tokio::test]
async fn csf_bug_6_a_clair_that_was_never_there_is_a_failure_to_repeat() {
    let Some(registry) = Registry::start(false).await else {
        return;
    };
    registry.image("team/app", "1.0", false, &[BASE]).await;
    let mut site = Site::new(Kind::V3).await;
    site.clair.down().await;
    let klar = site.module(plain(&registry.host()));
    let input = json!({ "image": format!("{}/team/app:1.0", registry.host()) });
    let failed = invoke(&klar, "scan_image", input).await;
    assert!(matches!(failed, Err(Error::Retry { .. })), "{failed:?}");
}

#[tokio::test]
async fn a_clair_with_a_certificate_that_is_not_trusted_scans_nothing() {
    let Some(registry) = Registry::start(false).await else {
        return;
    };
    registry.image("team/app", "1.0", false, &[BASE]).await;
    let mut site = Site::new(Kind::V4).await;
    site.clair.down().await;
    let tls = certificate(site.folder.path());
    let ca = tls.certificate.clone();
    site.clair.up(Some(tls)).await;
    let input = json!({ "image": format!("{}/team/app:1.0", registry.host()) });
    let mut config = plain(&registry.host());
    let failed = invoke(&site.module(config.clone()), "scan_image", input.clone()).await;
    assert!(matches!(failed, Err(Error::Retry { .. })), "{failed:?}");
    assert!(site.clair.requests().is_empty());
    config["tls"] = json!({ "ca_file": ca });
    invoke(&site.module(config), "scan_image", input)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_registry_that_answers_another_manifest_than_the_one_pinned_is_not_believed() {
    let other = r#"{"schemaVersion":2,"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:2134a6a84f0d9510f96890b5df64c32e6b7212a3b4f1aeca7c8237da7ad54c33"}]}"#;
    let lying = Served::start(
        axum::Router::new().fallback(move || async move { other }),
        0,
        None,
    )
    .await;
    let site = Site::new(Kind::V4).await;
    let klar = site.module(plain(&lying.address.to_string()));
    let image = format!("{}/a@sha256:{}", lying.address, "0".repeat(64));
    let refused = invoke(&klar, "scan_image", json!({ "image": image }))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, Error::Permanent(why) if why.contains("another manifest")),
        "{refused}"
    );
    assert!(site.clair.requests().is_empty());
    // An image of a registry that nobody named in the configuration cannot be one of this machine.
    let klar = site.module(json!({}));
    let refused = invoke(&klar, "scan_image", json!({ "image": image }))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, Error::Permanent(why) if why.contains("egress")),
        "{refused}"
    );
}

/// A registry whose image names, as the place of its layer, another path there.
fn misleading(request: &Request) -> Response {
    let headers = request.headers();
    if headers.get(header::AUTHORIZATION).is_none() {
        let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"r\"")];
        return (StatusCode::UNAUTHORIZED, ask).into_response();
    }
    if request.uri().path().contains("/blobs/") {
        return APP.into_response();
    }
    let host = headers[header::HOST].to_str().unwrap();
    let digest = sha256(APP.as_bytes());
    let layer = json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest,
        "urls": [format!("http://{host}/v2/other/secret/blobs/{digest}")] });
    Json(json!({ "schemaVersion": 2, "layers": [layer] })).into_response()
}

#[tokio::test]
async fn an_image_sends_clair_to_no_other_path_of_its_registry() {
    let seen = Seen::default();
    let log = seen.clone();
    let router = Router::new().fallback(move |request: Request| {
        note(&log, "registry", &request);
        async move { misleading(&request) }
    });
    let registry = Served::start(router, 0, None).await;
    let host = registry.address.to_string();
    let site = Site::new(Kind::V4).await;
    let access = json!({ "plain_http": true, "user": "u", "password": { "secret": "registry" } });
    let klar = site.module(json!({ "registries": { &host: access } }));
    let input = json!({ "image": format!("{host}/team/app:1") });
    let result = invoke(&klar, "scan_image", input).await.unwrap();
    assert_eq!(named(&result["vulns"]), ["CVE-2099-0001"]);
    let seen = seen.lock().unwrap().join("\n");
    assert!(!seen.contains("/other/"), "{seen}");
}

#[tokio::test]
async fn of_more_vulnerabilities_than_a_result_holds_the_least_severe_are_left_out() {
    let Some(registry) = Registry::start(false).await else {
        return;
    };
    let many = (0..6000).fold(String::new(), |text, at| {
        text + &format!("package zlib {at}\n")
    });
    let mut images = Vec::new();
    for name in ["a", "b"] {
        let layers = [&*format!("{many}package curl {name}\n"), APP];
        registry.image("team/app", name, false, &layers).await;
        images.push(format!("{}/team/app:{name}", registry.host()));
    }
    let site = Site::new(Kind::V4).await;
    let count = |vulns: &Value| vulns.as_array().unwrap().len();
    let omitted = |report: &Value| usize::try_from(report["omitted"].as_u64().unwrap()).unwrap();
    for (most, given) in [(None, Some(1000)), (Some(100_000), None)] {
        let mut more = plain(&registry.host());
        if let Some(most) = most {
            more["max_findings"] = json!(most);
        }
        let klar = site.module(more);
        let one = invoke(&klar, "scan_image", json!({ "image": images[0] }));
        let one = one.await.unwrap();
        let found = count(&one["vulns"]);
        assert!(given.is_none_or(|given| given == found), "{found}");
        assert_eq!(one["vulns"][0]["Severity"], "High");
        assert_eq!(found + omitted(&one["report"]), 6001);
        let low = one["report"]["summary"]["Low"].as_u64();
        assert_eq!((low, one.to_string().len() <= 1 << 20), (Some(6000), true));
        let all = invoke(&klar, "scan_images", json!({ "images": images }));
        let all = all.await.unwrap();
        assert!(all.to_string().len() <= 1 << 20);
        for image in &images {
            assert_eq!(all[image][0]["Severity"], "High");
            let left = omitted(&all["report"]["images"][image]);
            assert_eq!(count(&all[image]) + left, 6001);
        }
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    for (more, expected) in [
        (json!({ "clairAddress": "" }), "clairAddress"),
        (json!({ "clairOutput": "Terrible" }), "Terrible"),
        (json!({ "platform": "linux" }), "linux/amd64"),
        (
            json!({ "dockerConfig": { "insecureTLS": true } }),
            "registry_tls",
        ),
        (
            json!({ "dockerConfig": { "user": "u", "password": "hunter22" } }),
            "`hosts`",
        ),
        (
            json!({ "registries": { "h": { "user": "u" } } }),
            "need each other",
        ),
        (json!({ "registries": { "a/b": {} } }), "a/b"),
        (json!({ "psk": { "key": { "secret": "nope" } } }), "nope"),
        (json!({ "images": { "max": 0 } }), "images.max"),
    ] {
        let mut config = json!({ "clairAddress": "clair" });
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let refused = action("klar", config, &cx)
            .err()
            .unwrap_or_else(|| panic!("{more}"));
        assert!(refused.message.contains(expected), "{refused}");
        assert!(!refused.message.contains("hunter22"), "{refused}");
    }
}
