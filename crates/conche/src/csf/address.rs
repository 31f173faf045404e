//! Go's listen addresses: `:8888`, `localhost:http`, `[::]:1323`; nothing means port 80.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

/// What Go's `net.Listen("tcp", text)` would bind; an empty text is `:80`, as in `net/http`.
pub(super) fn parse(text: &str) -> Result<SocketAddr, String> {
    let text = if text.is_empty() { ":80" } else { text };
    let wrong = || format!("`{text}` is not an address such as `127.0.0.1:8888` or `:8888`");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = match port {
        "http" => 80,
        "https" => 443,
        "" => 0,
        number => number.parse().map_err(|_| wrong())?,
    };
    let host = match (host.strip_prefix('['), host.strip_suffix(']')) {
        (Some(_), Some(_)) => &host[1..host.len() - 1],
        (None, None) => host,
        _ => return Err(wrong()),
    };
    if host.is_empty() {
        return Ok(SocketAddr::new(every_address(), port));
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let found = (host, port).to_socket_addrs().ok();
    let found = found.and_then(|found| found.min_by_key(SocketAddr::is_ipv6));
    found.ok_or_else(|| format!("there is no host `{host}`"))
}

/// Both families where the machine has both.
fn every_address() -> IpAddr {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => Ipv6Addr::UNSPECIFIED.into(),
        Err(_) => Ipv4Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("127.0.0.1:8888", "127.0.0.1:8888"),
            ("localhost:8888", "127.0.0.1:8888"),
            ("[::1]:1323", "[::1]:1323"),
            ("0.0.0.0:http", "0.0.0.0:80"),
        ] {
            assert_eq!(parse(text), Ok(expected.parse().unwrap()), "{text}");
        }
        for (text, port) in [("", 80), (":8888", 8888), (":", 0), ("[::]:9", 9)] {
            let address = parse(text).unwrap();
            assert!(address.ip().is_unspecified(), "{text}");
            assert_eq!(address.port(), port, "{text}");
        }
        for text in [
            "8888",
            "a:b:c",
            ":99999",
            "[::1:80",
            "no-such-host.invalid:1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
