//! How many attempts act on one target at once, over all runs of this node. An attempt that
//! has to wait is not intended yet: nothing of it is recorded, and its run looks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Attempts under way by what they act on.
#[derive(Clone)]
pub(crate) struct Targets {
    /// At once on each; 0 for any number.
    limit: u32,
    under_way: Arc<Mutex<HashMap<String, u32>>>,
}

/// The right to act on some targets, given back when it is dropped.
pub(crate) struct Place {
    targets: Targets,
    taken: Vec<String>,
}

impl Targets {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            under_way: Arc::default(),
        }
    }

    /// A place at each of these, in their plain form; else the one at which there is none.
    pub(crate) fn take(
        &self,
        acted_on: impl FnOnce() -> Vec<String>,
    ) -> Result<Option<Place>, String> {
        if self.limit == 0 {
            return Ok(None);
        }
        let mut places = acted_on();
        places.sort_unstable();
        places.dedup();
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_full = |place: &&String| under_way.get(*place).is_some_and(|n| *n >= self.limit);
        if let Some(full) = places.iter().find(is_full) {
            return Err(full.clone());
        }
        for place in &places {
            *under_way.entry(place.clone()).or_default() += 1;
        }
        Ok(Some(Place {
            targets: self.clone(),
            taken: places,
        }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let lock = self.targets.under_way.lock();
        let mut under_way = lock.unwrap_or_else(PoisonError::into_inner);
        for place in &self.taken {
            if let Some(count) = under_way.get_mut(place) {
                *count -= 1;
                if *count == 0 {
                    under_way.remove(place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_so_many_places_and_gives_them_back() {
        let targets = Targets::new(1);
        let take = |name: &str| targets.take(|| vec![name.to_owned()]);
        let first = take("db1.example");
        assert!(first.is_ok());
        assert_eq!(take("db1.example").err().as_deref(), Some("db1.example"));
        assert!(take("db2.example").is_ok_and(|place| place.is_some()));
        let both = || vec!["db1.example".to_owned(), "db3.example".to_owned()];
        assert!(targets.take(both).is_err());
        assert!(take("db3.example").is_ok(), "nothing is taken in part");
        drop(first);
        assert!(take("db1.example").is_ok());
        assert!(targets.under_way.lock().unwrap().is_empty());
        let free = Targets::new(0);
        let unasked = free.take(|| panic!("nobody asks what it acts on"));
        assert!(unasked.is_ok_and(|place| place.is_none()));
    }
}
