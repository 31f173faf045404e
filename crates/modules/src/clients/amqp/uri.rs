//! Reads a broker's address the way other AMQP clients do.
//!
//! The library's own reading takes `amqp://host/` for a virtual host without a name and an
//! IPv6 literal for localhost. Here `/` and nothing both mean the virtual host `/`, and
//! literals are what they say. No error repeats the address, which may hold a password.

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// Reads one address.
pub(crate) fn read(text: &str) -> Result<AMQPUri, String> {
    let url = Url::parse(text).map_err(|error| format!("not an address: {error}"))?;
    let (scheme, port) = match url.scheme() {
        "amqp" | "rabbit" => (AMQPScheme::AMQP, 5672),
        "amqps" => (AMQPScheme::AMQPS, 5671),
        _ => return Err("an address begins with amqp:// or amqps://".to_owned()),
    };
    let host = match url.host() {
        Some(Host::Domain(name)) if !name.is_empty() => decoded(name)?,
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        _ => return Err("the address names no host".to_owned()),
    };
    let user = match url.username() {
        "" => "guest".to_owned(),
        name => decoded(name)?,
    };
    let password = url.password().map_or(Ok("guest".to_owned()), decoded)?;
    Ok(AMQPUri {
        scheme,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: user,
                password,
            },
            host,
            port: url.port().unwrap_or(port),
        },
        vhost: vhost(url.path())?,
        query: query(&url)?,
    })
}

/// Whether the address itself holds a password.
pub(crate) fn has_password(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.password().is_some())
}

fn vhost(path: &str) -> Result<String, String> {
    match decoded(path.strip_prefix('/').unwrap_or(path))? {
        name if name.is_empty() => Ok("/".to_owned()),
        name => Ok(name),
    }
}

fn query(url: &Url) -> Result<AMQPQueryString, String> {
    let mut query = AMQPQueryString::default();
    for (key, value) in url.query_pairs() {
        let number = || {
            let number: Result<u16, _> = value.parse();
            number.map_err(|_| format!("`{key}` in the address is no number up to 65535"))
        };
        match key.as_ref() {
            "heartbeat" => query.heartbeat = Some(number()?),
            "channel_max" => query.channel_max = Some(number()?),
            // Fixed here, so that no address can set it to for ever.
            "connection_timeout" => {}
            _ => return Err(format!("`{key}` in the address is not known")),
        }
    }
    Ok(query)
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_| "a part of the address is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_mean_what_other_clients_take_them_for() {
        let table = [
            ("amqp://h", "guest", "guest", "h", 5672, "/"),
            ("amqp://h:1", "guest", "guest", "h", 1, "/"),
            ("amqp://h:1/", "guest", "guest", "h", 1, "/"),
            ("amqp://h:1//", "guest", "guest", "h", 1, "/"),
            ("amqp://h:1/%2F", "guest", "guest", "h", 1, "/"),
            ("amqp://h/a%2Fb", "guest", "guest", "h", 5672, "a/b"),
            ("amqps://u:p%40@h/v", "u", "p@", "h", 5671, "v"),
            ("amqp://u:@[::1]:2/", "u", "guest", "::1", 2, "/"),
            ("rabbit://u:p@10.0.0.1:5/", "u", "p", "10.0.0.1", 5, "/"),
        ];
        for (text, user, password, host, port, vhost) in table {
            let uri = read(text).unwrap();
            let authority = uri.authority;
            assert_eq!(
                (
                    authority.userinfo.username.as_str(),
                    authority.userinfo.password.as_str(),
                    authority.host.as_str(),
                    authority.port,
                    uri.vhost.as_str()
                ),
                (user, password, host, port, vhost),
                "{text}"
            );
        }
        let uri = read("amqp://h/?heartbeat=7&connection_timeout=1").unwrap();
        assert_eq!(uri.query.heartbeat, Some(7));
        assert!(has_password("amqp://u:p@h") && !has_password("amqp://u@h"));
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for text in [
            "",
            "h:5672",
            "http://u:hunter2@h",
            "amqp://",
            "amqp://u:hunter2@h/?verify=none",
            "amqp://u:hunter2@h/?heartbeat=soon",
            "amqp://u:hunter2@h:99999/",
        ] {
            let wrong = read(text).unwrap_err();
            assert!(!wrong.contains("hunter2"), "{wrong}");
        }
    }
}
