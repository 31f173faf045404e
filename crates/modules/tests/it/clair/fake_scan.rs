//! The half of the fake that scans: it fetches the layers that it is told of, with the headers
//! that it is given, checks that they are those, and finds packages in them: a layer of these
//! tests is a text with lines such as `package openssl 3.0.1-1`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::response::{IntoResponse, Response};
use conche_runtime::egress::{Egress, EgressConfig, Request};
use http::{HeaderName, Method, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::fake::{Asked, Kind, State, error};

/// What was indexed: packages by layer's or image's name.
#[derive(Default)]
pub(crate) struct Indexed(BTreeMap<String, Vec<(String, String)>>);

const INDEX_STATE: &str = "state-1";

pub(super) async fn answer(kind: Kind, state: &Arc<Mutex<State>>, asked: &Asked<'_>) -> Response {
    let post = *asked.method == Method::POST;
    match (kind, &asked.path[..]) {
        (Kind::V1, ["v1", "namespaces"]) => axum::Json(json!({ "Namespaces": [] })).into_response(),
        (Kind::V1, ["v1", "layers"]) if post => v1_post(state, &asked.body["Layer"]).await,
        (Kind::V1, ["v1", "layers", name]) => v1_get(state, name, asked),
        (Kind::V3, ["ancestry"]) if post => v3_post(state, &asked.body).await,
        (Kind::V3, ["ancestry", name]) => v3_get(state, name),
        (Kind::V4, ["indexer", "api", "v1", "index_state"]) => {
            axum::Json(json!({ "state": INDEX_STATE })).into_response()
        }
        (Kind::V4, ["indexer", "api", "v1", "index_report"]) if post => {
            v4_post(state, &asked.body).await
        }
        (Kind::V4, ["indexer", "api", "v1", "index_report", digest]) => {
            let known = state.lock().unwrap().indexed.0.contains_key(*digest);
            let same = asked
                .headers
                .get(header::IF_NONE_MATCH)
                .is_some_and(|tag| tag == "\"state-1\"");
            match (known, same) {
                (true, true) => StatusCode::NOT_MODIFIED.into_response(),
                (true, false) => {
                    axum::Json(json!({ "state": "IndexFinished", "success": true })).into_response()
                }
                (false, _) => error(Kind::V4, 404, "not indexed"),
            }
        }
        (Kind::V4, ["matcher", "api", "v1", "vulnerability_report", digest]) => {
            v4_get(state, digest)
        }
        _ => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
    }
}

/// Fetches a layer as Clair does; the packages in it, or why not.
async fn fetch(
    url: &Value,
    headers: &[(String, String)],
    digest: &str,
) -> Result<Vec<(String, String)>, String> {
    let egress = EgressConfig {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        ..EgressConfig::default()
    };
    let mut request = Request::get(url.as_str().unwrap());
    for (name, value) in headers {
        request
            .headers
            .insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let response = Egress::new(&egress)
        .unwrap()
        .request(request)
        .await
        .map_err(|error| error.to_string())?;
    if response.status != StatusCode::OK {
        return Err(format!("the layer's server answered {}", response.status));
    }
    if super::sha256(&response.body) != digest {
        return Err("another layer".to_owned());
    }
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    let packages = text
        .lines()
        .filter_map(|line| line.strip_prefix("package ")?.split_once(' '));
    Ok(packages
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect())
}

fn strings(headers: &Value) -> Vec<(String, String)> {
    let headers = headers.as_object().unwrap().iter();
    headers
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

async fn v1_post(state: &Arc<Mutex<State>>, layer: &Value) -> Response {
    let (name, parent) = (
        layer["Name"].as_str().unwrap(),
        layer["ParentName"].as_str().unwrap(),
    );
    assert!(name.len() <= 128, "the database takes 128 characters");
    let before = match parent {
        "" => Vec::new(),
        parent => match state.lock().unwrap().indexed.0.get(parent) {
            Some(packages) => packages.clone(),
            None => return error(Kind::V1, 422, "parent layer is unknown"),
        },
    };
    let digest = format!("sha256:{}", &name[64..]);
    match fetch(&layer["Path"], &strings(&layer["Headers"]), &digest).await {
        Ok(found) => {
            let all = [before, found].concat();
            state.lock().unwrap().indexed.0.insert(name.to_owned(), all);
            (
                StatusCode::CREATED,
                axum::Json(json!({ "Layer": { "Name": name, "IndexedByVersion": 3 } })),
            )
                .into_response()
        }
        Err(reason) => error(Kind::V1, 400, &reason),
    }
}

/// What is known to be wrong with a package: name, severity, the version that mends it.
fn known(package: &str) -> Option<(&'static str, &'static str, &'static str)> {
    match package {
        "openssl" => Some(("CVE-2099-0001", "High", "3.0.9-1")),
        "zlib" => Some(("CVE-2099-0002", "Low", "")),
        _ => None,
    }
}

fn v1_get(state: &Arc<Mutex<State>>, name: &str, asked: &Asked<'_>) -> Response {
    let state = state.lock().unwrap();
    let Some(packages) = state.indexed.0.get(name) else {
        return error(Kind::V1, 404, "the resource cannot be found");
    };
    assert!(asked.query.contains_key("features") && asked.query.contains_key("vulnerabilities"));
    let features: Vec<Value> = packages.iter().map(|(package, version)| {
        let mut feature = json!({ "Name": package, "NamespaceName": "debian:12", "VersionFormat": "dpkg", "Version": version, "AddedBy": name });
        if let Some((name, severity, fixed)) = known(package) {
            let mut found = json!({ "Name": name, "NamespaceName": "debian:12", "Description": "test", "Link": "https://x", "Severity": severity, "Metadata": { "NVD": {} } });
            if !fixed.is_empty() {
                found["FixedBy"] = fixed.into();
            }
            feature["Vulnerabilities"] = json!([found]);
        }
        feature
    }).collect();
    axum::Json(json!({ "Layer": { "Name": name, "NamespaceName": "debian:12", "IndexedByVersion": 3, "Features": features } })).into_response()
}

async fn v3_post(state: &Arc<Mutex<State>>, body: &Value) -> Response {
    let mut all = Vec::new();
    for layer in body["layers"].as_array().unwrap() {
        match fetch(
            &layer["path"],
            &strings(&layer["headers"]),
            layer["hash"].as_str().unwrap(),
        )
        .await
        {
            Ok(found) => all.extend(found),
            Err(reason) => return error(Kind::V3, 500, &reason),
        }
    }
    let name = body["ancestryName"].as_str().unwrap().to_owned();
    state.lock().unwrap().indexed.0.insert(name, all);
    axum::Json(json!({ "status": { "listers": ["dpkg"], "detectors": ["os-release"], "lastUpdateTime": null } })).into_response()
}

fn v3_get(state: &Arc<Mutex<State>>, name: &str) -> Response {
    // The gateway takes what stands behind a colon for a verb of its own.
    if name.contains(':') {
        return (StatusCode::NOT_FOUND, "Not Found\n").into_response();
    }
    let state = state.lock().unwrap();
    let Some(packages) = state.indexed.0.get(name) else {
        return error(Kind::V3, 404, "requested ancestry cannot be found");
    };
    let features: Vec<Value> = packages.iter().map(|(package, version)| {
        let found: Vec<Value> = known(package).into_iter().map(|(name, severity, fixed)| {
            json!({ "name": name, "namespaceName": "debian:12", "description": "test", "link": "https://x", "severity": severity,
                "metadata": "{\"NVD\":{}}", "fixedBy": fixed, "affectedVersions": [] })
        }).collect();
        json!({ "name": package, "namespaceName": "debian:12", "version": version, "versionFormat": "dpkg", "vulnerabilities": found })
    }).collect();
    axum::Json(json!({
        "ancestry": { "name": name, "features": features, "layers": [{ "hash": "h1" }], "scannedListers": ["dpkg"], "scannedDetectors": ["os-release"] },
        "status": { "listers": ["dpkg"], "detectors": ["os-release"], "lastUpdateTime": null },
    })).into_response()
}

async fn v4_post(state: &Arc<Mutex<State>>, body: &Value) -> Response {
    let mut all = Vec::new();
    for layer in body["layers"].as_array().unwrap() {
        let headers = layer["headers"].as_object().unwrap().iter();
        let headers: Vec<_> = headers
            .map(|(name, values)| (name.clone(), values[0].as_str().unwrap().to_owned()))
            .collect();
        match fetch(&layer["uri"], &headers, layer["hash"].as_str().unwrap()).await {
            Ok(found) => all.extend(found),
            Err(reason) => {
                let report = json!({ "manifest_hash": body["hash"], "state": "IndexError", "success": false, "err": reason });
                return (StatusCode::CREATED, axum::Json(report)).into_response();
            }
        }
    }
    let digest = body["hash"].as_str().unwrap().to_owned();
    state.lock().unwrap().indexed.0.insert(digest, all);
    let report = json!({ "manifest_hash": body["hash"], "state": "IndexFinished", "success": true, "err": "" });
    (StatusCode::CREATED, axum::Json(report)).into_response()
}

fn v4_get(state: &Arc<Mutex<State>>, digest: &str) -> Response {
    let state = state.lock().unwrap();
    let Some(packages) = state.indexed.0.get(digest) else {
        return error(Kind::V4, 404, "manifest is unknown");
    };
    let mut report = json!({ "manifest_hash": digest, "packages": {}, "vulnerabilities": {}, "package_vulnerabilities": {} });
    for (at, (package, version)) in packages.iter().enumerate() {
        let id = at.to_string();
        report["packages"][&id] = json!({ "id": id, "name": package, "version": version });
        if let Some((name, severity, fixed)) = known(package) {
            let of = format!("v{at}");
            report["vulnerabilities"][&of] = json!({ "id": of, "updater": "debian/updater", "name": name, "description": "test", "links": "https://x https://y",
                "severity": severity, "normalized_severity": severity, "distribution": { "did": "debian", "version_id": "12" }, "fixed_in_version": fixed });
            report["package_vulnerabilities"][&id] = json!([of]);
        }
    }
    axum::Json(report).into_response()
}

/// A digest as registries write it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let mut text = "sha256:".to_owned();
    for byte in digest {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}
