//! What is peculiar to single modules of CSF's: settings that they took more loosely than
//! ours, or that meant something that is said otherwise here.
//!
//! Pure. What changes for the owner of the folder becomes a note.

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
        if is_set("password") || is_set("token") {
            notes.push(
                "klar: dockerConfig's password is shown to every registry that an image names, as in CSF; \
                 `hosts` in a configuration of ours says which (see docs/integrations/klar.md)"
                    .to_owned(),
            );
        }
        docker.insert("hosts".to_owned(), json!(["*"]));
    }
    settings
}
