//! Identifiers: `<object-type>--<uuid>` (§10.10).

use thiserror::Error;
use uuid::Uuid;

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
