//! Commands (§5). The specification's own schema describes each type and then never asks for
//! it, so that a `bash` command without a command passes there.

use super::Shape::{Base64, Dictionary, List, Text, Word};
use super::{EXTERNAL_REFERENCE, Family, Names, Object, Shape, optional, required};
use crate::vocabulary;

/// The commands.
pub static COMMAND: Family = Family {
    name: "command-data",
    types: &vocabulary::COMMAND_TYPE,
    common: &COMMON,
    own: &[
        ("manual", &EITHER),
        ("bash", &EITHER),
        ("caldera-cmd", &EITHER),
        ("elastic", &ENCODED),
        ("http-api", &HTTP_API),
        ("jupyter", &ENCODED),
        ("kestrel", &ENCODED),
        ("openc2-http", &OPENC2_HTTP),
        ("powershell", &EITHER),
        ("sigma", &ENCODED),
        ("ssh", &EITHER),
        ("yara", &ENCODED),
    ],
};

static COMMON: Object = Object {
    name: "command-data",
    section: "5.1",
    properties: &[
        required(
            "type",
            Word(&vocabulary::COMMAND_TYPE),
            "What kind of command it is.",
        ),
        optional("description", Text, "What it does."),
        optional(
            "version",
            Text,
            "The version of the command's language; the newest if absent.",
        ),
        optional(
            "playbook_activity",
            Word(&vocabulary::ACTIVITY),
            "What it does for security.",
        ),
        optional(
            "external_references",
            List(1, &Shape::Object(&EXTERNAL_REFERENCE)),
            "What it refers to outside of CACAO.",
        ),
    ],
};

/// Commands that are written as text or in base64; that one of the two is there is a check of
/// its own.
static EITHER: Object = Object {
    name: "command as text or base64",
    section: "5",
    properties: &[
        optional("command", Text, "The command as text."),
        optional("command_b64", Base64, "The command in base64."),
    ],
};

static ENCODED: Object = Object {
    name: "command as base64",
    section: "5",
    properties: &[required("command_b64", Base64, "The command in base64.")],
};

static HTTP_API: Object = Object {
    name: "http-api",
    section: "5",
    properties: &[
        required(
            "command",
            Text,
            "The start line: method, request target, version.",
        ),
        optional(
            "headers",
            Dictionary(Names::Headers, 0, &List(0, &Text)),
            "Header fields, each with a list of values.",
        ),
        optional("content", Text, "The body as text."),
        optional("content_b64", Base64, "The body in base64."),
    ],
};

static OPENC2_HTTP: Object = Object {
    name: "openc2-http",
    section: "5",
    properties: &[
        required("command", Text, "The start line; its method is POST."),
        optional(
            "headers",
            Dictionary(Names::Headers, 0, &List(0, &Text)),
            "Header fields, each with a list of values.",
        ),
        required("content_b64", Base64, "The OpenC2 message in base64."),
    ],
};
