//! Clair 2's API v1: layers one by one, each on its parent.

use serde_json::{Value, json};

use super::scan::{Failed, Scan, layer_name};
use super::vulnerability::{Severity, Vulnerability};
use super::{Error, expect_ok, json as body_of, list, text};
use crate::clients::registry::{Image, Session};

pub(super) async fn scan(
    scan: &Scan<'_>,
    image: &Image,
    session: &mut Session<'_>,
) -> Result<(Vec<Vulnerability>, bool), Failed> {
    let top = layer_name(image, image.layers.len().saturating_sub(1));
    match report(scan, &top).await {
        Ok(found) => return Ok((found, true)),
        Err(Error::Unknown(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let mut parent = String::new();
    for (at, layer) in image.layers.iter().enumerate() {
        // Each just before it is needed: tokens and signed addresses are short-lived.
        let place = session.place(layer).await?;
        let name = layer_name(image, at);
        let mut headers = serde_json::Map::new();
        if let Some(authorization) = place.authorization {
            headers.insert("Authorization".to_owned(), authorization.into());
        }
        let body = json!({ "Layer": {
            "Name": name, "Path": place.url, "Headers": headers, "ParentName": parent, "Format": "Docker",
        } });
        let answer = scan.post(&["v1", "layers"], &body).await?;
        expect_ok(answer, || format!("layer {}", layer.digest))?;
        parent = name;
    }
    Ok((report(scan, &top).await?, false))
}

async fn report(scan: &Scan<'_>, layer: &str) -> Result<Vec<Vulnerability>, Error> {
    let query = [("features", ""), ("vulnerabilities", "")];
    let answer = scan.get(&["v1", "layers", layer], &query).await?;
    let body = body_of(&expect_ok(answer, || format!("layer `{layer}`"))?)?;
    let layer = &body["Layer"];
    if !layer.is_object() {
        return Err(Error::Nonsense("there is no `Layer` in it".to_owned()));
    }
    let of = |feature: &'_ Value| -> Vec<Vulnerability> {
        list(feature, "Vulnerabilities")
            .map(|found| vulnerability(feature, found))
            .collect()
    };
    Ok(list(layer, "Features").flat_map(of).collect())
}

fn vulnerability(feature: &Value, found: &Value) -> Vulnerability {
    let own = |key| text(found, key).to_owned();
    Vulnerability {
        name: own("Name"),
        namespace_name: own("NamespaceName"),
        description: own("Description"),
        link: own("Link"),
        severity: Severity::of(text(found, "Severity")),
        metadata: found["Metadata"].clone(),
        fixed_by: own("FixedBy"),
        fixed_in: Vec::new(),
        feature_name: text(feature, "Name").to_owned(),
        feature_version: text(feature, "Version").to_owned(),
    }
}
