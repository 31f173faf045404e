//! What is peculiar to single modules of CSF's: settings that they took more loosely than
//! ours, or that meant something that is said otherwise here.
//!
//! Pure. What changes for the owner of the folder becomes a note.

use std::path::Path;

use serde_json::{Map, Value, json};

/// CSF upgraded to TLS where the server offered it, took a port written as text, and knew an
/// empty text as nothing.
pub(super) fn mail(mut settings: Map<String, Value>) -> Map<String, Value> {
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
    settings
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
