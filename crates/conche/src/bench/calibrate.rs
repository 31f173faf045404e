//! The probe before each window: a fixed piece of work whose time tells whether the machine
//! is the same as before.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use conche_core::Digest;

use super::Error;

/// What is digested in a round.
const BYTES: usize = 1024 * 1024;
/// Rounds of a probe; their median counts, so that one interruption is no finding.
const ROUNDS: usize = 15;

/// A fixed piece of work: SHA-256 over a MiB, then a page written and synced.
#[derive(Debug)]
pub(crate) struct Probe {
    file: File,
    input: Vec<u8>,
}

impl Probe {
    /// A probe of the processor and of the disk that holds this folder.
    pub(crate) fn new(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("calibration");
        let file = File::create(&path).map_err(|cause| Error::of("the calibration file", cause))?;
        Ok(Self {
            file,
            input: vec![7; BYTES],
        })
    }

    /// Does the work; the median round in seconds.
    pub(crate) fn run(&mut self) -> Result<f64, Error> {
        let mut rounds = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let digest = Digest::of(&self.input);
            self.write(digest.as_bytes())
                .map_err(|cause| Error::of("the calibration file", cause))?;
            rounds.push(start.elapsed().as_secs_f64());
        }
        rounds.sort_unstable_by(f64::total_cmp);
        Ok(rounds[ROUNDS / 2])
    }

    fn write(&mut self, digest: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(digest)?;
        self.file.write_all(&self.input[..4096 - digest.len()])?;
        self.file.sync_data()
    }
}
