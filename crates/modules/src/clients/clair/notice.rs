//! A page of a notification, whichever generation of Clair wrote it.
//!
//! Pure. The three kinds of page become the same parts, in CSF's shape (that of API v3), and
//! nothing in them is trusted to be there: what a page must have and lacks makes the whole
//! page nonsense, to be fetched again.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Api, Error, list, text};

/// What is affected by a vulnerability, by the name that Clair has for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Affected {
    /// Clair's number for it; the place in the notification where it has none.
    pub(crate) index: u64,
    /// A layer (v1), an ancestry (v3) or a manifest's digest (v4).
    pub(crate) name: String,
}

/// Which side of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// As it is now.
    New,
    /// As it was.
    Old,
}

/// A vulnerability of one side, and some of what it affects.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// What belongs together: one key for all of v1 and v3, one for each vulnerability of v4.
    pub(crate) key: String,
    pub(crate) side: Side,
    /// In API v3's words.
    pub(crate) vulnerability: Value,
    /// What v3's words have no place for.
    pub(crate) more: Map<String, Value>,
    pub(crate) affected: Vec<Affected>,
}

/// How to ask for the next page.
pub(crate) type Query = Vec<(&'static str, String)>;

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    pub(crate) api: Api,
    pub(crate) parts: Vec<Part>,
    /// The token of each side's next page; v1 and v4 have one for both, under `New`.
    pub(crate) next: Vec<(Side, String)>,
}

impl Page {
    /// Reads a page; `expected` is the generation, where it is known.
    pub(crate) fn read(body: &[u8], expected: Option<Api>) -> Result<Self, Error> {
        let body: Value =
            serde_json::from_slice(body).map_err(|error| Error::Nonsense(error.to_string()))?;
        let found = if body["Notification"].is_object() {
            Api::V1
        } else if body["notification"].is_object() {
            Api::V3
        } else if body["page"].is_object() {
            Api::V4
        } else {
            return Err(Error::Nonsense("there is no notification in it".to_owned()));
        };
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(Error::Nonsense(format!(
                "it is a page of API {found:?}, and {expected:?} is expected"
            )));
        }
        match found {
            Api::V1 => v1(&body["Notification"]),
            Api::V3 => v3(&body["notification"]),
            Api::V4 => v4(&body),
        }
    }

    /// The query for the page behind this one; `None` at the end.
    pub(crate) fn next_query(&self, size: u32) -> Option<Query> {
        if self.next.is_empty() {
            return None;
        }
        let mut query = vec![size_of(self.api, size)];
        for (side, token) in &self.next {
            let name = match (self.api, side) {
                (Api::V1, _) => "page",
                (Api::V3, Side::New) => "new_vulnerability_page",
                (Api::V3, Side::Old) => "old_vulnerability_page",
                (Api::V4, _) => "next",
            };
            query.push((name, token.clone()));
        }
        Some(query)
    }
}

/// How a page's size is asked for.
pub(crate) fn size_of(api: Api, size: u32) -> (&'static str, String) {
    let name = match api {
        Api::V1 | Api::V3 => "limit",
        Api::V4 => "page_size",
    };
    (name, size.to_string())
}

fn missing(what: &str) -> Error {
    Error::Nonsense(format!("{what} is missing"))
}

fn object<'a>(value: &'a Value, key: &str) -> Result<Option<&'a Value>, Error> {
    match &value[key] {
        Value::Null => Ok(None),
        found @ Value::Object(_) => Ok(Some(found)),
        _ => Err(Error::Nonsense(format!("`{key}` is not an object"))),
    }
}

fn v1(notification: &Value) -> Result<Page, Error> {
    let mut parts = Vec::new();
    for (side, key) in [(Side::New, "New"), (Side::Old, "Old")] {
        let Some(found) = object(notification, key)? else {
            continue;
        };
        let from = object(found, "Vulnerability")?.ok_or_else(|| missing("Vulnerability"))?;
        parts.push(Part {
            key: String::new(),
            side,
            vulnerability: in_words_of_v3(from)?,
            more: Map::new(),
            affected: layers(found),
        });
    }
    let next = text(notification, "NextPage").to_owned();
    let next = (!next.is_empty()).then_some((Side::New, next));
    Ok(Page {
        api: Api::V1,
        parts,
        next: next.into_iter().collect(),
    })
}

/// The ordered list, or the older one, which has names only.
fn layers(side: &Value) -> Vec<Affected> {
    let ordered = list(side, "OrderedLayersIntroducingVulnerability");
    let ordered: Vec<_> = ordered
        .filter_map(|layer| {
            Some(Affected {
                index: layer["Index"].as_u64()?,
                name: layer["LayerName"].as_str()?.to_owned(),
            })
        })
        .collect();
    if !ordered.is_empty() {
        return ordered;
    }
    let names = list(side, "LayersIntroducingVulnerability").filter_map(Value::as_str);
    let numbered = (0..).zip(names).map(|(index, name)| Affected {
        index,
        name: name.to_owned(),
    });
    numbered.collect()
}

fn in_words_of_v3(from: &Value) -> Result<Value, Error> {
    if text(from, "Name").is_empty() {
        return Err(missing("the vulnerability's name"));
    }
    let fixes: Vec<Value> = list(from, "FixedIn")
        .map(|feature| {
            json!({
                "name": text(feature, "Name"), "namespaceName": text(feature, "NamespaceName"),
                "version": text(feature, "Version"), "versionFormat": text(feature, "VersionFormat"),
                "vulnerabilities": [],
            })
        })
        .collect();
    let metadata = match &from["Metadata"] {
        Value::Null => String::new(),
        metadata => metadata.to_string(),
    };
    Ok(json!({
        "name": text(from, "Name"), "namespaceName": text(from, "NamespaceName"),
        "description": text(from, "Description"), "link": text(from, "Link"),
        "severity": text(from, "Severity"), "metadata": metadata,
        "fixedBy": text(from, "FixedBy"), "affectedVersions": fixes,
    }))
}

fn v3(notification: &Value) -> Result<Page, Error> {
    let (mut parts, mut next) = (Vec::new(), Vec::new());
    for (side, key) in [(Side::New, "new"), (Side::Old, "old")] {
        let Some(found) = object(notification, key)? else {
            continue;
        };
        let vulnerability = object(found, "vulnerability")?;
        let vulnerability = vulnerability.ok_or_else(|| missing("vulnerability"))?;
        let affected = list(found, "ancestries").map(|ancestry| {
            Ok(Affected {
                index: number(&ancestry["index"]),
                name: match text(ancestry, "name") {
                    "" => return Err(missing("an ancestry's name")),
                    name => name.to_owned(),
                },
            })
        });
        parts.push(Part {
            key: String::new(),
            side,
            vulnerability: vulnerability.clone(),
            more: Map::new(),
            affected: affected.collect::<Result<_, Error>>()?,
        });
        let token = text(found, "nextPage");
        if !token.is_empty() {
            next.push((side, token.to_owned()));
        }
    }
    Ok(Page {
        api: Api::V3,
        parts,
        next,
    })
}

/// The gateway writes small numbers as such and 64-bit ones as text.
fn number(value: &Value) -> u64 {
    let from_text = || value.as_str()?.parse().ok();
    value.as_u64().or_else(from_text).unwrap_or_default()
}

fn v4(body: &Value) -> Result<Page, Error> {
    let Value::Array(notifications) = &body["notifications"] else {
        return Err(missing("notifications"));
    };
    let parts = notifications
        .iter()
        .map(changed)
        .collect::<Result<_, _>>()?;
    let next = match &body["page"]["next"] {
        Value::String(next) if !next.is_empty() => vec![(Side::New, next.clone())],
        _ => Vec::new(),
    };
    Ok(Page {
        api: Api::V4,
        parts,
        next,
    })
}

/// One notification of v4: one vulnerability of one manifest.
pub(crate) fn changed(notification: &Value) -> Result<Part, Error> {
    let side = match text(notification, "reason") {
        "added" => Side::New,
        "removed" => Side::Old,
        other => return Err(Error::Nonsense(format!("the reason `{other}`"))),
    };
    let manifest = text(notification, "manifest");
    let from = object(notification, "vulnerability")?.ok_or_else(|| missing("vulnerability"))?;
    let name = text(from, "name");
    if manifest.is_empty() || name.is_empty() {
        return Err(missing("the manifest or the vulnerability's name"));
    }
    let distribution = &from["distribution"];
    let repository = [&from["repo"], &from["repository"]];
    let namespace = match (text(distribution, "did"), text(distribution, "version_id")) {
        ("", _) => repository
            .iter()
            .find_map(|found| found["name"].as_str())
            .unwrap_or_default()
            .to_owned(),
        (did, "") => did.to_owned(),
        (did, version) => format!("{did}:{version}"),
    };
    let links: Vec<&str> = text(from, "links").split_whitespace().collect();
    let vulnerability = json!({
        "name": name, "namespaceName": namespace,
        "description": text(from, "description"),
        "link": links.first().unwrap_or(&""),
        "severity": severity(from), "metadata": "",
        "fixedBy": text(from, "fixed_in_version"), "affectedVersions": [],
    });
    let package = &from["package"];
    let mut more = Map::new();
    more.insert("links".to_owned(), json!(links));
    if package.is_object() {
        let package = json!({ "name": text(package, "name"), "version": text(package, "version") });
        more.insert("package".to_owned(), package);
    }
    let package = text(package, "name");
    let fixed = text(from, "fixed_in_version");
    Ok(Part {
        key: format!("{side:?}\n{name}\n{namespace}\n{package}\n{fixed}"),
        side,
        vulnerability,
        more,
        affected: vec![Affected {
            index: 0,
            name: manifest.to_owned(),
        }],
    })
}

fn severity(vulnerability: &Value) -> &str {
    match text(vulnerability, "normalized_severity") {
        "" => text(vulnerability, "severity"),
        normalized => normalized,
    }
}

#[cfg(test)]
mod tests;
