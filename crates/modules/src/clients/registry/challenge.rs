//! What a registry asks for when it answers 401: `Bearer` with a place to get a token, or `Basic`.
//!
//! Pure. Source: RFC 9110 §11 and the Distribution specification's token authentication.

use http::{HeaderMap, header};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token, which is had at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

impl Challenge {
    /// The first challenge of a kind that is known, whatever the order of its members.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::WWW_AUTHENTICATE).iter();
        let mut texts = values.filter_map(|value| value.to_str().ok());
        texts.find_map(Self::read)
    }

    fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        for (name, value) in members(rest) {
            match &*name.to_ascii_lowercase() {
                "realm" => realm = realm.or(Some(value)),
                "service" => service = service.or(Some(value)),
                _ => {}
            }
        }
        Some(Self::Bearer {
            realm: realm?,
            service,
        })
    }
}

/// `name="value"` or `name=value`, separated by commas; a backslash quotes within quotes.
fn members(text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']);
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (value, after) = after.split_once(',').unwrap_or((after, ""));
                (value.trim().to_owned(), after)
            }
        };
        found.push((name, value));
        rest = after;
    }
    found
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, char)| char)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csf_bug_14_a_challenge_is_read_in_any_order() {
        let bearer = |service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: "https://a.example/token?x=1,2".to_owned(),
                service: service.map(str::to_owned),
            })
        };
        for (text, expected) in [
            (
                r#"Bearer realm="https://a.example/token?x=1,2",service="s",scope="r""#,
                bearer(Some("s")),
            ),
            (
                r#"bearer scope="r:pull,push", service=s , realm="https://a.example/token?x=1,2""#,
                bearer(Some("s")),
            ),
            (
                r#"Bearer realm="https://a.example/token?x=1,2""#,
                bearer(None),
            ),
            (
                r#"Bearer service="a\"b",realm="https://a.example/token?x=1,2""#,
                bearer(Some("a\"b")),
            ),
            (r#"Basic realm="Registry""#, Some(Challenge::Basic)),
            ("Basic", Some(Challenge::Basic)),
            (r#"Bearer service="s""#, None),
            (
                "Bearer realm=",
                Some(Challenge::Bearer {
                    realm: String::new(),
                    service: None,
                }),
            ),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(Challenge::read(text), expected, "{text}");
        }
    }
}
