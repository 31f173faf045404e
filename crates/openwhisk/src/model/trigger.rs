//! Triggers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EntityPath, KeyValues, Name, Other, Reference, RuleStatus, Version};

/// A trigger as GET, PUT and DELETE answer it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its namespace; triggers are never in packages.
    pub namespace: EntityPath,
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// Whether it is for everyone.
    #[serde(default)]
    pub publish: bool,
    /// Parameters that go with every firing.
    #[serde(default)]
    pub parameters: KeyValues,
    /// Annotations.
    #[serde(default)]
    pub annotations: KeyValues,
    /// Always empty.
    #[serde(default)]
    pub limits: Other,
    /// Its rules by `namespace/name`; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<BTreeMap<String, RuleLink>>,
    /// When it was last changed, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// What a trigger knows of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleLink {
    /// The action that the rule invokes.
    pub action: Reference,
    /// Whether it does.
    pub status: RuleStatus,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// The body of a PUT of a trigger.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TriggerPut {
    /// Parameters: these replace all that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<KeyValues>,
    /// Annotations: these replace all that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<KeyValues>,
    /// The version; else the patch is counted up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Whether it is for everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// A trigger in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerSummary {
    /// Its namespace.
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
    /// When it was last changed, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

impl Trigger {
    /// The item of a list for this trigger.
    pub fn summary(&self) -> TriggerSummary {
        TriggerSummary {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            publish: self.publish,
            annotations: self.annotations.clone(),
            updated: self.updated,
            other: Other::new(),
        }
    }
}
