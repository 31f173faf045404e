//! Clair 4: its indexer is given the manifest, its matcher asked for the report.

use serde_json::{Value, json};

use super::scan::{Failed, Scan, places};
use super::vulnerability::{Severity, Vulnerability};
use super::{Error, expect_ok, json as body_of, text};
use crate::clients::registry::{Image, Session};

pub(super) async fn scan(
    scan: &Scan<'_>,
    image: &Image,
    session: &mut Session<'_>,
) -> Result<(Vec<Vulnerability>, bool), Failed> {
    let was_known = is_indexed(scan, &image.digest).await?;
    if !was_known {
        let places = places(image, session).await?;
        let layers: Vec<Value> = image
            .layers
            .iter()
            .zip(places)
            .map(|(layer, place)| {
                let mut headers = serde_json::Map::new();
                if let Some(authorization) = place.authorization {
                    headers.insert("Authorization".to_owned(), json!([authorization]));
                }
                json!({ "hash": layer.digest, "uri": place.url, "headers": headers })
            })
            .collect();
        index(scan, &json!({ "hash": image.digest, "layers": layers })).await?;
    }
    Ok((report(scan, &image.digest).await?, was_known))
}

/// Whether the indexer has the image in its present state.
async fn is_indexed(scan: &Scan<'_>, digest: &str) -> Result<bool, Error> {
    let answer = scan
        .get(&["indexer", "api", "v1", "index_state"], &[])
        .await?;
    let body = body_of(&expect_ok(answer, || "index state".to_owned())?)?;
    let state = text(&body, "state");
    if state.is_empty() {
        return Err(Error::Nonsense("there is no `state` in it".to_owned()));
    }
    let path = ["indexer", "api", "v1", "index_report", digest];
    // 200 is a report of another state: it is made anew.
    Ok(scan.unless(&path, state).await?.status.as_u16() == 304)
}

async fn index(scan: &Scan<'_>, manifest: &Value) -> Result<(), Error> {
    let answer = scan
        .post(&["indexer", "api", "v1", "index_report"], manifest)
        .await?;
    let body = body_of(&expect_ok(answer, || "way to index".to_owned())?)?;
    match (body["success"].as_bool(), text(&body, "err")) {
        (Some(true), "") => Ok(()),
        (Some(_), reason) => Err(Error::NotReady(format!(
            "Clair could not index the image: {}",
            reason.chars().take(super::QUOTE_MAX).collect::<String>()
        ))),
        (None, _) => Err(Error::Nonsense(
            "it does not say whether it succeeded".to_owned(),
        )),
    }
}

async fn report(scan: &Scan<'_>, digest: &str) -> Result<Vec<Vulnerability>, Error> {
    let answer = scan
        .get(
            &["matcher", "api", "v1", "vulnerability_report", digest],
            &[],
        )
        .await?;
    if answer.status.as_u16() == 202 {
        let reason = "Clair's matcher has not loaded its vulnerabilities yet";
        return Err(Error::NotReady(reason.to_owned()));
    }
    let body = body_of(&expect_ok(answer, || format!("report on {digest}"))?)?;
    let (Some(by_package), Some(all)) = (
        body["package_vulnerabilities"].as_object(),
        body["vulnerabilities"].as_object(),
    ) else {
        return Err(Error::Nonsense(
            "there are no `package_vulnerabilities` in it".to_owned(),
        ));
    };
    let mut found = Vec::new();
    for (package, ids) in by_package {
        for id in ids
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            let vulnerability = all.get(id);
            let vulnerability = vulnerability
                .ok_or_else(|| Error::Nonsense(format!("vulnerability {id} is missing")))?;
            found.push(read(&body["packages"][package], vulnerability));
        }
    }
    Ok(found)
}

fn read(package: &Value, found: &Value) -> Vulnerability {
    let own = |key| text(found, key).to_owned();
    let distribution = &found["distribution"];
    let namespace = match (text(distribution, "did"), text(distribution, "version_id")) {
        ("", _) => text(&found["repository"], "name").to_owned(),
        (did, "") => did.to_owned(),
        (did, version) => format!("{did}:{version}"),
    };
    let link = text(found, "links").split_whitespace().next();
    Vulnerability {
        name: own("name"),
        namespace_name: namespace,
        description: own("description"),
        link: link.unwrap_or_default().to_owned(),
        severity: Severity::of(text(found, "normalized_severity")),
        metadata: json!({}),
        fixed_by: own("fixed_in_version"),
        fixed_in: Vec::new(),
        feature_name: text(package, "name").to_owned(),
        feature_version: text(package, "version").to_owned(),
    }
}
