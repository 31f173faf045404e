//! The worker process: a loop that reads a request, evaluates it and writes
//! the answer, inside a cage it builds for itself before it reads the first
//! script.
//!
//! It must never hold anything worth stealing: it gets no environment, no file
//! descriptor but the two pipes, and no secret in any frame.

mod compile;
mod confine;
mod engine;
mod jq;
mod realm;
mod writes;

use std::io::{self, BufRead, BufReader, Read, Stdin, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::protocol::{self, HEADER, Ready, Request, Setup};
use engine::Engine;

pub use confine::{Unconfined, confine};
pub use jq::flaw;

/// The argument that turns the binary into a worker.
pub const WORKER_ARGUMENT: &str = "--script-worker";

/// Exit code of a worker that could not lock itself in; it ran nothing.
const EXIT_UNCONFINED: u8 = 70;
/// Exit code of a worker that read something it does not understand.
const EXIT_PROTOCOL: u8 = 71;

/// Runs the worker until its input ends.
///
/// The binary calls this when its first argument is [`WORKER_ARGUMENT`],
/// before it starts a runtime, a thread or a logger: the cage allows none.
pub fn worker_main() -> ExitCode {
    let mut input = BufReader::with_capacity(64 * 1024, io::stdin());
    let mut frame = Vec::new();
    let Ok(true) = read_frame(&mut input, &mut frame) else {
        return ExitCode::from(EXIT_PROTOCOL);
    };
    let Ok(setup) = postcard::from_bytes::<Setup>(&frame) else {
        return ExitCode::from(EXIT_PROTOCOL);
    };
    // Before confinement: the time zone is read from a file.
    engine::load_time_zone();
    let missing = match confine(setup.memory) {
        Ok(missing) => missing,
        Err(error) => {
            let refused = Ready::Refused {
                reason: error.to_string(),
            };
            // If not even this can be written, the exit code has to do.
            drop(write_frame(&mut io::stdout(), &mut frame, &refused));
            return ExitCode::from(EXIT_UNCONFINED);
        }
    };
    match serve(&mut input, &mut frame, &setup, missing) {
        // Straight out: nothing in the engine is worth tearing down, and after
        // an exhausted heap tearing down may abort.
        Ok(()) => std::process::exit(0),
        Err(_) => std::process::exit(i32::from(EXIT_PROTOCOL)),
    }
}

fn serve(
    input: &mut BufReader<Stdin>,
    frame: &mut Vec<u8>,
    setup: &Setup,
    missing: Vec<String>,
) -> io::Result<()> {
    let mut engine = Engine::new(setup).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut output = io::stdout().lock();
    let mut answer = Vec::new();
    write_frame(&mut output, &mut answer, &Ready::Confined { missing })?;
    while read_frame(input, frame)? {
        let request: Request<'_> =
            postcard::from_bytes(frame).map_err(|_| io::ErrorKind::InvalidData)?;
        if let Some(response) = engine.answer(&request) {
            write_frame(&mut output, &mut answer, &response)?;
            if response.retiring {
                break;
            }
            engine.rest();
        }
    }
    Ok(())
}

/// Reads one frame; false at the end of the input.
fn read_frame(input: &mut BufReader<Stdin>, frame: &mut Vec<u8>) -> io::Result<bool> {
    if input.fill_buf()?.is_empty() {
        return Ok(false);
    }
    let mut header = [0; HEADER];
    input.read_exact(&mut header)?;
    frame.resize(u32::from_le_bytes(header) as usize, 0);
    input.read_exact(frame)?;
    Ok(true)
}

fn write_frame<T: Serialize>(
    output: &mut impl Write,
    buffer: &mut Vec<u8>,
    value: &T,
) -> io::Result<()> {
    buffer.clear();
    protocol::append(buffer, value).map_err(|_| io::ErrorKind::InvalidData)?;
    output.write_all(buffer)?;
    output.flush()
}
