//! Packages and bindings: read, written, removed, listed.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use conche_openwhisk::model::{
    Action, Binding, BindingField, EntityKind, EntityPath, FullyQualifiedName, Messages, Name,
    Other, Package, PackageMember, PackagePut,
};
use http::StatusCode;

use super::body::Document;
use super::query::Query;
use super::{Caller, Here, lists};
use crate::define::version;
use crate::entities::{Loaded, delete as removal, key, provider_of, put, read as typed};
use crate::host::Inner;
use crate::native;
use crate::refusal::Refusal;
use crate::store::{Commit, Listing, Write};
use crate::users::{SYSTEM, namespace, own};

/// `GET …/packages/{p}`. A binding shows what it binds, with its own parameters on top.
pub(super) async fn read(
    State(host): Here,
    caller: Caller,
    Path((word, name)): Path<(String, String)>,
) -> Result<Json<Package>, Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    let name = Name::parse_package(&name)?;
    let opened = host.open(&caller.who, &namespace, &name).await?;
    let members = host.members(&opened.path()).await?;
    let parameters = opened.parameters();
    let mut package = opened.binding.unwrap_or(opened.provider);
    package.parameters = parameters;
    let member = |action: &Action| PackageMember {
        name: action.name.clone(),
        version: action.version.clone(),
        annotations: action.annotations.clone(),
        other: Other::new(),
    };
    let is_feed = |action: &&Action| action.annotations.get("feed").is_some();
    package.feeds = Some(members.iter().filter(is_feed).map(member).collect());
    let others = members.iter().filter(|action| !is_feed(action));
    package.actions = Some(others.map(member).collect());
    Ok(Json(package))
}

/// `GET …/packages`: of one's own namespace all, of another those that are for everyone.
pub(super) async fn list(
    State(host): Here,
    caller: Caller,
    Path(word): Path<String>,
    query: Query,
) -> Result<Response, Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    let wanted = lists::wanted::<Package>(&query, &namespace)?;
    let own = caller.who.namespace == namespace.as_str();
    if own && namespace.as_str() != SYSTEM {
        return lists::answer(&host, &wanted, |package: Package| package.summary()).await;
    }
    let all = Listing {
        skip: 0,
        limit: host.settings.sizes.entities,
        ..wanted.listing.clone()
    };
    let mut packages = Vec::new();
    for entity in host.store.list(&all).await? {
        packages.push(typed::<Package>(entity)?);
    }
    packages.retain(|package| own || (package.publish && package.binding.provider().is_none()));
    if namespace.as_str() == SYSTEM {
        packages.extend(native::packages());
    }
    let skip = wanted.listing.skip;
    if wanted.count {
        return Ok(lists::counted(
            Package::COLLECTION,
            packages.len() as u64,
            skip,
        ));
    }
    let page = packages.iter().skip(skip).take(wanted.listing.limit);
    let items: Vec<_> = page.map(Package::summary).collect();
    Ok(Json(items).into_response())
}

/// A package of the caller's, to be changed.
async fn named(
    host: &Inner,
    caller: &Caller,
    (word, name): (String, String),
) -> Result<(EntityPath, Name, Option<Loaded<Package>>), Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    let name = Name::parse_package(&name)?;
    own(&caller.who, &namespace, name.as_str())?;
    if namespace.as_str() == SYSTEM && native::package(name.as_str()).is_some() {
        return Err(Refusal::forbidden(&format!("{namespace}/{name}")));
    }
    let path = EntityPath::of(namespace);
    let found = host.load(&path, &name).await?;
    Ok((path, name, found))
}

/// `PUT …/packages/{p}`.
pub(super) async fn write(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
    query: Query,
    body: Document,
) -> Result<Json<Package>, Refusal> {
    let overwrite = query.flag("overwrite", false)?;
    let (path, name, found) = named(&host, &caller, path).await?;
    let asked: PackagePut = body.read()?;
    host.check_sizes(asked.parameters.as_ref(), asked.annotations.as_ref())?;
    if found.is_some() && !overwrite {
        return Err(Refusal::conflict(Messages::ALREADY_EXISTS));
    }
    let binding = provider_of(asked.binding.as_ref(), &path.namespace);
    let there = found.as_ref().map(|found| &found.value);
    if let Some(binding) = &binding {
        if there.is_some_and(|there| there.binding.provider().is_none()) {
            return Err(Refusal::conflict(Messages::PACKAGE_NOT_BINDING));
        }
        host.check_binding(&caller, binding).await?;
    }
    let expected = found.as_ref().map(|found| found.revision);
    let updated = Some(host.now());
    let package = match found {
        None => Package {
            namespace: path,
            name,
            version: version(asked.version, None)?,
            publish: asked.publish.unwrap_or(false),
            parameters: asked.parameters.unwrap_or_default(),
            annotations: asked.annotations.unwrap_or_default(),
            binding: binding.map_or_else(BindingField::none, BindingField::To),
            updated,
            actions: None,
            feeds: None,
            other: Other::new(),
        },
        Some(Loaded { value: there, .. }) => Package {
            version: version(asked.version, Some(&there.version))?,
            publish: asked.publish.unwrap_or(there.publish),
            parameters: asked.parameters.unwrap_or(there.parameters),
            annotations: asked.annotations.unwrap_or(there.annotations),
            binding: binding.map_or(there.binding, BindingField::To),
            updated,
            ..there
        },
    };
    let commit = Commit {
        writes: vec![put(&package, expected)?],
        ..Commit::default()
    };
    host.commit(commit).await?;
    Ok(Json(package))
}

impl Inner {
    /// Whether what a binding names can be bound by the caller.
    async fn check_binding(&self, caller: &Caller, binding: &Binding) -> Result<(), Refusal> {
        let own = caller.who.namespace == binding.namespace.as_str();
        let found = match self.package(&binding.namespace, &binding.name).await {
            Err(refusal) if refusal.status == StatusCode::CONFLICT && own => {
                return Err(Refusal::conflict(Messages::BINDING_OF_NO_PACKAGE));
            }
            Err(_) if !own => None,
            found => found?,
        };
        let entity = format!("{}/{}", binding.namespace, binding.name);
        let found = match found {
            Some(found) if own || found.publish => found,
            None if own => return Err(Refusal::bad(Messages::BINDING_NOT_FOUND)),
            _ => return Err(Refusal::forbidden(&entity)),
        };
        if found.binding.provider().is_some() {
            return Err(Refusal::bad(Messages::BINDING_OF_BINDING));
        }
        Ok(())
    }
}

/// `DELETE …/packages/{p}`: of a package that is not empty only with `force`.
pub(super) async fn delete(
    State(host): Here,
    caller: Caller,
    Path(path): Path<(String, String)>,
    query: Query,
) -> Result<Json<Package>, Refusal> {
    let force = query.flag("force", false)?;
    let (path, name, found) = named(&host, &caller, path).await?;
    let found = found.ok_or_else(Refusal::not_found)?;
    let within = EntityPath {
        namespace: path.namespace,
        package: Some(name),
    };
    let members = match found.value.binding.provider() {
        Some(_) => Vec::new(),
        None => host.members(&within).await?,
    };
    if !members.is_empty() && !force {
        return Err(Refusal::conflict(Messages::package_not_empty(
            members.len(),
        )));
    }
    let mut writes = vec![removal(&found)];
    let mut removed = Vec::with_capacity(members.len());
    for action in &members {
        let key = key(&within, &action.name);
        if let Some(stored) = host.store.entity(&key).await? {
            let expected = stored.revision;
            removed.push((within.entity(action.name.clone()), expected));
            writes.push(Write::Delete { key, expected });
        }
    }
    let commit = Commit {
        writes,
        ..Commit::default()
    };
    host.commit(commit).await?;
    for (action, revision) in removed {
        let action: FullyQualifiedName = action;
        host.forget(&action, revision);
    }
    Ok(Json(found.value))
}
