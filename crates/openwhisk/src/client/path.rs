//! URLs of the API. Names are percent-encoded, so that none of their characters means anything
//! else there.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::Error;
use crate::model::{Collection, EntityPath, FullyQualifiedName, Name};

/// What is not left as it is: all but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One part of a path, or one value of a query.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// `/namespaces/NS`.
pub(super) fn namespace(namespace: &Name) -> String {
    format!("/namespaces/{}", encode(namespace.as_str()))
}

/// `/namespaces/NS/COLLECTION`; of a package's actions with a slash at the end.
pub(super) fn list(collection: Collection, within: &EntityPath) -> Result<String, Error> {
    let base = format!("{}/{collection}", namespace(&within.namespace));
    match (&within.package, collection) {
        (None, _) => Ok(base),
        (Some(package), Collection::Actions) => Ok(format!("{base}/{}/", encode(package.as_str()))),
        (Some(_), _) => Err(Error::Invalid(format!("packages have no {collection}"))),
    }
}

/// `/namespaces/NS/COLLECTION/[PKG/]NAME`.
pub(crate) fn entity(collection: Collection, name: &FullyQualifiedName) -> Result<String, Error> {
    if name.package.is_some() && collection != Collection::Actions {
        return Err(Error::Invalid(format!(
            "`{name}` has three parts, and {collection} are never in packages"
        )));
    }
    let parts = name.package.iter().chain([&name.name]);
    let parts: Vec<String> = parts.map(|part| encode(part.as_str())).collect();
    let base = format!("{}/{collection}", namespace(&name.namespace));
    Ok(format!("{base}/{}", parts.join("/")))
}

/// A query of pairs that are not encoded yet; empty where there are none.
pub(super) fn query(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_and_stay_in_their_place() {
        let name = FullyQualifiedName::parse("/a@b.c/p & q/x y").unwrap();
        assert_eq!(
            entity(Collection::Actions, &name).unwrap(),
            "/namespaces/a%40b.c/actions/p%20%26%20q/x%20y"
        );
        let within = name.path();
        assert_eq!(
            list(Collection::Actions, &within).unwrap(),
            "/namespaces/a%40b.c/actions/p%20%26%20q/"
        );
        assert!(entity(Collection::Triggers, &name).is_err());
        assert!(list(Collection::Rules, &within).is_err());
        assert_eq!(
            query(&[("name", "a/b&c".to_owned()), ("limit", "1".to_owned())]),
            "?name=a%2Fb%26c&limit=1"
        );
        assert_eq!(query(&[]), "");
    }
}
