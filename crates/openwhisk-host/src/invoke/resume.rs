//! After a start: what was accepted before is carried out, or ended where it had begun.

use std::sync::Arc;

use conche_openwhisk::model::{Activation, ActivationId, KeyValues, Name, Other, Status};

use super::record::{failure, stored};
use super::{Begin, Call, Inner, Request};
use crate::refusal::Refusal;
use crate::store::{Admission, Commit, Error};

/// What is said of an activation that a stop of the host cut off.
const INTERRUPTED: &str = "The host was stopped while the activation ran. What the action had done by then is not known; it is not run again.";

impl Inner {
    /// Takes up what the last process left. Gives how many go on and how many were ended.
    pub(crate) async fn resume(self: &Arc<Self>) -> Result<(usize, usize), Error> {
        let most = usize::try_from(self.settings.throttles.in_flight).unwrap_or(usize::MAX);
        let (mut started, mut ended) = (0, 0);
        for admission in self.store.unfinished(most.saturating_mul(2)).await? {
            let request: Request = match serde_json::from_value(admission.request.clone()) {
                Ok(request) => request,
                Err(error) => {
                    tracing::error!(activation = %admission.activation, %error, "an accepted invocation cannot be read");
                    continue;
                }
            };
            if admission.begun {
                self.give_up(&admission, &request, INTERRUPTED).await;
                ended += 1;
                continue;
            }
            match self.recall(&admission, &request).await {
                Ok(call) => {
                    let slot = self.throttle.resumed(&admission.namespace);
                    drop(self.start(call, slot));
                    started += 1;
                }
                Err(refusal) => {
                    let text = format!(
                        "The action could no longer be invoked after the host was started again: {}",
                        refusal.text
                    );
                    self.give_up(&admission, &request, &text).await;
                    ended += 1;
                }
            }
        }
        Ok((started, ended))
    }

    async fn recall(&self, admission: &Admission, request: &Request) -> Result<Call, Refusal> {
        let who = self.users.of(&admission.namespace);
        let who = who.ok_or_else(Refusal::not_found)?;
        let target = self.target(&who, request.action.clone()).await?;
        let id = ActivationId::parse(&admission.activation)?;
        Ok(Call {
            who,
            target,
            payload: request.payload.clone(),
            begin: Begin::of(&id, true),
            id,
            within: None,
            transaction: request.transaction.clone(),
            accepted: request.accepted,
        })
    }

    /// Ends an activation that is not carried out.
    async fn give_up(&self, admission: &Admission, request: &Request, text: &str) {
        let id = ActivationId::parse(&admission.activation);
        let namespace = Name::parse(&admission.namespace);
        let (Ok(id), Ok(namespace)) = (id, namespace) else {
            tracing::error!(activation = %admission.activation, "an accepted invocation has no name");
            return;
        };
        let now = self.now();
        let activation = Activation {
            namespace: conche_openwhisk::model::EntityPath::of(namespace),
            name: request.action.name.clone(),
            version: request.version.clone(),
            publish: false,
            subject: admission.namespace.clone(),
            activation_id: id,
            start: request.accepted,
            end: Some(now),
            duration: Some((now - request.accepted).max(0)),
            cause: None,
            response: failure(Status::InternalError, text),
            logs: Vec::new(),
            annotations: KeyValues(request.annotations.clone()),
            other: Other::new(),
        };
        let package = request.action.package.as_ref().map(ToString::to_string);
        let commit = Commit {
            finish: vec![stored(&activation, package)],
            ..Commit::default()
        };
        self.persist(commit).await;
    }
}
