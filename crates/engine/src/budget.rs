//! How many events may stem from one event, through all the runs that it causes.
//!
//! The depth of such a tree is bounded elsewhere; this bounds its size, and needs no count
//! kept anywhere: every run is born with a budget, recorded in its first entry, and gives
//! parts of it away. Its `n`-th event gets one part in `n (n + 1)`, which are a half, a
//! sixth, a twelfth … and together never more than the whole; an event's runs share what it
//! got, less one for the event itself. So no tree has more events than its root's budget,
//! whatever its shape, however many nodes work on it and however often they restart.
//!
//! Events by actions and events about the run (failed, needs attention) have a half each, so
//! that a run that emitted all it could may still say that it failed.

/// Events that may stem from the `nth` event (from 1) that a run with this budget emits,
/// that event included. `None` where not even it may be.
pub(crate) fn share(budget: u32, nth: u32) -> Option<u32> {
    let nth = u64::from(nth.max(1));
    let share = u64::from(budget / 2) / (nth * (nth + 1));
    u32::try_from(share).ok().filter(|share| *share > 0)
}

/// What each of an event's runs gets of the events that may follow it.
pub(crate) fn of_each(follow: u32, runs: usize) -> u32 {
    u32::try_from(runs).map_or(0, |runs| follow / runs.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of the largest tree: every run emits as often as it may, by its actions and
    /// about itself.
    fn tree(budget: u32, runs: usize) -> u64 {
        let shares = (1..).map_while(|nth| share(budget, nth));
        let below = |share: u32| {
            let each = of_each(share - 1, runs);
            1 + runs as u64 * tree(each, runs)
        };
        2 * shares.map(below).sum::<u64>()
    }

    #[test]
    fn no_tree_is_larger_than_its_budget() {
        for budget in [0, 1, 3, 4, 10, 100, 1_000, 10_000] {
            for runs in [1, 2, 7] {
                let events = tree(budget, runs);
                assert!(events <= u64::from(budget), "{budget} {runs}: {events}");
            }
        }
        assert!(tree(10_000, 1) > 1_000, "and a good part of it can be used");
    }

    #[test]
    fn the_default_suffices_for_the_deepest_chain_and_the_widest_run() {
        let config = crate::Config::default();
        let mut budget = config.emits_per_event;
        for depth in 1..=config.emit_depth {
            let share = share(budget, 1).unwrap_or_else(|| panic!("it ends at {depth}"));
            budget = of_each(share - 1, 1);
        }
        assert!(share(config.emits_per_event, config.emits_per_run).is_some());
    }
}
