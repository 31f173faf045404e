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
    /// The type of every event. Default: none; then `event_type_from` is needed, or a
    /// `format` whose events name their types.
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
    /// Default: the header in which senders of the kind named in `verify` put it, else the
    /// `Idempotency-Key` header, where it is sent; else every delivery is new.
    #[serde(default)]
    pub(super) id_from: Option<From>,
    /// Where what the event is about is found; may be absent from a delivery. Default: none.
    #[serde(default)]
    pub(super) subject_from: Option<From>,
    /// The methods accepted: `POST`, `PUT` or `PATCH`. Default: `[POST]`.
    #[serde(default = "default_methods")]
    pub(super) methods: Vec<MethodName>,
    /// Who may send; `none` lets everyone. Default: none; then `verify` is needed.
    #[serde(default)]
    pub(super) auth: Option<Auth>,
    /// How each delivery is signed. Default: it is not; then `auth` is needed.
    #[serde(default)]
    pub(super) verify: Option<Verify>,
    /// What a body is. Default: `json`.
    #[serde(default)]
    pub(super) format: FormatName,
    /// The media types accepted; one that begins with `+` stands for every type with that
    /// suffix. Default: `[application/json, +json]`; for `ndjson` `[application/x-ndjson]`;
    /// and forms where `verify` is `github` or `gitea`, which send `payload=` on request.
    #[serde(default)]
    pub(super) content_types: Option<Vec<String>>,
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
pub(in crate::sources) enum Auth {
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
pub(in crate::sources) enum Tokens {
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

/// What a body is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FormatName {
    /// One JSON text.
    #[default]
    Json,
    /// One JSON text a line; all are accepted at once or not at all, at most 1000.
    Ndjson,
    /// CloudEvents 1.0: binary, structured or a batch, as the sender likes.
    CloudEvents(CloudEvents),
    /// Notifications of Alertmanager: an event for each alert.
    Alertmanager,
    /// Notifications of Alertmanager: an event for each group of alerts.
    #[serde(rename = "alertmanager_groups")]
    AlertmanagerGroups,
    /// Alerts of Falco.
    Falco,
    /// Webhooks of GitHub.
    Github,
    /// Webhooks of GitLab.
    Gitlab,
    /// JSON reports of Grype.
    Grype,
    /// Webhooks of Harbor, in both of its formats.
    Harbor,
    /// Notifications of a Docker or CNCF registry: an event for each image.
    Registry,
    /// Notifications of such a registry: an event for each image and each of its layers.
    #[serde(rename = "registry_all")]
    RegistryAll,
    /// JSON reports of Trivy.
    Trivy,
    /// Alerts of Wazuh.
    Wazuh,
}

/// What of a CloudEvent is taken over.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CloudEvents {
    /// Types that begin with one of these are taken over. Any other event has the type in
    /// `event_type`, and is refused where there is none. Default: none.
    pub(super) type_prefixes: Vec<String>,
    /// The `source` of each event must begin with one of these. Default: none; then any does.
    pub(super) source_prefixes: Vec<String>,
    /// Whether the event's data is the whole CloudEvent, with all its attributes, instead of
    /// its `data`. Default: false.
    pub(super) envelope: bool,
    /// Who may send, by the name given in the handshake (`WebHook-Request-Origin`); `*` for
    /// everyone. It proves nothing: `auth` or `verify` does. Default: none, handshakes are
    /// refused.
    pub(super) origins: Vec<String>,
}

/// How deliveries are signed. The secret is a name under `secrets:`, or a list of two of which
/// either counts, so that one can be replaced without a break.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verify {
    /// As GitHub does: `X-Hub-Signature-256`.
    Github(Signed),
    /// As GitLab does: a secret that begins with `whsec_` signs as in Standard Webhooks, any
    /// other is shown as it is in `X-Gitlab-Token`.
    Gitlab(Timed),
    /// As Gitea and Forgejo do: `X-Gitea-Signature`, `X-Forgejo-Signature`.
    Gitea(Signed),
    /// As in Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    StandardWebhooks(Timed),
    /// HMAC-SHA256 of the body in a header.
    Hmac(Hmac),
}

/// A signature over the body alone.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Signed {
    /// What it is signed with.
    pub(super) secret: SigningSecrets,
}

/// A signature over body and time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Timed {
    /// What it is signed with.
    pub(super) secret: SigningSecrets,
    /// How far the time of signing may be from now, either way. Default: `5m`.
    #[serde(default = "default_tolerance")]
    pub(super) tolerance: Span,
}

/// HMAC-SHA256 of the body in a header.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Hmac {
    /// What it is signed with.
    pub(super) secret: SigningSecrets,
    /// The header's name.
    pub(super) header: String,
    /// What stands before the signature, such as `sha256=`. Default: nothing.
    #[serde(default)]
    pub(super) prefix: String,
    /// How the signature is written. Default: `hex`.
    #[serde(default)]
    pub(super) encoding: Encoding,
}

/// How bytes are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    /// In hexadecimal digits of either case.
    #[default]
    Hex,
    /// In base64 with padding.
    Base64,
}

/// The name of one secret, or of two.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a secret or a list of two names"
)]
pub(super) enum SigningSecrets {
    /// One.
    One(String),
    /// The one in use and its successor.
    Several(Vec<String>),
}

impl SigningSecrets {
    pub(super) fn names(&self) -> Vec<SecretName> {
        let names = match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        };
        let name = |secret: &String| SecretName {
            secret: secret.clone(),
        };
        names.iter().map(name).collect()
    }
}

impl Verify {
    /// What deliveries may be signed with.
    pub(super) const fn secrets(&self) -> &SigningSecrets {
        match self {
            Self::Github(signed) | Self::Gitea(signed) => &signed.secret,
            Self::Gitlab(timed) | Self::StandardWebhooks(timed) => &timed.secret,
            Self::Hmac(hmac) => &hmac.secret,
        }
    }
}

/// HTTP Basic authentication.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::sources) struct Basic {
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

const fn default_tolerance() -> Span {
    Span::from_secs(300)
}

fn default_methods() -> Vec<MethodName> {
    vec![MethodName::Post]
}
