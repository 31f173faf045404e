//! Where an entity is: its namespace, its package if it is in one, its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::name::{Name, NameError, check_namespace};

/// `/namespace/name` or `/namespace/package/name`.
///
/// Written names may leave out the namespace; [`parse`](Self::parse) puts `_` there, which is
/// whose key is used, and [`resolve`](Self::resolve) says who that is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FullyQualifiedName {
    /// The namespace, maybe `_`.
    pub namespace: Name,
    /// The package.
    pub package: Option<Name>,
    /// The name.
    pub name: Name,
}

/// Why a text in a body names no entity: with the words in which the API says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameInBodyError {
    /// Only one part.
    #[error(
        "The request content was malformed:\nrequirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity."
    )]
    TooShort,
    /// A part is no name, or there are more than three.
    #[error("The request content was malformed:\n{0}")]
    Part(NameError),
}

impl FullyQualifiedName {
    /// Of parts that are names already.
    pub fn new(namespace: Name, package: Option<Name>, name: Name) -> Self {
        Self {
            namespace,
            package,
            name,
        }
    }

    /// Reads `/ns/name`, `/ns/pkg/name`, `ns/pkg/name`, `pkg/name` or `name`: what has no
    /// leading slash and fewer than three parts is in the namespace `_`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let shape = || NameError::Shape(text.to_owned());
        let (rooted, rest) = match text.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let parts: Vec<&str> = rest.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(shape());
        }
        match (rooted, &parts[..]) {
            (_, [namespace, package, name]) => Ok(Self::new(
                check_namespace(namespace)?,
                Some(Name::parse(package)?),
                Name::parse(name)?,
            )),
            (true, [namespace, name]) => Ok(Self::new(
                check_namespace(namespace)?,
                None,
                Name::parse(name)?,
            )),
            (false, [package, name]) => Ok(Self::new(
                Name::own_namespace(),
                Some(Name::parse(package)?),
                Name::parse(name)?,
            )),
            (false, [name]) => Ok(Self::new(Name::own_namespace(), None, Name::parse(name)?)),
            _ => Err(shape()),
        }
    }

    /// Reads a name in the body of a rule, a sequence or a binding: there the first part is the
    /// namespace, whether a slash leads or not.
    pub fn parse_in_body(text: &str) -> Result<Self, NameInBodyError> {
        let part = |part: &str| Name::parse(part).map_err(NameInBodyError::Part);
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        match &parts[..] {
            [] | [_] => Err(NameInBodyError::TooShort),
            [namespace, name] => Ok(Self::new(part(namespace)?, None, part(name)?)),
            [namespace, package, name] => Ok(Self::new(
                part(namespace)?,
                Some(part(package)?),
                part(name)?,
            )),
            _ => Err(NameInBodyError::Part(NameError::Shape(text.to_owned()))),
        }
    }

    /// The same with `_` replaced by the namespace of whoever asks.
    pub fn resolve(mut self, own: &Name) -> Self {
        if self.namespace.is_own_namespace() {
            self.namespace = own.clone();
        }
        self
    }

    /// Where it is: `namespace` or `namespace/package`.
    pub fn path(&self) -> EntityPath {
        EntityPath {
            namespace: self.namespace.clone(),
            package: self.package.clone(),
        }
    }

    /// Without the namespace: `package/name` or `name`.
    pub fn within_namespace(&self) -> String {
        match &self.package {
            Some(package) => format!("{package}/{}", self.name),
            None => self.name.to_string(),
        }
    }

    /// Without the leading slash, as in `path` annotations: `namespace/package/name`.
    pub fn without_slash(&self) -> String {
        format!("{}/{}", self.namespace, self.within_namespace())
    }
}

impl fmt::Display for FullyQualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/{}", self.namespace, self.within_namespace())
    }
}

impl FromStr for FullyQualifiedName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for FullyQualifiedName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<FullyQualifiedName> for String {
    fn from(name: FullyQualifiedName) -> Self {
        name.to_string()
    }
}

/// Where an entity is, as entities say it: `namespace` or `namespace/package`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityPath {
    /// The namespace.
    pub namespace: Name,
    /// The package.
    pub package: Option<Name>,
}

impl EntityPath {
    /// Of a namespace itself.
    pub fn of(namespace: Name) -> Self {
        Self {
            namespace,
            package: None,
        }
    }

    /// The entity of this name there.
    pub fn entity(&self, name: Name) -> FullyQualifiedName {
        FullyQualifiedName::new(self.namespace.clone(), self.package.clone(), name)
    }
}

impl fmt::Display for EntityPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.package {
            Some(package) => write!(f, "{}/{package}", self.namespace),
            None => write!(f, "{}", self.namespace),
        }
    }
}

impl TryFrom<String> for EntityPath {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        match &parts[..] {
            [namespace] => Ok(Self::of(check_namespace(namespace)?)),
            [namespace, package] => Ok(Self {
                namespace: check_namespace(namespace)?,
                package: Some(Name::parse(package)?),
            }),
            _ => Err(NameError::IllegalNamespace),
        }
    }
}

impl From<EntityPath> for String {
    fn from(path: EntityPath) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_leave_out_where_it_is() {
        let table = [
            ("/guest/hello", "/guest/hello"),
            ("/guest/utils/echo", "/guest/utils/echo"),
            ("guest/utils/echo", "/guest/utils/echo"),
            ("utils/echo", "/_/utils/echo"),
            ("hello", "/_/hello"),
            ("/_/hello", "/_/hello"),
        ];
        for (written, full) in table {
            let name = FullyQualifiedName::parse(written).unwrap();
            assert_eq!(name.to_string(), full, "{written}");
            assert_eq!(FullyQualifiedName::parse(full).unwrap(), name);
        }
        for text in [
            "", "/", "/hello", "//a", "/a//b", "a/", "/a/b/c/d", "a/b/c/d", "/a/b/",
        ] {
            assert!(FullyQualifiedName::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_part_of_a_name_in_a_body_is_the_namespace() {
        let read = |text| FullyQualifiedName::parse_in_body(text).map(|name| name.to_string());
        assert_eq!(read("guest/hello").unwrap(), "/guest/hello");
        assert_eq!(read("/_/utils/echo").unwrap(), "/_/utils/echo");
        assert_eq!(
            read("hello").unwrap_err().to_string(),
            "The request content was malformed:\nrequirement failed: The fully qualified name of \
             the entity must contain at least the namespace and the name of the entity."
        );
        assert!(read("a/b/c/d").is_err());
    }

    #[test]
    fn only_the_own_namespace_is_resolved() {
        let guest = Name::parse("guest").unwrap();
        let resolved = |text| {
            FullyQualifiedName::parse(text)
                .unwrap()
                .resolve(&guest)
                .to_string()
        };
        assert_eq!(resolved("utils/echo"), "/guest/utils/echo");
        assert_eq!(resolved("/other/hello"), "/other/hello");
        let name = FullyQualifiedName::parse("/a/b/c").unwrap();
        assert_eq!(name.path().to_string(), "a/b");
        assert_eq!(name.path().entity(name.name.clone()), name);
        assert_eq!(name.without_slash(), "a/b/c");
    }
}
