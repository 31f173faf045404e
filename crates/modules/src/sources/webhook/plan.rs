//! From the settings of a webhook to what its receiver works with; refuses what contradicts
//! itself or could be read in two ways.

use std::time::Duration;

use conche_core::json::Limits;
use http::{HeaderName, StatusCode};
use serde_json::Value;

use super::config::{
    self, Auth, Canned, CloudEvents, Config, FormatName, From as ConfigFrom, TypeFrom, Verify,
};
use super::decode::{Format, IdFrom, Place, Shape, TypeOf};
use super::decoders::Decoder;
use super::pointer::Pointer;
use crate::BuildError;
use crate::config as settings;
use conche_runtime::secrets::Secrets;

/// The secret in use and its successor.
const SECRETS_MAX: usize = 2;

/// The media type of a form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// How a run answers the sender.
pub(super) struct Respond {
    pub(super) timeout: Duration,
    pub(super) on_timeout: Option<(StatusCode, Value)>,
    pub(super) on_store_failure: Option<(StatusCode, Value)>,
}

/// Checks who may send, and that the secrets for it are configured.
pub(super) fn check_senders(
    place: &str,
    config: &Config,
    secrets: &Secrets,
) -> Result<(), BuildError> {
    let wrong = |message: &str| settings::error(place, message);
    let one_or_two = |count| (1..=SECRETS_MAX).contains(&count);
    match &config.auth {
        None if config.verify.is_none() => {
            return Err(wrong(
                "missing field `auth` or `verify`: who may send must be written; `auth: none` lets everyone",
            ));
        }
        None => {}
        Some(auth) => check_auth(place, auth, secrets)?,
    }
    if let Some(verify) = &config.verify {
        let names = verify.secrets().names();
        if !one_or_two(names.len()) {
            return Err(wrong("`secret` takes one name, or a list of two"));
        }
        for name in names {
            name.check(place, secrets)?;
        }
    }
    Ok(())
}

/// Checks how senders show who they are, and that the secrets for it are configured.
pub(in crate::sources) fn check_auth(
    place: &str,
    auth: &Auth,
    secrets: &Secrets,
) -> Result<(), BuildError> {
    let wrong = |message: &str| settings::error(place, message);
    match auth {
        Auth::None => Ok(()),
        Auth::Bearer(tokens) => {
            if !(1..=SECRETS_MAX).contains(&tokens.names().len()) {
                return Err(wrong("`bearer` takes one token, or a list of two"));
            }
            let mut names = tokens.names().iter();
            names.try_for_each(|name| name.check(place, secrets))
        }
        Auth::Basic(basic) if basic.user.contains(':') => {
            Err(wrong("a user of Basic authentication can't have a `:`"))
        }
        Auth::Basic(basic) => basic.password.check(place, secrets),
    }
}

/// A path that means itself to every router and proxy.
pub(in crate::sources) fn check_path(path: &str) -> Result<(), &'static str> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-._~/".contains(char);
    if !path.starts_with('/') || path.len() < 2 {
        return Err("`path` must begin with `/` and name something, like /clair");
    }
    if !path.chars().all(plain) || path.ends_with('/') {
        return Err("`path` may have letters, digits and - . _ ~, with single slashes between");
    }
    if path
        .split('/')
        .skip(1)
        .any(|part| matches!(part, "" | "." | ".."))
    {
        return Err("`path` must not have empty parts, `.` or `..`");
    }
    Ok(())
}

pub(super) fn format(config: &Config, limits: Limits) -> Result<Format, String> {
    let shape = shape(config)?;
    let event_type = match (&config.event_type, &config.event_type_from, &shape) {
        (None, None, Shape::Decoded(_)) => TypeOf::Taken,
        (Some(name), None, _) if !name.is_empty() => TypeOf::Fixed(name.clone()),
        (None, Some(from), _) => TypeOf::Found {
            place: type_place(from)?,
            prefix: from.prefix.clone(),
        },
        (None, None, Shape::CloudEvents(events)) if !events.type_prefixes.is_empty() => {
            TypeOf::Taken
        }
        (_, _, Shape::CloudEvents(_)) => {
            return Err(
                "CloudEvents need `event_type`, or `type_prefixes` of those to take over"
                    .to_owned(),
            );
        }
        _ => return Err("write exactly one of `event_type` and `event_type_from`".to_owned()),
    };
    // A decoder puts the body into an object, which is one level more.
    let levels = usize::from(matches!(shape, Shape::Decoded(_)));
    Ok(Format {
        limits: Limits {
            bytes: config
                .body_bytes
                .map_or(limits.bytes, conche_runtime::units::Size::length),
            depth: limits.depth.saturating_sub(levels),
        },
        event_type,
        shape,
        id: match &config.id_from {
            Some(from) => IdFrom::Place(place(from)?),
            None => IdFrom::FirstOf(usual_ids(config.verify.as_ref())),
        },
        subject: config.subject_from.as_ref().map(place).transpose()?,
    })
}

fn shape(config: &Config) -> Result<Shape, String> {
    if let Some(decoder) = Decoder::of(&config.format) {
        return decoded(config, decoder);
    }
    let split = config.split.as_deref().map(pointer).transpose()?;
    match (&config.format, split) {
        (FormatName::Json, None) => Ok(Shape::Whole),
        (FormatName::Json, Some(split)) => Ok(Shape::Split(split)),
        (FormatName::Ndjson, None) => Ok(Shape::Lines),
        (FormatName::CloudEvents(events), None) => cloud_events(config, events),
        _ => Err("`split` goes with `format: json` only".to_owned()),
    }
}

fn decoded(config: &Config, decoder: &'static Decoder) -> Result<Shape, String> {
    let named = [
        ("event_type", config.event_type.is_some()),
        ("event_type_from", config.event_type_from.is_some()),
        ("id_from", config.id_from.is_some()),
        ("subject_from", config.subject_from.is_some()),
        ("split", config.split.is_some()),
    ];
    match named.into_iter().find(|(_, is_set)| *is_set) {
        Some((setting, _)) => Err(format!(
            "`format: {}` names each event's type, id and subject itself: leave out `{setting}`",
            decoder.name
        )),
        None => Ok(Shape::Decoded(decoder)),
    }
}

fn cloud_events(config: &Config, events: &CloudEvents) -> Result<Shape, String> {
    if config.event_type_from.is_some() || config.id_from.is_some() || config.subject_from.is_some()
    {
        return Err(
            "a CloudEvent names its type, id and subject itself: leave out `event_type_from`, `id_from` and `subject_from`"
                .to_owned(),
        );
    }
    let prefixes = [&events.type_prefixes, &events.source_prefixes];
    if prefixes.into_iter().flatten().any(String::is_empty) {
        return Err("an empty prefix would let everything through".to_owned());
    }
    Ok(Shape::CloudEvents(events.clone()))
}

/// Where senders of this kind put the delivery's id; the first that is there counts. Ids that
/// are signed come before those that are not.
fn usual_ids(verify: Option<&Verify>) -> Vec<Place> {
    let names: &[&'static str] = match verify {
        Some(Verify::Github(_)) => &["x-github-delivery"],
        Some(Verify::Gitea(_)) => &["x-forgejo-delivery", "x-gitea-delivery"],
        Some(Verify::Gitlab(_)) => &["webhook-id", "idempotency-key"],
        Some(Verify::StandardWebhooks(_)) => &["webhook-id"],
        Some(Verify::Hmac(_)) | None => &["idempotency-key"],
    };
    let place = |name: &&'static str| Place::Header(HeaderName::from_static(name));
    names.iter().map(place).collect()
}

/// The media types that a webhook takes.
pub(super) fn content_types(config: &Config) -> Vec<String> {
    if let Some(types) = &config.content_types {
        let types = types.iter();
        return types.map(|name| name.trim().to_ascii_lowercase()).collect();
    }
    let mut types: Vec<&str> = match config.format {
        FormatName::Ndjson => vec!["application/x-ndjson"],
        _ => vec!["application/json", "+json"],
    };
    if takes_forms(config) {
        types.push(FORM);
    }
    types.into_iter().map(str::to_owned).collect()
}

/// Whether a form's `payload` may stand for the body.
pub(super) fn takes_forms(config: &Config) -> bool {
    matches!(config.format, FormatName::Json | FormatName::Github)
        && matches!(config.verify, Some(Verify::Github(_) | Verify::Gitea(_)))
}

fn type_place(from: &TypeFrom) -> Result<Place, String> {
    match (&from.header, &from.pointer) {
        (Some(name), None) => header_place(name),
        (None, Some(text)) => pointer(text).map(Place::Pointer),
        _ => Err("`event_type_from` needs exactly one of `header` and `pointer`".to_owned()),
    }
}

fn place(from: &ConfigFrom) -> Result<Place, String> {
    match from {
        ConfigFrom::Header(name) => header_place(name),
        ConfigFrom::Pointer(text) => pointer(text).map(Place::Pointer),
    }
}

fn header_place(name: &str) -> Result<Place, String> {
    let parsed = name.parse().map(Place::Header);
    parsed.map_err(|_| format!("`{name}` is not the name of a header"))
}

fn pointer(text: &str) -> Result<Pointer, String> {
    Pointer::read(text).ok_or_else(|| {
        format!("`{text}` is not a JSON Pointer: each key has a `/` before it, like /items/0/id")
    })
}

pub(super) fn respond(config: &config::Respond) -> Result<Respond, &'static str> {
    let canned = |canned: &Option<Canned>| {
        let Some(Canned { status, body }) = canned else {
            return Ok(None);
        };
        match StatusCode::from_u16(*status) {
            Ok(code) if (200..600).contains(status) => Ok(Some((code, body.clone()))),
            _ => Err("the status of an answer is from 200 to 599"),
        }
    };
    Ok(Respond {
        timeout: config.timeout.duration(),
        on_timeout: canned(&config.on_timeout)?,
        on_store_failure: canned(&config.on_store_failure)?,
    })
}
