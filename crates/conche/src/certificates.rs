//! TLS files that change while the server runs: looked at now and then, and on SIGHUP.
//!
//! SIGHUP never ends a server, also not one without TLS: what it means must not depend on how
//! a listener is configured. The configuration itself is read at the start and not here.

use std::time::Duration;

use conche_runtime::listener::Certificates;
use conche_runtime::supervisor::{Backoff, OnFailure, Stage, Tasks};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// How often the files are looked at without being told.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Takes up changed files for as long as the server runs.
pub(crate) fn watch(files: Vec<(String, Certificates)>, tasks: &Tasks) -> Result<(), Failure> {
    // Listened for before any listener answers: a SIGHUP from then on never ends the server.
    let mut first = Some(signal(SignalKind::hangup())?);
    let restart = OnFailure::Restart(Backoff::default());
    tasks.spawn("certificates", Stage::Api, restart, move |stop| {
        let (files, first) = (files.clone(), first.take());
        async move {
            let mut hangup = match first {
                Some(hangup) => hangup,
                None => signal(SignalKind::hangup())?,
            };
            let mut interval = tokio::time::interval(LOOK_EVERY);
            loop {
                tokio::select! {
                    biased;
                    () = stop.requested() => return Ok::<(), std::io::Error>(()),
                    _ = hangup.recv() => {
                        tracing::info!("SIGHUP: TLS files are read again; the configuration waits for a restart");
                        look(&files, true).await;
                    }
                    _ = interval.tick() => look(&files, false).await,
                }
            }
        }
    });
    Ok(())
}

/// Looks at the files of every listener; `told` says so even where nothing has changed.
async fn look(files: &[(String, Certificates)], told: bool) {
    for (listener, certificates) in files {
        let certificates = certificates.clone();
        let looked = tokio::task::spawn_blocking(move || {
            if told {
                certificates.reload().map(|()| true)
            } else {
                certificates.reload_if_changed()
            }
        });
        match looked.await {
            Ok(Ok(true)) => tracing::info!(listener, "TLS files were read again"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::error!(listener, %error, "the TLS files do not fit: the ones before stay in use");
            }
            Err(error) => tracing::error!(listener, %error, "the TLS files were not looked at"),
        }
    }
}
