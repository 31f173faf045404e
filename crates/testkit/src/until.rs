//! Waiting for a condition, never for a time.

use std::time::Duration;

/// Long enough for a loaded machine; only a defect makes a test wait so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// Asks again and again until the condition gives something.
///
/// # Panics
/// When it gives nothing for 30 seconds; `what` says what was waited for.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let asked = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for: {what}"))
}
