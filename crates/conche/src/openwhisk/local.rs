//! The embedded host as playbooks and reactions call it: within the process, as its first user.

use async_trait::async_trait;
use conche_modules::Embedded;
use conche_openwhisk::client::{Failure as NoAnswer, Request, Response, Transport};
use conche_openwhisk::command::Verb;
use conche_openwhisk::model::{ActivationId, FullyQualifiedName};
use conche_openwhisk_host::users::FIRST;
use conche_openwhisk_host::{Host, Within};

use crate::failure::Failure;

/// The host for modules.
#[derive(Debug)]
pub(crate) struct Local(Within);

impl Local {
    /// That of a host.
    pub(crate) fn of(host: &Host) -> Result<Self, Failure> {
        let within = host.within(FIRST).ok_or_else(|| {
            let message = format!("the OpenWhisk host has no namespace `{FIRST}`");
            Failure::Failed(message)
        });
        within.map(Self)
    }
}

#[async_trait]
impl Transport for Local {
    async fn send(&self, request: Request) -> Result<Response, NoAnswer> {
        self.0.send(request).await
    }
}

#[async_trait]
impl Embedded for Local {
    async fn known(
        &self,
        verb: Verb,
        name: &FullyQualifiedName,
        key: &str,
    ) -> Result<Option<ActivationId>, String> {
        let known = self.0.known(verb, name, key).await;
        known.map_err(|error| error.to_string())
    }
}
