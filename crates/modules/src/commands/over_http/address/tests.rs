//! Addresses and targets, by tables.

use serde_json::{Value, json};

use super::*;

fn party(address: &Value, port: Option<&str>) -> Party {
    let mut party =
        json!({ "id": "net-address--1", "type": "http-api", "name": "t", "address": address });
    if let Some(port) = port {
        party["port"] = port.into();
    }
    serde_json::from_value(party).unwrap()
}

#[test]
fn host_scheme_and_port_are_what_the_address_says() {
    let table = [
        (json!({ "dname": ["a.b"] }), None, "http://a.b/"),
        (json!({ "dname": ["a.b"] }), Some("80"), "http://a.b/"),
        (
            json!({ "dname": ["a.b"] }),
            Some("8080"),
            "http://a.b:8080/",
        ),
        (json!({ "dname": ["a.b"] }), Some("443"), "https://a.b/"),
        (
            json!({ "dname": ["a.b"] }),
            Some("8443"),
            "https://a.b:8443/",
        ),
        (
            json!({ "dname": ["a.b"] }),
            Some("9200"),
            "https://a.b:9200/",
        ),
        (
            json!({ "ipv4": ["10.0.0.1", "10.0.0.2"] }),
            None,
            "http://10.0.0.1/",
        ),
        (
            json!({ "ipv6": ["2001:db8::1"] }),
            Some("8080"),
            "http://[2001:db8::1]:8080/",
        ),
        (json!({ "ipv6": ["[::1]"] }), None, "http://[::1]/"),
        (
            json!({ "dname": ["a.b"], "ipv4": ["10.0.0.1"], "ipv6": ["::1"] }),
            None,
            "http://a.b/",
        ),
        (
            json!({ "ipv4": ["10.0.0.1"], "ipv6": ["::1"] }),
            None,
            "http://10.0.0.1/",
        ),
        (
            json!({ "url": ["https://a.b/v1/"] }),
            None,
            "https://a.b/v1/",
        ),
        (
            json!({ "url": ["https://a.b/v1"] }),
            Some("8080"),
            "https://a.b:8080/v1",
        ),
        (
            json!({ "url": ["http://a.b:9200"] }),
            None,
            "http://a.b:9200/",
        ),
        (
            json!({ "url": ["http://a.b:9200"] }),
            Some("9200"),
            "http://a.b:9200/",
        ),
        (
            json!({ "dname": ["c.d"], "url": ["http://a.b:9200/v1"] }),
            None,
            "http://c.d:9200/v1",
        ),
        (
            json!({ "ipv6": ["::1"], "url": ["https://a.b"] }),
            Some("80"),
            "https://[::1]:80/",
        ),
    ];
    for (address, port, expected) in table {
        let base = Base::of(&party(&address, port)).unwrap();
        assert_eq!(base.url.as_str(), expected, "{address} {port:?}");
    }
}

#[test]
fn an_address_that_names_no_one_host_is_refused() {
    let table = [
        (json!({}), None),
        (json!({ "l2mac": ["00:00:00:00:00:01"] }), None),
        (json!({ "dname": [] }), None),
        (json!({ "dname": [""] }), None),
        (json!({ "dname": ["a.b:80"] }), None),
        (json!({ "dname": ["a.b/c"] }), None),
        (json!({ "dname": ["u@a.b"] }), None),
        (json!({ "ipv4": ["10.0.0.0/8"] }), None),
        (json!({ "ipv4": ["__ip__:value"] }), None),
        (json!({ "ipv6": ["fe80::1%eth0"] }), None),
        (json!({ "url": ["ftp://a.b"] }), None),
        (json!({ "url": ["https://u:p@a.b"] }), None),
        (json!({ "url": ["https://a.b/?x=1"] }), None),
        (json!({ "url": ["https://a.b:1"] }), Some("2")),
        (json!({ "dname": ["a.b"] }), Some("0")),
        (json!({ "dname": ["a.b"] }), Some("http")),
        (json!({ "dname": ["a.b"] }), Some("99999")),
    ];
    for (address, port) in table {
        let refused = Base::of(&party(&address, port));
        assert!(refused.is_err(), "{address} {port:?} {refused:?}");
    }
}

#[test]
fn a_target_is_kept_as_it_is_below_the_address() {
    let table = [
        (
            json!({ "dname": ["a.b"] }),
            "/x?a=1&b=c%26?d",
            "http://a.b/x?a=1&b=c%26?d",
        ),
        (json!({ "dname": ["a.b"] }), "/", "http://a.b/"),
        (json!({ "dname": ["a.b"] }), "//c.d/x", "http://a.b//c.d/x"),
        (json!({ "dname": ["a.b"] }), "/@c.d/", "http://a.b/@c.d/"),
        (
            json!({ "dname": ["a.b"] }),
            "/x?u=../y",
            "http://a.b/x?u=../y",
        ),
        (
            json!({ "url": ["https://a.b/v1"] }),
            "/x?",
            "https://a.b/v1/x?",
        ),
        (
            json!({ "url": ["https://a.b/v1/"] }),
            "/x/",
            "https://a.b/v1/x/",
        ),
        (
            json!({ "dname": ["a.b"] }),
            "https://A.b/x",
            "https://a.b/x",
        ),
        (
            json!({ "url": ["https://a.b/v1"] }),
            "https://a.b:443/x?y",
            "https://a.b/x?y",
        ),
    ];
    for (address, target, expected) in table {
        let url = Base::of(&party(&address, None))
            .unwrap()
            .join(target)
            .unwrap();
        assert_eq!(url.as_str(), expected, "{address} {target}");
    }
}

#[test]
fn a_target_that_leaves_its_party_is_refused() {
    let table = [
        (json!({ "dname": ["a.b"] }), "https://c.d/x"),
        (json!({ "dname": ["a.b"] }), "https://a.b.c/x"),
        (json!({ "dname": ["a.b"] }), "https://a.b:8443/x"),
        (json!({ "dname": ["a.b"] }), "http://u@a.b/x"),
        (json!({ "dname": ["a.b"] }), "ftp://a.b/x"),
        (json!({ "url": ["https://a.b"] }), "http://a.b/x"),
        (json!({ "url": ["https://a.b:1"] }), "https://a.b:2/x"),
        (json!({ "dname": ["a.b"] }), "x"),
        (json!({ "dname": ["a.b"] }), "*"),
        (json!({ "dname": ["a.b"] }), "@c.d/"),
        (json!({ "dname": ["a.b"] }), ".c.d/"),
        (json!({ "dname": ["a.b"] }), "/x#y"),
        (json!({ "dname": ["a.b"] }), "/x/../y"),
        (json!({ "dname": ["a.b"] }), "/x/%2e%2E/y"),
        (json!({ "dname": ["a.b"] }), "/x%2f..%2fy"),
        (json!({ "dname": ["a.b"] }), "/x\\..\\y"),
        (json!({ "dname": ["a.b"] }), "/x\ty"),
        (json!({ "dname": ["a.b"] }), "http://a.b/../y"),
        (json!({ "dname": ["a.b"] }), "http://a.b\\@c.d/"),
    ];
    for (address, target) in table {
        let refused = Base::of(&party(&address, None)).unwrap().join(target);
        assert!(refused.is_err(), "{address} {target} {refused:?}");
    }
}
