//! The launcher of functions on its own, for this crate's tests and benchmark.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    conche_openwhisk_host::runtimes::cage_main(arguments)
}
