//! Everything that is wrong with a command, each thing with its place.

use std::collections::BTreeSet;

use conche_cacao::Pointer;
pub use conche_cacao::check::Flaw;
use conche_cacao::variable::{self, reference};
use serde_json::{Map, Value};

use super::parse::{FAIL_ON, MODES, Mode, REASONS, VERBS, Verb, decoded, split};
use super::value::{self, ATTEMPTS, COMMON, OWN, PAUSE, WAIT};
use super::{Form, TYPE, recognise};
use crate::model::FullyQualifiedName;

/// All that is wrong with a command of form A, in the order of its properties' names. The
/// sketch `{"name": "openwhisk", "id": …}` has one warning.
pub fn check(written: &Value) -> Vec<Flaw> {
    let mut found = Found::default();
    match (recognise(written, None), written.as_object()) {
        (Some(Form::Sketch), _) => found.warn(
            "",
            "this is a sketch that names no action: it can be read, and not carried out",
            "write `\"type\": \"openwhisk\"` and a `command` such as `invoke /_/package/action`",
        ),
        (Some(Form::Command), Some(command)) => found.command(command),
        _ => found.fault(
            "",
            format!("it is no command of type `{TYPE}`"),
            "a command is an object with this `type`",
        ),
    }
    found.0.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    found.0
}

/// The variables that a command refers to, by name.
pub fn references(written: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    gather(written, &mut names);
    names
}

fn gather(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let found = reference::references(text, &|_| false);
            names.extend(found.map(|reference| reference.name.to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, names)),
        Value::Object(members) => members.values().for_each(|member| gather(member, names)),
        _ => {}
    }
}

#[derive(Default)]
struct Found(Vec<Flaw>);

/// A pointer of a path such as `retry/on`.
fn at(path: &str) -> Pointer {
    let keys = path.split('/').filter(|key| !key.is_empty());
    keys.fold(Pointer::top(), |before, key| before.then(key))
}

impl Found {
    fn say(&mut self, pointer: Pointer, is_error: bool, message: String, help: &str) {
        self.0.push(Flaw {
            pointer,
            is_error,
            message,
            help: help.to_owned(),
        });
    }

    fn fault(&mut self, path: &str, message: impl Into<String>, help: &str) {
        self.say(at(path), true, message.into(), help);
    }

    fn warn(&mut self, path: &str, message: impl Into<String>, help: &str) {
        self.say(at(path), false, message.into(), help);
    }

    /// What a reader gives, or its flaw.
    fn read<T>(&mut self, path: &str, read: Result<T, String>, help: &str) -> Option<T> {
        read.map_err(|message| self.fault(path, message, help)).ok()
    }

    fn command(&mut self, command: &Map<String, Value>) {
        let verb = self.target(command);
        self.version(command);
        self.arguments(command);
        self.waiting(command, verb);
        self.again(command);
        self.results(command, verb);
        for name in command.keys().map(String::as_str) {
            if !(OWN.contains(&name) || COMMON.contains(&name)) {
                let place = Pointer::top().then(name);
                let help = "its properties are those of docs/commands/openwhisk.md";
                self.say(
                    place,
                    false,
                    format!("`{name}` means nothing to this command"),
                    help,
                );
            }
        }
    }

    /// `command`: a verb and a name.
    fn target(&mut self, command: &Map<String, Value>) -> Option<Verb> {
        const HELP: &str = "write `invoke /_/package/action` or `fire /_/trigger`";
        let Some(text) = command.get("command") else {
            self.fault("", "there is no `command`", HELP);
            return None;
        };
        let Some(text) = text.as_str() else {
            self.fault("command", "the command is no text", HELP);
            return None;
        };
        let (verb, target) = split(text);
        let Some(verb) = verb else {
            let words: Vec<&str> = VERBS.iter().map(|(word, _)| *word).collect();
            self.fault(
                "command",
                format!("`{text}` begins with none of {}", words.join(", ")),
                HELP,
            );
            return None;
        };
        // What references become is checked when they are filled in.
        if reference::references(target, &|_| false).next().is_some() {
            return Some(verb);
        }
        match FullyQualifiedName::parse(target) {
            Err(error) => self.fault("command", format!("`{target}`: {error}"), HELP),
            Ok(name) if verb == Verb::Fire && name.package.is_some() => {
                self.fault(
                    "command",
                    format!("`{name}` is in a package, and triggers never are"),
                    HELP,
                );
            }
            Ok(_) => {}
        }
        Some(verb)
    }

    fn version(&mut self, command: &Map<String, Value>) {
        let help = "write `\"version\": \"1.0\"`, or leave it out";
        let Some(version) = command.get("version") else {
            return;
        };
        let major = version.as_str().and_then(|text| text.split('.').next());
        if major != Some("1") {
            self.fault(
                "version",
                format!("{version} is no version of this command that is known"),
                help,
            );
        }
    }

    fn arguments(&mut self, command: &Map<String, Value>) {
        let params = command.get("params");
        if params.is_some_and(|params| !params.is_object()) {
            self.fault(
                "params",
                "the arguments are no object",
                "name each argument",
            );
        }
        if let Some(encoded) = command.get("params_b64") {
            let help = "give base64 of a JSON object, or `params`";
            if params.is_some() {
                self.fault(
                    "params_b64",
                    "the arguments are there twice",
                    "keep one of the two",
                );
            }
            if encoded.as_str().and_then(decoded).is_none() {
                self.fault("params_b64", "it is no base64 of a JSON object", help);
            }
        }
    }

    fn waiting(&mut self, command: &Map<String, Value>, verb: Option<Verb>) {
        let mode = command
            .get("mode")
            .and_then(|mode| self.read("mode", value::word(mode, &MODES), "leave it out to wait"));
        if verb == Some(Verb::Fire) && mode.is_some_and(|mode| mode != Mode::Async) {
            self.fault(
                "mode",
                "nobody waits for a trigger",
                "leave it out, or write `async`",
            );
        }
        if let Some(wait) = command.get("wait_ms") {
            self.read(
                "wait_ms",
                value::number(wait, WAIT),
                "hosts wait a minute at most",
            );
        }
        let Some(poll) = command.get("poll") else {
            return;
        };
        let help = "write `{\"interval_ms\": 1000, \"max_interval_ms\": 8000}`";
        let members = value::object(poll, &["interval_ms", "max_interval_ms"]);
        let Some(members) = self.read("poll", members, help) else {
            return;
        };
        let mut pauses = Vec::new();
        for name in ["interval_ms", "max_interval_ms"] {
            if let Some(pause) = members.get(name) {
                pauses.push(self.read(&format!("poll/{name}"), value::number(pause, PAUSE), help));
            }
        }
        if let [Some(first), Some(longest)] = pauses[..]
            && longest < first
        {
            self.fault(
                "poll/max_interval_ms",
                "the longest wait is shorter than the first",
                help,
            );
        }
    }

    /// `retry` and `idempotency`: what may have been done is not done again unseen.
    fn again(&mut self, command: &Map<String, Value>) {
        let mut has_key = false;
        if let Some(key) = command.get("idempotency") {
            let help = "write `{\"param\": \"name of an argument\"}`";
            let members = value::object(key, &["param"]);
            let members = self.read("idempotency", members, help);
            let param = members.and_then(|members| members.get("param")?.as_str());
            match param.filter(|param| !param.is_empty()) {
                Some(param) => {
                    has_key = true;
                    let taken = command.get("params").and_then(|params| params.get(param));
                    if taken.is_some() {
                        let message = format!("the argument `{param}` has a value already");
                        self.fault("idempotency/param", message, "name another argument");
                    }
                }
                None if members.is_some() => {
                    self.fault("idempotency", "it names no argument", help);
                }
                None => {}
            }
        }
        let Some(retry) = command.get("retry") else {
            return;
        };
        let help = "write `{\"max_attempts\": 3, \"backoff_ms\": 500, \"on\": [\"not_sent\", \"throttled\"]}`";
        let members = value::object(retry, &["backoff_ms", "max_attempts", "on"]);
        let Some(members) = self.read("retry", members, help) else {
            return;
        };
        for (name, range) in [("max_attempts", ATTEMPTS), ("backoff_ms", PAUSE)] {
            if let Some(number) = members.get(name) {
                self.read(&format!("retry/{name}"), value::number(number, range), help);
            }
        }
        for (place, reason) in self.words("retry/on", members.get("on"), &REASONS) {
            if !(reason.is_safe() || has_key) {
                let help =
                    "add `idempotency` where the action knows its key, or take the reason out";
                self.fault(
                    &place,
                    "the action may have run by then, and would run twice",
                    help,
                );
            }
        }
    }

    /// A list of words, with the place of each that is known.
    fn words<T: Copy>(
        &mut self,
        path: &str,
        list: Option<&Value>,
        words: &[(&str, T)],
    ) -> Vec<(String, T)> {
        let help = "write a list of words";
        let Some(list) = list else { return Vec::new() };
        let Some(list) = list.as_array() else {
            self.fault(path, format!("it is a list, not {list}"), help);
            return Vec::new();
        };
        let read = list.iter().enumerate().filter_map(|(index, word)| {
            let path = format!("{path}/{index}");
            let word = self.read(&path, value::word(word, words), help)?;
            Some((path, word))
        });
        read.collect()
    }

    fn results(&mut self, command: &Map<String, Value>, verb: Option<Verb>) {
        for name in ["logs", "require_rule"] {
            if command.get(name).is_some_and(|flag| !flag.is_boolean()) {
                self.fault(name, "it is `true` or `false`", "leave it out for `false`");
            }
        }
        self.words("fail_on", command.get("fail_on"), &FAIL_ON);
        if command.contains_key("require_rule") && verb == Some(Verb::Invoke) {
            self.warn("require_rule", "only triggers have rules", "take it out");
        }
        let ends = verb != Some(Verb::Fire) && command.get("mode") != Some(&Value::from("async"));
        if command.get("logs") == Some(&Value::Bool(true)) && !ends {
            self.warn(
                "logs",
                "the log is not there when nobody waits for the end",
                "wait, or take it out",
            );
        }
        let Some(outputs) = command.get("outputs") else {
            return;
        };
        let Some(outputs) = outputs.as_object() else {
            self.fault(
                "outputs",
                "it is an object",
                "name variables with what they get",
            );
            return;
        };
        for (name, output) in outputs {
            self.output(name, output, ends);
        }
    }

    fn output(&mut self, name: &str, output: &Value, ends: bool) {
        let help = "write `{\"from\": \"/response/result/member\"}`";
        let place = Pointer::top().then("outputs").then(name);
        let mut say = |key: Option<&str>, is_error, message: String| {
            let place = key.map_or_else(|| place.clone(), |key| place.then(key));
            self.say(place, is_error, message, help);
        };
        if let Err(error) = variable::Name::parse(name) {
            say(
                None,
                true,
                format!("`{name}` is no name of a variable: {error}"),
            );
        }
        let members = match value::object(output, &["default", "from", "required", "type"]) {
            Ok(members) => members,
            Err(message) => return say(None, true, message),
        };
        match members.get("from").map(Value::as_str) {
            Some(Some(from)) if value::is_pointer(from) => {
                if !ends && from != "/activationId" {
                    let message = format!("there is no `{from}` when nobody waits for the end");
                    say(Some("from"), false, message);
                }
            }
            Some(_) => say(Some("from"), true, "it is no JSON Pointer".to_owned()),
            None => say(None, true, "it does not say from where".to_owned()),
        }
        if members
            .get("required")
            .is_some_and(|flag| !flag.is_boolean())
        {
            say(Some("required"), true, "it is `true` or `false`".to_owned());
        }
        if let Some(kind) = members.get("type") {
            let known = kind.as_str().filter(|kind| value::TYPES.contains(kind));
            match (known, members.get("default")) {
                (None, _) => say(
                    Some("type"),
                    true,
                    format!("it is one of {}", value::TYPES.join(", ")),
                ),
                (Some(kind), Some(default)) if !value::fits(default, kind) => {
                    say(Some("default"), true, format!("{default} is no {kind}"));
                }
                _ => {}
            }
        }
    }
}
