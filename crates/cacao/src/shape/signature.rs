//! Digital signatures (§10.15).

use super::Shape::{Bool, Fixed, Identifier, List, Milliseconds, Text, Timestamp, Word};
use super::{Object, Shape, optional, required};
use crate::vocabulary;

/// A signature, or a signature of a signature. That there is exactly one form of key is a
/// check of its own.
pub static SIGNATURE: Object = Object {
    name: "signature",
    section: "10.15",
    properties: &[
        required("type", Fixed("jss"), "What the object is."),
        required("id", Identifier(&["jss"]), "Which signature it is."),
        optional("created_by", Identifier(&["identity"]), "Who made it."),
        required("created", Milliseconds, "When its first version was made."),
        required("modified", Milliseconds, "When this version was made."),
        optional("revoked", Bool, "Whether it is not valid any more."),
        required("signee", Text, "Who signs, in words."),
        optional("valid_from", Timestamp, "From when on it is valid."),
        optional("valid_until", Timestamp, "Until when it is valid."),
        required(
            "related_to",
            Identifier(&["playbook"]),
            "The playbook that is signed.",
        ),
        required("related_version", Milliseconds, "Its `modified`."),
        required(
            "hash_algorithm",
            Text,
            "How the playbook is hashed, such as `sha-256`.",
        ),
        required(
            "algorithm",
            Word(&vocabulary::SIGNATURE_ALGORITHM),
            "How the hash is signed.",
        ),
        optional("public_key", Text, "The key: the body of its PEM form."),
        optional(
            "public_cert_chain",
            List(1, &Text),
            "The certificates, leaf first, each base64 of DER.",
        ),
        optional("cert_url", Text, "Where the certificates are."),
        optional(
            "thumbprint",
            Text,
            "SHA-256 of the certificate, in base64url.",
        ),
        required(
            "value",
            Text,
            "The signature, in base64url without padding.",
        ),
        optional(
            "signature",
            Shape::Object(&SIGNATURE),
            "The signature of this signature.",
        ),
    ],
};
