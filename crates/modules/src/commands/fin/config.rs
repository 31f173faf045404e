//! The configuration of `fin`: the broker of MQTT fins, and what fins that poll are told.

use std::path::PathBuf;
use std::time::Duration;

use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::clients::mqtt::BrokerConfig;
use crate::config::{SecretName, error};
use crate::{BuildContext, BuildError};

/// Where the settings stand.
pub(super) const PLACE: &str = "actions.fin";

/// The file in the data folder that registrations are kept in unless `state` names another.
const STATE_FILE: &str = "fins.json";

/// Settings of `fin`. With neither `mqtt` nor `poll` there are no fins.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// The broker that fins of SOARCA 1 speak through. Default: none, such fins are not served.
    pub(super) mqtt: Option<BrokerConfig>,
    /// Fins that fetch their commands by HTTP. Default: none, such fins are not served.
    pub(super) poll: Option<PollConfig>,
    /// How long a command waits for a fin of its capability to register. Default: 30s.
    pub(super) wait: Span,
    /// How long an MQTT fin that has nothing else to do may take to say that it has a command.
    /// Default: 60s.
    pub(super) ack_within: Span,
    /// The file that registrations are kept in over a restart; its folder must be there.
    /// Default: `fins.json` in `data_dir`.
    pub(super) state: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mqtt: None,
            poll: None,
            wait: Span::from_secs(30),
            ack_within: Span::from_secs(60),
            state: None,
        }
    }
}

/// What fins that poll are told.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PollConfig {
    /// What a fin shows to be let in once.
    pub(super) registration_token: SecretName,
    /// How long a fin shall wait between two polls, in whole seconds. Default: 5s.
    #[serde(default = "default_interval")]
    pub(super) interval: Span,
    /// How long a poll is held while there is nothing to do, in whole seconds up to 120s.
    /// Default: 25s.
    #[serde(default = "default_long_poll")]
    pub(super) long_poll: Span,
    /// How long a fin has a command before it must say that it is still at it, in whole seconds.
    /// Default: 60s.
    #[serde(default = "default_lease")]
    pub(super) lease: Span,
    /// A fin that was not heard of for so long gets nothing new to do. Default: 2m.
    #[serde(default = "default_stale")]
    pub(super) stale_after: Span,
    /// Whether a command whose fin fell silent is given to another one, as SOARCA does, though
    /// it may then be carried out twice. Default: false, a person decides.
    #[serde(default)]
    pub(super) requeue: bool,
    /// The largest request of a fin. Default: 1MiB.
    #[serde(default = "default_body")]
    pub(super) body_bytes: Size,
}

fn default_interval() -> Span {
    Span::from_secs(5)
}

fn default_long_poll() -> Span {
    Span::from_secs(25)
}

fn default_lease() -> Span {
    Span::from_secs(60)
}

fn default_stale() -> Span {
    Span::from_secs(120)
}

fn default_body() -> Size {
    Size::from_mib(1)
}

/// The longest that a poll may be held: proxies cut longer ones.
const LONG_POLL_MAX: Duration = Duration::from_mins(2);

impl PollConfig {
    /// What can be wrong without the network.
    pub(super) fn check(&self, cx: &BuildContext) -> Result<(), BuildError> {
        self.registration_token.check(PLACE, &cx.secrets)?;
        let times = [
            ("interval", self.interval),
            ("long_poll", self.long_poll),
            ("lease", self.lease),
        ];
        for (name, span) in times {
            let time = span.duration();
            if time < Duration::from_secs(1) || time.subsec_nanos() != 0 {
                let message = format!("`poll.{name}` is a number of whole seconds, from 1s");
                return Err(error(PLACE, message));
            }
        }
        if self.long_poll.duration() > LONG_POLL_MAX {
            return Err(error(PLACE, "`poll.long_poll` is 120s at most"));
        }
        if self.stale_after.duration() < self.long_poll.duration() + self.interval.duration() {
            let message = "`poll.stale_after` must be longer than `long_poll` and `interval` together, or a fin that waits is taken for lost";
            return Err(error(PLACE, message));
        }
        Ok(())
    }
}

impl Config {
    /// The file for registrations; none where there is nowhere to keep them.
    pub(super) fn state_file(&self, cx: &BuildContext) -> Option<PathBuf> {
        let own = self.state.clone();
        own.or_else(|| Some(cx.data_dir.as_ref()?.join(STATE_FILE)))
    }
}
