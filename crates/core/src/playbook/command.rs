//! A command as a playbook has it, and the input that its module gets: references filled in,
//! each value quoted for the kind of text that it stands in.
//!
//! The input's form is `conche_modules::command::CommandInput`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_cacao::model::{Command, Dictionary};
use conche_cacao::variable::reference::references;
use conche_cacao::variable::{
    self, Name, Quoting, Scope, Substitution, Type, Value as Filled, Variable, Variables,
};
use serde_json::{Map, Value, json};

use crate::json::Json;
use crate::run::{Declared, Question, written};

/// A command for one target, with references.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandTemplate {
    /// Where it stands in the playbook, for messages.
    pub(super) place: String,
    pub(super) command: Parts,
    pub(super) agent: Value,
    pub(super) target: Option<Value>,
    pub(super) in_args: Vec<Name>,
    /// Whether all variables are handed over where `in_args` names none.
    pub(super) sees_all: bool,
    pub(super) out_args: Vec<Name>,
    pub(super) context: Value,
}

/// The properties of a command, each with what kind of text it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parts {
    kind: String,
    fixed: Map<String, Value>,
    command: Option<Text>,
    content: Option<Text>,
    headers: Vec<(String, Vec<String>)>,
    other: Value,
}

/// A text with references.
#[derive(Debug, Clone, PartialEq)]
enum Text {
    /// Values are quoted for this kind of text.
    Of(String, Quoting),
    /// JSON, whose texts are filled in.
    Tree(Value),
    /// What is JSON only when it is filled in.
    Loose(String),
    /// The start line of an HTTP request.
    StartLine(String),
    /// Bytes that are no text, in base64.
    Bytes(String),
}

impl Parts {
    /// Takes a command apart; base64 is decoded. `language` is the type of command as which it
    /// is carried out, which decides how values are quoted.
    pub(super) fn of(command: &Command, language: &str) -> Result<Self, String> {
        let mut fixed = Map::new();
        for (name, value) in [
            ("description", &command.description),
            ("version", &command.version),
        ] {
            if let Some(value) = value {
                fixed.insert(name.to_owned(), value.as_str().into());
            }
        }
        let http = matches!(language, "http-api" | "openc2-http");
        let script = |text: String| match language {
            _ if http => Text::StartLine(text),
            "ssh" | "bash" => Text::Of(text, Quoting::PosixShell),
            "powershell" => Text::Of(text, Quoting::PowerShell),
            "elastic" | "jupyter" => tree_or(text),
            // A value is one part of the name: what has a slash names no other action.
            "openwhisk" => Text::Of(text, Quoting::PathSegment),
            _ => Text::Of(text, Quoting::Plain),
        };
        let headers: Vec<(String, Vec<String>)> = command
            .headers
            .iter()
            .flat_map(Dictionary::iter)
            .map(|(name, values)| (name.to_owned(), values.clone()))
            .collect();
        let media = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .and_then(|(_, values)| values.first())
            .map_or("", String::as_str)
            .to_owned();
        let body = |text: String| content(text, &media);
        let texts = (command.command.as_ref(), command.command_b64.as_ref());
        let contents = (command.content.as_ref(), command.content_b64.as_ref());
        Ok(Self {
            kind: command.kind.clone(),
            fixed,
            command: one_of(texts, "command", script)?,
            content: one_of(contents, "content", body)?,
            headers,
            other: Value::Object(command.other.clone()),
        })
    }
}

impl Parts {
    /// Whether every reference of a script stands where a value of its type can be written. The
    /// types of variables are those that the playbook declares; any text where it does not.
    pub(super) fn probe(&self, type_of: &dyn Fn(&str) -> Option<Type>) -> Result<(), String> {
        let Some(Text::Of(script, quoting @ (Quoting::PosixShell | Quoting::PowerShell))) =
            &self.command
        else {
            return Ok(());
        };
        let declared = |name: &str| type_of(name).is_some();
        let used = references(script, &declared);
        let values: BTreeMap<&str, Variable> = used
            .map(|used| (used.name, sample(type_of(used.name))))
            .collect();
        match Substitution::new(&values).text(script, *quoting) {
            Err(error @ variable::substitute::Error::Refused { .. }) => {
                Err(format!("`command`: {error}"))
            }
            _ => Ok(()),
        }
    }
}

/// A variable with a value of its type, as far as the type says what may be written where.
fn sample(kind: Option<Type>) -> Variable {
    let text = match &kind {
        Some(Type::Integer | Type::Long) => "1",
        Some(Type::Ipv4) => "192.0.2.1",
        Some(Type::Ipv6) => "2001:db8::1",
        _ => return Variable::new(Type::String, Some(Filled::Text("x".to_owned()))),
    };
    let kind = kind.unwrap_or(Type::String);
    let value = kind.parse(text).ok();
    Variable::new(kind, value)
}

/// A text that is written as it is or in base64.
fn one_of(
    (plain, encoded): (Option<&String>, Option<&String>),
    name: &str,
    text: impl Fn(String) -> Text,
) -> Result<Option<Text>, String> {
    match (plain, encoded) {
        (Some(_), Some(_)) => Err(format!(
            "both `{name}` and `{name}_b64` are given: nobody can say which is meant"
        )),
        (Some(plain), None) => Ok(Some(text(plain.clone()))),
        (None, Some(encoded)) => {
            let bytes = STANDARD
                .decode(encoded)
                .map_err(|error| format!("`{name}_b64` is no base64: {error}"))?;
            Ok(Some(match String::from_utf8(bytes) {
                Ok(decoded) => text(decoded),
                Err(_) => Text::Bytes(encoded.clone()),
            }))
        }
        (None, None) => Ok(None),
    }
}

fn content(text: String, media: &str) -> Text {
    let media = media.to_ascii_lowercase();
    if media.contains("x-www-form-urlencoded") {
        return Text::Of(text, Quoting::QueryComponent);
    }
    let looks_so = text.trim_start().starts_with(['{', '[']);
    if media.contains("json") || (media.is_empty() && looks_so) {
        return tree_or(text);
    }
    Text::Of(text, Quoting::Plain)
}

/// JSON as a tree, so that a value can be a number; text that is JSON only when it is filled in,
/// as text.
fn tree_or(text: String) -> Text {
    match serde_json::from_str::<Value>(&text) {
        Ok(tree @ (Value::Object(_) | Value::Array(_))) => Text::Tree(tree),
        _ if text.trim_start().starts_with(['{', '[']) => Text::Loose(text),
        _ => Text::Of(text, Quoting::JsonString),
    }
}

impl Text {
    fn fill(&self, variables: &Substitution<'_>) -> Result<String, String> {
        let filled = match self {
            Self::Of(text, quoting) => variables.text(text, *quoting),
            Self::Tree(tree) => variables.json(tree).map(|tree| tree.to_string()),
            Self::Loose(text) => return loose(text, variables),
            Self::StartLine(line) => return start_line(line, variables),
            Self::Bytes(encoded) => Ok(encoded.clone()),
        };
        filled.map_err(|error| error.to_string())
    }
}

/// Fills in what is to become JSON. A text outside of quotes would be sent as something that
/// nobody can read.
fn loose(text: &str, variables: &Substitution<'_>) -> Result<String, String> {
    let filled = variables.text(text, Quoting::JsonString);
    let filled = filled.map_err(|error| error.to_string())?;
    match serde_json::from_str::<serde::de::IgnoredAny>(&filled) {
        Ok(_) => Ok(filled),
        Err(error) => Err(format!("it is no JSON once it is filled in: {error}")),
    }
}

/// Fills in the start line of a request: `METHOD target VERSION`. A target that is one variable
/// and nothing else is taken as it is; else values are parts of its path or query.
fn start_line(line: &str, variables: &Substitution<'_>) -> Result<String, String> {
    let mut parts = line.trim().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(format!("`{line}` is not `METHOD target HTTP/1.1`"));
    };
    let fill = |text: &str, quoting| {
        let filled = variables.text(text, quoting);
        filled.map_err(|error| error.to_string())
    };
    let method = fill(method, Quoting::Plain)?;
    if !method.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(format!("`{method}` is no method of HTTP"));
    }
    let version = fill(version, Quoting::Plain)?;
    if !version.starts_with("HTTP/") || version.contains(char::is_whitespace) {
        return Err(format!("`{version}` is no version of HTTP"));
    }
    let whole = target.starts_with("__") && target.ends_with("__:value") && !target.contains('/');
    let filled = if whole {
        let target = fill(target, Quoting::Plain)?;
        let odd = |char: char| char.is_whitespace() || char.is_control();
        if !target.starts_with('/') || target.contains(odd) {
            return Err(format!("`{target}` is no path of a URL"));
        }
        target
    } else {
        match target.split_once('?') {
            None => fill(target, Quoting::PathSegment)?,
            Some((path, query)) => format!(
                "{}?{}",
                fill(path, Quoting::PathSegment)?,
                fill(query, Quoting::QueryComponent)?
            ),
        }
    };
    Ok(format!("{method} {filled} {version}"))
}

impl CommandTemplate {
    /// The input of the module, with the values that the variables have now.
    pub(crate) fn fill(&self, scope: &Scope) -> Result<Json, String> {
        let filled = self.filled(scope).map_err(|error| self.at(&error))?;
        Json::from_value(&filled).map_err(|error| self.at(&error))
    }

    fn filled(&self, scope: &Scope) -> Result<Value, String> {
        let variables = Substitution::new(scope);
        let mut input = Map::new();
        input.insert("command".to_owned(), self.command(&variables)?.into());
        input.append(&mut self.parties(&variables)?);
        let given = self.given(scope)?;
        if !given.is_empty() {
            input.insert("variables".to_owned(), given.into());
        }
        if !self.out_args.is_empty() {
            let names: Vec<&str> = self.out_args.iter().map(Name::as_str).collect();
            input.insert("out_args".to_owned(), json!(names));
        }
        input.insert("context".to_owned(), self.context.clone());
        Ok(input.into())
    }

    fn command(&self, variables: &Substitution<'_>) -> Result<Map<String, Value>, String> {
        // Properties of types that CACAO does not know are arguments: values keep their types.
        let other = variables.json(&self.command.other);
        let mut command = match other.map_err(|error| error.to_string())? {
            Value::Object(other) => other,
            _ => Map::new(),
        };
        for (name, value) in &self.command.fixed {
            command.insert(name.clone(), tree(value, variables)?);
        }
        command.insert("type".to_owned(), self.command.kind.as_str().into());
        for (name, text) in [
            ("command", &self.command.command),
            ("content", &self.command.content),
        ] {
            let Some(text) = text else { continue };
            let name = match text {
                Text::Bytes(_) => format!("{name}_b64"),
                _ => name.to_owned(),
            };
            let filled = text
                .fill(variables)
                .map_err(|error| format!("`{name}`: {error}"))?;
            command.insert(name, filled.into());
        }
        if !self.command.headers.is_empty() {
            let mut headers = Map::new();
            for (name, values) in &self.command.headers {
                let fill = |value: &String| {
                    let filled = variables.text(value, Quoting::HeaderValue);
                    filled.map_err(|error| format!("the header `{name}`: {error}"))
                };
                let values: Vec<String> = values.iter().map(fill).collect::<Result<_, _>>()?;
                headers.insert(name.clone(), json!(values));
            }
            command.insert("headers".to_owned(), headers.into());
        }
        Ok(command)
    }

    /// Who does it, and on what.
    fn parties(&self, variables: &Substitution<'_>) -> Result<Map<String, Value>, String> {
        let mut parties = Map::new();
        for (name, party) in [
            ("agent", Some(&self.agent)),
            ("target", self.target.as_ref()),
        ] {
            let Some(party) = party else { continue };
            let filled = tree(party, variables).map_err(|error| format!("the {name}: {error}"))?;
            parties.insert(name.to_owned(), filled);
        }
        Ok(parties)
    }

    /// The variables of `in_args`; all, for receivers that see nothing else of the run.
    fn given(&self, scope: &Scope) -> Result<Map<String, Value>, String> {
        let names: Vec<&Name> = if !self.in_args.is_empty() || !self.sees_all {
            self.in_args.iter().collect()
        } else {
            scope.visible().into_keys().collect()
        };
        let mut given = Map::new();
        for name in names {
            let variable = scope.variable(name.as_str());
            let variable = variable.ok_or_else(|| format!("there is no variable `{name}`"))?;
            given.insert(name.to_string(), written(variable));
        }
        Ok(given)
    }

    /// The same as a question to a person.
    pub(crate) fn question(&self, scope: &Scope) -> Result<Question, String> {
        let variables = Substitution::new(scope);
        let asked = || -> Result<Question, String> {
            let text = match (&self.command.command, self.command.fixed.get("description")) {
                (Some(text), _) => text.fill(&variables)?,
                (None, Some(Value::String(text))) => {
                    let filled = variables.text(text, Quoting::Plain);
                    filled.map_err(|error| error.to_string())?
                }
                (None, _) => String::new(),
            };
            let parties = self.parties(&variables)?;
            let mut answers = Declared::default();
            for name in &self.out_args {
                let variable = scope.variable(name.as_str());
                let variable = variable.ok_or_else(|| format!("there is no variable `{name}`"))?;
                answers.0.insert(name.clone(), variable.clone());
            }
            Ok(Question {
                text,
                parties: Json::from(&Value::Object(parties)),
                answers,
                plan: Vec::new(),
            })
        };
        asked().map_err(|error| self.at(&error))
    }

    fn at(&self, error: &dyn fmt::Display) -> String {
        format!("{}: {error}", self.place)
    }
}

/// Fills in the texts of a document; a value becomes text also where it stands alone.
fn tree(document: &Value, variables: &Substitution<'_>) -> Result<Value, String> {
    Ok(match document {
        Value::String(text) => {
            let filled = variables.text(text, Quoting::Plain);
            filled.map_err(|error| error.to_string())?.into()
        }
        Value::Array(items) => items
            .iter()
            .map(|item| tree(item, variables))
            .collect::<Result<Vec<_>, _>>()?
            .into(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| Ok((name.clone(), tree(member, variables)?)))
            .collect::<Result<Map<_, _>, String>>()?
            .into(),
        other => other.clone(),
    })
}
