//! What a registry says an image is made of.
//!
//! Pure. Known are OCI and Docker (version 2, schema 1 and 2) manifests, and the lists of them
//! for several platforms.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::reference::is_digest;

/// What is accepted, the best first.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.5, application/vnd.docker.distribution.manifest.v1+json;q=0.5";

/// More layers than any engine takes.
const LAYERS_MAX: usize = 1000;

/// A layer of nothing, which old engines put into images.
const EMPTY_LAYER: &str = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";

/// What one manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Manifest {
    /// One image: its layers, the base first.
    Image(Vec<Layer>),
    /// Images for several platforms.
    Index(Vec<Choice>),
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) digest: String,
    /// Where it is instead of in the registry.
    pub(super) elsewhere: Option<String>,
}

/// An image of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) digest: String,
    pub(super) platform: Option<Platform>,
}

/// What an image runs on, written `linux/arm64` or `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub(crate) struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Default for Platform {
    /// Linux on the processor that this program is built for.
    fn default() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        }
    }
}

impl Platform {
    /// Whether an image for `other` is meant; a variant counts where one is asked for.
    fn takes(&self, other: &Self) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_none() || self.variant == other.variant)
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let known = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
        };
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(known) {
            return Err(format!("`{text}` is not a platform such as `linux/amd64`"));
        }
        Ok(Self {
            os: parts[0].to_owned(),
            architecture: parts[1].to_owned(),
            variant: parts.get(2).map(|variant| (*variant).to_owned()),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Manifest {
    pub(super) fn read(body: &[u8]) -> Result<Self, Error> {
        let wrong = |what: &str| Error::Nonsense(what.to_owned());
        let body: Value =
            serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))?;
        let read = if let Some(choices) = body["manifests"].as_array() {
            Self::Index(choices.iter().map(choice).collect::<Result<_, _>>()?)
        } else if let Some(layers) = body["layers"].as_array() {
            Self::Image(layers.iter().map(layer).collect::<Result<_, _>>()?)
        } else if let Some(layers) = body["fsLayers"].as_array() {
            // Schema 1 has the base last.
            let layers = layers.iter().rev().map(|layer| digest(&layer["blobSum"]));
            let layers = layers.map(|digest| {
                digest.map(|digest| Layer {
                    digest,
                    elsewhere: None,
                })
            });
            Self::Image(layers.collect::<Result<_, _>>()?)
        } else {
            return Err(wrong("it is neither a manifest nor a list of them"));
        };
        match read {
            Self::Image(layers) => Self::checked(layers),
            index @ Self::Index(_) => Ok(index),
        }
    }

    fn checked(mut layers: Vec<Layer>) -> Result<Self, Error> {
        layers.retain(|layer| layer.digest != EMPTY_LAYER);
        match layers.len() {
            1..=LAYERS_MAX => Ok(Self::Image(layers)),
            0 => Err(Error::Nonsense("the image has no layers".to_owned())),
            many => Err(Error::Nonsense(format!(
                "the image has {many} layers; at most {LAYERS_MAX} are taken"
            ))),
        }
    }
}

/// The first image for a platform.
pub(super) fn choose<'a>(choices: &'a [Choice], wanted: &Platform) -> Result<&'a Choice, Error> {
    let fits = |choice: &&Choice| {
        choice
            .platform
            .as_ref()
            .is_some_and(|platform| wanted.takes(platform))
    };
    choices.iter().find(fits).ok_or_else(|| {
        let known: Vec<String> = choices
            .iter()
            .filter_map(|choice| Some(choice.platform.as_ref()?.to_string()))
            .collect();
        Error::NoPlatform {
            wanted: wanted.to_string(),
            known: known.join(", "),
        }
    })
}

fn digest(value: &Value) -> Result<String, Error> {
    let text = value.as_str().filter(|text| is_digest(text));
    let text = text
        .ok_or_else(|| Error::Nonsense("it names something without a sha256 digest".to_owned()))?;
    Ok(text.to_owned())
}

fn choice(value: &Value) -> Result<Choice, Error> {
    let platform = &value["platform"];
    let word = |key: &str| platform[key].as_str().map(str::to_owned);
    let platform = match (word("os"), word("architecture")) {
        (Some(os), Some(architecture)) => Some(Platform {
            os,
            architecture,
            variant: word("variant"),
        }),
        _ => None,
    };
    Ok(Choice {
        digest: digest(&value["digest"])?,
        platform,
    })
}

fn layer(value: &Value) -> Result<Layer, Error> {
    let kind = value["mediaType"].as_str().unwrap_or("tar");
    if !kind.contains("tar") {
        let kind: String = kind.chars().take(100).collect();
        return Err(Error::NoImage(kind));
    }
    Ok(Layer {
        digest: digest(&value["digest"])?,
        elsewhere: value
            .pointer("/urls/0")
            .and_then(Value::as_str)
            .map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn digests(text: &str) -> Vec<String> {
        match Manifest::read(text.as_bytes()).unwrap() {
            Manifest::Image(layers) => layers.into_iter().map(|layer| layer.digest).collect(),
            Manifest::Index(choices) => choices.into_iter().map(|choice| choice.digest).collect(),
        }
    }

    #[test]
    fn csf_bug_14_layers_come_base_first_whatever_the_manifest() {
        let (a, b) = (d('a'), d('b'));
        let oci = format!(
            r#"{{"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{a}"}},{{"digest":"{b}"}}]}}"#
        );
        let old = format!(
            r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{b}"}},{{"blobSum":"{EMPTY_LAYER}"}},{{"blobSum":"{a}"}}]}}"#
        );
        for text in [oci, old] {
            assert_eq!(digests(&text), [a.clone(), b.clone()]);
        }
    }

    #[test]
    fn a_list_is_chosen_from_by_platform() {
        let text = format!(
            r#"{{"manifests":[{{"digest":"{}","platform":{{"os":"linux","architecture":"arm","variant":"v6"}}}},{{"digest":"{}","platform":{{"os":"linux","architecture":"arm","variant":"v7"}}}},{{"digest":"{}"}}]}}"#,
            d('a'),
            d('b'),
            d('c')
        );
        let Manifest::Index(choices) = Manifest::read(text.as_bytes()).unwrap() else {
            panic!("{text}");
        };
        let chosen = |platform: &str| {
            choose(&choices, &platform.parse().unwrap()).map(|choice| choice.digest.clone())
        };
        assert_eq!(chosen("linux/arm/v7").unwrap(), d('b'));
        assert_eq!(chosen("linux/arm").unwrap(), d('a'));
        let refused = chosen("linux/amd64").unwrap_err().to_string();
        assert!(refused.contains("linux/arm/v6, linux/arm/v7"), "{refused}");
        for text in ["linux", "linux/", "a/b/c/d", "linux/a b"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let artifact = format!(
            r#"{{"layers":[{{"mediaType":"application/vnd.in-toto+json","digest":"{}"}}]}}"#,
            d('a')
        );
        for text in [
            "",
            "[]",
            "{}",
            r#"{"layers":[]}"#,
            r#"{"layers":[{"digest":"sha256:1"}]}"#,
            r#"{"layers":[7]}"#,
            r#"{"manifests":[{}]}"#,
            &artifact,
        ] {
            assert!(Manifest::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
