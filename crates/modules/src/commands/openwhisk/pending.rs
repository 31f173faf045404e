//! Which activation a call waits for, kept where it survives this process.

use std::time::Duration;

use async_trait::async_trait;
use conche_core::Json;
use conche_openwhisk::command::Ledger;
use conche_openwhisk::model::ActivationId;
use serde_json::{Value, json};

use crate::action::Call;

/// The list in which activations are kept by the key of their call: operators see in it what
/// is under way.
const LIST: &str = "openwhisk.activations";

/// Longer than a run may take, so that none is forgotten that somebody still waits for.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// The activation of one call.
pub(super) struct Pending<'a>(&'a Call);

impl<'a> Pending<'a> {
    pub(super) fn of(call: &'a Call) -> Self {
        Self(call)
    }

    /// The activation, where one was kept.
    pub(super) async fn known(&self) -> Option<ActivationId> {
        let kept = self.0.host.list_get(LIST, self.0.key.as_str()).await?;
        let kept: Value = kept.read().ok()?;
        ActivationId::parse(kept["activation"].as_str()?).ok()
    }

    /// Forgets it: nobody waits for it any more.
    pub(super) async fn is_over(&self) {
        // What stays is removed in its time.
        if let Err(error) = self.0.host.list_remove(LIST, self.0.key.as_str()).await {
            tracing::debug!(%error, key = self.0.key.as_str(), "an ended activation stays in its list");
        }
    }
}

#[async_trait]
impl Ledger for Pending<'_> {
    async fn accepted(&self, id: &ActivationId) {
        let kept = json!({ "activation": id, "run": self.0.run.to_string(),
            "step": self.0.step.to_string() });
        let kept = Json::from(&kept);
        let put = self
            .0
            .host
            .list_add(LIST, self.0.key.as_str(), kept, Some(KEPT));
        // It goes on without: only a crash from here on leaves it in doubt.
        if let Err(error) = put.await {
            tracing::warn!(%error, activation = %id, "an activation could not be kept");
        }
    }

    async fn forgotten(&self) {
        self.is_over().await;
    }
}
