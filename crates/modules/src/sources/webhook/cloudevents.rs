//! CloudEvents 1.0 over HTTP: binary, structured and in batches. Pure, as all of decoding.
//!
//! What a sender says of itself is only a claim: its `type` and `source` count where the
//! configuration knows their beginnings. An event is recognised again by its source and id
//! together, as the specification wants it: another producer may use the same id.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_core::Json;
use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;

use super::config::CloudEvents;
use super::decode::{Delivery, Format, Reject, TypeOf, check_count, check_text, elements, essence};
use crate::intake::NewEvent;

/// One CloudEvent as JSON.
const STRUCTURED: &str = "application/cloudevents+json";

/// Several as a JSON array.
const BATCH: &str = "application/cloudevents-batch+json";

/// Headers of attributes begin so.
const HEADER_PREFIX: &str = "ce-";

/// Reads one delivery.
pub(super) fn decode(
    body: &[u8],
    headers: &HeaderMap,
    format: &Format,
    settings: &CloudEvents,
) -> Result<Delivery, Reject> {
    let reader = Reader { format, settings };
    let (events, is_batch) = match essence(headers).as_deref() {
        Some(STRUCTURED) => {
            let whole = Json::parse(body, format.limits)?;
            (vec![reader.structured(whole.raw())?], false)
        }
        Some(BATCH) => {
            let whole = Json::parse(body, format.limits)?;
            let place = "the batch";
            let events = elements(Some(whole.raw()));
            let events = events.ok_or_else(|| Reject::NoBatch(place.to_owned()))?;
            if events.is_empty() {
                return Err(Reject::EmptyBatch(place.to_owned()));
            }
            check_count(place, events.len())?;
            let events = events.into_iter().map(|event| reader.structured(event));
            (events.collect::<Result<_, _>>()?, true)
        }
        _ => (vec![reader.binary(body, headers)?], false),
    };
    Ok(Delivery { events, is_batch })
}

struct Reader<'a> {
    format: &'a Format,
    settings: &'a CloudEvents,
}

/// An event's attributes by name, and its data.
struct Parts {
    attributes: BTreeMap<String, String>,
    data: Json,
}

impl Reader<'_> {
    /// Attributes in headers, the data in the body.
    fn binary(&self, body: &[u8], headers: &HeaderMap) -> Result<NewEvent, Reject> {
        let mut attributes = BTreeMap::new();
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix(HEADER_PREFIX) else {
                continue;
            };
            let text = value.to_str().ok().map(percent_decode_str);
            let text = text.and_then(|text| text.decode_utf8().ok());
            let text =
                text.ok_or_else(|| unusable(name, "is not plain ASCII or UTF-8 in escapes"))?;
            let known = attributes.insert(name.to_owned(), text.into_owned());
            if known.is_some() {
                return Err(unusable(name, "is sent more than once"));
            }
        }
        let data = match body {
            [] => Json::null(),
            body => Json::parse(body, self.format.limits)?,
        };
        self.event(Parts { attributes, data })
    }

    /// All in one JSON object.
    fn structured(&self, event: &RawValue) -> Result<NewEvent, Reject> {
        let members: BTreeMap<Cow<'_, str>, &RawValue> =
            serde_json::from_str(event.get()).map_err(|_| unusable("event", "is not an object"))?;
        let (mut attributes, mut data) = (BTreeMap::new(), Json::null());
        for (name, value) in members {
            match (&*name, value.get()) {
                ("data", _) => data = value.to_owned().into(),
                ("data_base64", text) => data = self.binary_data(text)?,
                (_, "null") => {}
                (_, text) if text.starts_with('"') => {
                    let text =
                        serde_json::from_str(text).map_err(|_| unusable(&name, "is not a text"))?;
                    attributes.insert(name.into_owned(), text);
                }
                // Extensions may be numbers or booleans.
                (_, text) if !text.starts_with(['{', '[']) => {
                    attributes.insert(name.clone().into_owned(), text.to_owned());
                }
                _ => return Err(unusable(&name, "is neither a text, a number nor a boolean")),
            }
        }
        self.event(Parts { attributes, data })
    }

    fn binary_data(&self, text: &str) -> Result<Json, Reject> {
        let text: Option<String> = serde_json::from_str(text).ok();
        let bytes = text.and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.ok_or_else(|| unusable("data_base64", "is not base64"))?;
        Ok(Json::parse(&bytes, self.format.limits)?)
    }

    fn event(&self, parts: Parts) -> Result<NewEvent, Reject> {
        let required = |name: &'static str| {
            let text = parts.text(name)?;
            text.ok_or_else(|| Reject::Missing {
                what: name,
                place: "the CloudEvent".to_owned(),
            })
        };
        if required("specversion")? != "1.0" {
            return Err(unusable("specversion", "is not 1.0"));
        }
        let (source, id) = (required("source")?, required("id")?);
        let known = &self.settings.source_prefixes;
        if !known.is_empty() && !begins_with(source, known) {
            return Err(foreign("source", source));
        }
        // A source is a URI reference. One with a space could take the ids of another.
        if source.contains(' ') {
            return Err(unusable("source", "has a space"));
        }
        let id = format!("{source} {id}");
        check_text(&id).map_err(|flaw| unusable("id and source", flaw))?;
        let time = parts.text("time")?;
        let time = time.map(|time| time.parse().map_err(|_| unusable("time", "is not a time")));
        let event_type = self.event_type(required("type")?)?;
        Ok(NewEvent {
            id: Some(id),
            event_type,
            subject: parts.text("subject")?.map(str::to_owned),
            time: time.transpose()?,
            data: if self.settings.envelope {
                parts.envelope()?
            } else {
                parts.data
            },
        })
    }

    fn event_type(&self, claimed: &str) -> Result<String, Reject> {
        if begins_with(claimed, &self.settings.type_prefixes) {
            return Ok(claimed.to_owned());
        }
        match &self.format.event_type {
            TypeOf::Fixed(name) => Ok(name.clone()),
            TypeOf::Taken | TypeOf::Found { .. } => Err(foreign("type", claimed)),
        }
    }
}

impl Parts {
    /// An attribute that can be a key.
    fn text(&self, name: &str) -> Result<Option<&str>, Reject> {
        let text = self.attributes.get(name).map(String::as_str);
        if let Some(text) = text {
            check_text(text).map_err(|flaw| unusable(name, flaw))?;
        }
        Ok(text)
    }

    /// The whole event as one object.
    fn envelope(self) -> Result<Json, Reject> {
        let members = self.attributes.iter();
        let members = members.map(|(name, text)| Ok((name.as_str(), Json::from_value(text)?)));
        let mut members: BTreeMap<&str, Json> =
            members.collect::<Result<_, conche_core::json::Error>>()?;
        members.insert("data", self.data);
        Ok(Json::from_value(&members)?)
    }
}

fn begins_with(text: &str, prefixes: &[String]) -> bool {
    prefixes.iter().any(|prefix| text.starts_with(prefix))
}

fn foreign(what: &'static str, found: &str) -> Reject {
    Reject::Foreign {
        what,
        found: found.to_owned(),
    }
}

fn unusable(name: &str, flaw: &'static str) -> Reject {
    Reject::Unusable {
        what: "attribute",
        place: name.to_owned(),
        flaw,
    }
}
