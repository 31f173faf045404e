//! What is promised, under the worst that can happen to a process: killed at named points
//! and at random moments, with senders that repeat what was not acknowledged and a receiver
//! that honours idempotency keys.
//!
//! Short by default; `CONCHE_TORTURE=long` (see `make torture`) makes it long, and a variable
//! for each count (`CONCHE_TORTURE_KILLS` and so on, see [`count`]) chooses one by itself.
//! Either way the figures are printed. `CONCHE_TORTURE_PROGRAM` names another build of the
//! program than cargo's own; it needs the feature `failpoints`.

mod bombs;
mod connections;
mod copy;
mod full;
mod hostile;
mod kill;
mod plant;
mod proc;
mod receiver;
mod soak;
mod upgrade;

use std::io::Write as _;

/// How often something is done: in the short form, in the long form, or as often as
/// `CONCHE_TORTURE_<name>` says.
fn count(name: &str, short: u64, long: u64) -> u64 {
    let chosen = std::env::var(format!("CONCHE_TORTURE_{name}"));
    let is_long = std::env::var("CONCHE_TORTURE").is_ok_and(|form| form == "long");
    match chosen {
        Ok(number) => number.parse().expect("a number"),
        Err(_) if is_long => long,
        Err(_) => short,
    }
}

/// Prints figures, also where the test harness keeps a test's output to itself.
fn tell(figures: &str) {
    writeln!(std::io::stdout(), "{figures}").expect("standard output is open");
}

/// Numbers that look random and are the same in every run, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}
