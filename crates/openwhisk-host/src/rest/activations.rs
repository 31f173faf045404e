//! Activations: listed, read. They are written by what is invoked and fired only.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use conche_openwhisk::model::{
    Activation, ActivationId, ActivationSummary, Collection, Logs, Messages, Name, Other,
};

use super::query::Query;
use super::{Caller, Here, lists};
use crate::host::Inner;
use crate::invoke;
use crate::refusal::Refusal;
use crate::store;
use crate::users::{namespace, own};

/// `GET …/activations`.
pub(super) async fn list(
    State(host): Here,
    caller: Caller,
    Path(word): Path<String>,
    query: Query,
) -> Result<Response, Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    own(&caller.who, &namespace, "activations")?;
    let (limit, skip) = query.page(Collection::Activations)?;
    let (docs, count) = (query.flag("docs", false)?, query.flag("count", false)?);
    if docs && count {
        return Err(Refusal::bad(Messages::DOCS_WITH_COUNT));
    }
    let (package, name) = named(query.get("name"))?;
    let wanted = store::Query {
        namespace: namespace.to_string(),
        name,
        package,
        since: query.time("since")?,
        upto: query.time("upto")?,
        skip,
        limit,
    };
    if count {
        let count = host.store.count_activations(&wanted).await?;
        return Ok(lists::counted(Collection::Activations, count, skip));
    }
    let found = host.store.activations(&wanted).await?;
    let all: Result<Vec<Activation>, Refusal> = found.into_iter().map(invoke::read).collect();
    let all = all?;
    if docs {
        return Ok(Json(all).into_response());
    }
    let items: Vec<ActivationSummary> = all.iter().map(Activation::summary).collect();
    Ok(Json(items).into_response())
}

/// The package and the name that a `name` of the query means.
fn named(text: Option<&str>) -> Result<(Option<String>, Option<String>), Refusal> {
    let Some(text) = text else {
        return Ok((None, None));
    };
    let part = |part: &str| {
        let part = Name::parse(part).map_err(|error| Refusal::query("name", error))?;
        Ok::<_, Refusal>(Some(part.to_string()))
    };
    match text.split('/').collect::<Vec<_>>()[..] {
        [name] => Ok((None, part(name)?)),
        [package, name] => Ok((part(package)?, part(name)?)),
        _ => Err(Refusal::query(
            "name",
            "The namespace contains illegal characters.",
        )),
    }
}

async fn one(
    host: &Inner,
    caller: &Caller,
    (word, id): (String, String),
) -> Result<Activation, Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    let id = ActivationId::parse(&id)?;
    own(&caller.who, &namespace, id.as_str())?;
    let found = host
        .store
        .activation(namespace.as_str(), id.as_str())
        .await?;
    invoke::read(found.ok_or_else(Refusal::not_found)?)
}

/// `GET …/activations/{id}`.
pub(super) async fn read(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
) -> Result<Json<Activation>, Refusal> {
    one(&host, &caller, path).await.map(Json)
}

/// `GET …/activations/{id}/logs`.
pub(super) async fn logs(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
) -> Result<Json<Logs>, Refusal> {
    let activation = one(&host, &caller, path).await?;
    Ok(Json(Logs {
        logs: activation.logs,
        other: Other::new(),
    }))
}

/// `GET …/activations/{id}/result`.
pub(super) async fn result(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let activation = one(&host, &caller, path).await?;
    Ok(Json(activation.response).into_response())
}
