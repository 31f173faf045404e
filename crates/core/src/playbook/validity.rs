//! Whether a playbook may be run at a time: it is not revoked, and within its time.

use conche_cacao::{Playbook, time};
use jiff::Timestamp;

/// Whether a playbook may be run at a time (CACAO 2.0 §3.1), else why not.
///
/// A run under way goes on: what is asked is whether one may begin.
///
/// # Errors
/// A sentence for people, with the time in question.
pub fn runnable(playbook: &Playbook, now: Timestamp) -> Result<(), String> {
    let named = |what: String| Err(format!("the playbook `{}` {what}", playbook.id));
    if playbook.revoked == Some(true) {
        return named("is revoked".to_owned());
    }
    if let Some(from) = &playbook.valid_from
        && read(from)?.is_some_and(|from| now < from)
    {
        return named(format!("is not valid before {from}"));
    }
    if let Some(until) = &playbook.valid_until
        && read(until)?.is_some_and(|until| now >= until)
    {
        return named(format!("was valid until {until}"));
    }
    Ok(())
}

/// A time that cannot be read is no permission.
fn read(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let time = time::read(text).map_err(|error| format!("`{text}` is no time: {error}"))?;
    Ok(Some(time.0))
}

#[cfg(test)]
mod tests {
    use conche_cacao::Document;
    use serde_json::json;

    use super::*;

    fn playbook(more: &serde_json::Value) -> Playbook {
        let mut value = json!({
            "type": "playbook", "spec_version": "cacao-2.0",
            "id": "playbook--0b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b10", "name": "p",
            "created_by": "identity--9d1f1d1c-6a2e-4b69-8f0e-3f6a2b7c8d90",
            "created": "2026-03-01T08:00:00.000Z", "modified": "2026-03-01T08:00:00.000Z",
            "workflow_start": "start--6cf8f26c-7b23-4f3c-8a3f-93be1f35a9ab", "workflow": {},
        });
        for (name, so) in more.as_object().into_iter().flatten() {
            value[name] = so.clone();
        }
        Document::of(value).playbook().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_playbook_is_run_within_its_time_and_while_it_is_not_revoked() {
        let window = json!({
            "valid_from": "2026-04-01T00:00:00.000Z", "valid_until": "2026-05-01T00:00:00.000Z",
        });
        let window = playbook(&window);
        for (now, may) in [
            ("2026-03-31T23:59:59.999Z", false),
            ("2026-04-01T00:00:00Z", true),
            ("2026-04-30T23:59:59.999Z", true),
            ("2026-05-01T00:00:00Z", false),
        ] {
            assert_eq!(runnable(&window, at(now)).is_ok(), may, "{now}");
        }
        let now = at("2026-04-02T00:00:00Z");
        assert_eq!(runnable(&playbook(&json!({})), now), Ok(()));
        let revoked = runnable(&playbook(&json!({ "revoked": true })), now).unwrap_err();
        assert!(revoked.ends_with("is revoked"), "{revoked}");
    }

    #[test]
    fn a_time_that_is_none_is_no_permission() {
        let odd = playbook(&json!({ "valid_until": "tomorrow" }));
        let error = runnable(&odd, at("2026-04-02T00:00:00Z")).unwrap_err();
        assert!(error.contains("`tomorrow` is no time"), "{error}");
    }
}
