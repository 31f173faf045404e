//! Whether a container runs an image. Pure.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::clients::registry;

/// How images are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Match {
    /// As the scripts of CSF expect it. The container's image ends so; or, where the image is
    /// named with its digest, as `klar` and Clair name it, it is of the same repository,
    /// whatever its version, or has the same digest.
    #[default]
    Csf,
    /// The container's image ends so: `nginx` is `evil-nginx` too.
    Suffix,
    /// It is written exactly so.
    Exact,
    /// It is of the same repository, whatever the tag; `nginx` is `docker.io/library/nginx` and
    /// every other way to write it.
    Repository,
    /// It has the same digest, written there or told by the node that runs it.
    Digest,
}

/// A container and what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Running<'a> {
    /// As it is written in the object.
    pub(super) image: &'a str,
    /// What the node says of it, with its digest.
    pub(super) image_id: Option<&'a str>,
}

impl Match {
    /// Whether a container runs `wanted`.
    pub(super) fn fits(self, running: &Running<'_>, wanted: &str) -> bool {
        match self {
            Self::Csf => {
                let with_digest = digest(wanted).is_some();
                // A digest alone has no repository.
                let named = with_digest && wanted.contains('@');
                Self::Suffix.fits(running, wanted)
                    || (with_digest && Self::Digest.fits(running, wanted))
                    || (named && Self::Repository.fits(running, wanted))
            }
            Self::Suffix => running.image.ends_with(wanted),
            Self::Exact => running.image == wanted,
            Self::Repository => repository(running.image) == repository(wanted),
            Self::Digest => {
                let wanted = digest(wanted);
                let found = [Some(running.image), running.image_id];
                let mut found = found.into_iter().flatten().map(digest);
                wanted.is_some() && found.any(|found| found == wanted)
            }
        }
    }
}

/// `sha256:…`, alone or behind an `@`.
fn digest(image: &str) -> Option<&str> {
    let digest = image.rsplit_once('@').map_or(image, |(_, digest)| digest);
    digest.starts_with("sha256:").then_some(digest)
}

/// Registry and repository of an image, without tag and digest.
fn repository(image: &str) -> (String, String) {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let name = match name.rsplit_once(':') {
        // A `/` after the colon: that was the port of a registry.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    registry::place(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_is_one_registry_however_it_is_written() {
        let all = [
            "nginx",
            "library/nginx:1",
            "docker.io/nginx:3",
            "docker.io/library/nginx",
            "index.docker.io/library/nginx:4",
            "index.docker.io/nginx",
            "registry-1.docker.io/library/nginx:5",
            "Docker.IO/nginx@sha256:01",
        ];
        for image in all {
            let running = Running {
                image,
                image_id: None,
            };
            for wanted in all {
                assert!(Match::Repository.fits(&running, wanted), "{image} {wanted}");
            }
            for other in ["quay.io/library/nginx", "docker.io/acme/nginx"] {
                assert!(!Match::Repository.fits(&running, other), "{image} {other}");
            }
        }
    }

    #[test]
    fn images_are_compared_as_asked() {
        let digest = "sha256:0123";
        for (how, image, wanted, fits) in [
            (Match::Csf, "evil-nginx", "nginx", true),
            (Match::Csf, "nginx:1.25", "nginx", false),
            (Match::Csf, "r.example/a:1", "r.example/a@sha256:0123", true),
            (
                Match::Csf,
                "r.example/b:1",
                "r.example/a@sha256:0123",
                false,
            ),
            (Match::Csf, "b@sha256:0123", "sha256:0123", true),
            (Match::Csf, "b:1", "sha256:0123", false),
            (
                Match::Suffix,
                "r.example/a:1",
                "r.example/a@sha256:0123",
                false,
            ),
            (Match::Suffix, "evil-nginx", "nginx", true),
            (Match::Suffix, "nginx:1.25", "nginx", false),
            (Match::Exact, "nginx:1.25", "nginx:1.25", true),
            (Match::Exact, "r/nginx:1.25", "nginx:1.25", false),
            (
                Match::Repository,
                "nginx:1.25",
                "docker.io/library/nginx",
                true,
            ),
            (Match::Repository, "evil-nginx", "nginx", false),
            (
                Match::Repository,
                "r.example:5000/a/b@sha256:0123",
                "r.example:5000/a/b:2",
                true,
            ),
            (Match::Repository, "acme/app", "docker.io/acme/app:1", true),
            (Match::Digest, "r.example/a:1@sha256:0123", digest, true),
            (
                Match::Digest,
                "other@sha256:0123",
                "r.example/a@sha256:0123",
                true,
            ),
            (Match::Digest, "a:1", "a:1", false),
        ] {
            let running = Running {
                image,
                image_id: None,
            };
            assert_eq!(how.fits(&running, wanted), fits, "{how:?} {image} {wanted}");
        }
        let running = Running {
            image: "a:1",
            image_id: Some("docker-pullable://r.example/a@sha256:0123"),
        };
        assert!(Match::Digest.fits(&running, digest));
    }
}
