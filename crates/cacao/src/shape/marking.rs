//! Data markings (§9): who may see a playbook.

use super::Shape::{
    Any, Bool, Dictionary, Identifier, Integer, List, Milliseconds, Nullable, Text, Timestamp, Word,
};
use super::{EXTERNAL_REFERENCE, Family, Names, Object, Property, Shape, optional, required};
use crate::vocabulary;

/// Data markings.
pub static MARKING: Family = Family {
    name: "data-marking",
    types: &vocabulary::MARKING_TYPE,
    common: &COMMON,
    own: &[
        ("marking-statement", &STATEMENT),
        ("marking-tlp", &TLP),
        ("marking-iep", &IEP),
    ],
};

static COMMON: Object = Object {
    name: "data-marking",
    section: "9.1",
    properties: &[
        required(
            "type",
            Word(&vocabulary::MARKING_TYPE),
            "What kind of marking it is.",
        ),
        required(
            "id",
            Identifier(&["marking-statement", "marking-tlp", "marking-iep"]),
            "Which marking it is.",
        ),
        optional("name", Text, "What people call it."),
        optional("description", Text, "What it means."),
        required("created_by", Identifier(&["identity"]), "Who made it."),
        required("created", Milliseconds, "When it was made."),
        optional("revoked", Bool, "Whether it is not valid any more."),
        optional("valid_from", Timestamp, "From when on it is valid."),
        optional("valid_until", Timestamp, "Until when it is valid."),
        optional("labels", List(1, &Text), "Words to find it by."),
        optional(
            "marking_extensions",
            Dictionary(Names::Identifiers, 1, &Any),
            "Extensions of it.",
        ),
    ],
};

static REFERENCE: Shape = Shape::Object(&EXTERNAL_REFERENCE);
const REFERENCES: Property = optional(
    "external_references",
    List(1, &REFERENCE),
    "What it refers to outside of CACAO.",
);

static STATEMENT: Object = Object {
    name: "marking-statement",
    section: "9",
    properties: &[
        required("statement", Text, "The statement, such as a copyright."),
        REFERENCES,
    ],
};

static TLP: Object = Object {
    name: "marking-tlp",
    section: "9",
    properties: &[
        required(
            "tlpv2_level",
            Word(&vocabulary::TLP_LEVEL),
            "The level of TLP 2.0.",
        ),
        REFERENCES,
    ],
};

/// FIRST's Information Exchange Policy 2.0. Its references are plain text, where those of all
/// other objects are objects: the official schema asks for both at once.
static IEP: Object = Object {
    name: "marking-iep",
    section: "9",
    properties: &[
        required("tlp", Text, "The level of TLP 1."),
        required("iep_version", Integer(0, 1000), "The version of IEP."),
        required("start_date", Timestamp, "From when on it applies."),
        required(
            "end_date",
            Nullable(&Timestamp),
            "Until when; null for ever.",
        ),
        required(
            "encrypt_in_transit",
            Text,
            "Whether it must be encrypted on its way.",
        ),
        required("permitted_actions", Text, "What may be done with it."),
        required(
            "affected_party_notifications",
            Text,
            "Whether those affected may be told.",
        ),
        required("attribution", Text, "Whether its source may be named."),
        required(
            "unmodified_resale",
            Text,
            "Whether it may be sold as it is.",
        ),
        required(
            "external_references",
            List(0, &Text),
            "What it refers to, as plain text.",
        ),
    ],
};
