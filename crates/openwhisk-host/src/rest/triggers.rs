//! Triggers: read, written, removed, fired.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use conche_openwhisk::model::{
    Accepted, EntityPath, FullyQualifiedName, KeyValues, Messages, Name, Other, Trigger, TriggerPut,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use super::body::{Document, Payload};
use super::invocation::idempotency;
use super::query::Query;
use super::{Caller, Here, lists};
use crate::define::version;
use crate::entities::{Loaded, delete as removal, put};
use crate::fire::Firing;
use crate::host::Inner;
use crate::invoke::Named;
use crate::refusal::Refusal;
use crate::store::Commit;
use crate::transaction::set_activation;
use crate::users::{namespace, own};
use crate::web::headers as headers_as_object;

/// A trigger that a path names, in the caller's namespace.
async fn named(
    host: &Inner,
    caller: &Caller,
    (word, name): (String, String),
) -> Result<(EntityPath, Name, Option<Loaded<Trigger>>), Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    let name = Name::parse(&name)?;
    own(&caller.who, &namespace, name.as_str())?;
    let path = EntityPath::of(namespace);
    let found = host.load(&path, &name).await?;
    Ok((path, name, found))
}

/// `GET …/triggers/{t}`.
pub(super) async fn read(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
) -> Result<Json<Trigger>, Refusal> {
    let (_, _, found) = named(&host, &caller, path).await?;
    Ok(Json(found.ok_or_else(Refusal::not_found)?.value))
}

/// `GET …/triggers`.
pub(super) async fn list(
    State(host): Here,
    caller: Caller,
    Path(word): Path<String>,
    query: Query,
) -> Result<Response, Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    own(&caller.who, &namespace, "triggers")?;
    let wanted = lists::wanted::<Trigger>(&query, &namespace)?;
    lists::answer(&host, &wanted, |trigger: Trigger| trigger.summary()).await
}

/// `PUT …/triggers/{t}`.
pub(super) async fn write(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
    query: Query,
    body: Document,
) -> Result<Json<Trigger>, Refusal> {
    let overwrite = query.flag("overwrite", false)?;
    let (path, name, found) = named(&host, &caller, path).await?;
    let asked: TriggerPut = body.read()?;
    host.check_sizes(asked.parameters.as_ref(), asked.annotations.as_ref())?;
    if found.is_some() && !overwrite {
        return Err(Refusal::conflict(Messages::ALREADY_EXISTS));
    }
    let expected = found.as_ref().map(|found| found.revision);
    let now = Some(host.now());
    let trigger = match found {
        None => {
            check_feed(asked.annotations.as_ref())?;
            Trigger {
                namespace: path,
                name,
                version: version(asked.version, None)?,
                publish: asked.publish.unwrap_or(false),
                parameters: asked.parameters.unwrap_or_default(),
                annotations: asked.annotations.unwrap_or_default(),
                limits: Other::new(),
                rules: None,
                updated: now,
                other: Other::new(),
            }
        }
        Some(Loaded { value: there, .. }) => Trigger {
            version: version(asked.version, Some(&there.version))?,
            publish: asked.publish.unwrap_or(there.publish),
            parameters: asked.parameters.unwrap_or(there.parameters),
            annotations: asked.annotations.unwrap_or(there.annotations),
            updated: now,
            ..there
        },
    };
    let commit = Commit {
        writes: vec![put(&trigger, expected)?],
        ..Commit::default()
    };
    host.commit(commit).await?;
    Ok(Json(trigger))
}

/// The annotation `feed` of a new trigger names an action.
fn check_feed(annotations: Option<&KeyValues>) -> Result<(), Refusal> {
    let Some(feed) = annotations.and_then(|annotations| annotations.get("feed")) else {
        return Ok(());
    };
    let named = feed.as_str().map(FullyQualifiedName::parse);
    match named {
        Some(Ok(_)) => Ok(()),
        _ => Err(Refusal::bad(Messages::FEED_NAME)),
    }
}

/// `DELETE …/triggers/{t}`. Its rules stay, and are inactive from now on.
pub(super) async fn delete(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
) -> Result<Json<Trigger>, Refusal> {
    let (_, _, found) = named(&host, &caller, path).await?;
    let found = found.ok_or_else(Refusal::not_found)?;
    let commit = Commit {
        writes: vec![removal(&found)],
        ..Commit::default()
    };
    host.commit(commit).await?;
    Ok(Json(found.value))
}

/// `POST …/triggers/{t}`: 202 with the activation, 204 where no rule is active.
pub(super) async fn fire(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
    payload: Payload,
) -> Result<Response, Refusal> {
    let (_, _, found) = named(&host, &caller, path).await?;
    let found = found.ok_or_else(Refusal::not_found)?;
    let named = idempotency(&payload.headers)?.map(|key| {
        let trigger = format!("/{}/{}", caller.who.namespace, found.value.name);
        Named::new(&key, "fire", trigger, &payload.members.clone().into())
    });
    let firing = Firing {
        who: Arc::clone(&caller.who),
        trigger: found.value,
        payload: payload.members,
        headers: Some(without_credentials(&payload.headers)),
        transaction: caller.transaction,
        named,
        writes: Vec::new(),
    };
    let Some(activation_id) = host.fire(firing).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let id = activation_id.to_string();
    let accepted = Accepted {
        activation_id,
        other: Other::new(),
    };
    let mut response = (StatusCode::ACCEPTED, Json(accepted)).into_response();
    set_activation(response.headers_mut(), &id);
    Ok(response)
}

/// The headers of a request for actions: without the caller's credentials, which upstream hands
/// on.
fn without_credentials(headers: &HeaderMap) -> Map<String, Value> {
    let mut object = headers_as_object(headers);
    for secret in [
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
    ] {
        object.remove(secret.as_str());
    }
    object
}
