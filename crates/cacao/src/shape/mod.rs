//! The objects of CACAO 2.0: which properties each has, and of what kind.
//!
//! One table, read by the structural checks and by the generator of the JSON Schema, so that
//! the two cannot disagree. It says what can be said of one value by itself; what values have
//! to do with each other is in [`crate::check`].

mod agent;
mod authentication;
mod command;

mod extension;
mod marking;
mod playbook;
mod shared;
mod signature;
mod step;
mod variable;

pub use self::agent::{ADDRESS, AGENT_TARGET};
pub use self::authentication::AUTHENTICATION_INFO;
pub use self::command::COMMAND;
pub use self::extension::EXTENSION_DEFINITION;
pub use self::marking::MARKING;
pub use self::playbook::{PLAYBOOK, PROCESSING_SUMMARY};
pub use self::shared::{CIVIC_LOCATION, CONTACT, EXTERNAL_REFERENCE};
pub use self::signature::SIGNATURE;
pub use self::step::STEP;
pub use self::variable::VARIABLE;
use crate::vocabulary::Vocabulary;

/// What a value may be.
#[derive(Debug)]
pub enum Shape {
    /// Any text.
    Text,
    /// This text and no other.
    Fixed(&'static str),
    /// A word of a vocabulary.
    Word(&'static Vocabulary),
    /// `<type>--<uuid>`, of one of the types; of any where none is named.
    Identifier(&'static [&'static str]),
    /// An RFC 3339 time in UTC.
    Timestamp,
    /// An RFC 3339 time in UTC with exactly three decimals.
    Milliseconds,
    /// Text that is base64 (RFC 4648 §4, padded).
    Base64,
    /// True or false.
    Bool,
    /// A whole number between two, both included.
    Integer(i64, i64),
    /// A variable's value: text, null, or an object for a dictionary.
    VariableValue,
    /// Null, or what is inside.
    Nullable(&'static Shape),
    /// Anything.
    Any,
    /// A list with at least so many elements.
    List(usize, &'static Shape),
    /// An object whose names are the author's, with at least so many members.
    Dictionary(Names, usize, &'static Shape),
    /// An object with the properties of a table.
    Object(&'static Object),
    /// An object whose `type` says which table it follows.
    Typed(&'static Family),
}

/// What the names in a dictionary may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// `^[a-zA-Z0-9_-]{0,250}$`.
    Keys,
    /// Identifiers.
    Identifiers,
    /// Names of variables.
    Variables,
    /// Names of HTTP header fields.
    Headers,
    /// Any text, such as the cases of a switch.
    Any,
}

/// One property of an object.
#[derive(Debug)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// Whether the object is wrong without it.
    pub required: bool,
    /// What its value may be.
    pub shape: Shape,
    /// What it means, in a sentence.
    pub about: &'static str,
}

/// A table of properties.
#[derive(Debug)]
pub struct Object {
    /// What the object is called.
    pub name: &'static str,
    /// Where the specification describes it.
    pub section: &'static str,
    /// Its properties, in the order in which they are best written.
    pub properties: &'static [Property],
}

/// Objects told apart by their `type`.
#[derive(Debug)]
pub struct Family {
    /// What one of them is called.
    pub name: &'static str,
    /// The words for `type`.
    pub types: &'static Vocabulary,
    /// The properties that all of them have.
    pub common: &'static Object,
    /// The properties of each type beside the common ones. A type that is not here has
    /// properties that only its author knows.
    pub own: &'static [(&'static str, &'static Object)],
}

impl Family {
    /// The table of a type beside the common one.
    pub fn own(&self, kind: &str) -> Option<&'static Object> {
        self.own
            .iter()
            .find(|(name, _)| *name == kind)
            .map(|(_, object)| *object)
    }
}

const fn required(name: &'static str, shape: Shape, about: &'static str) -> Property {
    Property {
        name,
        required: true,
        shape,
        about,
    }
}

const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Property {
    Property {
        name,
        required: false,
        shape,
        about,
    }
}
