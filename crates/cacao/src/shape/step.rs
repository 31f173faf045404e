//! Workflow steps (§4). A step's identifier is its key in the workflow, no property.

use super::Shape::{Any, Dictionary, Identifier, Integer, List, Text, Timestamp, Typed, Word};
use super::{
    COMMAND, EXTERNAL_REFERENCE, Family, Names, Object, Shape, VARIABLE, optional, required,
};
use crate::vocabulary;

/// The longest delay or timeout that a step can ask for, in milliseconds: a thousand years.
/// The specification names no limit.
const LONGEST: i64 = 1000 * 366 * 24 * 3600 * 1000;

/// The steps.
pub static STEP: Family = Family {
    name: "workflow-step",
    types: &vocabulary::STEP_TYPE,
    common: &COMMON,
    own: &[
        ("start", &START),
        ("end", &END),
        ("action", &ACTION),
        ("playbook-action", &PLAYBOOK_ACTION),
        ("parallel", &PARALLEL),
        ("if-condition", &IF_CONDITION),
        ("while-condition", &WHILE_CONDITION),
        ("switch-condition", &SWITCH_CONDITION),
    ],
};

static COMMON: Object = Object {
    name: "workflow-step",
    section: "4.1",
    properties: &[
        required(
            "type",
            Word(&vocabulary::STEP_TYPE),
            "What kind of step it is.",
        ),
        optional("name", Text, "What people call it."),
        optional(
            "description",
            Text,
            "What it does, and what counts as success.",
        ),
        optional(
            "external_references",
            List(1, &Shape::Object(&EXTERNAL_REFERENCE)),
            "What it refers to outside of CACAO.",
        ),
        optional(
            "delay",
            Integer(0, LONGEST),
            "Milliseconds to wait before it starts.",
        ),
        optional(
            "timeout",
            Integer(0, LONGEST),
            "Milliseconds after which it has failed.",
        ),
        optional(
            "step_variables",
            Dictionary(Names::Variables, 0, &Shape::Object(&VARIABLE)),
            "Variables of this step and of the branches that it opens.",
        ),
        optional(
            "owner",
            Identifier(&["identity"]),
            "Who is responsible for it.",
        ),
        optional(
            "on_completion",
            Identifier(&[]),
            "The next step, however this one ended.",
        ),
        optional(
            "on_success",
            Identifier(&[]),
            "The next step if this one succeeded.",
        ),
        optional(
            "on_failure",
            Identifier(&[]),
            "The next step if this one failed.",
        ),
        optional(
            "step_extensions",
            Dictionary(Names::Identifiers, 1, &Any),
            "Extensions of the step.",
        ),
    ],
};

static START: Object = Object {
    name: "start",
    section: "4.3",
    properties: &[],
};
static END: Object = Object {
    name: "end",
    section: "4.4",
    properties: &[],
};

static ACTION: Object = Object {
    name: "action",
    section: "4.5",
    properties: &[
        required(
            "commands",
            List(1, &Typed(&COMMAND)),
            "What is done, in this order.",
        ),
        required("agent", Identifier(&[]), "Who does it."),
        optional("targets", List(1, &Identifier(&[])), "What it is done to."),
        optional(
            "in_args",
            List(1, &Text),
            "Names of the variables that are needed.",
        ),
        optional(
            "out_args",
            List(1, &Text),
            "Names of the variables that are set.",
        ),
    ],
};

static PLAYBOOK_ACTION: Object = Object {
    name: "playbook-action",
    section: "4.6",
    properties: &[
        required(
            "playbook_id",
            Identifier(&["playbook"]),
            "The playbook to run.",
        ),
        optional(
            "playbook_version",
            Timestamp,
            "Which version: its `modified`. The latest if absent.",
        ),
        optional(
            "in_args",
            List(1, &Text),
            "Names of the variables handed over.",
        ),
        optional(
            "out_args",
            List(1, &Text),
            "Names of the variables taken back.",
        ),
    ],
};

static PARALLEL: Object = Object {
    name: "parallel",
    section: "4.7",
    properties: &[required(
        "next_steps",
        List(2, &Identifier(&[])),
        "The first step of each branch.",
    )],
};

static IF_CONDITION: Object = Object {
    name: "if-condition",
    section: "4.8",
    properties: &[
        required(
            "condition",
            Text,
            "What is asked, as a STIX comparison expression.",
        ),
        required(
            "on_true",
            Identifier(&[]),
            "The first step of the branch taken if it holds.",
        ),
        optional(
            "on_false",
            Identifier(&[]),
            "The first step of the branch taken if not.",
        ),
    ],
};

static WHILE_CONDITION: Object = Object {
    name: "while-condition",
    section: "4.9",
    properties: &[
        required(
            "condition",
            Text,
            "What is asked before each time, as a STIX comparison expression.",
        ),
        required(
            "on_true",
            Identifier(&[]),
            "The first step of the branch that is repeated.",
        ),
    ],
};

static SWITCH_CONDITION: Object = Object {
    name: "switch-condition",
    section: "4.10",
    properties: &[
        required(
            "switch",
            Text,
            "The variable that is looked at, such as `__severity__:value`.",
        ),
        required(
            "cases",
            Dictionary(Names::Any, 1, &Identifier(&[])),
            "The first step of the branch for each value, and for `default`.",
        ),
    ],
};
