//! Actions: read, written, removed, listed.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use conche_openwhisk::model::{
    Action, ActionPut, EntityKind, Exec, FullyQualifiedName, KeyValue, Messages, Name,
};

use super::body::Document;
use super::query::Query;
use super::{Caller, Here, lists};
use crate::define::Definition;
use crate::entities::{Loaded, delete as removal, put};
use crate::host::Inner;
use crate::refusal::Refusal;
use crate::runtimes::ActionKey;
use crate::store::{Commit, User};
use crate::users::{SYSTEM, namespace, own};

/// The parts of the path of an action: two, or three with a package.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Place {
    namespace: String,
    package: Option<String>,
    name: String,
}

impl Place {
    pub(super) fn named(&self, who: &User) -> Result<FullyQualifiedName, Refusal> {
        let namespace = namespace(&self.namespace, who)?;
        let package = self
            .package
            .as_deref()
            .map(Name::parse_package)
            .transpose()?;
        let name = Name::parse(&self.name)?;
        Ok(FullyQualifiedName::new(namespace, package, name))
    }
}

/// `GET …/actions/{[p/]n}`. What its package and the binding give shows in its parameters.
pub(super) async fn read(
    State(host): Here,
    caller: Caller,
    Path(place): Path<Place>,
    query: Query,
) -> Result<Json<Action>, Refusal> {
    let with_code = query.flag("code", true)?;
    let target = host.target(&caller.who, place.named(&caller.who)?).await?;
    let mut action = Action::clone(&target.action);
    action.parameters = target.bound;
    if let (true, Some(text)) = (with_code, target.code) {
        put_code(&mut action.exec, &text);
    }
    Ok(Json(action))
}

fn put_code(exec: &mut Exec, text: &str) {
    match exec {
        Exec::Code(code) => code.code = Some(text.to_owned()),
        Exec::Blackbox(blackbox) => blackbox.code = Some(text.to_owned()),
        Exec::Sequence(_) => {}
    }
}

/// `GET …/actions`.
pub(super) async fn list(
    State(host): Here,
    caller: Caller,
    Path(word): Path<String>,
    query: Query,
) -> Result<Response, Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    own(&caller.who, &namespace, "actions")?;
    let wanted = lists::wanted::<Action>(&query, &namespace)?;
    lists::answer(&host, &wanted, |action: Action| action.summary()).await
}

/// `GET …/actions/{p}/`: of a package, or of what a binding binds.
pub(super) async fn list_of_package(
    State(host): Here,
    caller: Caller,
    Path((word, package)): Path<(String, String)>,
    query: Query,
) -> Result<Response, Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    let package = Name::parse_package(&package)?;
    let opened = host.open(&caller.who, &namespace, &package).await?;
    let path = opened.path();
    let mut wanted = lists::wanted::<Action>(&query, &path.namespace)?;
    if path.namespace.as_str() == SYSTEM {
        let all = host.members(&path).await?;
        if wanted.count {
            let count = all.len() as u64;
            return Ok(lists::counted(
                Action::COLLECTION,
                count,
                wanted.listing.skip,
            ));
        }
        let page = all
            .iter()
            .skip(wanted.listing.skip)
            .take(wanted.listing.limit);
        let items: Vec<_> = page.map(Action::summary).collect();
        return Ok(Json(items).into_response());
    }
    wanted.listing.package = path.package.map(|package| package.to_string());
    lists::answer(&host, &wanted, |action: Action| action.summary()).await
}

/// An action that is to be changed: in the caller's namespace, and not through a binding.
async fn changed(
    host: &Inner,
    caller: &Caller,
    place: &Place,
) -> Result<(FullyQualifiedName, Option<Loaded<Action>>), Refusal> {
    let named = place.named(&caller.who)?;
    own(&caller.who, &named.namespace, &named.within_namespace())?;
    if let Some(package) = &named.package {
        let found = host.package(&named.namespace, package).await?;
        let found = found.ok_or_else(Refusal::not_found)?;
        if found.binding.provider().is_some() {
            return Err(Refusal::bad(Messages::NOT_ON_BINDING));
        }
        if named.namespace.as_str() == SYSTEM && crate::native::package(package.as_str()).is_some()
        {
            return Err(Refusal::forbidden(&named.without_slash()));
        }
    }
    let found = host.load(&named.path(), &named.name).await?;
    Ok((named, found))
}

/// `PUT …/actions/{[p/]n}`.
pub(super) async fn write(
    State(host): Here,
    caller: Caller,
    Path(place): Path<Place>,
    query: Query,
    body: Document,
) -> Result<Json<Action>, Refusal> {
    let overwrite = query.flag("overwrite", false)?;
    let (named, found) = changed(&host, &caller, &place).await?;
    let asked: ActionPut = body.read()?;
    host.check_sizes(asked.parameters.as_ref(), asked.annotations.as_ref())?;
    if found.is_some() && !overwrite {
        return Err(Refusal::conflict(Messages::ALREADY_EXISTS));
    }
    let definition = Definition {
        ranges: host.settings.actions.ranges(),
        kinds: host.runtimes.kinds(),
        code_bytes: host.settings.sizes.code.bytes(),
    };
    let there = found.as_ref().map(|found| &found.value);
    let mut action = definition.merge(asked, there, &named)?;
    action.updated = Some(host.now());
    if let Exec::Sequence(sequence) = &mut action.exec {
        let components = host
            .check_sequence(&caller.who, &named, &sequence.components)
            .await?;
        sequence.components.clone_from(&components);
        action.parameters.0.retain(|one| one.key != "_actions");
        action.parameters.set(KeyValue::new("_actions", components));
    }
    let revision = found.as_ref().map(|found| found.revision);
    let commit = Commit {
        writes: vec![put(&action, revision)?],
        ..Commit::default()
    };
    host.commit(commit).await?;
    if let Some(revision) = revision {
        host.forget(&named, revision);
    }
    Ok(Json(action))
}

/// `DELETE …/actions/{[p/]n}`.
pub(super) async fn delete(
    State(host): Here,
    caller: Caller,
    Path(place): Path<Place>,
) -> Result<Json<Action>, Refusal> {
    let (named, found) = changed(&host, &caller, &place).await?;
    let found = found.ok_or_else(Refusal::not_found)?;
    let commit = Commit {
        writes: vec![removal(&found)],
        ..Commit::default()
    };
    host.commit(commit).await?;
    host.forget(&named, found.revision);
    Ok(Json(found.value))
}

impl Inner {
    /// Ends what is kept warm for a revision that is no more.
    pub(crate) fn forget(&self, named: &FullyQualifiedName, revision: u64) {
        self.runtimes.forget(&ActionKey {
            name: named.to_string(),
            revision: revision.to_string(),
        });
    }

    /// The components of a sequence with their namespaces resolved: all there, allowed, and
    /// with what they hold themselves not too many and not the sequence itself.
    async fn check_sequence(
        &self,
        who: &User,
        named: &FullyQualifiedName,
        written: &[String],
    ) -> Result<Vec<String>, Refusal> {
        if written.is_empty() {
            return Err(Refusal::bad(Messages::SEQUENCE_EMPTY));
        }
        let most = self.settings.actions.sequence_length;
        if written.len() > most {
            return Err(Refusal::bad(Messages::SEQUENCE_TOO_LONG));
        }
        let own = Name::parse(&who.namespace)?;
        let mut components = Vec::with_capacity(written.len());
        for text in written {
            components.push(FullyQualifiedName::parse_in_body(text)?.resolve(&own));
        }
        // Last in, first out: what a sequence holds is looked at before what follows it.
        let mut left: Vec<FullyQualifiedName> = components.iter().rev().cloned().collect();
        let (mut atomic, mut looked_at) = (0, 0);
        while let Some(component) = left.pop() {
            if component == *named {
                return Err(Refusal::bad(Messages::SEQUENCE_CYCLIC));
            }
            looked_at += 1;
            let target = self.target(who, component).await.map_err(|refusal| {
                if refusal.status == http::StatusCode::NOT_FOUND {
                    Refusal::bad(Messages::SEQUENCE_COMPONENT_NOT_FOUND)
                } else {
                    refusal
                }
            })?;
            if target.name() == *named {
                return Err(Refusal::bad(Messages::SEQUENCE_CYCLIC));
            }
            match &target.action.exec {
                Exec::Sequence(inner) => {
                    for text in inner.components.iter().rev() {
                        left.push(FullyQualifiedName::parse_in_body(text)?.resolve(&own));
                    }
                }
                _ => atomic += 1,
            }
            if atomic > most || looked_at > most.saturating_mul(2) {
                return Err(Refusal::bad(Messages::SEQUENCE_TOO_LONG));
            }
        }
        Ok(components.iter().map(ToString::to_string).collect())
    }
}
