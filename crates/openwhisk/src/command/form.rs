//! In which form OpenWhisk is named in a playbook.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::{EXTENSION, TYPE};
use crate::model::FullyQualifiedName;

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A: a command of this type.
    Command,
    /// B: an `http-api` command whose path is that of an invocation or firing.
    HttpApi,
    /// C: B for everyone, with A in the extension of the step.
    Extension,
    /// The sketch `{"name": "openwhisk", "id": …}`, which names no action.
    Sketch,
}

/// The form of a command, given the `step_extensions` of its step; none where it has nothing to
/// do with OpenWhisk.
pub fn recognise(command: &Value, extensions: Option<&Value>) -> Option<Form> {
    let text = |name: &str| command.get(name).and_then(Value::as_str);
    match (text("type"), text("name")) {
        (Some(TYPE), _) => Some(Form::Command),
        (Some("http-api"), _) => {
            let extended = extensions.and_then(|all| all.get(EXTENSION)).is_some();
            Line::read(text("command")?)?;
            Some(if extended {
                Form::Extension
            } else {
                Form::HttpApi
            })
        }
        (None, Some(TYPE)) if command.get("id").is_some() => Some(Form::Sketch),
        _ => None,
    }
}

/// The command of form A that a command in any form stands for; none where it is the sketch, or
/// an `http-api` command whose body can't be read as arguments.
pub fn as_command(command: &Value, extensions: Option<&Value>) -> Option<Value> {
    match recognise(command, extensions)? {
        Form::Command => Some(command.clone()),
        Form::HttpApi => {
            let body = command.get("content").and_then(Value::as_str);
            Line::read(command.get("command")?.as_str()?)?.command(body)
        }
        Form::Extension => {
            let mut own = extensions?.get(EXTENSION)?.as_object()?.clone();
            own.insert("type".to_owned(), TYPE.into());
            for name in ["description", "playbook_activity", "external_references"] {
                if let Some(said) = command.get(name) {
                    own.entry(name).or_insert_with(|| said.clone());
                }
            }
            Some(own.into())
        }
        Form::Sketch => None,
    }
}

/// `POST /api/v1/namespaces/NS/actions/[PKG/]NAME?query HTTP/1.1`, taken apart.
struct Line {
    /// `invoke` or `fire`.
    verb: &'static str,
    name: FullyQualifiedName,
    is_blocking: bool,
}

impl Line {
    fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let ["POST", target, _version] = parts[..] else {
            return None;
        };
        let path = match target.split_once("://") {
            Some((_, rest)) => &rest[rest.find('/')?..],
            None => target,
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = path.strip_prefix("/api/v1/namespaces/")?;
        let (namespace, rest) = path.split_once('/')?;
        let (collection, name) = rest.split_once('/')?;
        let verb = match collection {
            "actions" => "invoke",
            "triggers" => "fire",
            _ => return None,
        };
        let decoded: Vec<String> = format!("/{namespace}/{name}")
            .split('/')
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        Some(Self {
            verb,
            name: FullyQualifiedName::parse(&decoded.join("/")).ok()?,
            is_blocking: query.split('&').any(|pair| pair == "blocking=true"),
        })
    }

    /// The same as a command of form A, with the arguments that the body holds; none where the
    /// body is no object.
    fn command(&self, body: Option<&str>) -> Option<Value> {
        let params: Map<String, Value> = match body {
            None | Some("") => Map::new(),
            Some(text) => serde_json::from_str(text).ok()?,
        };
        let mut command = json!({
            "type": TYPE, "version": "1.0", "command": format!("{} {}", self.verb, self.name),
        });
        if !params.is_empty() {
            command["params"] = params.into();
        }
        if self.verb == "invoke" && !self.is_blocking {
            command["mode"] = json!("async");
        }
        Some(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_recognised() {
        let http = |line: &str| json!({ "type": "http-api", "command": line });
        let invoke =
            "POST /api/v1/namespaces/_/actions/enrich/ip?blocking=true&result=true HTTP/1.1";
        let fire = "POST https://ow.example.com/api/v1/namespaces/a%20b/triggers/t HTTP/1.1";
        let extension = json!({ EXTENSION: {} });
        for (command, extensions, form) in [
            (
                json!({ "type": "openwhisk", "command": "x" }),
                None,
                Some(Form::Command),
            ),
            (
                json!({ "name": "openwhisk", "id": "8a5…" }),
                None,
                Some(Form::Sketch),
            ),
            (http(invoke), None, Some(Form::HttpApi)),
            (http(fire), None, Some(Form::HttpApi)),
            (http(invoke), Some(&extension), Some(Form::Extension)),
            (
                http("GET /api/v1/namespaces/_/actions/a HTTP/1.1"),
                Some(&extension),
                None,
            ),
            (
                http("POST /api/v1/namespaces/_/rules/r HTTP/1.1"),
                None,
                None,
            ),
            (
                http("POST /api/v1/namespaces/_/actions/a/b/c HTTP/1.1"),
                None,
                None,
            ),
            (
                json!({ "type": "bash", "name": "openwhisk", "id": 1 }),
                None,
                None,
            ),
        ] {
            assert_eq!(recognise(&command, extensions), form, "{command}");
        }
        let line = Line::read(invoke).unwrap();
        let command = line.command(Some(r#"{"ip":"__ip__:value"}"#)).unwrap();
        assert_eq!(
            command,
            json!({ "type": "openwhisk", "version": "1.0",
            "command": "invoke /_/enrich/ip", "params": { "ip": "__ip__:value" } })
        );
        let fired = Line::read(fire).unwrap().command(None).unwrap();
        assert_eq!(fired["command"], "fire /a b/t");
        assert_eq!(line.command(Some("__body__:value")), None);
    }
}
