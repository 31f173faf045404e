//! Waiting for an activation that goes on.

use std::time::Duration;

use tokio::time::Instant;

use super::{Client, Error};
use crate::model::{Activation, ActivationId};

/// How often to ask: the wait doubles each time, up to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// The first wait.
    pub interval: Duration,
    /// The longest.
    pub max_interval: Duration,
}

impl Default for Poll {
    /// 1 s to 8 s.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            max_interval: Duration::from_secs(8),
        }
    }
}

impl Poll {
    /// The wait before the look with this number, from 0.
    pub fn wait(&self, look: u32) -> Duration {
        let factor = 2_u32.saturating_pow(look.min(16));
        self.interval
            .saturating_mul(factor)
            .min(self.max_interval.max(self.interval))
    }
}

impl Client {
    /// Asks for an activation until it is there or this much time is over. Hosts store it when
    /// it ends, so that until then there is none.
    ///
    /// # Errors
    /// [`Error::Lost`] with the activation where the time is over; what refuses the look itself
    /// at once. A look that finds no answer is made again.
    pub async fn wait_for(
        &self,
        id: &ActivationId,
        poll: Poll,
        most: Duration,
    ) -> Result<Activation, Error> {
        let deadline = Instant::now() + most;
        let mut look = 0;
        loop {
            let why = match self.activation(id).await {
                Ok(activation) => return Ok(activation),
                Err(error) if looks_again(&error) => error,
                Err(error) => return Err(error),
            };
            let wait = poll.wait(look).max(why.after().unwrap_or_default());
            if Instant::now() + wait >= deadline {
                return Err(Error::Lost {
                    reason: format!("activation {id} has not ended within {most:?}"),
                    activation: Some(id.clone()),
                });
            }
            tokio::time::sleep(wait).await;
            look += 1;
        }
    }
}

/// Whether a look at an activation that went wrong says nothing of the activation.
pub(crate) fn looks_again(error: &Error) -> bool {
    match error {
        Error::NotSent(_)
        | Error::Throttled(_)
        | Error::Unavailable(_)
        | Error::Failed(_)
        | Error::Lost { .. } => true,
        error => error.is_not_found(),
    }
}
