//! The credentials of agents and targets (CACAO 2.0 §6): the secret parts by name only.
//!
//! What is journaled never holds a secret that a playbook names or holds. One that stands in
//! the document gets a name by its place, under which the engine holds it; one that a variable
//! carries is as open as the variable, and is passed on as its value.

use conche_cacao::model::{AuthenticationInfo, Dictionary, Party};
use conche_cacao::variable::reference::references;
use conche_cacao::{Playbook, Pointer};
use serde_json::{Map, Value, json};

use super::bind::{Executors, SecretUse};
use super::codes;
use crate::id::Digest;

/// Properties that are secret.
pub(super) const SECRET: [&str; 3] = ["password", "token", "private_key"];

/// The name under which a secret is held that stands in a playbook.
fn held_name(program: Digest, playbook: &str, authentication: &str, property: &str) -> String {
    format!("playbook/{program}/{playbook}/{authentication}/{property}")
}

pub(super) fn secret<'a>(info: &'a AuthenticationInfo, property: &str) -> Option<&'a str> {
    let value = match property {
        "password" => &info.password,
        "token" => &info.token,
        _ => &info.private_key,
    };
    value.as_deref().filter(|value| !value.is_empty())
}

/// Secrets that stand in a playbook itself, with the names under which they are asked for.
pub(super) fn literals(program: Digest, playbook: &Playbook) -> Vec<(String, String)> {
    let infos = playbook.authentication_info_definitions.iter();
    let infos = infos.flat_map(Dictionary::iter);
    let of_one = |(id, info): (&str, &AuthenticationInfo)| {
        let mut held = Vec::new();
        for property in SECRET {
            if let Some(text) = secret(info, property)
                && !uses_kms(info)
                && !has_reference(text)
            {
                held.push((
                    held_name(program, &playbook.id, id, property),
                    text.to_owned(),
                ));
            }
        }
        held
    };
    infos.flat_map(of_one).collect()
}

/// Credentials as they are described, and who shows them.
pub(super) struct Shown<'a> {
    pub(super) program: Digest,
    pub(super) playbook: &'a Playbook,
    /// Their identifier.
    pub(super) id: &'a str,
    pub(super) info: &'a AuthenticationInfo,
    /// The agent or target that they belong to.
    pub(super) party: &'a Party,
}

/// What keeps credentials from being used: a code, the place, and what to do.
pub(super) type Refused = (&'static str, Pointer, String);

/// The credentials as an input has them, references not filled in yet.
pub(super) fn template(shown: &Shown<'_>, executors: &dyn Executors) -> Result<Value, Refused> {
    let Shown { id, info, .. } = *shown;
    let mut object = Map::new();
    object.insert("id".to_owned(), id.into());
    object.insert("type".to_owned(), info.kind.as_str().into());
    if let Some(user) = info.user_id.as_ref().or(info.username.as_ref()) {
        object.insert("user".to_owned(), user.as_str().into());
    }
    if let Some(header) = &info.oauth_header {
        object.insert("oauth_header".to_owned(), header.as_str().into());
    }
    if uses_kms(info) {
        let name = named(shown, executors)?;
        let property = match info.kind.as_str() {
            "oauth2" => "token",
            "private-key" => "private_key",
            _ => "password",
        };
        object.insert(property.to_owned(), json!({ "secret": name }));
        return Ok(object.into());
    }
    for property in SECRET {
        let Some(text) = secret(info, property) else {
            continue;
        };
        let credential = if has_reference(text) {
            json!({ "secret": "", "value": text })
        } else {
            json!({ "secret": held_name(shown.program, &shown.playbook.id, id, property) })
        };
        object.insert(property.to_owned(), credential);
    }
    Ok(object.into())
}

/// The configured secret that credentials name, if playbooks may use it.
fn named<'a>(shown: &Shown<'a>, executors: &dyn Executors) -> Result<&'a str, Refused> {
    let place = Pointer::default()
        .then("authentication_info_definitions")
        .then(shown.id);
    let Some(name) = shown.info.kms_key_identifier.as_deref() else {
        let message = "`kms` is true, and there is no `kms_key_identifier`".to_owned();
        return Err((codes::NOT_RUNNABLE, place, message));
    };
    let (code, message) = match executors.secret(name) {
        SecretUse::Granted => return Ok(name),
        SecretUse::Unknown => (
            codes::SECRET_UNKNOWN,
            format!("there is no secret `{name}`: add it under `secrets:` in the configuration"),
        ),
        SecretUse::Withheld => (
            codes::SECRET_NOT_GRANTED,
            format!("the secret `{name}` guards this server: no playbook may use it"),
        ),
        SecretUse::NotGranted => (
            codes::SECRET_NOT_GRANTED,
            format!(
                "playbooks may not use the secret `{name}`; if they may have it sent there, write in the configuration: {}",
                grant(name, shown.party)
            ),
        ),
    };
    Err((code, place.then("kms_key_identifier"), message))
}

/// The line of the configuration that grants a secret to where a party is, as far as the
/// playbook itself says where that is.
fn grant(secret: &str, party: &Party) -> String {
    let address = party.address.as_ref();
    let named = address.map(|of| [&of.dname, &of.ipv4, &of.ipv6]);
    let named = named.into_iter().flatten().flatten().flatten();
    let urls = address.and_then(|of| of.url.as_ref());
    let urls = urls.into_iter().flatten().filter_map(|url| authority(url));
    let hosts = named.map(String::as_str).chain(urls);
    let hosts = hosts.filter(|host| !has_reference(host));
    let mut hosts: Vec<String> = hosts.map(|host| json!(host).to_string()).collect();
    if hosts.is_empty() {
        hosts.push(json!("HOST").to_string());
    }
    let (name, hosts) = (json!(secret), hosts.join(", "));
    format!("playbooks: {{ secrets: {{ {name}: {{ hosts: [{hosts}] }} }} }}")
}

/// Host and port of a URL.
fn authority(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    authority.rsplit('@').next()
}

pub(super) fn uses_kms(info: &AuthenticationInfo) -> bool {
    info.kms == Some(true)
}

fn has_reference(text: &str) -> bool {
    references(text, &|_| false).next().is_some()
}
