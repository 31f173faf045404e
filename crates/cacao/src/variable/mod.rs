//! Variables (§10.18): names, typed values, scopes, and how values get into texts.
//!
//! A playbook uses a variable by a reference, `__name__:value`. What stands in its place is
//! decided by [`Substitution`], in one pass: text that was put in is never looked at again, so
//! that a value cannot refer to another variable, and it is quoted for the place where it
//! stands, so that a value cannot become code.

pub mod address;
pub mod kind;
pub mod name;
pub mod number;
pub mod quote;
pub mod reference;
pub mod scope;
pub mod substitute;
pub(crate) mod uri;
pub mod value;

pub use self::kind::Type;
pub use self::name::Name;
pub use self::quote::Quoting;
pub use self::scope::Scope;
pub use self::substitute::Substitution;
pub use self::value::Value;

/// A variable and what it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// What its value is.
    pub kind: Type,
    /// Its value; none while it is not known.
    pub value: Option<Value>,
    /// Whether its value never changes.
    pub constant: bool,
    /// Whether the caller gives its first value.
    pub external: bool,
}

impl Variable {
    /// A variable with a value.
    pub const fn new(kind: Type, value: Option<Value>) -> Self {
        Self {
            kind,
            value,
            constant: false,
            external: false,
        }
    }

    /// The variable that a declaration in a playbook makes. Its properties must be of the
    /// right JSON types: where they are not, the structural checks say so, and it is read as
    /// if they were absent.
    pub fn declared(declaration: &serde_json::Value) -> Result<Self, kind::Error> {
        let kind = declaration.get("type").and_then(serde_json::Value::as_str);
        let kind = Type::of(kind.unwrap_or("string"));
        let flag =
            |name: &str| declaration.get(name).and_then(serde_json::Value::as_bool) == Some(true);
        let value = match declaration.get("value") {
            Some(value) => kind.from_json(value)?,
            None => None,
        };
        Ok(Self {
            kind,
            value,
            constant: flag("constant"),
            external: flag("external"),
        })
    }
}

/// Where variables are looked up by name.
pub trait Variables {
    /// The variable that a name means here; none where it is not declared.
    fn variable(&self, name: &str) -> Option<&Variable>;
}

impl<N> Variables for std::collections::BTreeMap<N, Variable>
where
    N: std::borrow::Borrow<str> + Ord,
{
    fn variable(&self, name: &str) -> Option<&Variable> {
        self.get(name)
    }
}
