//! What a recipe is made of. The checks that it passes when it is read are in
//! [`check`](super::check).

use std::collections::BTreeMap;

use conche_core::run::{OnUncertain, Repeat};
use serde::Deserialize;
use serde_json::Value;

use super::input::Fields;

/// The longest recipe in bytes.
const TEXT_MAX: usize = 256 * 1024;

/// A recipe can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It can't be read as one.
    #[error("{0}")]
    Unreadable(String),
    /// Something in it makes no sense.
    #[error("{place}: {flaw}")]
    Wrong {
        /// Where, such as `actions.create.request.path`.
        place: String,
        /// What is wrong.
        flaw: String,
    },
    /// A module has the name already.
    #[error("there is another module `{0}`")]
    Taken(String),
    /// The list of modules was made already.
    #[error("recipes can be added at the start only")]
    Late,
}

/// An action module described by data.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The module's name.
    pub name: String,
    /// One sentence.
    pub(super) summary: String,
    /// What the configuration sets, by name.
    pub(super) settings: BTreeMap<String, Setting>,
    /// What it offers.
    pub(super) actions: Vec<Action>,
}

/// Something to set under `actions.NAME`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Setting {
    /// One sentence.
    pub(super) description: String,
    /// Whether the value is a secret's, which is named.
    #[serde(default)]
    pub(super) secret: bool,
    /// Whether it must be set.
    #[serde(default)]
    pub(super) required: bool,
    /// Used where it is not set; not for secrets.
    #[serde(default)]
    pub(super) default: Option<String>,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) repeat: RepeatName,
    /// What to do where the fate of a request is unknown. By default a person decides for
    /// `unsafe`, and it is repeated otherwise.
    #[serde(default)]
    pub(super) on_uncertain: Option<UncertainName>,
    pub(super) input: Fields,
    pub(super) request: Request,
    #[serde(default)]
    pub(super) response: Response,
    /// How to find out whether it took effect; for `repeat: probe`.
    #[serde(default)]
    pub(super) probe: Option<Probe>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RepeatName {
    Idempotent,
    Keyed,
    Probe,
    Unsafe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UncertainName {
    Repeat,
    Attention,
}

/// What is sent. Texts hold `{{ expressions }}` over `input`, `settings` and `call`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    #[serde(default = "default_method")]
    pub(super) method: String,
    /// The setting that holds the address that the path is appended to.
    pub(super) base: String,
    #[serde(default)]
    pub(super) path: String,
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// The header for the call's key.
    #[serde(default)]
    pub(super) key_header: Option<String>,
    #[serde(default)]
    pub(super) auth: Option<Auth>,
    /// Whether it goes without where the settings for it are not set.
    #[serde(default)]
    pub(super) auth_optional: bool,
    /// Sent as JSON. A text that is one expression becomes its value with its type, or goes
    /// where there is none.
    #[serde(default)]
    pub(super) json: Option<Value>,
    /// The largest body in bytes that the service takes.
    #[serde(default)]
    pub(super) body_max: Option<usize>,
}

fn default_method() -> String {
    "POST".to_owned()
}

/// Which setting is shown, and how.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Auth {
    /// `Authorization: Bearer`.
    Bearer(String),
    /// `Authorization: Basic` of two settings.
    Basic(Basic),
    /// A header of its own.
    Header(Header),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Basic {
    pub(super) user: String,
    pub(super) password: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: String,
}

/// What an answer means. Pointers are RFC 6901, into the answer's JSON.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Response {
    /// The statuses of success; empty for 200 to 299.
    pub(super) ok: Vec<u16>,
    /// What must hold besides, for services that answer 200 to everything.
    pub(super) success: Option<Condition>,
    /// What a repeat is answered where the first took effect.
    pub(super) already: Option<Already>,
    /// Where the service says what is wrong.
    pub(super) error: Option<String>,
    /// The output: names, and where their values are. A value that is not there is null.
    pub(super) output: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    pub(super) pointer: String,
    pub(super) equals: Value,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Already {
    pub(super) status: u16,
    pub(super) pointer: String,
    /// What the text there contains, in either case: all of these.
    pub(super) contains: Vec<String>,
}

/// A request that changes nothing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    pub(super) request: Request,
    /// Of an answer in `ok` it says that it happened, and gives the output.
    #[serde(default)]
    pub(super) response: Response,
    /// The statuses that mean that it did not.
    pub(super) not_found: Vec<u16>,
}

impl Recipe {
    /// Reads and checks a recipe.
    pub fn read(yaml: &str) -> Result<Self, Error> {
        if yaml.len() > TEXT_MAX {
            return Err(Error::Unreadable(format!(
                "the recipe is larger than {TEXT_MAX} bytes"
            )));
        }
        let options = serde_saphyr::options! { with_snippet: false };
        let recipe: Self = serde_saphyr::from_str_with_options(yaml, options)
            .map_err(|error| Error::Unreadable(error.to_string()))?;
        recipe.check()?;
        Ok(recipe)
    }
}

impl Action {
    pub(super) const fn repeat_class(&self) -> Repeat {
        match self.repeat {
            RepeatName::Idempotent => Repeat::Idempotent,
            RepeatName::Keyed => Repeat::Keyed,
            RepeatName::Probe => Repeat::Probe,
            RepeatName::Unsafe => Repeat::Unsafe,
        }
    }

    pub(super) fn on_uncertain(&self) -> OnUncertain {
        match (self.on_uncertain, self.repeat) {
            (Some(UncertainName::Attention), _) | (None, RepeatName::Unsafe) => {
                OnUncertain::Attention
            }
            _ => OnUncertain::Repeat,
        }
    }

    /// JSON Schema of the output: the named values, of any type.
    pub(super) fn output_schema(&self) -> Value {
        let member = |(name, pointer): (&String, &String)| {
            let description = format!("`{pointer}` of the answer; null where it is not there.");
            (
                name.clone(),
                serde_json::json!({ "description": description }),
            )
        };
        let members: serde_json::Map<_, _> = self.response.output.iter().map(member).collect();
        serde_json::json!({ "type": "object", "properties": members })
    }
}

impl Auth {
    /// The settings that it shows.
    pub(super) fn settings(&self) -> Vec<&str> {
        match self {
            Self::Bearer(name) => vec![name],
            Self::Basic(basic) => vec![&basic.user, &basic.password],
            Self::Header(header) => vec![&header.value],
        }
    }
}
