//! Looking at what a host has, and changing it: the part that asks.

use futures_util::TryStreamExt as _;
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::differences::{stale, told};
use super::{Body, Change, Current, Desired, Entity, Feed, Kind, Live, MANAGED, Step};
use crate::client::{Auth, Client, Error, RunOptions};
use crate::model::{
    Action, ActionPut, EntityKind, EntityPath, FullyQualifiedName, KeyValues, Name, Package, Rule,
    RulePut, RuleStatus, Trigger, TriggerPut,
};

/// A host, and as whom it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// Asks it.
    pub client: &'a Client,
    /// The credentials of `client`: feeds are given them, so that they can fire.
    pub auth: &'a Auth,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// The host was not reached, or refused.
    #[error("{kind} {name}: {source}")]
    Entity {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: FullyQualifiedName,
        /// Why.
        source: Error,
    },
    /// A list can't be read.
    #[error("what the host has can't be read: {0}")]
    List(Error),
    /// A feed refused.
    #[error("trigger {trigger}: its feed {feed} at {event}: {source}")]
    Feed {
        /// The trigger.
        trigger: FullyQualifiedName,
        /// The feed.
        feed: FullyQualifiedName,
        /// What it was told: `CREATE` or `DELETE`.
        event: &'static str,
        /// Why.
        source: Error,
    },
    /// The feed of a trigger needs a key to fire it with.
    #[error("trigger {trigger}: its feed needs a key, `user:key`, and there is none")]
    NoKey {
        /// The trigger.
        trigger: FullyQualifiedName,
    },
}

impl ApplyError {
    /// Whether the same would be refused again: what is described, or what is there, has to
    /// change first.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NoKey { .. } => true,
            Self::List(_) => false,
            Self::Entity { source, .. } | Self::Feed { source, .. } => matches!(
                source,
                Error::Invalid(_) | Error::Rejected(_) | Error::Application(_)
            ),
        }
    }
}

/// Looks at all of a host that counts for what is described; with `project` also at all that
/// is of it.
///
/// # Errors
/// [`ApplyError`]
pub async fn look(
    host: Host<'_>,
    desired: &Desired,
    project: Option<(&str, &Name)>,
) -> Result<Live, ApplyError> {
    let mut live = Live::default();
    for entity in &desired.entities {
        let found = current(host.client, entity.body.kind(), &entity.name).await?;
        live.extend(found);
        let Body::Package(put) = &entity.body else {
            continue;
        };
        let provider = put.binding.as_ref().and_then(|binding| binding.provider());
        if let Some(provider) = provider {
            let (namespace, name) = (provider.namespace.clone(), provider.name.clone());
            let name = FullyQualifiedName::new(namespace, None, name);
            // One that is not there or not for us is refused when it is bound.
            if let Ok(package) = host.client.get::<Package>(&name).await {
                live.extend([Current::Package(package)]);
            }
        }
    }
    if let Some((project, namespace)) = project {
        for (kind, name) in of_project(host.client, project, namespace).await? {
            let found = current(host.client, kind, &name).await?;
            live.extend(found);
        }
    }
    Ok(live)
}

/// All of a namespace that is marked as of a project.
async fn of_project(
    client: &Client,
    project: &str,
    namespace: &Name,
) -> Result<Vec<(Kind, FullyQualifiedName)>, ApplyError> {
    let within = EntityPath::of(namespace.clone());
    let is_of =
        |annotations: &KeyValues| annotations.get(MANAGED).and_then(Value::as_str) == Some(project);
    let mut found = Vec::new();
    macro_rules! add {
        ($entity:ty, $kind:expr) => {
            let all = client.all::<$entity>(&within).try_collect::<Vec<_>>();
            let all = all.await.map_err(ApplyError::List)?;
            let of = all.into_iter().filter(|one| is_of(&one.annotations));
            found.extend(of.map(|one| ($kind, one.namespace.entity(one.name))));
        };
    }
    add!(Package, Kind::Package);
    add!(Action, Kind::Action);
    add!(Trigger, Kind::Trigger);
    add!(Rule, Kind::Rule);
    Ok(found)
}

/// An entity as it is; none where there is none.
async fn current(
    client: &Client,
    kind: Kind,
    name: &FullyQualifiedName,
) -> Result<Option<Current>, ApplyError> {
    async fn read<E: EntityKind + DeserializeOwned>(
        client: &Client,
        name: &FullyQualifiedName,
    ) -> Result<Option<E>, Error> {
        match client.get::<E>(name).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
    let found = match kind {
        Kind::Package => read(client, name).await.map(|it| it.map(Current::Package)),
        Kind::Action => read(client, name).await.map(|it| it.map(Current::Action)),
        Kind::Trigger => read(client, name).await.map(|it| it.map(Current::Trigger)),
        Kind::Rule => read(client, name).await.map(|it| it.map(Current::Rule)),
    };
    found.map_err(|source| ApplyError::Entity {
        kind,
        name: name.clone(),
        source,
    })
}

/// Carries one step of a plan out. The steps of a plan are in an order in which they can be done
/// one after the other. What is done again after a failure begins with a new look.
///
/// # Errors
/// [`ApplyError`]
pub async fn carry_out(
    host: Host<'_>,
    desired: &Desired,
    live: &Live,
    step: &Step,
) -> Result<(), ApplyError> {
    let there = live.get(step.kind, &step.name);
    match (&step.change, there) {
        (Change::Create | Change::Update { .. }, _) => {
            match desired.entity(step.kind, &step.name) {
                Some(entity) => write(host, entity, there).await,
                None => Ok(()),
            }
        }
        (Change::Remove, Some(there)) => remove(host, there).await,
        (Change::Remove | Change::Unchanged | Change::Keep { .. }, _) => Ok(()),
    }
}

async fn write(host: Host<'_>, entity: &Entity, there: Option<&Current>) -> Result<(), ApplyError> {
    let (client, name) = (host.client, &entity.name);
    let written = match (&entity.body, there) {
        (Body::Trigger(put, feed), there) => {
            return trigger(host, name, (put, feed.as_ref()), there).await;
        }
        (Body::Package(put), _) => client.put::<Package>(name, put, true).await.map(drop),
        (Body::Action(put), there) => {
            let put = update(put, there);
            client.put::<Action>(name, &put, true).await.map(drop)
        }
        (Body::Rule(rule), there) => {
            let put = RulePut {
                trigger: Some(rule.trigger.to_string()),
                action: Some(rule.action.to_string()),
                annotations: Some(rule.annotations.clone()),
                ..RulePut::default()
            };
            match client.put::<Rule>(name, &put, true).await {
                // One that is new is active.
                Ok(_) if there.is_some() => client.set_rule_status(name, RuleStatus::Active).await,
                written => written.map(drop),
            }
        }
    };
    written.map_err(|source| ApplyError::Entity {
        kind: entity.body.kind(),
        name: name.clone(),
        source,
    })
}

/// What is sent for an action: with what it is not to say any more, where it is there already.
fn update(put: &ActionPut, there: Option<&Current>) -> ActionPut {
    let mut put = put.clone();
    if let Some(Current::Action(there)) = there {
        let wanted = put.annotations.clone().unwrap_or_default();
        let stale = stale(&wanted, &there.annotations);
        put.del_annotations = (!stale.is_empty()).then_some(stale);
    }
    put
}

/// A trigger is written before its feed is told of it. What the feed was told is noted last, so
/// that a feed that was not told is told again.
async fn trigger(
    host: Host<'_>,
    name: &FullyQualifiedName,
    (put, feed): (&TriggerPut, Option<&Feed>),
    there: Option<&Current>,
) -> Result<(), ApplyError> {
    let failed = |source| ApplyError::Entity {
        kind: Kind::Trigger,
        name: name.clone(),
        source,
    };
    if let Some(there) = there {
        dismiss(host, name, there).await?;
    }
    let written = host.client.put::<Trigger>(name, put, true).await;
    written.map_err(failed)?;
    let Some(feed) = feed else {
        return Ok(());
    };
    let told_feed = tell(host, name, &feed.action, "CREATE", feed.inputs.clone()).await;
    if let Err(error) = told_feed {
        if there.is_none() {
            // As if nothing had been: the trigger would wait for ever.
            drop(host.client.delete::<Trigger>(name).await);
        }
        return Err(error);
    }
    let mut put = put.clone();
    put.annotations.get_or_insert_default().set(told(feed));
    let noted = host.client.put::<Trigger>(name, &put, true).await;
    noted.map(drop).map_err(failed)
}

async fn remove(host: Host<'_>, there: &Current) -> Result<(), ApplyError> {
    let (client, name) = (host.client, there.name());
    let removed = match there {
        Current::Package(_) => client.delete::<Package>(&name).await.map(drop),
        Current::Action(_) => client.delete::<Action>(&name).await.map(drop),
        Current::Rule(_) => client.delete::<Rule>(&name).await.map(drop),
        Current::Trigger(_) => {
            dismiss(host, &name, there).await?;
            client.delete::<Trigger>(&name).await.map(drop)
        }
    };
    match removed {
        Err(error) if error.is_not_found() => Ok(()),
        removed => removed.map_err(|source| ApplyError::Entity {
            kind: there.kind(),
            name,
            source,
        }),
    }
}

/// Tells the feed of a trigger that it is no longer wanted. A feed that is gone, or that knows
/// nothing of the trigger, has nothing to end.
async fn dismiss(
    host: Host<'_>,
    name: &FullyQualifiedName,
    there: &Current,
) -> Result<(), ApplyError> {
    let Current::Trigger(there) = there else {
        return Ok(());
    };
    let feed = there.annotations.get("feed").and_then(Value::as_str);
    let feed = feed.and_then(|feed| FullyQualifiedName::parse(feed).ok());
    let Some(feed) = feed else {
        return Ok(());
    };
    match tell(host, name, &feed, "DELETE", Map::new()).await {
        Err(ApplyError::Feed {
            source: Error::Application(_),
            ..
        }) => Ok(()),
        Err(ApplyError::Feed { source, .. }) if source.is_not_found() => Ok(()),
        told => told,
    }
}

async fn tell(
    host: Host<'_>,
    trigger: &FullyQualifiedName,
    feed: &FullyQualifiedName,
    event: &'static str,
    mut inputs: Map<String, Value>,
) -> Result<(), ApplyError> {
    let Auth::Basic { user, key } = host.auth else {
        return Err(ApplyError::NoKey {
            trigger: trigger.clone(),
        });
    };
    inputs.insert("lifecycleEvent".to_owned(), event.into());
    inputs.insert("triggerName".to_owned(), trigger.to_string().into());
    let key = format!("{user}:{}", key.expose_secret());
    inputs.insert("authKey".to_owned(), key.into());
    let options = RunOptions::default();
    let run = host.client.run(feed, &json!(inputs), &options).await;
    run.map(drop).map_err(|source| ApplyError::Feed {
        trigger: trigger.clone(),
        feed: feed.clone(),
        event,
        source,
    })
}
