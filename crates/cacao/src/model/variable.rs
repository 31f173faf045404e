//! Variables (§10.18).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Other;
use super::object::present;

/// A variable: see [`crate::shape::VARIABLE`]. Its name is its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "each property is described in the table of objects"
)]
pub struct Variable {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Null says that the value is not known yet, which is not the same as none being there.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub value: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<bool>,
    /// What CACAO does not know.
    #[serde(flatten)]
    pub other: Other,
}
