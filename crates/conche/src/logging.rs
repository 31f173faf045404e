//! The log: to standard error, as text or as one JSON object a line.
//!
//! Every line goes through the masker of secrets before it leaves the process. `CONCHE_LOG`
//! filters as in `info,conche_engine=debug`; what passes goes to a collector too, where the
//! environment names one (see `telemetry`).

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use conche_runtime::secrets::Masker;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::failure::Failure;
use crate::telemetry::LogLayer;

/// What is logged where nothing else is asked for.
const DEFAULT_FILTER: &str = "info";

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Starts logging. Once only, before anything that logs.
pub(crate) fn start(
    format: Format,
    filter: Option<&str>,
    masker: Masker,
    exported: Option<LogLayer>,
) -> Result<(), Failure> {
    let filter = without_echoes(filter.unwrap_or(DEFAULT_FILTER));
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::Usage(format!("CONCHE_LOG is not a filter: {error}")))?;
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer()
        .with_ansi(colours)
        .with_writer(move || Masked(masker.clone()));
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(exported)
        .try_init();
    started.map_err(|error| Failure::of("can't start the log", error))
}

/// Libraries that log as errors what they also return to us, where it is told once if it is
/// one: that a queue is not there yet is none. Whoever names one in the filter hears it.
const ECHOES: [&str; 1] = ["lapin"];

fn without_echoes(filter: &str) -> String {
    let unnamed = ECHOES.iter().filter(|library| !filter.contains(**library));
    let silent = unnamed.map(|library| format!(",{library}=off"));
    [filter.to_owned()].into_iter().chain(silent).collect()
}

/// Standard error behind the masker. A log line is written whole, so no secret is split.
struct Masked(Masker);

impl Write for Masked {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().write_all(self.0.mask(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_repeats_what_it_returns_is_silent_unless_it_is_named() {
        assert_eq!(without_echoes("warn"), "warn,lapin=off");
        assert_eq!(without_echoes("info,lapin=debug"), "info,lapin=debug");
        assert!(EnvFilter::try_new(without_echoes(DEFAULT_FILTER)).is_ok());
    }
}
