//! Mutated seeds for whatever reads input from outside. Runs on a stable compiler, the same
//! way every time.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Rounds where `CONCHE_FUZZ` does not say otherwise.
const ROUNDS: u64 = 3000;
/// One input must not take more processor time than this, unoptimised; how long others have the
/// processor is not the target's fault.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 16] = [
    b"\xff",
    b"\0",
    b"{",
    b"[",
    b"\"",
    b"\\ud800",
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"!!binary ",
    b"<<: ",
    b"1e999999",
    b"-0",
    b"\xf0\x9f\x92\xa9",
    b"\r\n",
];

/// Feeds mutations of every seed file of `fuzz/seeds/<name>` to `target`.
///
/// # Panics
/// Where the target does, or takes too long; the input is printed then.
pub fn fuzz(name: &str, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(name);
    let mut seeds: Vec<Vec<u8>> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| fs::read(entry.ok()?.path()).ok())
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} has no seeds", folder.display());
    let rounds = std::env::var("CONCHE_FUZZ")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS);
    let mut dice = Dice(0xc0c0a);
    for round in 0..rounds {
        let input = mutated(&seeds, &mut dice);
        let began = processor_time();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&input)));
        let took = processor_time().saturating_sub(began);
        assert!(
            result.is_ok() && took < PATIENCE,
            "round {round} of '{name}' failed after {took:?} on {:?}",
            String::from_utf8_lossy(&input)
        );
    }
}

/// What this thread has used.
fn processor_time() -> Duration {
    match clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID) {
        Ok(time) => time.into(),
        Err(error) => panic!("the thread's clock: {error}"),
    }
}

fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(input.len() + 1);
        let end = (at + dice.below(64)).min(input.len());
        match dice.below(7) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 => drop(input.splice(at..at, PIECES[dice.below(PIECES.len())].iter().copied())),
            2 => drop(input.drain(at..end)),
            3 => {
                let piece = input[at..end].to_vec();
                let times = 1 + dice.below(20);
                drop(input.splice(at..at, piece.repeat(times)));
            }
            4 => input.truncate(at),
            5 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = PIECES[dice.below(PIECES.len())];
                let times = 1 + dice.below(2000);
                drop(input.splice(at..at, piece.repeat(times)));
            }
        }
    }
    input
}

struct Dice(u64);

impl Dice {
    /// SplitMix64.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}
