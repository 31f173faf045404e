//! Agents, targets and their credentials (checks 27 to 29 of the digest).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

use super::view::{View, says, texts};
use super::{Said, codes};
use crate::pointer::Pointer;
use crate::variable::reference::references;

pub(super) fn check(view: &View<'_>, said: &mut Said) {
    for (_, party, at) in view.parties() {
        addresses(party, &at, said);
        port(party, &at, said);
        contact(party, &at, said);
    }
    for (_, info, at) in view.dictionary("authentication_info_definitions") {
        credentials(info, &at, said);
    }
    defaults(view, said);
    headers(view, said);
}

/// Whether a text has a reference to a variable in it, so that its form is known only later.
fn is_variable(text: &str) -> bool {
    text.contains("__:value")
}

fn addresses(party: &Map<String, Value>, at: &Pointer, said: &mut Said) {
    let Some(address) = party.get("address").and_then(Value::as_object) else {
        return;
    };
    let at = at.then("address");
    let mut usable = 0;
    for (kind, right) in KINDS {
        for (index, text) in texts(address, kind) {
            usable += usize::from(*kind != "l2mac");
            if !is_variable(text) && !right(text) {
                said.say(
                    &codes::ADDRESS,
                    &at.then(*kind).then(index),
                    format!("\"{text}\" is no {kind} address"),
                    "correct it, or use a variable",
                );
            }
        }
    }
    for (index, vlan) in address
        .get("vlan")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
    {
        let number = vlan.as_u64().or_else(|| vlan.as_str()?.parse().ok());
        let variable = vlan.as_str().is_some_and(is_variable);
        if !variable && number.is_none_or(|number| number > 4095) {
            said.say(
                &codes::ADDRESS,
                &at.then("vlan").then(index),
                format!("{vlan} is no VLAN"),
                "write a number from 0 to 4095, as text",
            );
        }
    }
    if usable == 0 {
        said.say(
            &codes::NO_ADDRESS,
            &at,
            "there is no address to reach it by",
            "add a `dname`, `ipv4`, `ipv6` or `url`",
        );
    } else if usable > 1 {
        said.say(
            &codes::MANY_ADDRESSES,
            &at,
            format!("there are {usable} addresses"),
            "the first is used: names before IPv4, IPv6 and URLs",
        );
    }
}

type Right = fn(&str) -> bool;
static KINDS: &[(&str, Right)] = &[
    ("dname", is_name),
    ("ipv4", |text| text.parse::<Ipv4Addr>().is_ok()),
    ("ipv6", |text| {
        text.split('%')
            .next()
            .is_some_and(|text| text.parse::<Ipv6Addr>().is_ok())
    }),
    ("l2mac", is_mac),
    ("url", is_url),
];

fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let inner =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || byte >= 0x80;
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn is_mac(text: &str) -> bool {
    let pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(pair)
}

fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let known = scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    known && !scheme.is_empty() && !host.is_empty() && !rest.contains(char::is_whitespace)
}

fn port(party: &Map<String, Value>, at: &Pointer, said: &mut Said) {
    let port = party
        .get("port")
        .and_then(Value::as_str)
        .filter(|port| !is_variable(port));
    let Some(port) = port else { return };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        said.say(
            &codes::PORT,
            &at.then("port"),
            format!("\"{port}\" is no port"),
            "write a number from 1 to 65535, as text",
        );
    }
}

fn contact(party: &Map<String, Value>, at: &Pointer, said: &mut Said) {
    let contact = party
        .get("contact")
        .and_then(|contact| contact.get("email")?.as_object());
    for (kind, address) in contact.into_iter().flatten() {
        let Some(address) = address.as_str().filter(|address| !is_variable(address)) else {
            continue;
        };
        let right = address.rsplit_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && is_name(domain)
                && !address.contains(|char: char| char.is_whitespace() || char.is_control())
        });
        if !right {
            said.say(
                &codes::EMAIL,
                &at.then("contact").then("email").then(kind.as_str()),
                format!("\"{address}\" is no address of mail"),
                "write name@domain",
            );
        }
    }
}

/// Names of properties that hold a secret.
const SECRETS: [&str; 3] = ["password", "token", "private_key"];

/// Values that variables of credentials have from the start.
fn defaults(view: &View<'_>, said: &mut Said) {
    let infos = view.dictionary("authentication_info_definitions");
    let secrets = infos.flat_map(|(_, info, _)| {
        let secrets = SECRETS.into_iter();
        secrets.filter_map(|name| info.get(name).and_then(Value::as_str))
    });
    let names: BTreeSet<&str> = secrets
        .flat_map(|text| references(text, &|_| false).map(|used| used.name))
        .collect();
    let all = view.document.get("playbook_variables").into_iter();
    let all = all.map(|declared| (declared, Pointer::top().then("playbook_variables")));
    let steps = view.dictionary("workflow").filter_map(|(_, step, at)| {
        let declared = step.get("step_variables")?;
        Some((declared, at.then("step_variables")))
    });
    for (declared, at) in all.chain(steps) {
        for (name, variable) in declared.as_object().into_iter().flatten() {
            let value = variable.get("value").and_then(Value::as_str);
            if names.contains(name.as_str()) && value.is_some_and(|value| !value.is_empty()) {
                said.say(
                    &codes::LITERAL_SECRET,
                    &at.then(name.as_str()).then("value"),
                    "credentials are made of this variable, and its value stands in the playbook for everybody to read",
                    "make it external, and give the value when the playbook is run",
                );
            }
        }
    }
}

/// Header fields that show who asks.
const SHOWING: [&str; 7] = [
    "api-key",
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-api-token",
    "x-auth-token",
];

fn headers(view: &View<'_>, said: &mut Said) {
    for command in view.commands() {
        let Some(fields) = command.object.get("headers").and_then(Value::as_object) else {
            continue;
        };
        for name in fields.keys() {
            let mut values = texts(fields, name);
            let literal = values.any(|(_, text)| !text.is_empty() && !is_variable(text));
            if literal && SHOWING.contains(&name.to_ascii_lowercase().as_str()) {
                said.say(
                    &codes::LITERAL_SECRET,
                    &command.pointer().then("headers").then(name.as_str()),
                    "a secret stands in the playbook for everybody to read",
                    "use `authentication_info` of the target, with a variable or a key management system",
                );
            }
        }
    }
}

fn credentials(info: &Map<String, Value>, at: &Pointer, said: &mut Said) {
    let kms = info.get("kms") == Some(&Value::Bool(true));
    let named = says(info, "kms_key_identifier");
    if kms && !named {
        said.say(
            &codes::KMS,
            at,
            "the secret is said to be in a key management system, and not under which name",
            "add `kms_key_identifier`",
        );
    }
    if named && !kms {
        said.say(
            &codes::KMS,
            &at.then("kms_key_identifier"),
            "this names a key in a key management system that is not used",
            "set `kms` to true",
        );
    }
    for name in SECRETS.into_iter().filter(|name| says(info, name)) {
        let literal = info
            .get(name)
            .and_then(Value::as_str)
            .is_some_and(|text| !is_variable(text));
        if kms {
            said.say(
                &codes::KMS,
                &at.then(name),
                "the secret is here as well as in the key management system",
                "take it out",
            );
        } else if literal {
            said.say(
                &codes::LITERAL_SECRET,
                &at.then(name),
                "a secret stands in the playbook for everybody to read",
                "use a variable, or a key management system",
            );
        }
    }
    let oauth2 = info.get("type") == Some(&Value::from("oauth2"));
    for name in ["oauth_header", "token"] {
        if oauth2 && !kms && !info.contains_key(name) {
            said.say(
                &codes::MISSING,
                at,
                format!("`{name}` is missing"),
                "it is left out only where a key management system is used",
            );
        }
    }
}
