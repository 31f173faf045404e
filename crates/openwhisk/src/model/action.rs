//! Actions: what GET and PUT answer, what PUT takes, what lists hold.

use serde::{Deserialize, Serialize};

use super::{ActionLimits, EntityPath, Exec, KeyValues, Name, Other, Version};

/// An action as GET, PUT and DELETE answer it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its namespace, and its package if it is in one.
    pub namespace: EntityPath,
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// Whether it is for everyone; that of its package counts.
    #[serde(default)]
    pub publish: bool,
    /// When it was last changed, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
    /// What it executes.
    pub exec: Exec,
    /// Bound parameters.
    #[serde(default)]
    pub parameters: KeyValues,
    /// Annotations.
    #[serde(default)]
    pub annotations: KeyValues,
    /// What it may take.
    #[serde(default)]
    pub limits: ActionLimits,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// The body of a PUT of an action. What is absent stays as it is, or becomes the default where
/// the action is new.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionPut {
    /// What it is to execute; a new action needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// Parameters: these replace all that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<KeyValues>,
    /// Annotations: these are laid over those that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<KeyValues>,
    /// Annotations to remove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub del_annotations: Option<Vec<String>>,
    /// Limits, each for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ActionLimits>,
    /// The version; else the patch is counted up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Whether it is for everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// Properties that are not known here; clients send `namespace` and `name` as well.
    #[serde(flatten)]
    pub other: Other,
}

/// An action in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionSummary {
    /// Its namespace, and its package if it is in one.
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
    /// What it may take.
    #[serde(default)]
    pub limits: ActionLimits,
    /// Only whether it is binary.
    pub exec: ExecSummary,
    /// When it was last changed, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// What lists say of an action's code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecSummary {
    /// Whether it is base64.
    pub binary: bool,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

impl Action {
    /// The item of a list for this action.
    pub fn summary(&self) -> ActionSummary {
        ActionSummary {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            publish: self.publish,
            annotations: self.annotations.clone(),
            limits: self.limits.clone(),
            exec: ExecSummary {
                binary: self.exec.is_binary(),
                other: Other::new(),
            },
            updated: self.updated,
            other: Other::new(),
        }
    }
}
