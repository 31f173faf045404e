//! Spellings, by tables.

use super::*;

fn read(text: &str) -> String {
    let place = Place::read(text);
    place.map_or_else(|error| error.to_string(), |place| place.to_string())
}

#[test]
fn all_spellings_of_an_address_are_that_address() {
    for text in [
        "127.0.0.1",
        " 127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "127%2e0.0.1",
        "１２７.0.0.1",
        "127.0.0.1.",
        "127.0.0.1:18601",
        "root@127.0.0.1:22",
        "::ffff:127.0.0.1",
        "[::ffff:7f00:1]:80",
        "127.0.0.1/32",
        "127.0.0.1/255.255.255.255",
        "127.0.0.1-127.0.0.1",
        "http:/127.0.0.1:18601",
        "http:127.0.0.1:18601",
        "http:///127.0.0.1:18601",
        "http://0x7f.1:18601/x",
        "HTTP://u:p@127.0.0.1",
        "ssh://127.1:18622",
    ] {
        assert_eq!(read(text), "127.0.0.1", "{text}");
    }
    for text in [
        "2001:DB8:0::5",
        "[2001:db8::5]",
        "2001:0DB8::5%eth0",
        "[2001:db8::5%eth0]",
        "https://[2001:db8::5]:8443/",
        "[2001:db8::5]:22",
    ] {
        assert_eq!(read(text), "2001:db8::5", "{text}");
    }
}

#[test]
fn all_spellings_of_a_name_are_that_name() {
    for text in [
        "localhost",
        "LOCALHOST.",
        "local%68ost ",
        "ⓛocalhost",
        "localhost:8080",
        "ssh://local%68ost:18622",
        "http://ana@LocalHost/x",
    ] {
        assert_eq!(read(text), "localhost", "{text}");
    }
    assert_eq!(read("bücher.example"), "xn--bcher-kva.example");
    assert_eq!(read("web_1.corp.example"), "web_1.corp.example");
}

#[test]
fn networks_are_shown_as_blocks_where_they_are() {
    for (text, shown) in [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("10.1.2.3/255.255.255.0", "10.1.2.0/24"),
        ("10.0.0.0-10.255.255.255", "10.0.0.0/8"),
        ("10.0.0.1 - 10.0.0.9", "10.0.0.1-10.0.0.9"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
    ] {
        assert_eq!(read(text), shown, "{text}");
    }
}

#[test]
fn what_can_be_read_in_several_ways_is_no_place() {
    for text in [
        "",
        ".",
        "010.1.2.3",
        "10.0.0.0/33",
        "10.0.0.0/255.0.255.0",
        "10.0.0.9-10.0.0.1",
        "10.0.0.1-9",
        "10.0.0.*",
        "*.corp.example",
        "10.0.0.1,10.0.0.2",
        "a.example,b.example",
        "a.example b.example",
        "a.example/x",
        "http://127.0.\t0.1",
        "http:\\\\127.0.0.1",
        "http://a.example\\@b.example",
        "[127.0.0.1]",
        "urn:x",
        "a.example:ssh",
    ] {
        assert!(Place::read(text).is_err(), "{text}: {}", read(text));
    }
}

#[test]
fn networks_overlap_where_they_share_an_address() {
    let overlap = |one: &str, other: &str| {
        let place = |text| Place::read(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            place(one).overlaps(&place(other)),
            place(other).overlaps(&place(one))
        );
        place(one).overlaps(&place(other))
    };
    for (one, other) in [
        ("10.0.0.0/8", "10.9.0.0/16"),
        ("10.0.0.0/8", "0.0.0.0/0"),
        ("10.0.0.0/8", "9.0.0.0-10.0.0.0"),
        ("10.0.0.0/8", "::ffff:10.1.2.3"),
        ("10.0.0.0/8", "64:ff9b::a01:203"),
        ("10.0.0.0/8", "2002:a01:203::1"),
        ("127.0.0.0/8", "0.0.0.0"),
        ("127.0.0.0/8", "[::]:80"),
        ("2001:db8::/32", "2001::/16"),
        ("dc01.example", "https://DC01.example./x"),
    ] {
        assert!(overlap(one, other), "{one} {other}");
    }
    for (one, other) in [
        ("10.0.0.0/8", "11.0.0.0/8"),
        ("10.0.0.0/8", "2001:db8::a00:1"),
        ("::/0", "10.0.0.1"),
        ("dc01.example", "dc1.example"),
        ("localhost", "127.0.0.1"),
    ] {
        assert!(!overlap(one, other), "{one} {other}");
    }
}

#[test]
fn hardware_addresses_are_the_same_however_they_are_set_apart() {
    let read = |text: &str| Place::read_hardware(text).ok();
    let one = read("00:1A:2b:3c:4d:5e");
    assert!(one.is_some());
    for text in ["00-1a-2b-3c-4d-5e", "001a.2b3c.4d5e", " 001A2B3C4D5E "] {
        assert_eq!(read(text), one, "{text}");
    }
    for text in ["", "00:1a:2b:3c:4d", "00:1a:2b:3c:4d:5g"] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn a_client_connects_to_one_host() {
    for (text, shown) in [
        ("A.Example", "a.example"),
        (" 127.1 ", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("::1", "[::1]"),
    ] {
        let host = host(text).map(|host| host.to_string());
        assert_eq!(host.as_deref(), Ok(shown), "{text}");
    }
    for text in ["", ".", "a.b:80", "u@a.b", "fe80::1%eth0", "[127.0.0.1]"] {
        assert!(host(text).is_err(), "{text}");
    }
}
