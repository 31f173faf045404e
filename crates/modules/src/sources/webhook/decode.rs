//! From the bytes of a delivery to events: pure, and the only place that reads a body.
//!
//! The body stays text. Of it only what a pointer names is looked at, element by element,
//! so that an event's data is what the sender wrote and a large body is never held as a
//! tree. Nothing here may panic, whatever the bytes are.

use std::borrow::Cow;
use std::collections::HashMap;

use conche_core::Json;
use conche_core::json::{self, Limits};
use http::HeaderMap;
use serde_json::value::RawValue;

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
    /// The array to split.
    pub(super) split: Option<Pointer>,
    /// Where ids come from.
    pub(super) id: IdFrom,
    /// Where subjects come from.
    pub(super) subject: Option<Place>,
}

/// Where an event's type comes from.
#[derive(Debug, Clone)]
pub(super) enum TypeOf {
    /// The configuration.
    Fixed(String),
    /// The delivery, behind a prefix.
    Found { place: Place, prefix: String },
}

/// Where an event's id comes from.
#[derive(Debug, Clone)]
pub(super) enum IdFrom {
    /// The `Idempotency-Key` header; may be absent.
    IdempotencyKey,
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

/// A JSON Pointer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer {
    text: String,
    keys: Vec<String>,
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
    #[error("the array at {place} has {found} elements; at most {EVENTS_MAX} are accepted at once")]
    LargeBatch { place: String, found: usize },
}

/// Reads one delivery.
pub(super) fn decode(
    body: &[u8],
    headers: &HeaderMap,
    format: &Format,
) -> Result<Vec<NewEvent>, Reject> {
    let whole = Json::parse(body, format.limits)?;
    let Some(split) = &format.split else {
        return Ok(vec![event(whole, None, headers, format)?]);
    };
    let place = || split.text.clone();
    let array = split
        .find(whole.raw())
        .and_then(|array| serde_json::from_str::<Vec<&RawValue>>(array.get()).ok())
        .ok_or_else(|| Reject::NoBatch(place()))?;
    match array.len() {
        0 => Err(Reject::EmptyBatch(place())),
        found if found > EVENTS_MAX => Err(Reject::LargeBatch {
            place: place(),
            found,
        }),
        _ => array
            .into_iter()
            .enumerate()
            .map(|(index, element)| {
                event(Json::from(element.to_owned()), Some(index), headers, format)
            })
            .collect(),
    }
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
    };
    let (id, from_header) = match &format.id {
        IdFrom::IdempotencyKey => {
            let place = Place::Header(http::HeaderName::from_static("idempotency-key"));
            (found("id", &place)?, true)
        }
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
        if text.is_empty() {
            return Err(unusable("is empty"));
        }
        if text.len() > TEXT_MAX {
            return Err(unusable("is longer than 1024 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(unusable("has a control character"));
        }
        Ok(Some(text))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the header {name}"),
            Self::Pointer(pointer) => f.write_str(&pointer.text),
        }
    }
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

impl Pointer {
    /// Reads RFC 6901 text: empty, or `/` before each key, `~0` for `~` and `~1` for `/`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let keys = match text.strip_prefix('/') {
            None if text.is_empty() => Vec::new(),
            None => return None,
            Some(rest) => rest
                .split('/')
                .map(|key| key.replace("~1", "/").replace("~0", "~"))
                .collect(),
        };
        Some(Self {
            text: text.to_owned(),
            keys,
        })
    }

    /// The value it names. Of members of one name the last counts, as in JavaScript.
    fn find<'a>(&self, whole: &'a RawValue) -> Option<&'a RawValue> {
        self.keys.iter().try_fold(whole, |value, key| {
            let text = value.get();
            if text.starts_with('[') {
                let index = index(key)?;
                let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                elements.get(index).copied()
            } else {
                let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).ok()?;
                members.get(key.as_str()).copied()
            }
        })
    }
}

/// An array index of RFC 6901: no sign, no leading zero.
fn index(key: &str) -> Option<usize> {
    let plain = key.bytes().all(|byte| byte.is_ascii_digit());
    let padded = key.len() > 1 && key.starts_with('0');
    (plain && !padded).then(|| key.parse().ok()).flatten()
}
