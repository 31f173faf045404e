//! The server that carries a command out on others: Caldera's, Jupyter's.
//!
//! It is the agent, where the agent has an address; else the configured one; else the target.
//! Each comes with credentials of its own, and the configured ones go to the configured
//! server only: no playbook can have them sent elsewhere.

use conche_runtime::secrets::{Receiver, Secrets};

use super::Base;
use crate::action::Error;
use crate::command::{Authentication, CommandInput, Credential};
use crate::config::{self as settings, SecretName};
use crate::{BuildError, command::Party};

/// Where a command's server is, and how to show oneself to it.
pub(in crate::commands) struct Server {
    pub(in crate::commands) base: Base,
    pub(in crate::commands) authentication: Option<Authentication>,
    /// Who gets them: the credentials of the configuration are for its own server.
    pub(in crate::commands) receiver: Receiver,
}

/// A server of the configuration.
pub(in crate::commands) struct Configured {
    base: Base,
    authentication: Option<Authentication>,
}

impl Configured {
    /// Reads the settings `url` and that of a secret, which is shown in this scheme.
    pub(in crate::commands) fn read(
        place: &str,
        url: Option<&str>,
        token: Option<&SecretName>,
        secrets: &Secrets,
    ) -> Result<Option<Self>, BuildError> {
        if let Some(token) = token {
            token.check(place, secrets)?;
        }
        let Some(url) = url else {
            return match token {
                None => Ok(None),
                Some(_) => Err(settings::error(
                    place,
                    "a secret without `url`, the server that may see it",
                )),
            };
        };
        let base = Base::parse(url).map_err(|flaw| settings::error(place, flaw))?;
        let authentication = token.map(|token| Authentication {
            id: place.to_owned(),
            kind: "oauth2".to_owned(),
            token: Some(Credential {
                secret: token.secret.clone(),
                value: None,
            }),
            ..Authentication::default()
        });
        Ok(Some(Self {
            base,
            authentication,
        }))
    }
}

/// Why commands can't be carried out where neither agent nor target has an address: no server
/// is configured.
pub(in crate::commands) fn unavailable(
    place: &str,
    configured: Option<&Configured>,
) -> Option<String> {
    configured.is_none().then(|| {
        format!(
            "nobody says which server carries out such commands: set `{place}.url`, or give the agent an address"
        )
    })
}

impl Server {
    /// The server of a command.
    pub(in crate::commands) fn of(
        input: &CommandInput,
        configured: Option<&Configured>,
    ) -> Result<Self, Error> {
        let party = |party: &Party| {
            let base = Base::of(party)?;
            Ok(Self {
                receiver: base.receiver()?,
                base,
                authentication: party.authentication.clone(),
            })
        };
        match (configured, &input.target) {
            _ if Base::has_address(&input.agent) => party(&input.agent),
            (Some(configured), _) => Ok(Self {
                base: configured.base.clone(),
                authentication: configured.authentication.clone(),
                receiver: Receiver::Configured,
            }),
            (None, Some(target)) => party(target),
            (None, None) => party(&input.agent),
        }
    }
}
