//! Framing, decoding and the kernel's table, by tables and properties.

use std::net::IpAddr;

use conche_core::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::framing::{Frame, Framer};
use super::{decode, drops};
use crate::intake::NewEvent;

fn decoded(message: &[u8]) -> (NewEvent, Value) {
    let now: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
    let peer: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
    let event = decode::event(message, peer, "syslog", now);
    let data = event.data.read().unwrap();
    (event, data)
}

fn frames(bytes: &[u8], step: usize) -> Vec<Frame> {
    let mut framer = Framer::new(16);
    let mut all = Vec::new();
    for piece in bytes.chunks(step) {
        framer.push(piece);
        while let Some(frame) = framer.next() {
            let is_broken = frame == Frame::Broken;
            all.push(frame);
            if is_broken {
                return all;
            }
        }
    }
    all.extend(framer.last());
    all
}

fn message(text: &str) -> Frame {
    Frame::Message(text.as_bytes().to_owned())
}

#[test]
fn the_message_of_rfc_5424_is_read_with_all_its_parts() {
    let text = "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 \
                [exampleSDID@32473 iut=\"3\" ip=\"a\" ip=\"b\\\"c\"][x@1] \u{feff}An application event";
    let (event, data) = decoded(text.as_bytes());
    assert_eq!(event.time.unwrap().to_string(), "2003-10-11T22:14:15.003Z");
    assert_eq!(event.subject.as_deref(), Some("mymachine.example.com"));
    assert_eq!(
        data,
        json!({
            "facility": "local4", "severity": "notice", "timestamp": "2003-10-11T22:14:15.003+00:00",
            "hostname": "mymachine.example.com", "appname": "evntslog", "procid": null,
            "msgid": "ID47", "message": "An application event", "peer": "192.0.2.7",
            "structured_data": { "exampleSDID@32473": { "iut": "3", "ip": ["a", "b\"c"] }, "x@1": {} },
            "format": "rfc5424",
        })
    );
}

#[test]
fn the_message_of_rfc_3164_gets_the_year_that_is_nearest() {
    let (event, data) = decoded(b"<34>Dec 31 22:14:15 mymachine su[12]: 'su root' failed\n");
    assert_eq!(event.time.unwrap().strftime("%Y-%m").to_string(), "2025-12");
    assert_eq!(
        (&data["appname"], &data["procid"], &data["message"]),
        (&json!("su"), &json!("12"), &json!("'su root' failed"))
    );
    let (event, _) = decoded(b"<34>Jan  4 10:00:00 mymachine su: x");
    assert_eq!(event.time.unwrap().strftime("%Y-%m").to_string(), "2026-01");
}

#[test]
fn what_is_in_no_format_is_kept_as_it_came() {
    for text in [
        "hello",
        "<999>1 - - - - - -",
        "<34>Feb 30 10:00:00 h a: x",
        "<>",
        "{\"a\":1}",
    ] {
        let (event, data) = decoded(text.as_bytes());
        assert_eq!(data, json!({ "raw": text, "peer": "192.0.2.7" }), "{text}");
        assert_eq!(event.subject.as_deref(), Some("192.0.2.7"));
    }
    assert_eq!(decoded(b"caf\xe9\0\n").1["raw"], "caf\u{fffd}");
}

#[test]
fn both_framings_are_cut_wherever_the_reads_fall() {
    let stream = b"<1>one\n7 <2>two\n<3>three\r\n\n8 <4>fo\nur17 12345678901234567<5>five\n0123456789abcdefX\n<6>six";
    let expected = [
        message("<1>one"),
        message("<2>two\n"),
        message("<3>three\r"),
        message("<4>fo\nur"),
        Frame::TooLong,
        message("<5>five"),
        Frame::TooLong,
        message("<6>six"),
    ];
    for step in 1..=stream.len() {
        assert_eq!(frames(stream, step), expected, "step {step}");
    }
}

#[test]
fn a_length_that_cannot_be_meant_breaks_the_stream() {
    for stream in ["99999999999999999999999 <1>a", "12x<1>a", "16777217 <1>a"] {
        assert_eq!(
            frames(stream.as_bytes(), 5).last(),
            Some(&Frame::Broken),
            "{stream}"
        );
    }
}

#[test]
fn the_kernels_count_is_found_by_the_sockets_inode() {
    let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                 12: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000  0  0 4711 2 0000000000000000 42\n";
    assert_eq!(drops::counted(table, "4711"), Some(42));
    assert_eq!(drops::counted(table, "4712"), None);
}

proptest! {
    #[test]
    fn no_message_makes_the_decoder_fail(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "(<[0-9]{0,5}>)?[1 ]{0,3}([A-Z][a-z]{2} [ 0-9]{1,3} [0-9:]{0,9}|[-0-9TZ:.+]{0,30})? ?[ -~]{0,60}",
    ) {
        for message in [&bytes[..], text.as_bytes()] {
            prop_assert!(decoded(message).1.is_object());
        }
    }

    #[test]
    fn the_framer_never_holds_more_than_a_message_and_a_read(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), Just(b'1'), any::<u8>()], 0..300),
        step in 1usize..40,
    ) {
        for frame in frames(&bytes, step) {
            if let Frame::Message(message) = frame {
                prop_assert!(message.len() <= 16);
            }
        }
    }
}
