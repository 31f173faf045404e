//! What Clair says when there is a notification: its name, and nothing that is believed.
//!
//! Pure. Of the callback that Clair 4 names only the last part is taken, and only where it is
//! a UUID: whoever can send here must not choose what we fetch.

use serde_json::Value;
use uuid::Uuid;

use crate::clients::clair::Api;

/// The longest name in bytes. Clair's are UUIDs.
const NAME_MAX: usize = 128;

/// A notification's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ping {
    pub(super) name: String,
    /// The generation, where the words tell: those of v1 and v3 are the same.
    pub(super) api: Option<Api>,
}

/// Why a body is none of Clair's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reject {
    #[error("the body is not JSON")]
    NotJson,
    #[error("the body names no notification: expected `Notification.Name` or `notification_id`")]
    NoName,
    #[error("the notification's name cannot be one")]
    BadName,
    #[error("the body is that of API {found}, and {expected} is configured")]
    OtherApi {
        found: &'static str,
        expected: &'static str,
    },
}

/// Reads what Clair sent.
pub(super) fn read(body: &[u8], expected: Option<Api>) -> Result<Ping, Reject> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Reject::NotJson)?;
    let callback = || {
        body["callback"]
            .as_str()?
            .trim_end_matches('/')
            .rsplit('/')
            .next()
    };
    let ping = if let Some(name) = body.pointer("/Notification/Name") {
        let name = name.as_str().ok_or(Reject::BadName)?;
        if !is_plain(name) {
            return Err(Reject::BadName);
        }
        Ping {
            name: name.to_owned(),
            api: None,
        }
    } else if let Some(id) = body["notification_id"].as_str().or_else(callback) {
        // As Clair writes it, so that the name is one however it was written.
        let id = Uuid::try_parse(id).map_err(|_| Reject::BadName)?;
        Ping {
            name: id.hyphenated().to_string(),
            api: Some(Api::V4),
        }
    } else {
        return Err(Reject::NoName);
    };
    match (ping.api, expected) {
        (Some(Api::V4), Some(Api::V1 | Api::V3)) => Err(Reject::OtherApi {
            found: "v4",
            expected: "v1 or v3",
        }),
        (None, Some(Api::V4)) => Err(Reject::OtherApi {
            found: "v1 or v3",
            expected: "v4",
        }),
        (None, expected) => Ok(Ping {
            api: expected,
            ..ping
        }),
        _ => Ok(ping),
    }
}

/// One segment of a path, and no walk through it.
fn is_plain(name: &str) -> bool {
    let known = |char: char| char.is_ascii_graphic() && !"/\\?#%".contains(char);
    !name.is_empty()
        && name.len() <= NAME_MAX
        && !matches!(name, "." | "..")
        && name.chars().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "c31aa958-586d-4967-93f2-117d4c7e4f63";

    #[test]
    fn a_name_is_read_in_the_words_of_each_generation() {
        let old = format!(r#"{{"Notification":{{"Name":"{ID}"}}}}"#);
        let new = format!(r#"{{"notification_id":"{ID}","callback":"http://evil/x/{ID}"}}"#);
        let only = format!(
            r#"{{"callback":"http://169.254.169.254/{}/"}}"#,
            ID.to_uppercase()
        );
        for (body, api) in [(&old, None), (&new, Some(Api::V4)), (&only, Some(Api::V4))] {
            let ping = read(body.as_bytes(), None).unwrap();
            assert_eq!((ping.name.as_str(), ping.api), (ID, api));
        }
        assert_eq!(
            read(old.as_bytes(), Some(Api::V3)).unwrap().api,
            Some(Api::V3)
        );
        assert!(read(old.as_bytes(), Some(Api::V4)).is_err());
        assert!(read(new.as_bytes(), Some(Api::V1)).is_err());
    }

    #[test]
    fn csf_bug_8_a_name_that_leads_elsewhere_is_refused() {
        for name in [
            "",
            ".",
            "..",
            "../layers",
            "a/b",
            "a?limit=1",
            "a#b",
            "%2e%2e",
            "a\\nb",
            "é",
            &"x".repeat(129),
        ] {
            let body = format!(r#"{{"Notification":{{"Name":"{name}"}}}}"#);
            assert_eq!(read(body.as_bytes(), None), Err(Reject::BadName), "{name}");
        }
        for body in [
            r#"{"notification_id":"../x"}"#,
            r#"{"callback":"http://h/x"}"#,
            r#"{"Notification":{"Name":7}}"#,
        ] {
            assert_eq!(read(body.as_bytes(), None), Err(Reject::BadName), "{body}");
        }
        for body in [
            "{}",
            "[]",
            "null",
            r#"{"Notification":null}"#,
            r#"{"callback":7}"#,
        ] {
            assert_eq!(read(body.as_bytes(), None), Err(Reject::NoName), "{body}");
        }
        assert_eq!(read(b"\xff", None), Err(Reject::NotJson));
    }
}
