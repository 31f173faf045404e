//! What a registration may hold: everything that comes from a fin is bounded before it is kept.

use serde_json::Value;

use super::{Refused, Registration};

/// The most capabilities of a fin, and the most agents of a capability.
pub(super) const CAPABILITIES_MAX: usize = 100;
const AGENTS_MAX: usize = 100;
/// The longest identifier or name in bytes.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// The longest description and the most bytes of examples that are kept.
const TEXT_BYTES_MAX: usize = 4096;
const EXAMPLES_BYTES_MAX: usize = 16 << 10;

/// Whether a registration is within all limits.
pub(super) fn fit(fin: &Registration) -> Result<(), Refused> {
    let unfit = |message: String| Err(Refused::Unfit(message));
    if !is_name(&fin.fin_id) {
        return unfit(format!(
            "`fin_id` must be 1 to {NAME_BYTES_MAX} letters, digits or any of -_.:~"
        ));
    }
    if fin.capabilities.is_empty() {
        return unfit("at least one capability is required".to_owned());
    }
    if fin.capabilities.len() > CAPABILITIES_MAX {
        return unfit(format!("a fin has {CAPABILITIES_MAX} capabilities at most"));
    }
    for capability in &fin.capabilities {
        if !is_name(&capability.id) {
            return unfit(format!(
                "a capability's id must be 1 to {NAME_BYTES_MAX} letters, digits or any of -_.:~"
            ));
        }
        let names = capability
            .agents
            .iter()
            .flat_map(|own| [&own.kind, &own.name]);
        let mut names = names.chain(&capability.name).chain(&capability.version);
        let long = |text: Option<&String>, most| text.is_some_and(|text| text.len() > most);
        if capability.agents.len() > AGENTS_MAX
            || names.any(|name| name.len() > NAME_BYTES_MAX)
            || long(capability.description.as_ref(), TEXT_BYTES_MAX)
        {
            return unfit(format!(
                "the capability `{}` has too long a text or too many agents",
                capability.id
            ));
        }
    }
    let mut texts = fin.name.iter().chain(&fin.protocol_version);
    if texts.any(|text| text.len() > NAME_BYTES_MAX) {
        return unfit("the fin's name or version is too long".to_owned());
    }
    Ok(())
}

/// Ids are topics of MQTT and stand in URLs and logs: they hold nothing that means something there.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:~".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// Examples that are small enough to be kept.
pub(in crate::commands::fin) fn examples(all: Vec<Value>) -> Vec<Value> {
    let mut room = EXAMPLES_BYTES_MAX;
    let fits = |example: &Value| match room.checked_sub(example.to_string().len()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    all.into_iter().filter(fits).collect()
}
