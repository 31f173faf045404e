//! A worker on its own, for this crate's tests and benchmark.

use std::process::ExitCode;

fn main() -> ExitCode {
    conche_script::worker_main()
}
