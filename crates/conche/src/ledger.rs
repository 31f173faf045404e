//! What the server itself puts into the record of acts, and how long the record is kept.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conche_core::{Digest, Timestamp};
use conche_engine::Engine;
use conche_runtime::listener::Auth;
use conche_runtime::supervisor::{Backoff, OnFailure, Stage, Tasks, ticker};
use conche_store::{Act, Store, Who};

use crate::config::Loaded;
use crate::failure::Failure;

/// How often old acts are looked for.
const LOOK_EVERY: Duration = Duration::from_hours(1);
/// Acts removed in one transaction.
const REMOVED_MAX: u32 = 10_000;

/// Something that the server did by itself.
fn act(what: &str, target: &str, detail: BTreeMap<String, String>) -> Act {
    Act {
        at: Timestamp::now(),
        detail,
        outcome: "done".to_owned(),
        target: target.to_owned(),
        what: what.to_owned(),
        who: Who {
            name: "server".to_owned(),
            ..Who::default()
        },
    }
}

/// Records under which configuration the server starts, and warns where nobody could call it.
pub(crate) async fn tell_start(store: &dyn Store, loaded: &Loaded) -> Result<(), Failure> {
    let cannot = |error| Failure::of("can't record the start", error);
    let config = serde_json::to_vec(&loaded.authored.clone().masked());
    let config = config.map_err(|error| Failure::of("can't digest the configuration", error))?;
    let detail = [
        ("config".to_owned(), Digest::of(&config).to_string()),
        ("version".to_owned(), crate::VERSION.to_owned()),
    ];
    let data_dir = loaded.config.data_dir.display().to_string();
    let start = act("server.start", &data_dir, detail.into());
    store.record(start).await.map_err(cannot)?;
    let is_asked = loaded.config.api.listen.is_some() && loaded.config.api.auth == Auth::Token;
    let now = Timestamp::now();
    let counts = |row: &conche_store::TokenRow| {
        row.revoked_at.is_none() && row.expires_at.is_none_or(|end| end > now)
    };
    if is_asked
        && loaded.config.api_token.is_none()
        && !store.tokens().await.map_err(cannot)?.iter().any(counts)
    {
        tracing::warn!(
            "the API asks for tokens and there is none: stop the server and make one with `conche tokens create --config FILE --name NAME --role admin`"
        );
    }
    Ok(())
}

/// Records that CSF's reactions were taken over.
pub(crate) async fn tell_import(engine: &Engine, database: &Path, reactions: usize) {
    let detail = [("reactions".to_owned(), reactions.to_string())];
    let import = act(
        "reactions.import",
        &database.display().to_string(),
        detail.into(),
    );
    if let Err(error) = engine.store().record(import).await {
        tracing::error!(%error, "the import was not recorded");
    }
}

/// Removes acts that are older than wanted, for as long as the server runs.
pub(crate) fn retain(store: &Arc<dyn Store>, keep: Duration, tasks: &Tasks) {
    let store = store.clone();
    let restart = OnFailure::Restart(Backoff::default());
    tasks.spawn("audit retention", Stage::Executor, restart, move |stop| {
        let store = store.clone();
        async move {
            ticker(LOOK_EVERY, &stop, async || remove_old(&*store, keep).await).await;
            Ok::<(), Infallible>(())
        }
    });
}

async fn remove_old(store: &dyn Store, keep: Duration) {
    let now = Timestamp::now();
    let before = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
    match store.expire_acts(before, REMOVED_MAX, now).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "old acts were removed"),
        Err(error) => tracing::warn!(%error, "old acts were not removed"),
    }
}
