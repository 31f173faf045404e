//! The settings of WinRM. Checked when built; nothing is connected to.

use std::time::Duration;

use conche_runtime::egress::ClientTls;
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::BuildError;
use crate::config as settings;

/// What a host lets an operation take at most, unless it is told otherwise (`MaxTimeoutms`).
const POLL_MAX: Duration = Duration::from_mins(1);

/// How to reach hosts by WinRM over HTTPS, and how to log in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// How a user and password are shown: `ntlm`, which Windows takes as it comes, or `basic`,
    /// for local users of hosts that allow it. Credentials of type `http-basic` are always shown
    /// by `basic`. Default: `ntlm`.
    pub(crate) authentication: Scheme,
    /// Whom to trust and as whom to appear. Default: as set under `egress:`.
    pub(crate) tls: Option<ClientTls>,
    /// So much is kept of standard output, and of standard error. Default: `256KiB`.
    pub(crate) max_output: Size,
    /// A host that has nothing to tell says so after this, and is asked again; 1s to 60s.
    /// Default: `20s`.
    pub(crate) poll: Span,
}

/// How a password is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scheme {
    /// By the answer to a challenge (MS-NLMP), bound to the host's certificate.
    Ntlm,
    /// As it is, within TLS (RFC 7617).
    Basic,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            authentication: Scheme::Ntlm,
            tls: None,
            max_output: Size::from_kib(256),
            poll: Span::from_secs(20),
        }
    }
}

impl Config {
    pub(super) fn check(&self, place: &str) -> Result<(), BuildError> {
        let poll = self.poll.duration();
        if poll < Duration::from_secs(1) || poll > POLL_MAX {
            return Err(settings::error(
                &format!("{place}.poll"),
                "must be from 1s to 60s".to_owned(),
            ));
        }
        Ok(())
    }
}
