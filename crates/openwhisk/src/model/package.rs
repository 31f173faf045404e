//! Packages and bindings.

use serde::{Deserialize, Serialize};

use super::{EntityPath, KeyValues, Name, Other, Version};

/// A package as GET, PUT and DELETE answer it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// Its namespace.
    pub namespace: EntityPath,
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// Whether everyone may read and invoke what is in it.
    #[serde(default)]
    pub publish: bool,
    /// Parameters of all actions in it.
    #[serde(default)]
    pub parameters: KeyValues,
    /// Annotations.
    #[serde(default)]
    pub annotations: KeyValues,
    /// Of which package it is a binding.
    #[serde(default)]
    pub binding: BindingField,
    /// When it was last changed, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
    /// The actions in it; only in the answer to GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<PackageMember>>,
    /// Those of them that are feeds; only in the answer to GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feeds: Option<Vec<PackageMember>>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// The body of a PUT of a package.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PackagePut {
    /// Makes it a binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingField>,
    /// Parameters: these replace all that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<KeyValues>,
    /// Annotations: these replace all that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<KeyValues>,
    /// The version; else the patch is counted up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Whether everyone may read and invoke what is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// A package in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageSummary {
    /// Its namespace.
    pub namespace: EntityPath,
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// Whether everyone may read and invoke what is in it.
    #[serde(default)]
    pub publish: bool,
    /// Annotations.
    #[serde(default)]
    pub annotations: KeyValues,
    /// Of which package it is a binding; `false` where it is none.
    #[serde(default)]
    pub binding: BindingField,
    /// When it was last changed, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// An action in the answer to GET of its package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageMember {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// Annotations.
    #[serde(default)]
    pub annotations: KeyValues,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// A pointer to the package that provides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Its namespace, in bodies maybe `_`.
    pub namespace: Name,
    /// Its name.
    pub name: Name,
}

/// How `binding` is written: `{namespace, name}` of a binding; else `{}` in entities and `false`
/// in lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BindingField {
    /// A binding of this package.
    To(Binding),
    /// `{}`: no binding.
    Empty(Nothing),
    /// `false`: no binding.
    Flag(bool),
    /// `null`, in bodies: no binding.
    #[default]
    Null,
}

/// `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl BindingField {
    /// No binding, as entities have it.
    pub fn none() -> Self {
        Self::Empty(Nothing {})
    }

    /// The package that provides, of a binding.
    pub fn provider(&self) -> Option<&Binding> {
        match self {
            Self::To(binding) => Some(binding),
            Self::Empty(_) | Self::Flag(_) | Self::Null => None,
        }
    }
}

impl Package {
    /// The item of a list for this package.
    pub fn summary(&self) -> PackageSummary {
        PackageSummary {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            publish: self.publish,
            annotations: self.annotations.clone(),
            binding: match self.binding.provider() {
                Some(binding) => BindingField::To(binding.clone()),
                None => BindingField::Flag(false),
            },
            updated: self.updated,
            other: Other::new(),
        }
    }
}
