//! Paths of the Kubernetes API, made of names that are escaped and never trusted.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands in a path segment or a query value as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A kind of object as its address has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Such as `v1` or `apps/v1`.
    pub(crate) api_version: String,
    /// The plural that addresses have, such as `pods`.
    pub(crate) plural: String,
    /// Whether its objects are in namespaces.
    pub(crate) namespaced: bool,
}

impl Resource {
    /// One that is in namespaces.
    pub(crate) fn namespaced(api_version: &str, plural: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            plural: plural.to_owned(),
            namespaced: true,
        }
    }

    /// One that belongs to the whole cluster.
    pub(crate) fn of_cluster(api_version: &str, plural: &str) -> Self {
        Self {
            namespaced: false,
            ..Self::namespaced(api_version, plural)
        }
    }

    /// The address of all of them, in one namespace or everywhere.
    pub(crate) fn list(&self, namespace: Option<&str>) -> String {
        let root = group_path(&self.api_version);
        let plural = escape(&self.plural);
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{}/{plural}", escape(namespace)),
            None => format!("{root}/{plural}"),
        }
    }

    /// The address of one of them.
    pub(crate) fn one(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.list(namespace), escape(name))
    }
}

/// The address of a group's version.
pub(crate) fn group_path(api_version: &str) -> String {
    match api_version.split_once('/') {
        None => format!("/api/{}", escape(api_version)),
        Some((group, version)) => format!("/apis/{}/{}", escape(group), escape(version)),
    }
}

/// A path with a query; what has no value is left out.
pub(crate) fn query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut text = path.to_owned();
    let mut mark = '?';
    for (name, value) in pairs {
        if let Some(value) = value {
            text.push(mark);
            text.push_str(name);
            text.push('=');
            text.push_str(&escape(value));
            mark = '&';
        }
    }
    text
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Whether this can name an object or a namespace: letters in lower case, digits, `-` and `.`,
/// the first and the last of them no sign.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=253).contains(&bytes.len())
        && bytes.first().is_some_and(|byte| plain(*byte))
        && bytes.last().is_some_and(|byte| plain(*byte))
        && bytes
            .iter()
            .all(|byte| plain(*byte) || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_place_in_a_path() {
        let pods = Resource::namespaced("v1", "pods");
        assert_eq!(pods.list(None), "/api/v1/pods");
        let path = pods.list(Some("a/../b?x#y"));
        assert_eq!(path, "/api/v1/namespaces/a%2F..%2Fb%3Fx%23y/pods");
        for name in ["web-1", "a", "web.example.com", "0"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "-a", "a.", "A", "a/b", "a b", "a:b"] {
            assert!(!is_name(name), "{name}");
        }
        let nodes = Resource::of_cluster("v1", "nodes");
        assert_eq!(nodes.list(Some("n")), "/api/v1/nodes");
        let deployments = Resource::namespaced("apps/v1", "deployments");
        assert_eq!(
            query(
                &deployments.list(None),
                &[
                    ("limit", Some("5")),
                    ("continue", None),
                    ("labelSelector", Some("a=b,c"))
                ]
            ),
            "/apis/apps/v1/deployments?limit=5&labelSelector=a%3Db%2Cc"
        );
    }
}
