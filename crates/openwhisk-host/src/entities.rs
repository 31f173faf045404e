//! Typed entities over the store: reading, who may see what, packages and what they are bound
//! to, and what an invocation of an action's name means.

use std::sync::Arc;

use conche_openwhisk::model::{
    Action, Binding, BindingField, EntityPath, FullyQualifiedName, KeyValues, Messages, Name,
    Package, Rule, Trigger,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cache::Decoded;
use crate::host::Inner;
use crate::native::{self, Native};
use crate::refusal::Refusal;
use crate::store::{self, Entity, Key, Kind, Listing, Stored, User, Write};
use crate::users::{SYSTEM, own};

/// An entity that the store keeps.
pub(crate) trait Kept: Serialize + DeserializeOwned {
    /// Its kind there.
    const KIND: Kind;
    fn path(&self) -> &EntityPath;
    fn name(&self) -> &Name;
    fn updated(&self) -> Option<i64>;
}

macro_rules! kept {
    ($($type:ty: $kind:expr),*) => {$(
        impl Kept for $type {
            const KIND: Kind = $kind;
            fn path(&self) -> &EntityPath { &self.namespace }
            fn name(&self) -> &Name { &self.name }
            fn updated(&self) -> Option<i64> { self.updated }
        }
    )*};
}

kept!(Action: Kind::Action, Package: Kind::Package, Trigger: Kind::Trigger, Rule: Kind::Rule);

/// An entity with the revision that a change of it must name.
#[derive(Debug, Clone)]
pub(crate) struct Loaded<T> {
    pub(crate) value: T,
    pub(crate) revision: u64,
}

/// A package as a caller may use it.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    /// Where its actions are.
    pub(crate) provider: Package,
    /// The binding that it was opened through.
    pub(crate) binding: Option<Package>,
}

impl Opened {
    /// The parameters that its actions inherit.
    pub(crate) fn parameters(&self) -> KeyValues {
        let provided = self.provider.parameters.clone();
        match &self.binding {
            Some(binding) => provided.overlaid(&binding.parameters),
            None => provided,
        }
    }

    /// The package of the provider, as a path.
    pub(crate) fn path(&self) -> EntityPath {
        EntityPath {
            namespace: self.provider.namespace.namespace.clone(),
            package: Some(self.provider.name.clone()),
        }
    }
}

/// What a name means that is to be invoked.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The action itself, without its code.
    pub(crate) action: Arc<Action>,
    /// Its code, where it has some.
    pub(crate) code: Option<Arc<str>>,
    /// The revision of the store; 0 for what comes with the host.
    pub(crate) revision: u64,
    /// As it was asked for, its namespace resolved.
    pub(crate) asked: FullyQualifiedName,
    /// `namespace/binding`, where it was reached through one.
    pub(crate) binding: Option<String>,
    /// Parameters of the package, the binding and the action, the last on top.
    pub(crate) bound: KeyValues,
    /// Where the host carries it out itself.
    pub(crate) native: Option<Native>,
}

impl Target {
    /// Where it really is.
    pub(crate) fn name(&self) -> FullyQualifiedName {
        self.action.namespace.entity(self.action.name.clone())
    }

    /// The names of the parameters that no invocation may set.
    pub(crate) fn immutable(&self) -> Vec<&str> {
        if !self.action.annotations.is_true("final") {
            return Vec::new();
        }
        let bound = self.bound.iter().filter(|one| !one.value.is_null());
        bound.map(|one| one.key.as_str()).collect()
    }

    /// Whether it decides itself what is invoked next.
    pub(crate) fn is_conductor(&self) -> bool {
        self.action.annotations.is_truthy("conductor", false)
    }
}

pub(crate) fn key(path: &EntityPath, name: &Name) -> Key {
    Key::new(path.to_string(), name.as_str())
}

/// The change that stores an entity, in place of the revision that was loaded.
pub(crate) fn put<T: Kept>(value: &T, expected: Option<u64>) -> Result<Write, Refusal> {
    let mut document = serde_json::to_value(value).map_err(|error| corrupt(&error))?;
    let code = match document.pointer_mut("/exec/code") {
        Some(code) => match code.take() {
            Value::String(code) => Some(code),
            other => {
                *code = other;
                None
            }
        },
        None => None,
    };
    let entity = Entity {
        key: key(value.path(), value.name()),
        kind: T::KIND,
        updated: value.updated().unwrap_or(0).unsigned_abs(),
        document,
        code,
    };
    Ok(Write::Put { entity, expected })
}

/// The change that removes an entity.
pub(crate) fn delete<T: Kept>(loaded: &Loaded<T>) -> Write {
    Write::Delete {
        key: key(loaded.value.path(), loaded.value.name()),
        expected: loaded.revision,
    }
}

/// Reads a stored entity; without its code where the store left that out.
pub(crate) fn read<T: Kept>(entity: Entity) -> Result<T, Refusal> {
    let mut document = entity.document;
    if let Some(exec) = document.get_mut("exec").and_then(Value::as_object_mut)
        && exec.get("code").is_some_and(Value::is_null)
    {
        match entity.code {
            Some(code) => exec.insert("code".to_owned(), code.into()),
            None => exec.remove("code"),
        };
    }
    serde_json::from_value(document).map_err(|error| corrupt(&error))
}

fn corrupt(error: &serde_json::Error) -> Refusal {
    store::Error::Corrupt {
        what: "an entity".to_owned(),
        reason: error.to_string(),
    }
    .into()
}

impl Inner {
    /// An entity of one kind; none where nothing has the name.
    ///
    /// # Errors
    /// 409 where something of another kind has it.
    pub(crate) async fn load<T: Kept>(
        &self,
        path: &EntityPath,
        name: &Name,
    ) -> Result<Option<Loaded<T>>, Refusal> {
        let Some(Stored { entity, revision }) = self.store.entity(&key(path, name)).await? else {
            return Ok(None);
        };
        if entity.kind != T::KIND {
            return Err(Refusal::conflict(Messages::OTHER_COLLECTION));
        }
        let value = read(entity)?;
        Ok(Some(Loaded { value, revision }))
    }

    /// A package or binding as it is stored, or as it comes with the host.
    pub(crate) async fn package(
        &self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<Package>, Refusal> {
        if namespace.as_str() == SYSTEM
            && let Some(package) = native::package(name.as_str())
        {
            return Ok(Some(package));
        }
        let path = EntityPath::of(namespace.clone());
        let loaded = self.load::<Package>(&path, name).await?;
        Ok(loaded.map(|loaded| loaded.value))
    }

    /// A package to read from and to invoke actions of, through its binding if it is one.
    pub(crate) async fn open(
        &self,
        who: &User,
        namespace: &Name,
        name: &Name,
    ) -> Result<Opened, Refusal> {
        let first = self.visible(who, namespace, name).await?;
        let Some(Binding { namespace, name }) = first.binding.provider().cloned() else {
            return Ok(Opened {
                provider: first,
                binding: None,
            });
        };
        let provider = self.visible(who, &namespace, &name).await?;
        Ok(Opened {
            provider,
            binding: Some(first),
        })
    }

    /// A package that is the caller's, or for everyone. Others must not learn whether there is one.
    async fn visible(&self, who: &User, namespace: &Name, name: &Name) -> Result<Package, Refusal> {
        let own = who.namespace == namespace.as_str();
        match self.package(namespace, name).await {
            Ok(Some(package)) if own || package.publish => Ok(package),
            Ok(None) if own => Err(Refusal::not_found()),
            Err(refusal) if own => Err(refusal),
            _ => Err(Refusal::forbidden(&format!("{namespace}/{name}"))),
        }
    }

    /// What a caller means by the name of an action.
    pub(crate) async fn target(
        &self,
        who: &User,
        asked: FullyQualifiedName,
    ) -> Result<Target, Refusal> {
        let Some(package) = &asked.package else {
            let entity = asked.name.to_string();
            own(who, &asked.namespace, &entity)?;
            let decoded = self.decoded(&asked.path(), &asked.name).await?;
            return Ok(of(&decoded, asked, None));
        };
        let opened = self.open(who, &asked.namespace, package).await?;
        self.packaged(&opened, asked).await
    }

    /// An action of a package that is open.
    pub(crate) async fn packaged(
        &self,
        opened: &Opened,
        asked: FullyQualifiedName,
    ) -> Result<Target, Refusal> {
        let path = opened.path();
        if path.namespace.as_str() == SYSTEM
            && let Some(native) = native::find(opened.provider.name.as_str(), asked.name.as_str())
        {
            return Ok(Target {
                action: Arc::new(native.action(&path)),
                code: None,
                revision: 0,
                binding: bound_name(opened),
                bound: opened.parameters(),
                asked,
                native: Some(native),
            });
        }
        let decoded = self.decoded(&path, &asked.name).await?;
        Ok(of(&decoded, asked, Some(opened)))
    }

    /// An action that is stored, decoded once.
    async fn decoded(&self, path: &EntityPath, name: &Name) -> Result<Arc<Decoded>, Refusal> {
        let key = key(path, name);
        let generation = match self.cache.get(&key) {
            Ok(decoded) => return Ok(decoded),
            Err(generation) => generation,
        };
        let stored = self.store.entity(&key).await?;
        let Stored {
            mut entity,
            revision,
        } = stored.ok_or_else(Refusal::not_found)?;
        if entity.kind != Kind::Action {
            return Err(Refusal::conflict(Messages::OTHER_COLLECTION));
        }
        let code = entity.code.take().map(Arc::from);
        let decoded = Arc::new(Decoded {
            action: Arc::new(read(entity)?),
            code,
            revision,
        });
        self.cache.keep(key, &decoded, generation);
        Ok(decoded)
    }

    /// The actions of a package, without their code.
    pub(crate) async fn members(&self, path: &EntityPath) -> Result<Vec<Action>, Refusal> {
        let package = path.package.as_ref().map(ToString::to_string);
        if path.namespace.as_str() == SYSTEM {
            let natives = native::actions(package.as_deref().unwrap_or_default(), path);
            if !natives.is_empty() {
                return Ok(natives);
            }
        }
        let listing = Listing {
            namespace: Some(path.namespace.to_string()),
            package,
            ..Listing::all(Kind::Action, self.settings.sizes.entities)
        };
        let found = self.store.list(&listing).await?;
        found.into_iter().map(read).collect()
    }
}

fn bound_name(opened: &Opened) -> Option<String> {
    let binding = opened.binding.as_ref()?;
    Some(format!("{}/{}", binding.namespace, binding.name))
}

fn of(decoded: &Decoded, asked: FullyQualifiedName, opened: Option<&Opened>) -> Target {
    let inherited = opened.map(Opened::parameters).unwrap_or_default();
    Target {
        bound: inherited.overlaid(&decoded.action.parameters),
        binding: opened.and_then(bound_name),
        action: Arc::clone(&decoded.action),
        code: decoded.code.clone(),
        revision: decoded.revision,
        asked,
        native: None,
    }
}

/// What a body says of a binding, the namespace resolved.
pub(crate) fn provider_of(field: Option<&BindingField>, own: &Name) -> Option<Binding> {
    let mut binding = field?.provider()?.clone();
    if binding.namespace.is_own_namespace() {
        binding.namespace = own.clone();
    }
    Some(binding)
}
