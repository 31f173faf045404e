//! Definitions of extensions (§8).

use super::Shape::{Fixed, Identifier, List, Text};
use super::{EXTERNAL_REFERENCE, Object, Shape, optional, required};

/// What an extension is, and where its rules are.
pub static EXTENSION_DEFINITION: Object = Object {
    name: "extension-definition",
    section: "8",
    properties: &[
        required("type", Fixed("extension-definition"), "What the object is."),
        required("name", Text, "What people call the extension."),
        optional("description", Text, "What it adds."),
        required("created_by", Identifier(&["identity"]), "Who made it."),
        required(
            "schema",
            Text,
            "Where its schema is, or its rules in prose.",
        ),
        required(
            "version",
            Text,
            "Its version, as semantic versioning has it.",
        ),
        optional(
            "external_references",
            List(1, &Shape::Object(&EXTERNAL_REFERENCE)),
            "What it refers to outside of CACAO.",
        ),
    ],
};
