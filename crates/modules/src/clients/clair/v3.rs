//! The preview of Clair 3, by its JSON gateway: an ancestry is an image.
//!
//! Its later builds tell features by layer and detectors in one list; both shapes are read.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::scan::{Failed, Scan, ancestry_name, places};
use super::vulnerability::{Severity, Vulnerability};
use super::{Error, expect_ok, json as body_of, list, text};
use crate::clients::registry::{Image, Session};

pub(super) async fn scan(
    scan: &Scan<'_>,
    image: &Image,
    session: &mut Session<'_>,
) -> Result<(Vec<Vulnerability>, bool), Failed> {
    let name = ancestry_name(image);
    match ancestry(scan, &name).await {
        Ok(body) if is_current(&body) => return Ok((vulnerabilities(&body)?, true)),
        Ok(_) | Err(Error::Unknown(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let places = places(image, session).await?;
    let layers: Vec<Value> = image
        .layers
        .iter()
        .zip(places)
        .map(|(layer, place)| {
            let mut headers = serde_json::Map::new();
            if let Some(authorization) = place.authorization {
                headers.insert("Authorization".to_owned(), authorization.into());
            }
            json!({ "hash": layer.digest, "path": place.url, "headers": headers })
        })
        .collect();
    let body = json!({ "ancestryName": name, "format": "Docker", "layers": layers });
    let answer = scan.post(&["ancestry"], &body).await?;
    expect_ok(answer, || format!("way to take ancestry `{name}`"))?;
    Ok((vulnerabilities(&ancestry(scan, &name).await?)?, false))
}

async fn ancestry(scan: &Scan<'_>, name: &str) -> Result<Value, Error> {
    let query = [("with_features", "true"), ("with_vulnerabilities", "true")];
    let answer = scan.get(&["ancestry", name], &query).await?;
    let body = body_of(&expect_ok(answer, || format!("ancestry `{name}`"))?)?;
    if body["ancestry"].is_object() {
        Ok(body)
    } else {
        Err(Error::Nonsense("there is no `ancestry` in it".to_owned()))
    }
}

/// Whether it was looked at by all that Clair has by now.
fn is_current(body: &Value) -> bool {
    let set = |value: &Value, keys: [&str; 2]| -> BTreeSet<String> {
        let all = keys.into_iter().flat_map(|key| list(value, key));
        all.map(Value::to_string).collect()
    };
    let known = set(&body["status"], ["listers", "detectors"]);
    let mut done = set(&body["ancestry"], ["scannedListers", "scannedDetectors"]);
    done.extend(list(&body["ancestry"], "detectors").map(Value::to_string));
    !known.is_empty() && known.is_subset(&done)
}

fn vulnerabilities(body: &Value) -> Result<Vec<Vulnerability>, Error> {
    let ancestry = &body["ancestry"];
    let by_layer = list(ancestry, "layers").flat_map(|layer| list(layer, "detectedFeatures"));
    let features = list(ancestry, "features").chain(by_layer);
    let mut found = Vec::new();
    for feature in features {
        for vulnerability in list(feature, "vulnerabilities") {
            found.push(read(feature, vulnerability)?);
        }
    }
    Ok(found)
}

fn read(feature: &Value, found: &Value) -> Result<Vulnerability, Error> {
    if text(found, "name").is_empty() {
        return Err(Error::Nonsense("a vulnerability without a name".to_owned()));
    }
    let own = |key| text(found, key).to_owned();
    Ok(Vulnerability {
        name: own("name"),
        namespace_name: own("namespaceName"),
        description: own("description"),
        link: own("link"),
        severity: Severity::of(text(found, "severity")),
        metadata: serde_json::from_str(text(found, "metadata")).unwrap_or_else(|_| json!({})),
        fixed_by: own("fixedBy"),
        fixed_in: Vec::new(),
        feature_name: text(feature, "name").to_owned(),
        feature_version: text(feature, "version").to_owned(),
    })
}
