//! Variables (§10.18). A variable's name is its key, no property.

use super::Shape::{Bool, Text, VariableValue, Word};
use super::{Object, optional, required};
use crate::vocabulary;

/// A variable.
pub static VARIABLE: Object = Object {
    name: "variable",
    section: "10.18",
    properties: &[
        required(
            "type",
            Word(&vocabulary::VARIABLE_TYPE),
            "What its value is.",
        ),
        optional("description", Text, "What it is for."),
        optional(
            "value",
            VariableValue,
            "Its value as text; null if it is not known yet.",
        ),
        optional("constant", Bool, "Whether it never changes."),
        optional(
            "external",
            Bool,
            "Whether the caller gives its first value.",
        ),
    ],
};
