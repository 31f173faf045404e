//! What is promised, under the worst that can happen to a process: killed at named points
//! and at random moments, with senders that repeat what was not acknowledged and a receiver
//! that honours idempotency keys.
//!
//! Short by default; `CONCHE_TORTURE=long` (see `make torture`) makes it long. Either way the
//! figures are printed.

mod kill;
mod plant;
mod receiver;

/// Whether the long form was asked for.
fn long() -> bool {
    std::env::var("CONCHE_TORTURE").is_ok_and(|form| form == "long")
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
