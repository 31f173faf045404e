//! What is peculiar to single modules of CSF's: settings that they took more loosely than
//! ours, or that meant something that is said otherwise here.
//!
//! Pure. What changes for the owner of the folder becomes a note.

use std::net::IpAddr;
use std::path::Path;

use serde_json::{Map, Value, json};

/// CSF upgraded to TLS where the server offered it, took a port written as text, and knew an
/// empty text as nothing. Its `user` was the sender as well, address or not.
pub(super) fn mail(
    mut settings: Map<String, Value>,
    notes: &mut Vec<String>,
) -> Map<String, Value> {
    settings.retain(|_, value| value.as_str() != Some(""));
    if let Some(Value::String(port)) = settings.get("port")
        && let Ok(port) = port.parse::<u16>()
    {
        settings.insert("port".to_owned(), port.into());
    }
    let implicit = settings.get("port") == Some(&json!(465));
    settings.entry("tls").or_insert_with(|| {
        if implicit {
            "implicit"
        } else {
            "opportunistic"
        }
        .into()
    });
    let text = |key: &str| settings.get(key).and_then(Value::as_str);
    let is_atom = |char: char| char.is_ascii_alphanumeric() || "._-+".contains(char);
    if let (Some(user), Some(server), None) = (text("user"), text("server"), text("from"))
        && user.chars().all(is_atom)
    {
        let from = sender(user, server);
        notes.push(format!(
            "mail: `user` is no address, so mails are from {from}; `from` beside it says otherwise"
        ));
        settings.insert("from".to_owned(), from.into());
    }
    // Without a password there is nothing to log in with.
    if settings.contains_key("user") && !settings.contains_key("password") {
        settings.entry("auth").or_insert_with(|| "none".into());
    }
    settings
}

/// What a mail server makes of a bare name: a user of its own.
fn sender(user: &str, server: &str) -> String {
    match server.parse::<IpAddr>() {
        Ok(address) => format!("{user}@[{address}]"),
        Err(_) => format!("{user}@{server}"),
    }
}

/// CSF showed its credentials to every registry that an image named.
pub(super) fn klar(
    mut settings: Map<String, Value>,
    notes: &mut Vec<String>,
) -> Map<String, Value> {
    if let Some(Value::Object(docker)) = settings.get_mut("dockerConfig") {
        docker.retain(|_, value| !value.is_null());
        let is_set = |key: &str| docker.get(key).is_some_and(|value| *value != "");
        // `hosts` is ours: who wrote it meant it.
        if !docker.contains_key("hosts") && (is_set("password") || is_set("token")) {
            notes.push(
                "klar: dockerConfig's password is shown to every registry that an image names, as in CSF; \
                 `hosts` beside it says which (see docs/integrations/klar.md)"
                    .to_owned(),
            );
        }
        docker.entry("hosts").or_insert_with(|| json!(["*"]));
    }
    settings
}

/// CSF read versioned notifications only; its scripts know no others.
pub(super) fn openstack(
    mut settings: Map<String, Value>,
    folder: &Path,
    faults: &mut Vec<String>,
) -> Map<String, Value> {
    let mut addresses = ["rabbit_url", "broker"].iter();
    let has_address = addresses.any(|key| settings.contains_key(*key));
    // What is wrong with the folder has been said.
    if !has_address && !folder.as_os_str().is_empty() {
        faults.push(format!(
            "csf.eventsources: `openstack` has no `rabbit_url` in {}",
            folder.display()
        ));
    }
    if !settings.contains_key("queue") {
        settings
            .entry("topics")
            .or_insert_with(|| json!(["versioned_notifications"]));
    }
    settings
}

/// CSF knew an empty text as nothing, and ran vuls as a container only.
pub(super) fn vuls(
    mut settings: Map<String, Value>,
    folder: &Path,
    notes: &mut Vec<String>,
) -> Option<Map<String, Value>> {
    settings.retain(|_, value| value.as_str() != Some(""));
    let mut runs = ["docker_endpoint", "program", "server"].iter();
    if runs.any(|key| settings.contains_key(*key)) {
        return Some(settings);
    }
    // CSF set it up all the same, so that its first use failed.
    notes.push(format!(
        "csf.actionsModules: `vuls` has no `docker_endpoint` in {}, so its actions will fail",
        folder.display()
    ));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail_of(settings: &Value) -> (Value, Vec<String>) {
        let mut notes = Vec::new();
        let settings = settings.as_object().cloned().unwrap_or_default();
        (mail(settings, &mut notes).into(), notes)
    }

    #[test]
    fn a_user_who_is_no_address_becomes_one_at_the_mail_server() {
        let written =
            json!({ "server": "smtp.example.com", "port": 25, "user": "ops", "password": "pw" });
        let (settings, notes) = mail_of(&written);
        assert_eq!(settings["from"], "ops@smtp.example.com");
        assert_eq!(settings["user"], "ops");
        assert!(notes[0].contains("mails are from ops@smtp.example.com"));
        let (settings, _) = mail_of(&json!({ "server": "192.0.2.1", "user": "ops" }));
        assert_eq!(settings["from"], "ops@[192.0.2.1]");
        assert_eq!(settings["auth"], "none", "there is no password");
        for stays in [
            json!({ "server": "s", "user": "ops@example.com", "password": "pw" }),
            json!({ "server": "s", "user": "ops", "password": "pw", "from": "soc@example.com" }),
            json!({ "server": "s", "user": "CORP\\ops", "password": "pw" }),
        ] {
            let (settings, notes) = mail_of(&stays);
            assert_eq!(settings.get("from"), stays.get("from"));
            assert_eq!((settings.get("auth"), notes), (None, Vec::new()));
        }
    }
}
