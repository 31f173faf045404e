//! Commands (checks 25 to 27 of the digest).

use super::view::{Command, View, says};
use super::{Said, Surroundings, codes};
use crate::shape::COMMAND;
use crate::vocabulary::COMMAND_TYPE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub(super) fn check(view: &View<'_>, around: &Surroundings<'_>, said: &mut Said) {
    for command in view.commands() {
        known(&command, around, said);
        own(&command, around, said);
        forms(&command, said);
        agent(view, &command, said);
        if matches!(command.kind, "http-api" | "openc2-http") {
            http(&command, said);
        }
    }
}

fn known(command: &Command<'_>, around: &Surroundings<'_>, said: &mut Said) {
    let kind = command.kind;
    if !(kind.is_empty() || COMMAND_TYPE.has(kind) || around.commands.contains(&kind)) {
        said.say(
            &codes::UNKNOWN_COMMAND,
            &command.pointer().then("type"),
            format!("no command of type {kind} is known here"),
            "it can be read and written, and not executed",
        );
    }
}

/// What those say of a command who know its type.
fn own(command: &Command<'_>, around: &Surroundings<'_>, said: &mut Said) {
    let Some(examine) = around.examine else {
        return;
    };
    if !around.commands.contains(&command.kind) {
        return;
    }
    let at = command.pointer();
    for flaw in examine(&Value::Object(command.object.clone())) {
        let check = if flaw.is_error {
            &codes::OWN_COMMAND
        } else {
            &codes::ODD_OWN_COMMAND
        };
        said.say(check, &at.join(&flaw.pointer), flaw.message, flaw.help);
    }
}

/// Text or base64: one of them, with something in it.
fn forms(command: &Command<'_>, said: &mut Said) {
    let at = command.pointer();
    let has = |name: &str| command.object.contains_key(name);
    let own = COMMAND
        .own(command.kind)
        .map_or(&[][..], |own| own.properties);
    let may = |name: &str| own.iter().any(|property| property.name == name);
    if may("command") && may("command_b64") {
        match (has("command"), has("command_b64")) {
            (true, true) => said.say(
                &codes::ONE_FORM,
                &at.then("command_b64"),
                "the command is there twice, as text and as base64",
                "keep one of the two",
            ),
            (false, false) => said.say(
                &codes::ONE_FORM,
                &at,
                "there is no command",
                "add `command` or `command_b64`",
            ),
            _ => {}
        }
    }
    if has("content") && has("content_b64") {
        said.say(
            &codes::ONE_FORM,
            &at.then("content_b64"),
            "the body is there twice, as text and as base64",
            "keep one of the two",
        );
    }
    for name in own
        .iter()
        .map(|property| property.name)
        .filter(|name| name.starts_with("command"))
    {
        let Some(text) = command.text(name) else {
            continue;
        };
        let empty = text.trim().is_empty() || (name == "command_b64" && decodes_to_nothing(text));
        if empty {
            said.say(
                &codes::EMPTY_COMMAND,
                &at.then(name),
                "the command is empty",
                "say what is to be done",
            );
        }
    }
}

fn decodes_to_nothing(text: &str) -> bool {
    let decoded = STANDARD.decode(text);
    decoded.is_ok_and(|bytes| bytes.trim_ascii().is_empty())
}

fn http(command: &Command<'_>, said: &mut Said) {
    let at = command.pointer().then("command");
    let Some(line) = command
        .text("command")
        .filter(|line| !line.trim().is_empty())
    else {
        return;
    };
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = parts.as_slice() else {
        let message = format!("\"{line}\" is no start line: it has {} parts", parts.len());
        said.say(
            &codes::START_LINE,
            &at,
            message,
            "write it as `GET /path?query HTTP/1.1`",
        );
        return;
    };
    let token = !method.is_empty()
        && method
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    let digits = version.strip_prefix("HTTP/").is_some_and(|digits| {
        matches!(
            digits.as_bytes(),
            [b'1'..=b'3'] | [b'0'..=b'9', b'.', b'0'..=b'9']
        )
    });
    let somewhere = target.starts_with('/')
        || *target == "*"
        || target.contains("://")
        || target.contains("__");
    for (right, part, what) in [
        (token, method, "method"),
        (somewhere, target, "request target"),
        (digits, version, "version"),
    ] {
        if !right {
            said.say(
                &codes::START_LINE,
                &at,
                format!("\"{part}\" is no {what} of HTTP"),
                "write it as `GET /path?query HTTP/1.1`",
            );
        }
    }
    if command.kind == "openc2-http" && token && *method != "POST" {
        said.say(
            &codes::OPENC2_METHOD,
            &at,
            format!("OpenC2 is sent by POST, not by {method}"),
            "write POST",
        );
    }
    if target.contains("://") {
        said.say(
            &codes::ABSOLUTE_TARGET,
            &at,
            "the request names a host, and so does its target or agent",
            "write the path only",
        );
    }
    if *method == "GET" && (says(command.object, "content") || says(command.object, "content_b64"))
    {
        said.say(
            &codes::BODY_WITH_GET,
            &at,
            "a GET has no body",
            "use another method, or take the content out",
        );
    }
}

/// Which types of agents can carry out which commands. The specification has no such table;
/// the committee says so, so that nothing here is more than a warning.
static CAN: &[(&str, &[&str])] = &[
    (
        "manual",
        &[
            "individual",
            "group",
            "organization",
            "sector",
            "location",
            "security-category",
        ],
    ),
    ("bash", &["linux", "ssh", "security-category"]),
    ("powershell", &["security-category", "net-address"]),
    ("ssh", &["ssh", "linux", "net-address", "security-category"]),
    (
        "http-api",
        &["http-api", "net-address", "security-category"],
    ),
    (
        "openc2-http",
        &["http-api", "net-address", "security-category"],
    ),
    ("elastic", &["http-api", "net-address", "security-category"]),
    (
        "jupyter",
        &[
            "http-api",
            "linux",
            "net-address",
            "security-category",
            "ssh",
        ],
    ),
    (
        "kestrel",
        &[
            "http-api",
            "linux",
            "net-address",
            "security-category",
            "ssh",
        ],
    ),
    (
        "sigma",
        &[
            "http-api",
            "linux",
            "net-address",
            "security-category",
            "ssh",
        ],
    ),
    (
        "yara",
        &[
            "http-api",
            "linux",
            "net-address",
            "security-category",
            "ssh",
        ],
    ),
    (
        "caldera-cmd",
        &["security-category", "http-api", "net-address"],
    ),
];

fn agent(view: &View<'_>, command: &Command<'_>, said: &mut Said) {
    let agents = view.document.get("agent_definitions");
    let agent = command
        .step
        .text("agent")
        .and_then(|id| agents?.get(id)?.get("type")?.as_str());
    let can = CAN.iter().find(|(kind, _)| *kind == command.kind);
    if let Some((agent, (_, can))) = agent.zip(can)
        && crate::vocabulary::AGENT_TARGET_TYPE.has(agent)
        && !can.contains(&agent)
    {
        said.say(
            &codes::AGENT_CANNOT,
            &command.pointer().then("type"),
            format!(
                "an agent of type {agent} hardly carries out {}",
                command.kind
            ),
            format!("agents for it are of type {}", can.join(", ")),
        );
    }
}
