//! What a recipe is made of, and the checks that it passes when it is read.

use std::collections::BTreeMap;

use conche_core::run::{OnUncertain, Repeat};
use http::{HeaderName, Method};
use serde::Deserialize;
use serde_json::Value;

use super::input::{Fields, Property};
use crate::actions::http::template::Templates;

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

fn wrong(place: impl Into<String>, flaw: impl Into<String>) -> Error {
    Error::Wrong {
        place: place.into(),
        flaw: flaw.into(),
    }
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
    /// What the text there contains, in either case.
    pub(super) contains: String,
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

    fn check(&self) -> Result<(), Error> {
        check_name("name", &self.name)?;
        for (name, setting) in &self.settings {
            let place = format!("settings.{name}");
            check_name(&place, name)?;
            if super::settings::OWN.contains(&name.as_str()) {
                return Err(wrong(place, "every recipe has a setting of this name"));
            }
            if setting.default.is_some() && (setting.secret || setting.required) {
                return Err(wrong(
                    place,
                    "a default is neither for secrets nor for what is required",
                ));
            }
        }
        if self.actions.is_empty() {
            return Err(wrong("actions", "there is none"));
        }
        for (index, action) in self.actions.iter().enumerate() {
            let place = format!("actions.{}", action.name);
            check_name(&place, &action.name)?;
            if self.actions[..index]
                .iter()
                .any(|other| other.name == action.name)
            {
                return Err(wrong(place, "there are two of this name"));
            }
            action.check(&place, self)?;
        }
        Ok(())
    }

    fn check_setting(&self, place: String, name: &str) -> Result<(), Error> {
        match self.settings.contains_key(name) {
            true => Ok(()),
            false => Err(wrong(place, format!("there is no setting `{name}`"))),
        }
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

    fn check(&self, place: &str, recipe: &Recipe) -> Result<(), Error> {
        self.input
            .check()
            .map_err(|(name, flaw)| wrong(format!("{place}.input.{name}"), flaw))?;
        self.request
            .check(&format!("{place}.request"), recipe, &self.input.properties)?;
        self.response.check(&format!("{place}.response"))?;
        if let Some(probe) = &self.probe {
            let place = format!("{place}.probe");
            probe
                .request
                .check(&place, recipe, &self.input.properties)?;
            probe.response.check(&place)?;
            if !["GET", "HEAD"].contains(&probe.request.method.as_str()) {
                return Err(wrong(
                    place,
                    "a probe changes nothing: its method is GET or HEAD",
                ));
            }
        }
        if self.probe.is_some() != (self.repeat == RepeatName::Probe) {
            return Err(wrong(place, "`repeat: probe` and `probe` go together"));
        }
        if self.repeat == RepeatName::Keyed && !self.request.sends_key() {
            let flaw = "`repeat: keyed` needs `key_header`, or `call.key` in the request";
            return Err(wrong(place, flaw));
        }
        Ok(())
    }
}

impl Request {
    fn sends_key(&self) -> bool {
        self.key_header.is_some()
            || self
                .texts()
                .iter()
                .any(|(_, text)| text.contains("call.key"))
    }

    /// Every text with templates, and its place.
    fn texts(&self) -> Vec<(String, &str)> {
        let mut texts = vec![("path".to_owned(), self.path.as_str())];
        for (what, pairs) in [("query", &self.query), ("headers", &self.headers)] {
            texts.extend(
                pairs
                    .iter()
                    .map(|(name, text)| (format!("{what}.{name}"), text.as_str())),
            );
        }
        if let Some(json) = &self.json {
            collect(json, "json", &mut texts);
        }
        texts
    }

    fn check(
        &self,
        place: &str,
        recipe: &Recipe,
        inputs: &BTreeMap<String, Property>,
    ) -> Result<(), Error> {
        let at = |key: &str| format!("{place}.{key}");
        let method: Option<Method> = self.method.parse().ok();
        if method.is_none_or(|method| [Method::CONNECT, Method::TRACE].contains(&method)) {
            return Err(wrong(at("method"), "is not a usable method"));
        }
        recipe.check_setting(at("base"), &self.base)?;
        if self.path.starts_with("//") || !(self.path.is_empty() || self.path.starts_with('/')) {
            return Err(wrong(
                at("path"),
                "a path begins with `/`, with one, or is empty",
            ));
        }
        for name in self.headers.keys().chain(&self.key_header) {
            let parsed = name.parse::<HeaderName>();
            if parsed.is_err() || name.eq_ignore_ascii_case("authorization") {
                return Err(wrong(at("headers"), format!("`{name}` can't be set here")));
            }
        }
        for name in self.auth.iter().flat_map(Auth::settings) {
            recipe.check_setting(at("auth"), name)?;
        }
        for (key, text) in self.texts() {
            check_template(text, recipe, inputs).map_err(|flaw| wrong(at(&key), flaw))?;
        }
        Ok(())
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

impl Response {
    fn check(&self, place: &str) -> Result<(), Error> {
        let condition = self.success.iter().map(|condition| &condition.pointer);
        let already = self.already.iter().map(|already| &already.pointer);
        let pointers = self
            .output
            .values()
            .chain(&self.error)
            .chain(condition)
            .chain(already);
        for pointer in pointers {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                return Err(wrong(place, format!("`{pointer}` is not a JSON Pointer")));
            }
        }
        Ok(())
    }
}

fn collect<'a>(value: &'a Value, place: &str, texts: &mut Vec<(String, &'a str)>) {
    match value {
        Value::String(text) => texts.push((place.to_owned(), text)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| collect(item, &format!("{place}.{index}"), texts)),
        Value::Object(members) => members
            .iter()
            .for_each(|(name, member)| collect(member, &format!("{place}.{name}"), texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a template can be evaluated, and names only what there is.
fn check_template(
    text: &str,
    recipe: &Recipe,
    inputs: &BTreeMap<String, Property>,
) -> Result<(), String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let (expression, after) = after.split_once("}}").ok_or("a `{{` has no `}}`")?;
        for (root, name) in names(expression) {
            let known = match root {
                "input" => inputs.contains_key(name),
                "settings" => recipe.settings.contains_key(name),
                "call" => ["key", "uuid", "run", "definition"].contains(&name),
                _ => true,
            };
            if !known {
                return Err(format!("there is no `{root}.{name}`"));
            }
        }
        rest = after;
    }
    Templates::check(text).map_err(|error| error.to_string())
}

/// The `root.name` pairs of an expression.
fn names(expression: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let parts = expression.split(move |char: char| !is_word(char) && char != '.');
    parts.filter_map(|part| {
        let mut words = part.split('.');
        Some((words.next()?, words.next()?))
    })
}

fn check_name(place: &str, name: &str) -> Result<(), Error> {
    let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(wrong(place, "a name has 1 to 64 of a-z, 0-9 and _"));
    }
    Ok(())
}
