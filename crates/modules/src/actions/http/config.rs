//! The configuration of `http`: which secrets its actions may use, and where to.
//!
//! A script that could name any secret and any URL could send every secret anywhere. So a
//! secret can be named only where it is listed here, and goes only to the hosts listed with it.

use std::collections::BTreeMap;

use conche_runtime::egress::ClientTls;
use conche_runtime::secrets::Grant;
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of `http`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// The secrets that requests may name, each with where it may go. Default: none.
    pub(super) secrets: BTreeMap<String, Grant>,
    /// The longest time for one request that sets none itself. Default: `30s`.
    pub(super) timeout: Span,
    /// The largest answer to a request that sets no limit itself; the result holds it as text
    /// and as JSON, and has to fit `limits.result_bytes`. Default: `256KiB`.
    pub(super) max_response: Size,
    /// Whom to trust and as whom to appear. Default: as set under `egress:`.
    pub(super) tls: Option<ClientTls>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secrets: BTreeMap::new(),
            timeout: Span::from_secs(30),
            max_response: Size::from_kib(256),
            tls: None,
        }
    }
}
