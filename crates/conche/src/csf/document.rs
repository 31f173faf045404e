//! CSF's `config.<ext>`, read as viper read it: the first file of a known extension, keys in
//! any case, unknown keys passed over, and values in looser types than ours.
//!
//! Source: CSF `main.go` (spf13/viper 1.1: `SupportedExts`, `insensitiviseMap`, and the
//! weakly typed decoding of mitchellh/mapstructure).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::Error;

/// In the order in which viper looks.
const EXTENSIONS: [&str; 8] = [
    "json",
    "toml",
    "yaml",
    "yml",
    "properties",
    "props",
    "prop",
    "hcl",
];

/// Bytes of a file that are read.
const BYTES_MAX: u64 = 1024 * 1024;

/// The keys that CSF looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Document {
    pub(super) api: Listener,
    pub(super) webui: WebUi,
    pub(super) storage: Provider,
    pub(super) configprovider: Provider,
    pub(super) csf: Csf,
    pub(super) metrics: Metrics,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Listener {
    pub(super) bindaddress: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct WebUi {
    #[serde(deserialize_with = "truth")]
    pub(super) enabled: bool,
    pub(super) bindaddress: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Provider {
    pub(super) provider: String,
    pub(super) config: Folder,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Csf {
    pub(super) loglevel: String,
    pub(super) logformat: String,
    #[serde(deserialize_with = "list")]
    pub(super) eventsources: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub(super) actionsmodules: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Metrics {
    pub(super) prometheusendpoint: String,
}

/// Finds and reads the file.
pub(super) fn find(dir: &Path) -> Result<(PathBuf, Document), Error> {
    let files = EXTENSIONS.map(|extension| (extension, dir.join(format!("config.{extension}"))));
    let found = files.into_iter().find(|(_, file)| file.exists());
    let (extension, file) = found.ok_or_else(|| Error::NoFile(dir.to_owned()))?;
    let text = text(&file)?;
    let document = parse(extension, &text).map_err(|message| Error::Syntax {
        file: file.clone(),
        message,
    })?;
    Ok((file, document))
}

/// Reads a file whole, as far as it has a sane size.
pub(super) fn text(file: &Path) -> Result<String, Error> {
    let refused = |source| Error::Read {
        file: file.to_owned(),
        source,
    };
    let bytes = std::fs::metadata(file).map_err(refused)?.len();
    if bytes > BYTES_MAX {
        return Err(Error::Syntax {
            file: file.to_owned(),
            message: format!("it has {bytes} bytes; at most {BYTES_MAX} are read"),
        });
    }
    std::fs::read_to_string(file).map_err(refused)
}

fn parse(extension: &str, text: &str) -> Result<Document, String> {
    let value = match extension {
        "json" => serde_json::from_str(text).map_err(|error| error.to_string())?,
        "toml" => toml::from_str(text).map_err(|error| error.to_string())?,
        "hcl" => hcl::from_str(text).map_err(|error| error.to_string())?,
        "yaml" | "yml" => yaml(text)?,
        _ => properties(text)?,
    };
    serde_json::from_value(with_small_keys(value)).map_err(|error| error.to_string())
}

/// Reads YAML; a file of nothing is an object of nothing.
pub(super) fn yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    let value = serde_saphyr::from_str_with_options::<Option<Value>>(text, options);
    let value = value.map_err(|error| error.to_string())?;
    Ok(value.unwrap_or_else(|| Value::Object(Map::new())))
}

/// `a.b = c` is `{"a":{"b":"c"}}`.
fn properties(text: &str) -> Result<Value, String> {
    let flat = java_properties::read(text.as_bytes()).map_err(|error| error.to_string())?;
    let mut tree = Map::new();
    // In order, so that `a` is seen before `a.b`.
    let flat: BTreeMap<String, String> = flat.into_iter().collect();
    for (path, value) in flat {
        let mut at = &mut tree;
        let (parents, key) = path.rsplit_once('.').unwrap_or(("", &path));
        for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
            let next = at.entry(parent).or_insert_with(|| Map::new().into());
            at = match next {
                Value::Object(members) => members,
                _ => return Err(format!("`{parent}` is both a value and a section")),
            };
        }
        at.insert(key.to_owned(), value.into());
    }
    Ok(tree.into())
}

/// Viper knows keys in small letters only. What is null counts as absent.
fn with_small_keys(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            members
                .map(|(key, value)| (key.to_lowercase(), with_small_keys(value)))
                .collect()
        }
        other => other,
    }
}

fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Bool(truth) => Ok(truth),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        // What Go's strconv.ParseBool takes, and nothing for nothing.
        Value::String(word) => match &*word {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            _ => Err(serde::de::Error::custom(format!(
                "`{word}` is neither true nor false"
            ))),
        },
        _ => Err(serde::de::Error::custom("expected true or false")),
    }
}

/// A list, or one text with commas.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Words::deserialize(deserializer)? {
        Words::List(words) => words,
        Words::Text(text) if text.is_empty() => Vec::new(),
        Words::Text(text) => text.split(',').map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Document {
        Document {
            api: Listener {
                bindaddress: ":8888".to_owned(),
            },
            webui: WebUi {
                enabled: true,
                bindaddress: String::new(),
            },
            csf: Csf {
                eventsources: vec!["onetime".to_owned(), "Clair".to_owned()],
                ..Csf::default()
            },
            ..Document::default()
        }
    }

    #[test]
    fn the_same_settings_are_read_in_every_language_of_viper() {
        let texts = [
            (
                "yaml",
                "API:\n  bindAddress: ':8888'\nwebUI: {enabled: true}\ncsf:\n  eventsources: [onetime, Clair]\nextra: 1\n",
            ),
            (
                "json",
                r#"{"api":{"BINDADDRESS":":8888"},"webui":{"enabled":"true"},"csf":{"eventSources":["onetime","Clair"]}}"#,
            ),
            (
                "toml",
                "[api]\nbindAddress = ':8888'\n[webUI]\nenabled = true\n[csf]\neventsources = ['onetime', 'Clair']\n",
            ),
            (
                "properties",
                "api.bindAddress = :8888\nwebUI.enabled = 1\ncsf.eventsources = onetime,Clair\n",
            ),
            (
                "hcl",
                "api { bindAddress = \":8888\" }\nwebUI { enabled = true }\ncsf { eventsources = [\"onetime\", \"Clair\"] }\n",
            ),
        ];
        for (extension, text) in texts {
            assert_eq!(parse(extension, text), Ok(expected()), "{extension}");
        }
    }

    #[test]
    fn an_empty_file_is_an_empty_configuration() {
        for (extension, text) in [("yaml", ""), ("yml", "# nothing\n"), ("props", "")] {
            assert_eq!(parse(extension, text), Ok(Document::default()));
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        for (extension, text) in [
            ("yaml", "api: [\n"),
            ("json", "{"),
            ("toml", "api"),
            ("hcl", "api {"),
        ] {
            let message = parse(extension, text).expect_err(extension);
            assert!(
                message.contains("line") || message.contains('1'),
                "{message}"
            );
        }
        let odd = parse("yaml", "webUI: {enabled: perhaps}").unwrap_err();
        assert!(odd.contains("`perhaps`"), "{odd}");
        let both = parse("props", "a=1\na.b=2\n").unwrap_err();
        assert!(both.contains("both"), "{both}");
    }
}
