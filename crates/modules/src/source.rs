//! Sources: configured instances that yield events.

use std::sync::Arc;

use async_trait::async_trait;
use conche_runtime::listener::ListenerConfig;
use conche_runtime::supervisor::{BoxError, Stop};

use crate::intake::Intake;
use crate::{BuildContext, BuildError};

/// One line of the list of source modules.
pub struct SourceModule {
    /// The module's name in the configuration.
    pub name: &'static str,
    /// One sentence for lists and docs.
    pub summary: &'static str,
    /// Event types that it yields by itself: name and one sentence. Empty where the configuration names them.
    pub events: &'static [(&'static str, &'static str)],
    /// JSON Schema of its configuration.
    pub config: fn() -> serde_json::Value,
    /// Builds one source from its configuration. Checks all that can be checked without the network.
    pub build: BuildSource,
}

/// Makes a source of its id and its configuration.
pub type BuildSource = fn(
    id: &str,
    config: serde_json::Value,
    cx: &BuildContext,
) -> Result<Arc<dyn Source>, BuildError>;

/// A built source. It never touches the store: [`Intake`] owns acceptance, back-pressure and cursors.
#[async_trait]
pub trait Source: Send + Sync {
    /// The paths that [`routes`](Self::routes) serves, so that two sources that want the same
    /// one are found before they are mounted.
    fn paths(&self) -> Vec<String> {
        Vec::new()
    }

    /// A listener of its own for [`routes`](Self::routes), instead of the webhook listener.
    fn listener(&self) -> Option<ListenerConfig> {
        None
    }

    /// Routes to mount on the webhook listener, or on its own. Most sources have none.
    fn routes(&self, _intake: Arc<dyn Intake>) -> Option<axum::Router> {
        None
    }

    /// Yields events until asked to stop. Sources that only have routes return at once.
    /// An error restarts the source after a while, with its cursor.
    async fn run(&self, _intake: Arc<dyn Intake>, _stop: Stop) -> Result<(), BoxError> {
        Ok(())
    }
}
