//! The name of an image, as `docker pull` takes it: `[registry/]repository[:tag][@digest]`.
//!
//! Pure. Names come from events and scripts: what is accepted here can be put into a path and
//! into an argument, and means one image only.

use std::fmt;
use std::str::FromStr;

/// The longest name in bytes; the specification allows 255 for the repository.
const NAME_MAX: usize = 512;

/// Docker Hub, by the name that images have for it.
const HUB: &str = "docker.io";

/// Where Docker Hub answers.
const HUB_HOST: &str = "registry-1.docker.io";

/// An image's name, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The registry's host, with its port where one is written.
    pub(crate) registry: String,
    /// The path in it.
    pub(crate) repository: String,
    /// The tag; `latest` where neither tag nor digest is written.
    pub(crate) tag: Option<String>,
    /// The digest of the manifest.
    pub(crate) digest: Option<String>,
}

/// A text is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of an image")]
pub(crate) struct Invalid(String);

impl Reference {
    /// Where the registry answers: host, and port where one is written.
    pub(crate) fn host(&self) -> &str {
        if self.registry == HUB {
            HUB_HOST
        } else {
            &self.registry
        }
    }

    /// What to ask the registry for: the digest, which is exact, or the tag.
    pub(crate) fn wanted(&self) -> &str {
        let named = self.digest.as_deref().or(self.tag.as_deref());
        named.unwrap_or("latest")
    }
}

impl FromStr for Reference {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let shown: String = text
            .chars()
            .take(100)
            .filter(|char| !char.is_control())
            .collect();
        let invalid = || Invalid(shown.clone());
        if text.len() > NAME_MAX {
            return Err(invalid());
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest.to_owned())),
            Some(_) => return Err(invalid()),
            None => (text, None),
        };
        // A colon behind the last slash is the tag's; any other is the port's.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let (registry, repository) = place(name);
        let is_whole = is_host_name(&registry)
            && repository.split('/').all(is_component)
            && tag.as_deref().is_none_or(is_tag);
        if !is_whole {
            return Err(invalid());
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag,
        };
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }
}

/// Registry and repository of a name without tag and digest, as complete as `docker` makes
/// them: every way to write Docker Hub is one. Whether they can be used is not asked.
pub(crate) fn place(name: &str) -> (String, String) {
    let is_host = |first: &&str| first.contains(['.', ':']) || *first == "localhost";
    let (registry, repository) = match name.split_once('/') {
        Some((first, path)) if is_host(&first) => (first.to_ascii_lowercase(), path.to_owned()),
        _ => (HUB.to_owned(), name.to_owned()),
    };
    let registry = match &*registry {
        "index.docker.io" | HUB_HOST => HUB.to_owned(),
        _ => registry,
    };
    let repository = if registry == HUB && !repository.contains('/') {
        format!("library/{repository}")
    } else {
        repository
    };
    (registry, repository)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest
            .as_ref()
            .map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// A host, or an IPv6 address in its brackets, with an optional port.
fn is_host_name(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().is_ok()),
        _ => (text, true),
    };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_label =
        |label: &str| !label.is_empty() && !label.starts_with('-') && label.bytes().all(known);
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_host = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    is_host && port
}

/// Small letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_component(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let known =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let bytes = text.as_bytes();
    let separators = ["..", "._", "_.", "___", ".-", "-.", "_-", "-_"];
    is_end(bytes.first())
        && is_end(bytes.last())
        && text.bytes().all(known)
        && !separators.iter().any(|separator| text.contains(separator))
}

fn is_tag(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=128).contains(&text.len()) && !text.starts_with(['.', '-']) && text.bytes().all(known)
}

/// `sha256:` and 64 small hexadecimal digits. Clair knows no other.
pub(crate) fn is_digest(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:")
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:2134a6a84f0d9510f96890b5df64c32e6b7212a3b4f1aeca7c8237da7ad54c33";

    #[test]
    fn names_are_read_as_docker_reads_them() {
        for (text, whole) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("team/app", "docker.io/team/app:latest"),
            ("index.docker.io/team/app", "docker.io/team/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            (
                "Registry.example.com:5000/a/b-c__d.e:T_1",
                "registry.example.com:5000/a/b-c__d.e:T_1",
            ),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("ghcr.io/a/b@DIGEST", "ghcr.io/a/b@DIGEST"),
            ("a:1@DIGEST", "docker.io/library/a:1@DIGEST"),
        ] {
            let text = text.replace("DIGEST", DIGEST);
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), whole.replace("DIGEST", DIGEST));
            assert_eq!(reference.to_string().parse(), Ok(reference));
        }
        let reference: Reference = "nginx".parse().unwrap();
        assert_eq!(
            (reference.host(), reference.wanted()),
            ("registry-1.docker.io", "latest")
        );
    }

    #[test]
    fn what_is_no_name_or_would_lead_elsewhere_is_refused() {
        for text in [
            "",
            "-x",
            "--help",
            "a b",
            "a/../b",
            "a//b",
            "/a",
            "a/",
            "App",
            "a@sha256:1",
            "a@md5:00",
            "a:",
            "a:-x",
            "evil.com/a?b",
            "evil.com/a#b",
            "u:p@h/a",
            "http://h/a",
            "h:99999/a.b/",
            "h.x:y/a",
            "a\nb",
            "a_-b",
            "..",
            "é",
            "[::g]:1/a",
            "-h.x/a",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        assert!("x".repeat(513).parse::<Reference>().is_err());
    }
}
