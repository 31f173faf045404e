//! Data markings, definitions of extensions, signatures (§8 to §10).

use serde_json::Value;

use super::{ExternalReference, Other};

object! {
    /// A marking of any type: see [`crate::shape::MARKING`]. References are objects but in
    /// those of type `marking-iep`, where they are text.
    Marking {
        kind = "type": String,
        id: String,
        created_by: String,
        created: String,
    } optional {
        name: String,
        description: String,
        revoked: bool,
        valid_from: String,
        valid_until: String,
        labels: Vec<String>,
        external_references: Vec<Value>,
        statement: String,
        tlpv2_level: String,
        marking_extensions: Other,
    }
}

object! {
    /// What an extension is: see [`crate::shape::EXTENSION_DEFINITION`].
    ExtensionDefinition {
        kind = "type": String,
        name: String,
        created_by: String,
        schema: String,
        version: String,
    } optional {
        description: String,
        external_references: Vec<ExternalReference>,
    }
}

object! {
    /// A signature: see [`crate::shape::SIGNATURE`].
    Signature {
        kind = "type": String,
        id: String,
        created: String,
        modified: String,
        signee: String,
        related_to: String,
        related_version: String,
        hash_algorithm: String,
        algorithm: String,
        value: String,
    } optional {
        created_by: String,
        revoked: bool,
        valid_from: String,
        valid_until: String,
        public_key: String,
        public_cert_chain: Vec<String>,
        cert_url: String,
        thumbprint: String,
        signature: Box<Signature>,
    }
}
