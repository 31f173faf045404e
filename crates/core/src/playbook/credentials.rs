//! The credentials of agents and targets (CACAO 2.0 §6): the secret parts by name only.
//!
//! What is journaled never holds a secret that a playbook names or holds. One that stands in
//! the document gets a name by its place, under which the engine holds it; one that a variable
//! carries is as open as the variable, and is passed on as its value.

use conche_cacao::Playbook;
use conche_cacao::model::{AuthenticationInfo, Dictionary};
use conche_cacao::variable::reference::references;
use serde_json::{Map, Value, json};

use super::bind::Executors;
use crate::id::Digest;

/// Properties that are secret.
pub(super) const SECRET: [&str; 3] = ["password", "token", "private_key"];

/// The name under which a secret is held that stands in a playbook.
fn held_name(program: Digest, playbook: &str, authentication: &str, property: &str) -> String {
    format!("playbook/{program}/{playbook}/{authentication}/{property}")
}

fn secret<'a>(info: &'a AuthenticationInfo, property: &str) -> Option<&'a str> {
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

/// The credentials as an input has them, references not filled in yet.
pub(super) fn template(
    program: Digest,
    playbook: &Playbook,
    id: &str,
    info: &AuthenticationInfo,
    executors: &dyn Executors,
) -> Result<Value, String> {
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
        let name = info.kms_key_identifier.as_deref();
        let name = name.ok_or("`kms` is true, and there is no `kms_key_identifier`")?;
        if !executors.knows_secret(name) {
            return Err(format!(
                "there is no secret `{name}`: add it under `secrets:` in the configuration"
            ));
        }
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
            json!({ "secret": held_name(program, &playbook.id, id, property) })
        };
        object.insert(property.to_owned(), credential);
    }
    Ok(object.into())
}

fn uses_kms(info: &AuthenticationInfo) -> bool {
    info.kms == Some(true)
}

fn has_reference(text: &str) -> bool {
    references(text, &|_| false).next().is_some()
}
