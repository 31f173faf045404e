//! What a message says: pure, and tolerant, since most senders are not exact.
//!
//! Every message becomes an event. What is in neither format is kept as `raw`; bytes that are
//! not UTF-8 are replaced. Nothing here may panic, whatever the bytes are.

use std::net::IpAddr;

use conche_core::{Json, Timestamp};
use serde_json::{Map, Value, json};
use syslog_loose::{Message, ProcId, Protocol, Variant, parse_message_with_year_exact};

use crate::intake::NewEvent;

/// The longest subject in bytes.
const SUBJECT_MAX: usize = 1024;

/// Elements and parameters of structured data that are kept.
const ELEMENTS_MAX: usize = 64;

/// The event of one message. Times without a year are of the last twelve months, times
/// without a zone are local.
pub(super) fn event(message: &[u8], peer: IpAddr, event_type: &str, now: Timestamp) -> NewEvent {
    let text = String::from_utf8_lossy(message);
    let text = text.trim_matches(|char: char| char == '\0' || char.is_whitespace());
    let peer = peer.to_canonical().to_string();
    let utc = now.to_zoned(jiff::tz::TimeZone::UTC);
    let (year, month) = (i32::from(utc.year()), utc.month() as u32);
    // A month that is still to come was last year's; next month's may be a clock ahead.
    let year_of = |(sent, ..): (u32, u32, u32, u32, u32)| match (sent, month) {
        (1, 12) => year + 1,
        (sent, month) if sent > month + 1 => year - 1,
        _ => year,
    };
    let parsed = parse_message_with_year_exact(text, year_of, Variant::Either).ok();
    let parsed = parsed.filter(|message| message.facility.is_some());
    let Some(message) = parsed else {
        return NewEvent {
            id: None,
            event_type: event_type.to_owned(),
            subject: Some(peer.clone()),
            time: None,
            data: Json::from(&json!({ "raw": text, "peer": peer })),
        };
    };
    let time = written(&message);
    let host = message.hostname.filter(|host| host.len() <= SUBJECT_MAX);
    NewEvent {
        id: None,
        event_type: event_type.to_owned(),
        subject: Some(host.unwrap_or(&peer).to_owned()),
        time: time.as_deref().and_then(|time| time.parse().ok()),
        data: Json::from(&data(&message, time.as_deref(), &peer)),
    }
}

/// The time as RFC 3339 has it.
fn written(message: &Message<&str>) -> Option<String> {
    Some(message.timestamp?.to_rfc3339())
}

fn data(message: &Message<&str>, time: Option<&str>, peer: &str) -> Value {
    let procid = message.procid.as_ref().map(|procid| match procid {
        ProcId::PID(pid) => pid.to_string(),
        ProcId::Name(name) => (*name).to_owned(),
    });
    json!({
        "facility": message.facility.map(syslog_loose::SyslogFacility::as_str),
        "severity": message.severity.map(syslog_loose::SyslogSeverity::as_str),
        "timestamp": time,
        "hostname": message.hostname,
        "appname": message.appname,
        "procid": procid,
        "msgid": message.msgid,
        "structured_data": structured_data(message),
        "message": message.msg.trim_start_matches('\u{feff}'),
        "peer": peer,
        "format": match message.protocol {
            Protocol::RFC3164 => "rfc3164",
            Protocol::RFC5424(_) => "rfc5424",
        },
    })
}

/// Elements by id, parameters by name; a name that comes again makes its value a list.
fn structured_data(message: &Message<&str>) -> Value {
    let mut elements = Map::new();
    for element in message.structured_data.iter().take(ELEMENTS_MAX) {
        let parameters = elements
            .entry(element.id)
            .or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(parameters) = parameters else {
            continue;
        };
        for (name, value) in element.params().take(ELEMENTS_MAX) {
            match parameters.get_mut(*name) {
                None => {
                    parameters.insert((*name).to_owned(), value.into());
                }
                Some(Value::Array(values)) => values.push(value.into()),
                Some(first) => *first = json!([first.take(), value]),
            }
        }
    }
    Value::Object(elements)
}
