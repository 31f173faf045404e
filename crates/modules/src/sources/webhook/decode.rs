//! From the bytes of a delivery to events: pure, and the only place that reads a body.
//!
//! The body stays text. Of it only what a pointer names is looked at, element by element,
//! so that an event's data is what the sender wrote and a large body is never held as a
//! tree. Nothing here may panic, whatever the bytes are.

use conche_core::Json;
use conche_core::json::{self, Limits};
use http::{HeaderMap, header};
use serde_json::value::RawValue;

use super::cloudevents;
use super::config::CloudEvents;
use super::decoders::Decoder;
use super::plan::FORM;
use super::pointer::Pointer;
use crate::intake::NewEvent;

/// The most events of one delivery: they go into one transaction.
pub(super) const EVENTS_MAX: usize = 1000;

/// The longest id, type or subject in bytes: they are keys, and shown in lists.
pub(super) const TEXT_MAX: usize = 1024;

/// How deliveries are read.
#[derive(Debug, Clone)]
pub(super) struct Format {
    /// What a body may measure.
    pub(super) limits: Limits,
    /// Where events' types come from.
    pub(super) event_type: TypeOf,
    /// How many events a body holds, and where.
    pub(super) shape: Shape,
    /// Where ids come from.
    pub(super) id: IdFrom,
    /// Where subjects come from.
    pub(super) subject: Option<Place>,
}

/// How many events a body holds, and where.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// The whole is one.
    Whole,
    /// Each element of the array at this place.
    Split(Pointer),
    /// Each line.
    Lines,
    /// CloudEvents.
    CloudEvents(CloudEvents),
    /// What a well-known sender posts.
    Decoded(&'static Decoder),
}

/// Where an event's type comes from.
#[derive(Debug, Clone)]
pub(super) enum TypeOf {
    /// The configuration.
    Fixed(String),
    /// The delivery names it itself: a CloudEvent of a known prefix, or a decoder's sender.
    Taken,
    /// The delivery, behind a prefix.
    Found { place: Place, prefix: String },
}

/// Where an event's id comes from.
#[derive(Debug, Clone)]
pub(super) enum IdFrom {
    /// The first of these that is there; may be absent.
    FirstOf(Vec<Place>),
    /// The configured place; must be there.
    Place(Place),
}

/// A place in a delivery.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A header.
    Header(http::HeaderName),
    /// A value in the event's data.
    Pointer(Pointer),
}

/// Why a delivery is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reject {
    #[error(transparent)]
    Json(#[from] json::Error),
    #[error("there is no {what} at {place}")]
    Missing { what: &'static str, place: String },
    #[error("the {what} at {place} {flaw}")]
    Unusable {
        what: &'static str,
        place: String,
        flaw: &'static str,
    },
    #[error("the array at {0} is empty")]
    EmptyBatch(String),
    #[error("there is no array at {0}")]
    NoBatch(String),
    #[error("{place} has {found} elements; at most {EVENTS_MAX} are accepted at once")]
    LargeBatch { place: String, found: usize },
    #[error("line {line}: {reject}")]
    Line { line: usize, reject: Box<Reject> },
    #[error("the form is not one field `payload` and nothing else")]
    NoPayload,
    #[error("events of the {what} `{found}` are not taken here")]
    Foreign { what: &'static str, found: String },
    #[error("this is no {kind}: {flaw}")]
    OtherKind { kind: &'static str, flaw: String },
}

/// What a delivery holds.
#[derive(Debug, PartialEq)]
pub(super) struct Delivery {
    /// The events in order; at least one, unless a decoder leaves all of them out.
    pub(super) events: Vec<NewEvent>,
    /// Whether the sender sent several together, be it a list of one.
    pub(super) is_batch: bool,
}

/// Reads one delivery.
pub(super) fn decode(
    body: &[u8],
    headers: &HeaderMap,
    format: &Format,
) -> Result<Delivery, Reject> {
    let events = match &format.shape {
        Shape::CloudEvents(events) => return cloudevents::decode(body, headers, format, events),
        Shape::Lines => lines(body, headers, format)?,
        Shape::Split(split) => split_up(&whole(body, headers, format)?, split, headers, format)?,
        Shape::Whole => vec![event(whole(body, headers, format)?, None, headers, format)?],
        Shape::Decoded(decoder) => {
            let body = whole(body, headers, format)?;
            let usual_id = usual_id(&body, headers, format)?;
            decoder.decode(&body, headers, usual_id.as_deref())?
        }
    };
    Ok(Delivery {
        events,
        is_batch: format.shape.is_batch(),
    })
}

impl Shape {
    /// Whether a delivery may hold several events.
    pub(super) fn is_batch(&self) -> bool {
        match self {
            // CloudEvents say it by their media type.
            Self::Whole | Self::CloudEvents(_) => false,
            Self::Decoded(decoder) => decoder.several,
            Self::Split(_) | Self::Lines => true,
        }
    }
}

/// The body, or what a form has for it. A form is nothing but its payload: a JSON body that was
/// signed and comes back as a form must not be taken for a payload that stands within its texts.
fn whole(body: &[u8], headers: &HeaderMap, format: &Format) -> Result<Json, Reject> {
    if essence(headers).as_deref() != Some(FORM) {
        return Ok(Json::parse(body, format.limits)?);
    }
    let mut fields = url::form_urlencoded::parse(body);
    match (fields.next(), fields.next()) {
        (Some((name, payload)), None) if name == "payload" => {
            Ok(Json::parse(payload.as_bytes(), format.limits)?)
        }
        _ => Err(Reject::NoPayload),
    }
}

fn split_up(
    whole: &Json,
    split: &Pointer,
    headers: &HeaderMap,
    format: &Format,
) -> Result<Vec<NewEvent>, Reject> {
    let place = || split.as_str().to_owned();
    let array = split.find(whole.raw());
    let array = elements(array).ok_or_else(|| Reject::NoBatch(place()))?;
    if array.is_empty() {
        return Err(Reject::EmptyBatch(place()));
    }
    check_count(split.as_str(), array.len())?;
    let events = array.into_iter().enumerate();
    events
        .map(|(index, element)| event(element.to_owned().into(), Some(index), headers, format))
        .collect()
}

/// The elements of what is an array.
pub(super) fn elements(value: Option<&RawValue>) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value?.get()).ok()
}

/// Refuses more than go into one transaction.
pub(super) fn check_count(place: &str, found: usize) -> Result<(), Reject> {
    if found > EVENTS_MAX {
        let place = place.to_owned();
        return Err(Reject::LargeBatch { place, found });
    }
    Ok(())
}

/// One event a line; empty lines are none.
fn lines(body: &[u8], headers: &HeaderMap, format: &Format) -> Result<Vec<NewEvent>, Reject> {
    let lines: Vec<(usize, &[u8])> = (1..)
        .zip(body.split(|byte| *byte == b'\n'))
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .collect();
    if lines.is_empty() {
        return Err(Reject::EmptyBatch("the body's lines".to_owned()));
    }
    check_count("the body", lines.len())?;
    let read = |(index, (line, text)): (usize, (usize, &[u8]))| {
        let data = Json::parse(text, format.limits).map_err(Reject::from);
        let read = data.and_then(|data| event(data, Some(index), headers, format));
        read.map_err(|reject| Reject::Line {
            line,
            reject: Box::new(reject),
        })
    };
    lines.into_iter().enumerate().map(read).collect()
}

/// The media type without its parameters, in lower case, where it is sent once.
pub(super) fn essence(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let essence = value.to_str().ok()?.split(';').next()?;
    Some(essence.trim().to_ascii_lowercase())
}

/// One event; `index` is its place in a batch.
fn event(
    data: Json,
    index: Option<usize>,
    headers: &HeaderMap,
    format: &Format,
) -> Result<NewEvent, Reject> {
    let found = |what, place: &Place| place.find(what, &data, headers);
    let event_type = match &format.event_type {
        TypeOf::Fixed(name) => name.clone(),
        TypeOf::Found { place, prefix } => {
            format!("{prefix}{}", required("event type", place, &found)?)
        }
        // Is planned for CloudEvents and decoders only.
        TypeOf::Taken => String::new(),
    };
    let (id, from_header) = match &format.id {
        IdFrom::FirstOf(_) => (usual_id(&data, headers, format)?, true),
        IdFrom::Place(place) => {
            let from_header = matches!(place, Place::Header(_));
            (Some(required("id", place, &found)?), from_header)
        }
    };
    // A header holds one id for the whole batch.
    let id = id.map(|id| match index {
        Some(index) if from_header => format!("{id}#{index}"),
        _ => id,
    });
    let subject = match &format.subject {
        Some(place) => found("subject", place)?,
        None => None,
    };
    Ok(NewEvent {
        id,
        event_type,
        subject,
        time: None,
        data,
    })
}

/// The delivery's id where senders of its kind put it; none where it is configured.
fn usual_id(data: &Json, headers: &HeaderMap, format: &Format) -> Result<Option<String>, Reject> {
    let IdFrom::FirstOf(places) = &format.id else {
        return Ok(None);
    };
    let ids = places.iter();
    let mut ids = ids.filter_map(|place| place.find("id", data, headers).transpose());
    ids.next().transpose()
}

fn required(
    what: &'static str,
    place: &Place,
    found: &impl Fn(&'static str, &Place) -> Result<Option<String>, Reject>,
) -> Result<String, Reject> {
    found(what, place)?.ok_or_else(|| Reject::Missing {
        what,
        place: place.to_string(),
    })
}

impl Place {
    /// The text at this place, where there is one.
    fn find(
        &self,
        what: &'static str,
        data: &Json,
        headers: &HeaderMap,
    ) -> Result<Option<String>, Reject> {
        let unusable = |flaw| Reject::Unusable {
            what,
            place: self.to_string(),
            flaw,
        };
        let text = match self {
            Self::Header(name) => {
                let mut values = headers.get_all(name).iter();
                match (values.next(), values.next()) {
                    (None, _) => return Ok(None),
                    (Some(value), None) => value
                        .to_str()
                        .map_err(|_| unusable("is not plain ASCII"))?
                        .to_owned(),
                    (Some(_), Some(_)) => return Err(unusable("is sent more than once")),
                }
            }
            Self::Pointer(pointer) => match pointer.find(data.raw()) {
                None => return Ok(None),
                Some(value) => {
                    scalar(value).ok_or_else(|| unusable("is no text, number or boolean"))?
                }
            },
        };
        check_text(&text).map_err(unusable)?;
        Ok(Some(text))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the header {name}"),
            Self::Pointer(pointer) => f.write_str(pointer.as_str()),
        }
    }
}

/// What makes a text unfit for an id, a type or a subject.
pub(super) fn check_text(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("is empty");
    }
    if text.len() > TEXT_MAX {
        return Err("is longer than 1024 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character");
    }
    Ok(())
}

/// The text of a scalar; none for `null`, arrays and objects. A number is given as it is
/// written: rounding could make two ids one.
fn scalar(value: &RawValue) -> Option<String> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str(text).ok(),
        b'n' | b'[' | b'{' => None,
        _ => Some(text.to_owned()),
    }
}
