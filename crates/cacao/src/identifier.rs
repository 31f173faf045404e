//! Identifiers: `<object-type>--<uuid>` (§10.10).

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use serde_json::{Map, Value};
use thiserror::Error;
use uuid::{Builder, Uuid, uuid};

/// The namespace of playbooks whose identifiers are made of their names (§10.10).
const PLAYBOOKS: Uuid = uuid!("aa7caf3a-d55a-4e9a-b34e-056215fba56a");

/// The identifier that a playbook of this name and these `playbook_types` has wherever it is
/// made: a UUID of version 5 (RFC 9562 §5.5), of the canonical form (RFC 8785) of an object
/// with the two. Without types, the object has none.
///
/// ```
/// let id = conche_cacao::identifier::of_playbook("Find Malware FuzzyPanda", &["investigation"]);
/// assert_eq!(id, "playbook--aca31ca6-ae68-51f2-8185-db9c806f339e");
/// ```
pub fn of_playbook(name: &str, types: &[&str]) -> String {
    let mut named = Map::new();
    named.insert("name".into(), name.into());
    if !types.is_empty() {
        named.insert("playbook_types".into(), types.into());
    }
    // Of text alone, and in the order of the names, this is the canonical form: both escape
    // what RFC 8785 escapes, and nothing else.
    let canonical = Value::Object(named).to_string();
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(PLAYBOOKS.as_bytes());
    context.update(canonical.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&context.finish().as_ref()[..16]);
    format!("playbook--{}", Builder::from_sha1_bytes(bytes).into_uuid())
}

/// An identifier in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identifier<'a> {
    /// The type of the object.
    pub kind: &'a str,
    /// What tells it from all other objects, whatever their type.
    pub uuid: Uuid,
}

/// Not an identifier.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum Error {
    /// There is no `--` in it.
    #[error("it has no `--` between type and UUID")]
    NoDashes,
    /// What stands before the dashes is no type.
    #[error("its type is not lower-case letters, digits and hyphens")]
    Kind,
    /// What stands after the dashes is no UUID in its usual form.
    #[error("what stands after `--` is not a UUID")]
    Uuid,
    /// A UUID, and not one of RFC 4122.
    #[error("its UUID is not of version 1 to 5 of RFC 4122")]
    Version,
}

impl<'a> Identifier<'a> {
    /// Takes an identifier apart.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let (kind, uuid) = text.split_once("--").ok_or(Error::NoDashes)?;
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let bytes = kind.as_bytes();
        let well_formed = bytes.len() >= 3
            && bytes[0].is_ascii_lowercase()
            && bytes.iter().all(|byte| inner(*byte))
            && !kind.ends_with('-');
        if !well_formed {
            return Err(Error::Kind);
        }
        // `Uuid` reads other forms too: braces, URNs, without hyphens.
        if uuid.len() != 36 {
            return Err(Error::Uuid);
        }
        let uuid = Uuid::try_parse(uuid).map_err(|_| Error::Uuid)?;
        let known = (1..=5).contains(&uuid.get_version_num());
        if !known || uuid.get_variant() != uuid::Variant::RFC4122 {
            return Err(Error::Version);
        }
        Ok(Self { kind, uuid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_of_a_name_is_that_of_its_canonical_form() {
        let name = "a\u{1}\"\\/\u{7f}\u{2028}é\n";
        let object = serde_json::json!({"name": name});
        let canonical = crate::signature::canonical(&object).expect("I-JSON");
        assert_eq!(object.to_string().into_bytes(), canonical);
        let (one, other) = (of_playbook(name, &[]), of_playbook(name, &["attack"]));
        assert_ne!(one, other);
        let uuid = Identifier::parse(&one).expect("an identifier").uuid;
        assert_eq!(uuid.get_version_num(), 5);
    }

    #[test]
    fn an_identifier_is_a_type_and_a_uuid() {
        let text = "playbook-action--3f8d1c55-6c1e-4f0a-8d0e-0a6f3f1c2b7d";
        let identifier = Identifier::parse(text).expect("an identifier");
        assert_eq!(identifier.kind, "playbook-action");
        assert_eq!(identifier.uuid.get_version_num(), 4);
    }

    #[test]
    fn what_is_none_is_told_by_its_fault() {
        let of = |text| Identifier::parse(text).expect_err(text);
        assert_eq!(
            of("playbook-3f8d1c55-6c1e-4f0a-8d0e-0a6f3f1c2b7d"),
            Error::NoDashes
        );
        assert_eq!(
            of("Playbook--3f8d1c55-6c1e-4f0a-8d0e-0a6f3f1c2b7d"),
            Error::Kind
        );
        assert_eq!(
            of("playbook--3f8d1c556c1e4f0a8d0e0a6f3f1c2b7d"),
            Error::Uuid
        );
        assert_eq!(
            of("playbook--3f8d1c55-6c1e-7f0a-8d0e-0a6f3f1c2b7d"),
            Error::Version
        );
        assert_eq!(
            of("playbook--3f8d1c55-6c1e-4f0a-cd0e-0a6f3f1c2b7d"),
            Error::Version
        );
    }
}
