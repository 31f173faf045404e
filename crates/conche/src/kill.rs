//! For the torture test only: ends this process at a named point, as a loss of power to it
//! would. Not part of a build without the feature `failpoints`.

use std::sync::atomic::{AtomicU64, Ordering};

/// `POINT=N`: die at the point after it was passed N times.
const VARIABLE: &str = "CONCHE_KILL_AT";

/// Arms the point that the environment names, if any.
pub(crate) fn arm() {
    let Ok(text) = std::env::var(VARIABLE) else {
        return;
    };
    let (point, after) = text.split_once('=').unwrap_or((&text, "0"));
    let passed = AtomicU64::new(0);
    let after = after.parse().unwrap_or(0);
    let armed = fail::cfg_callback(point, move || {
        if passed.fetch_add(1, Ordering::SeqCst) == after {
            std::process::abort();
        }
    });
    armed.expect("a failpoint of this name can be armed");
}
