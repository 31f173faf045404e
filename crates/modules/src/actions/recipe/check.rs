//! Whether a recipe makes sense: every name is declared, every template can be evaluated, every
//! repeat class has what it needs.

use std::collections::BTreeMap;

use http::{HeaderName, Method};
use serde_json::Value;

use super::input::Property;
use super::model::{Action, Auth, Error, Recipe, RepeatName, Request, Response};
use super::settings::OWN;
use crate::actions::http::template::Templates;

fn wrong(place: impl Into<String>, flaw: impl Into<String>) -> Error {
    Error::Wrong {
        place: place.into(),
        flaw: flaw.into(),
    }
}

impl Recipe {
    pub(super) fn check(&self) -> Result<(), Error> {
        check_name("name", &self.name)?;
        for (name, setting) in &self.settings {
            let place = format!("settings.{name}");
            check_name(&place, name)?;
            if OWN.contains(&name.as_str()) {
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
        if self.settings.contains_key(name) {
            return Ok(());
        }
        Err(wrong(place, format!("there is no setting `{name}`")))
    }
}

impl Action {
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

impl Response {
    fn check(&self, place: &str) -> Result<(), Error> {
        let already = self.already.as_ref();
        if already.is_some_and(|already| already.contains.iter().all(String::is_empty)) {
            return Err(wrong(place, "`already.contains` would hold for any text"));
        }
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
