//! The playbook itself and its processing summary (§3).

use super::Shape::{
    Any, Bool, Dictionary, Fixed, Identifier, Integer, List, Milliseconds, Text, Timestamp, Typed,
    Word,
};
use super::{
    AGENT_TARGET, AUTHENTICATION_INFO, EXTENSION_DEFINITION, EXTERNAL_REFERENCE, MARKING, Names,
    Object, SIGNATURE, STEP, Shape, VARIABLE, optional, required,
};
use crate::vocabulary;

/// The playbook.
pub static PLAYBOOK: Object = Object {
    name: "playbook",
    section: "3",
    properties: &[
        required("type", Fixed("playbook"), "What the object is."),
        required(
            "spec_version",
            Fixed("cacao-2.0"),
            "The version of CACAO that it follows.",
        ),
        required(
            "id",
            Identifier(&["playbook"]),
            "Which playbook it is; `modified` says which version of it.",
        ),
        required("name", Text, "What people call it."),
        optional("description", Text, "What it does and when to use it."),
        optional(
            "playbook_types",
            List(1, &Word(&vocabulary::PLAYBOOK_TYPE)),
            "What it is for.",
        ),
        optional(
            "playbook_activities",
            List(1, &Word(&vocabulary::ACTIVITY)),
            "What its commands do.",
        ),
        optional(
            "playbook_processing_summary",
            Shape::Object(&PROCESSING_SUMMARY),
            "What a system must be able to do to run it.",
        ),
        required(
            "created_by",
            Identifier(&["identity"]),
            "Who made it: the identifier of a STIX identity.",
        ),
        required(
            "created",
            Milliseconds,
            "When its first version was made; the same in every version.",
        ),
        required("modified", Milliseconds, "When this version was made."),
        optional(
            "revoked",
            Bool,
            "Whether no version of it is valid any more.",
        ),
        optional("valid_from", Timestamp, "From when on it is valid."),
        optional("valid_until", Timestamp, "Until when it is valid."),
        optional(
            "derived_from",
            List(1, &Identifier(&["playbook"])),
            "The playbooks that it was made from.",
        ),
        optional(
            "related_to",
            List(1, &Identifier(&[])),
            "What else it has to do with.",
        ),
        optional(
            "priority",
            Integer(0, 100),
            "1 is the highest priority, 100 the lowest, 0 says nothing.",
        ),
        optional(
            "severity",
            Integer(0, 100),
            "1 is the lowest severity, 100 the highest, 0 says nothing.",
        ),
        optional(
            "impact",
            Integer(0, 100),
            "What running it does to the organisation: 1 the least, 100 the most, 0 nothing known.",
        ),
        optional(
            "industry_sectors",
            List(1, &Word(&vocabulary::INDUSTRY_SECTOR)),
            "The sectors that it is for.",
        ),
        optional("labels", List(1, &Text), "Words to find it by."),
        optional(
            "external_references",
            List(1, &Shape::Object(&EXTERNAL_REFERENCE)),
            "What it refers to outside of CACAO.",
        ),
        optional(
            "markings",
            List(
                1,
                &Identifier(&["marking-statement", "marking-tlp", "marking-iep"]),
            ),
            "Who may see it.",
        ),
        optional(
            "playbook_variables",
            Dictionary(Names::Variables, 0, &Shape::Object(&VARIABLE)),
            "Variables of the whole playbook.",
        ),
        required(
            "workflow_start",
            Identifier(&[]),
            "The step that it begins with.",
        ),
        optional(
            "workflow_exception",
            Identifier(&[]),
            "The step that is entered on a failure that no step handles.",
        ),
        required(
            "workflow",
            Dictionary(Names::Identifiers, 1, &Typed(&STEP)),
            "Its steps.",
        ),
        optional(
            "playbook_extensions",
            Dictionary(Names::Identifiers, 1, &Any),
            "Extensions of the playbook.",
        ),
        optional(
            "authentication_info_definitions",
            Dictionary(Names::Identifiers, 1, &Typed(&AUTHENTICATION_INFO)),
            "Credentials.",
        ),
        optional(
            "agent_definitions",
            Dictionary(Names::Identifiers, 1, &Typed(&AGENT_TARGET)),
            "Who carries commands out.",
        ),
        optional(
            "target_definitions",
            Dictionary(Names::Identifiers, 1, &Typed(&AGENT_TARGET)),
            "What commands act on.",
        ),
        optional(
            "extension_definitions",
            Dictionary(Names::Identifiers, 1, &Shape::Object(&EXTENSION_DEFINITION)),
            "What the extensions are.",
        ),
        optional(
            "data_marking_definitions",
            Dictionary(Names::Identifiers, 1, &Typed(&MARKING)),
            "What the markings are.",
        ),
        optional(
            "signatures",
            List(1, &Shape::Object(&SIGNATURE)),
            "Who vouches for it.",
        ),
    ],
};

/// What a playbook says of itself, so that nobody need read all of it to know.
pub static PROCESSING_SUMMARY: Object = Object {
    name: "playbook-processing-summary",
    section: "10.14",
    properties: &[
        optional("manual_playbook", Bool, "All commands are for people."),
        optional("external_playbooks", Bool, "A step runs another playbook."),
        optional(
            "parallel_processing",
            Bool,
            "A step runs branches side by side.",
        ),
        optional("if_logic", Bool, "A step branches on a condition."),
        optional(
            "while_logic",
            Bool,
            "A step repeats while a condition holds.",
        ),
        optional("switch_logic", Bool, "A step branches on a value."),
        optional("temporal_logic", Bool, "A step has a delay or a timeout."),
        optional("data_markings", Bool, "It is marked."),
        optional("digital_signatures", Bool, "It is signed."),
        optional(
            "countersigned_signatures",
            Bool,
            "A signature is signed in its turn.",
        ),
        optional("extensions", Bool, "Extensions are used."),
    ],
};
