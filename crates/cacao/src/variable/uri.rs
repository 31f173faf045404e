//! What is a URI (RFC 3986), and when two are the same.

/// Whether a text is a URI with its scheme; relative references are none.
pub(crate) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let bytes = scheme.as_bytes();
    let scheme_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let right_scheme =
        bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.iter().all(scheme_byte);
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (hierarchy, query) = before.split_once('?').unwrap_or((before, ""));
    let (authority, path) = parts(hierarchy);
    right_scheme
        && authority.is_none_or(is_authority)
        && [path, query, fragment].into_iter().all(|part| {
            // `?` may stand in a query and a fragment; in a path it has been split off.
            made_of(part, b"-._~!$&'()*+,;=:@/?")
        })
}

/// A URI in the form in which two that are the same are written the same: scheme and host in
/// small letters, an empty path after a host as `/`, `%xx` in capitals (RFC 3986 §6.2.2).
pub(crate) fn normal(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return uri.to_owned();
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (hierarchy, suffix) = rest.split_at(end);
    let mut normal = format!("{}:", scheme.to_ascii_lowercase());
    match parts(hierarchy) {
        (None, path) => normal.push_str(&escapes_in_capitals(path)),
        (Some(authority), path) => {
            let host = authority.rfind('@').map_or(0, |at| at + 1);
            normal.push_str("//");
            normal.push_str(&escapes_in_capitals(&authority[..host]));
            normal.push_str(&authority[host..].to_ascii_lowercase());
            normal.push_str(if path.is_empty() { "/" } else { "" });
            normal.push_str(&escapes_in_capitals(path));
        }
    }
    normal + &escapes_in_capitals(suffix)
}

/// Authority and path.
fn parts(hierarchy: &str) -> (Option<&str>, &str) {
    match hierarchy.strip_prefix("//") {
        None => (None, hierarchy),
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
    }
}

/// User information, host and port.
fn is_authority(authority: &str) -> bool {
    const PLAIN: &[u8] = b"-._~!$&'()*+,;=";
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let right_user = made_of(user, b"-._~!$&'()*+,;=:");
    let (right_host, port) = match host.strip_prefix('[') {
        Some(literal) => {
            let (inner, port) = literal.split_once(']').unwrap_or(("", "?"));
            let ip = inner.parse::<std::net::Ipv6Addr>().is_ok();
            (ip, port.strip_prefix(':').unwrap_or(port))
        }
        None => {
            let (name, port) = host.split_once(':').unwrap_or((host, ""));
            (made_of(name, PLAIN), port)
        }
    };
    right_user && right_host && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Letters, digits, some marks, and `%` with two hexadecimal digits.
fn made_of(part: &str, marks: &[u8]) -> bool {
    let bytes = part.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes
            .get(at + 1..at + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        byte => byte.is_ascii_alphanumeric() || marks.contains(byte),
    })
}

fn escapes_in_capitals(part: &str) -> String {
    let mut digits = 0;
    let capital = |char: char| {
        if char == '%' {
            digits = 2;
        } else if digits > 0 {
            digits -= 1;
            return char.to_ascii_uppercase();
        }
        char
    };
    part.chars().map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_has_a_scheme_and_no_odd_characters() {
        for text in [
            "https://www.example.com/",
            "http://u:p@[2001:db8::1]:8080/a;b?c=d/?#e?f",
            "urn:isbn:0-486-27557-4",
            "mailto:a@b.example",
            "file:///etc/passwd",
            "x:",
            "http://a.b:/%C3%a9",
            "tel:+1-816-555-1212",
        ] {
            assert!(is_uri(text), "{text}");
        }
        for text in [
            "",
            "www.example.com",
            "//a/b",
            "1http://a",
            "http://a b",
            "http://a/%4",
            "http://a/%zz",
            "http://é/",
            "http://[::g]/",
            "http://[::1/",
            "http://a:80x/",
            "http://a/[b]",
            "a:b#c#d",
            ":a",
            "http://a\\b",
            "http://a/\"",
        ] {
            assert!(!is_uri(text), "{text}");
        }
    }

    #[test]
    fn the_same_uri_is_written_in_one_way() {
        assert_eq!(
            normal("HTTP://User@EXAMPLE.com"),
            "http://User@example.com/"
        );
        assert_eq!(normal("http://a/%c3%A9?Q=%2f#F"), "http://a/%C3%A9?Q=%2F#F");
        assert_eq!(normal("URN:isbn:A"), "urn:isbn:A");
        assert_eq!(normal("http://a?q"), "http://a/?q");
    }
}
