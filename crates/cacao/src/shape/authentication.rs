//! Credentials (§6).

use super::Shape::{Any, Bool, Dictionary, Text, Word};
use super::{Family, Names, Object, Property, optional, required};
use crate::vocabulary;

/// Credentials.
pub static AUTHENTICATION_INFO: Family = Family {
    name: "authentication-info",
    types: &vocabulary::AUTHENTICATION_INFO_TYPE,
    common: &COMMON,
    own: &[
        ("http-basic", &HTTP_BASIC),
        ("oauth2", &OAUTH2),
        ("user-auth", &USER_AUTH),
        ("private-key", &PRIVATE_KEY),
    ],
};

static COMMON: Object = Object {
    name: "authentication-info",
    section: "6.1",
    properties: &[
        required(
            "type",
            Word(&vocabulary::AUTHENTICATION_INFO_TYPE),
            "What kind of credentials they are.",
        ),
        optional("name", Text, "What people call them."),
        optional("description", Text, "What they are for."),
        optional(
            "authentication_info_extensions",
            Dictionary(Names::Identifiers, 1, &Any),
            "Extensions of them.",
        ),
    ],
};

const KMS: Property = optional(
    "kms",
    Bool,
    "Whether the secret is in a key management system.",
);
const KMS_KEY: Property = optional(
    "kms_key_identifier",
    Text,
    "What the key management system calls it.",
);

static HTTP_BASIC: Object = Object {
    name: "http-basic",
    section: "6",
    properties: &[
        optional("user_id", Text, "The user."),
        optional("password", Text, "The password; better a variable."),
        KMS,
        KMS_KEY,
    ],
};

/// The schema requires both own properties; with a key management system the text forbids the
/// token, so that what is required is a check of its own.
static OAUTH2: Object = Object {
    name: "oauth2",
    section: "6",
    properties: &[
        optional("oauth_header", Text, "What the header begins with."),
        optional("token", Text, "The token; better a variable."),
        KMS,
        KMS_KEY,
    ],
};

static USER_AUTH: Object = Object {
    name: "user-auth",
    section: "6",
    properties: &[
        optional("username", Text, "The user."),
        optional("password", Text, "The password; better a variable."),
        KMS,
        KMS_KEY,
    ],
};

/// Removed from the specification before it was published; SOARCA still knows it.
static PRIVATE_KEY: Object = Object {
    name: "private-key",
    section: "CSD03 6",
    properties: &[
        optional("username", Text, "The user."),
        optional("private_key", Text, "The key; better a variable."),
        KMS,
        KMS_KEY,
    ],
};
