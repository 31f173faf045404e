//! Rules: one trigger, one action.

use serde::{Deserialize, Serialize};

use super::{EntityPath, FullyQualifiedName, KeyValues, Name, Other, Version};

/// A rule as GET, PUT and DELETE answer it; in lists without `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its namespace; rules are never in packages.
    pub namespace: EntityPath,
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// Whether it is for everyone.
    #[serde(default)]
    pub publish: bool,
    /// Annotations.
    #[serde(default)]
    pub annotations: KeyValues,
    /// What it waits for.
    pub trigger: Reference,
    /// What it invokes.
    pub action: Reference,
    /// Whether it does; lists do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RuleStatus>,
    /// When it was last changed, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// The body of a PUT of a rule. The names are as they were written, since `wsk` sends some that
/// are none where it only changes the status.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RulePut {
    /// The trigger: `/ns/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The action: `/ns/[pkg/]name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Annotations: these replace all that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<KeyValues>,
    /// The version; else the patch is counted up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Whether it is for everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// Properties that are not known here; `wsk` sends a `status` that means nothing.
    #[serde(flatten)]
    pub other: Other,
}

/// The body of a POST to a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleStatusPut {
    /// What it is to be.
    pub status: RuleStatus,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// Whether a rule does what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleStatus {
    /// It does.
    Active,
    /// It does not.
    Inactive,
}

impl RuleStatus {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

/// An entity as rules and triggers write it: `{path, name}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// Its namespace, and its package if it is in one.
    pub path: EntityPath,
    /// Its name.
    pub name: Name,
}

impl Reference {
    /// The same as one name.
    pub fn full_name(&self) -> FullyQualifiedName {
        self.path.entity(self.name.clone())
    }
}

impl From<&FullyQualifiedName> for Reference {
    fn from(name: &FullyQualifiedName) -> Self {
        Self {
            path: name.path(),
            name: name.name.clone(),
        }
    }
}
