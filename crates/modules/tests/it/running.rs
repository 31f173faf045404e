//! A source that runs, what it logs, and waiting for what it does: always with a deadline.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conche_modules::Source;
use conche_runtime::supervisor::{BoxError, Stop};
use tokio::task::JoinHandle;

use crate::support::{FakeIntake, Stored};

/// No test waits longer for one thing to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running source; aborted when dropped.
pub(crate) struct Running {
    stop: Stop,
    task: JoinHandle<Result<(), BoxError>>,
}

impl Running {
    pub(crate) fn start(source: &Arc<dyn Source>, intake: &Arc<FakeIntake>) -> Self {
        let (source, intake, stop) = (source.clone(), intake.clone(), Stop::new());
        let token = stop.clone();
        #[allow(
            clippy::disallowed_methods,
            reason = "this test owns the task and ends it"
        )]
        let task = tokio::spawn(async move { source.run(intake, token).await });
        Self { stop, task }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.stop.request();
        let ended = soon("the source to stop", &mut self.task).await;
        ended.unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for something, not for ever.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits until a condition holds that nothing announces.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    soon(what, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await; // poll: nothing announces it
        }
    })
    .await;
}

/// Waits until so many events are stored.
pub(crate) async fn stored(intake: &FakeIntake, count: usize) -> Stored {
    let what = format!("{count} events");
    soon(&what, intake.until(|stored| stored.events.len() >= count)).await
}

/// The data of what is stored, as JSON values, in order.
pub(crate) fn data(stored: &Stored) -> Vec<serde_json::Value> {
    stored
        .events
        .iter()
        .map(|(_, event)| event.data.read().unwrap())
        .collect()
}

/// What is logged on this thread, as long as this lives.
pub(crate) struct Log {
    lines: Lines,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn new() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .finish();
        Self {
            lines,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
