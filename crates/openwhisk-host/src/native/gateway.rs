//! What `whisk.system/apimgmt` answers: descriptions of APIs, kept for whoever asks for them by
//! `wsk api` and the npm client.
//!
//! An API is one Swagger document for each base path; a route is added to it or taken out.

use conche_openwhisk::model::check_size;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::host::Inner;
use crate::refusal::Refusal;
use crate::store::{Commit, Entity, Key, Kind, Listing, Stored, User, Write};

/// Answers `createApi`, `getApi` or `deleteApi`.
pub(crate) async fn answer(
    host: &Inner,
    who: &User,
    name: &str,
    query: &str,
    body: &[u8],
) -> Result<Value, Refusal> {
    let mut asked: Map<String, Value> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(key, value)| (key.into_owned(), value.into_owned().into()))
        .collect();
    if !body.is_empty() {
        match serde_json::from_slice(body).map_err(Refusal::malformed)? {
            Value::Object(members) => asked.extend(members),
            _ => return Err(Refusal::malformed("Object expected")),
        }
    }
    match name {
        "createApi" => create(host, who, &asked).await,
        "getApi" => get(host, who, &asked).await,
        "deleteApi" => delete(host, who, &asked).await,
        _ => Err(Refusal::not_found()),
    }
}

fn text<'a>(asked: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = asked.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

/// The path of a namespace's APIs, which no namespace has.
fn path(who: &User) -> String {
    format!("$apis/{}", who.namespace)
}

/// One route of an API, as the clients describe it.
struct Route {
    base: String,
    path: String,
    method: String,
    title: String,
    operation: Value,
}

fn route(apidoc: &Map<String, Value>, response_type: &str) -> Result<Route, Refusal> {
    let need = |name: &str| {
        let missing = || Refusal::bad(format!("apidoc is missing the {name} field"));
        text(apidoc, name).map(str::to_owned).ok_or_else(missing)
    };
    let (base, path) = (need("gatewayBasePath")?, need("gatewayPath")?);
    let method = need("gatewayMethod")?.to_ascii_lowercase();
    let action = apidoc.get("action").and_then(Value::as_object);
    let action = action.ok_or_else(|| Refusal::bad("apidoc is missing the action field"))?;
    let field = |name: &str| text(action, name).unwrap_or_default();
    let (package, name) = match field("name").split_once('/') {
        Some((package, name)) => (package, name),
        None => ("default", field("name")),
    };
    let title = text(apidoc, "apiName").unwrap_or(&base).to_owned();
    let operation = json!({
        "operationId": text(apidoc, "operationId").map_or_else(
            || format!("{method}{path}").replace('/', "_"), str::to_owned),
        "parameters": apidoc.get("pathParameters").cloned().unwrap_or_else(|| json!([])),
        "responses": { "default": { "description": "Default response" } },
        "x-openwhisk": {
            "action": name,
            "namespace": field("namespace"),
            "package": package,
            "url": with_extension(field("backendUrl"), response_type),
        },
    });
    Ok(Route {
        base,
        path,
        method,
        title,
        operation,
    })
}

/// The address of a web action with the extension that the API asks for.
fn with_extension(url: &str, response_type: &str) -> String {
    let last = url.rsplit('/').next().unwrap_or_default();
    let known = [".http", ".json", ".html", ".svg", ".text"];
    match known.iter().find(|known| last.ends_with(**known)) {
        Some(known) => format!("{}.{response_type}", &url[..url.len() - known.len()]),
        None => format!("{url}.{response_type}"),
    }
}

async fn create(host: &Inner, who: &User, asked: &Map<String, Value>) -> Result<Value, Refusal> {
    let apidoc = match asked.get("apidoc") {
        Some(Value::Object(apidoc)) => apidoc.clone(),
        Some(Value::String(written)) => {
            serde_json::from_str(written).map_err(Refusal::malformed)?
        }
        _ => return Err(Refusal::bad("apidoc is required")),
    };
    let (base, found, document) = match whole(&apidoc)? {
        Some(document) => {
            let base = document.get("basePath").and_then(Value::as_str);
            let base = base
                .ok_or_else(|| Refusal::bad("The API has no basePath"))?
                .to_owned();
            let found = host.store.entity(&Key::new(path(who), &base)).await?;
            (base, found, document)
        }
        None => {
            let response_type = text(asked, "responsetype").unwrap_or("json");
            let route = route(&apidoc, response_type)?;
            let found = host.store.entity(&Key::new(path(who), &route.base)).await?;
            let there = found.as_ref().map(|found| found.entity.document.clone());
            let mut document = there.unwrap_or_else(|| swagger(&route));
            let operations = &mut document["paths"][&route.path];
            operations[&route.method] = route.operation;
            (route.base, found, document)
        }
    };
    let limit = host.settings.sizes.payload.bytes();
    check_size("apidoc", document.to_string().len() as u64, limit)?;
    store(host, who, &base, found, document.clone()).await?;
    Ok(shown(host, who, &base, &document))
}

/// The whole of an API where it is sent so: the clients send text, frameworks an object.
fn whole(apidoc: &Map<String, Value>) -> Result<Option<Value>, Refusal> {
    match apidoc.get("swagger") {
        Some(document @ Value::Object(_)) => Ok(Some(document.clone())),
        Some(Value::String(written)) if !written.is_empty() => {
            let document = serde_json::from_str(written);
            document.map(Some).map_err(Refusal::malformed)
        }
        _ => Ok(None),
    }
}

fn swagger(route: &Route) -> Value {
    json!({
        "swagger": "2.0",
        "basePath": route.base,
        "info": { "title": route.title, "version": "1.0.0" },
        "paths": {},
        "x-ibm-configuration": { "cors": { "enabled": true } },
    })
}

async fn store(
    host: &Inner,
    who: &User,
    base: &str,
    found: Option<Stored>,
    document: Value,
) -> Result<(), Refusal> {
    let entity = Entity {
        key: Key::new(path(who), base),
        kind: Kind::Api,
        updated: host.now().unsigned_abs(),
        document,
        code: None,
    };
    let expected = found.map(|found| found.revision);
    let commit = Commit {
        writes: vec![Write::Put { entity, expected }],
        ..Commit::default()
    };
    Ok(host.commit(commit).await?)
}

fn shown(host: &Inner, who: &User, base: &str, document: &Value) -> Value {
    let base = base.trim_start_matches('/');
    json!({
        "gwApiActivated": true,
        "gwApiUrl": format!("{}/api/{}/{base}", host.settings.url, who.uuid),
        "apidoc": document,
    })
}

async fn all(host: &Inner, who: &User) -> Result<Vec<Entity>, Refusal> {
    // The namespace of these keys is the word before the first slash.
    let listing = Listing {
        namespace: Some("$apis".to_owned()),
        package: Some(who.namespace.clone()),
        ..Listing::all(Kind::Api, host.settings.sizes.entities)
    };
    Ok(host.store.list(&listing).await?)
}

async fn get(host: &Inner, who: &User, asked: &Map<String, Value>) -> Result<Value, Refusal> {
    let number = |name: &str, absent: usize| {
        text(asked, name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(absent)
    };
    let wanted = text(asked, "basepath");
    let is_wanted = |entity: &Entity| {
        let title = entity
            .document
            .pointer("/info/title")
            .and_then(Value::as_str);
        wanted.is_none_or(|wanted| entity.key.name == wanted || title == Some(wanted))
    };
    let mut apis = Vec::new();
    for mut entity in all(host, who).await? {
        if !is_wanted(&entity) {
            continue;
        }
        narrow(
            &mut entity.document,
            text(asked, "relpath"),
            text(asked, "operation"),
        );
        let value = shown(host, who, &entity.key.name, &entity.document);
        apis.push(json!({ "value": value }));
    }
    let (skip, limit) = (number("skip", 0), number("limit", usize::MAX));
    let page: Vec<Value> = apis.into_iter().skip(skip).take(limit).collect();
    Ok(json!({ "apis": page }))
}

/// Leaves only the routes that are asked for.
fn narrow(document: &mut Value, path: Option<&str>, method: Option<&str>) {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(path) = path {
        paths.retain(|one, _| one == path);
    }
    if let Some(method) = method {
        for operations in paths.values_mut().filter_map(Value::as_object_mut) {
            operations.retain(|one, _| one.eq_ignore_ascii_case(method));
        }
    }
}

async fn delete(host: &Inner, who: &User, asked: &Map<String, Value>) -> Result<Value, Refusal> {
    let wanted = text(asked, "basepath").ok_or_else(|| Refusal::bad("basepath is required"))?;
    let mut found = host.store.entity(&Key::new(path(who), wanted)).await?;
    if found.is_none() {
        let named = all(host, who).await?.into_iter().find(|entity| {
            entity
                .document
                .pointer("/info/title")
                .and_then(Value::as_str)
                == Some(wanted)
        });
        if let Some(entity) = named {
            found = host.store.entity(&entity.key).await?;
        }
    }
    let missing = || {
        let text = format!("API '{wanted}' does not exist.");
        Refusal::new(StatusCode::NOT_FOUND, text)
    };
    let found = found.ok_or_else(missing)?;
    let mut document = found.entity.document.clone();
    let left = remove(
        &mut document,
        text(asked, "relpath"),
        text(asked, "operation"),
    );
    let base = found.entity.key.name.clone();
    if left {
        store(host, who, &base, Some(found), document).await?;
    } else {
        let commit = Commit {
            writes: vec![Write::Delete {
                key: found.entity.key,
                expected: found.revision,
            }],
            ..Commit::default()
        };
        host.commit(commit).await?;
    }
    Ok(json!({}))
}

/// Takes routes out of an API. Whether there are any left.
fn remove(document: &mut Value, path: Option<&str>, method: Option<&str>) -> bool {
    let Some(path) = path else {
        return false;
    };
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else {
        return false;
    };
    match (method, paths.get_mut(path).and_then(Value::as_object_mut)) {
        (Some(method), Some(operations)) => {
            operations.retain(|one, _| !one.eq_ignore_ascii_case(method));
            if operations.is_empty() {
                paths.remove(path);
            }
        }
        _ => drop(paths.remove(path)),
    }
    !paths.is_empty()
}
