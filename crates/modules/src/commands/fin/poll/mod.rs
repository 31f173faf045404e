//! Fins that fetch their commands by HTTP, as SOARCA's newer versions have them.
//!
//! A command that nobody fetched had no effect. One that was fetched is the fin's for the time
//! of a lease; a fin that falls silent may have done anything, so a person decides, unless
//! `requeue` says that another fin may do it again as SOARCA has it.

mod queue;
pub(super) mod routes;
mod wire;

use std::sync::Arc;

use conche_runtime::secrets::{Receiver, Secrets};
use tokio::time::{Instant, timeout_at};

use self::queue::{Offer, Offered, Queue, Stand};
use self::wire::{Ids, Reported};
use super::authentication::Unsealed;
use super::config::PollConfig;
use super::{Done, Work};
use crate::action::Error;

/// The fins that poll.
pub(super) struct Poll {
    pub(super) config: PollConfig,
    secrets: Arc<Secrets>,
    queue: Queue,
}

impl Poll {
    pub(super) fn new(config: PollConfig, secrets: Arc<Secrets>) -> Self {
        Self {
            config,
            secrets,
            queue: Queue::default(),
        }
    }

    /// Lets every fin go that waits for something to do.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// Has a fin carry out a command.
    pub(super) async fn carry_out(&self, capability: &str, work: &Work<'_>) -> Result<Done, Error> {
        let id = work.id();
        let run = work.call.run.to_string();
        let ids = Ids {
            id,
            run: &run,
            capability,
        };
        let credentials = work.input.target.as_ref().and(work.input.authentication());
        let credentials = credentials
            .map(|known| {
                let fin = Receiver::Fin {
                    capability: capability.to_owned(),
                    broker: None,
                };
                Unsealed::read(known, &self.secrets, fin)
            })
            .transpose()?;
        let mut offered = self.queue.offer(Offer {
            id,
            capability: capability.to_owned(),
            content: wire::content(&work.input, &ids),
            credentials,
        });
        let reported = self
            .wait(capability, &mut offered, id, work.deadline)
            .await?;
        self.settle(capability, reported)
    }

    async fn wait(
        &self,
        capability: &str,
        offered: &mut Offered<'_>,
        id: uuid::Uuid,
        deadline: Instant,
    ) -> Result<Reported, Error> {
        // A lease that begins while we do not look ends after we look next.
        let lease = self.config.lease.duration();
        let mut look = Instant::now() + lease;
        loop {
            match timeout_at(look.min(deadline), &mut offered.reply).await {
                Ok(Ok(reported)) => return Ok(reported),
                Ok(Err(_)) => return Err(Error::Uncertain("the fin's answer was lost".to_owned())),
                Err(_elapsed) => {}
            }
            let now = Instant::now();
            look = match self.queue.stand(id) {
                Stand::Waiting if now >= deadline => {
                    let message = format!(
                        "no fin with the capability `{capability}` fetched the command in time"
                    );
                    return Err(Error::retry(message));
                }
                Stand::Waiting => now + lease,
                Stand::Leased { fin, .. } if now >= deadline => {
                    return Err(Error::Uncertain(format!(
                        "the fin {fin} has the command and gave no result in time"
                    )));
                }
                Stand::Leased { until, .. } if until > now => until,
                Stand::Leased { fin, .. } if self.config.requeue => {
                    tracing::warn!(
                        fin,
                        capability,
                        "a fin fell silent: its command is given to another one"
                    );
                    self.queue.put_back(id);
                    now + lease
                }
                Stand::Leased { fin, .. } => {
                    return Err(Error::Uncertain(format!(
                        "the fin {fin} has the command and fell silent"
                    )));
                }
                // The answer is there.
                Stand::Over => now + lease,
            };
        }
    }

    fn settle(&self, capability: &str, mut reported: Reported) -> Result<Done, Error> {
        let variables = reported.values();
        if reported.is_success() {
            return Ok(Done {
                variables,
                target_results: reported.target_results,
            });
        }
        let error = reported.error.filter(|error| !error.is_empty());
        let error = error.unwrap_or_else(|| serde_json::Value::Object(variables).to_string());
        let message =
            format!("the fin with the capability `{capability}` reports a failure: {error}");
        Err(Error::Permanent(super::quote(
            &message,
            &self.secrets.masker(),
        )))
    }
}
