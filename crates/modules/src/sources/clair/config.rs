//! The configuration of a `Clair` source. The field documentation is the manual.

use conche_runtime::egress::ClientTls;
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::queue;
use crate::clients::clair::{ApiOf, Psk};
use crate::sources::webhook::Auth;

/// Settings of a `Clair` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where notifications are fetched, each under its name: `http://clair:6060/v1/notifications`
    /// (Clair 2), `http://clair:6060/notifications` (API v3),
    /// `http://clair:6060/notifier/api/v1/notification` (Clair 4). Nothing is ever fetched
    /// elsewhere, whatever a callback says.
    pub(super) notification_endpoint: String,
    /// Where Clair's word is received on the webhook listener; `*` for every path that no
    /// other source has. Default: `/clair`.
    #[serde(default = "default_path")]
    pub(super) path: String,
    /// The generation: `v1`, `v3`, `v4`, or `auto` to see it from what Clair sends. Default: `auto`.
    #[serde(default)]
    pub(super) clair_api: ApiOf,
    /// Who may say that there is a notification; it is believed only after it was fetched.
    /// Default: `none`, whoever reaches the listener.
    #[serde(default)]
    pub(super) auth: Option<Auth>,
    /// The key that we show to Clair 4 (`auth.psk`). Default: none.
    #[serde(default)]
    pub(super) psk: Option<Psk>,
    /// Whom to trust and as whom to appear to Clair. Default: as set under `egress:`.
    #[serde(default)]
    pub(super) tls: Option<ClientTls>,
    /// The longest time for one page. Default: `30s`.
    #[serde(default = "default_timeout")]
    pub(super) timeout: Span,
    /// The largest page. Default: `8MiB`.
    #[serde(default = "default_max_response")]
    pub(super) max_response: Size,
    /// How many affected images are asked for at once, 1 to 1000. Default: 100.
    #[serde(default = "default_page_size")]
    pub(super) page_size: u32,
    /// The most images in one event; more become further events. Default: 1000.
    #[serde(default = "default_images_max")]
    pub(super) images_max: u32,
    /// Makes an event of every page, as CSF did, instead of one of all. Default: false.
    #[serde(default)]
    pub(super) per_page: bool,
    /// A queue of RabbitMQ that Clair 4 speaks to, beside the webhook. Default: none.
    #[serde(default)]
    pub(super) amqp: Option<queue::Config>,
    /// Which events: `both`, or only `new_vuln`, or only `clair.notification`. Default: `both`.
    #[serde(default)]
    pub(super) events: Kinds,
    /// The most notifications that wait to be fetched, 1 to 10000; beyond, Clair is asked to
    /// come again. Default: 1000.
    #[serde(default = "default_pending_max")]
    pub(super) pending_max: usize,
    /// For how long a notification is tried that Clair will not give. It stays at Clair, which
    /// names it again. Default: `7d`.
    #[serde(default = "default_give_up")]
    pub(super) give_up: Span,
}

/// Which events a notification becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub(super) enum Kinds {
    /// CSF's and the rich one.
    #[default]
    #[serde(rename = "both")]
    Both,
    /// CSF's.
    #[serde(rename = "new_vuln")]
    NewVuln,
    /// The rich one.
    #[serde(rename = "clair.notification")]
    Notification,
}

fn default_path() -> String {
    "/clair".to_owned()
}

const fn default_timeout() -> Span {
    Span::from_secs(30)
}

const fn default_max_response() -> Size {
    Size::from_mib(8)
}

const fn default_page_size() -> u32 {
    100
}

const fn default_images_max() -> u32 {
    1000
}

const fn default_pending_max() -> usize {
    1000
}

const fn default_give_up() -> Span {
    Span::from_secs(7 * 86_400)
}
