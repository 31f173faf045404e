//! The configuration of a `webhook` source. The field documentation is the manual.

use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::SecretName;

/// Settings of a `webhook` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where to listen on the webhook listener, such as `/clair`. Exactly this path.
    pub(super) path: String,
    /// The type of every event. Default: none; then `event_type_from` is needed.
    #[serde(default)]
    pub(super) event_type: Option<String>,
    /// Where each event's type is found. Default: none.
    #[serde(default)]
    pub(super) event_type_from: Option<TypeFrom>,
    /// JSON Pointer of an array of which each element is an event; all are accepted at
    /// once or not at all, at most 1000. Default: the whole body is one event.
    #[serde(default)]
    pub(super) split: Option<String>,
    /// Where each event's id is found, by which repeats are recognised. In a split batch a
    /// pointer starts at the element, and a header's value gets `#0`, `#1` … appended.
    /// Default: the `Idempotency-Key` header where it is sent; else every delivery is new.
    #[serde(default)]
    pub(super) id_from: Option<From>,
    /// Where what the event is about is found; may be absent from a delivery. Default: none.
    #[serde(default)]
    pub(super) subject_from: Option<From>,
    /// The methods accepted: `POST`, `PUT` or `PATCH`. Default: `[POST]`.
    #[serde(default = "default_methods")]
    pub(super) methods: Vec<MethodName>,
    /// Who may send. Must be written: `none` lets everyone.
    pub(super) auth: Auth,
    /// The media types accepted; one that begins with `+` stands for every type with that
    /// suffix. Default: `[application/json, +json]`.
    #[serde(default = "default_content_types")]
    pub(super) content_types: Vec<String>,
    /// The largest body; at most the listener's. Default: `limits.event_bytes`.
    #[serde(default)]
    pub(super) body_bytes: Option<Size>,
    /// Answers each delivery with what a run's `respond` action says, instead of at once.
    /// Not together with `split`. Default: 202 as soon as the event is stored.
    #[serde(default)]
    pub(super) respond: Option<Respond>,
}

/// Where a text is found in a delivery: exactly one of the two.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum From {
    /// The name of a header.
    Header(String),
    /// A JSON Pointer (RFC 6901) to a text, a number or a boolean in the body.
    Pointer(String),
}

/// Where an event's type is found.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TypeFrom {
    /// The name of a header. Default: none; then `pointer` is needed.
    #[serde(default)]
    pub(super) header: Option<String>,
    /// A JSON Pointer to a text in the event. Default: none.
    #[serde(default)]
    pub(super) pointer: Option<String>,
    /// Put before what is found, such as `github.`. Default: nothing.
    #[serde(default)]
    pub(super) prefix: String,
}

/// A method with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum MethodName {
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
}

impl MethodName {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// Who may send.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Auth {
    /// Everyone who reaches the listener.
    None,
    /// Who shows this token in `Authorization: Bearer`: `{ secret: NAME }`, or a list of two
    /// of which either counts, so that a token can be replaced without a break.
    Bearer(Tokens),
    /// Who knows the user and the password.
    Basic(Basic),
}

/// One token or several, each of which lets in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected `{ secret: NAME }` or a list of two of them"
)]
pub(super) enum Tokens {
    /// One.
    One(SecretName),
    /// The one in use and its successor.
    Several(Vec<SecretName>),
}

impl Tokens {
    pub(super) fn names(&self) -> &[SecretName] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// HTTP Basic authentication.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Basic {
    /// The user's name.
    pub(super) user: String,
    /// The user's password.
    pub(super) password: SecretName,
}

/// The synchronous form.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Respond {
    /// How long to wait for an answer; shorter than the listener's `request` limit. Default: `10s`.
    pub(super) timeout: Span,
    /// What to answer where no run has answered in time. Default: 504.
    pub(super) on_timeout: Option<Canned>,
    /// What to answer where the event can't be stored. Default: 503 with `Retry-After`.
    pub(super) on_store_failure: Option<Canned>,
}

impl Default for Respond {
    fn default() -> Self {
        Self {
            timeout: Span::from_secs(10),
            on_timeout: None,
            on_store_failure: None,
        }
    }
}

/// An answer that is known beforehand.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Canned {
    /// Its HTTP status, 200 to 599.
    #[schemars(range(min = 200, max = 599))]
    pub(super) status: u16,
    /// Its body, sent as JSON. Default: empty.
    #[serde(default)]
    pub(super) body: serde_json::Value,
}

fn default_methods() -> Vec<MethodName> {
    vec![MethodName::Post]
}

fn default_content_types() -> Vec<String> {
    vec!["application/json".to_owned(), "+json".to_owned()]
}
