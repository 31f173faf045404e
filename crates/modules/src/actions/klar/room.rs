//! Making a result fit: of all its vulnerabilities the least severe are left out, and counted.
//!
//! Pure. What is most severe is never left out before what is less so, whichever image has it.

use serde::Serialize;

use crate::clients::clair::vulnerability::Vulnerability;

/// What the counts of what is left out may add to a result, all together.
const COUNTS: usize = 4 << 10;

/// By how many bytes a result is too large.
pub(super) fn excess<T: Serialize>(result: &T, limit: usize) -> usize {
    match length(result) {
        found if found <= limit => 0,
        found => found - limit + COUNTS,
    }
}

/// Leaves out so many bytes, if there are as many, of lists that begin with the worst; adds to
/// the counts beside them how many vulnerabilities that were.
pub(super) fn make(mut lists: Vec<(&mut Vec<Vulnerability>, &mut usize)>, excess: usize) {
    if excess == 0 {
        return;
    }
    let mut all: Vec<_> = lists
        .iter()
        .enumerate()
        .flat_map(|(list, (found, _))| {
            let found = found.iter().enumerate();
            // A comma stands before most of them.
            found.map(move |(at, found)| (found.severity, at, list, length(found) + 1))
        })
        .collect();
    // Of the same severity the last one of the longest list goes first.
    all.sort_unstable_by_key(|(severity, at, list, _)| (*severity, usize::MAX - at, *list));
    let mut left = excess;
    for (_, _, list, bytes) in all {
        if left == 0 {
            return;
        }
        let (found, omitted) = &mut lists[list];
        found.pop();
        **omitted += 1;
        left = left.saturating_sub(bytes);
    }
}

fn length<T: Serialize>(value: &T) -> usize {
    // What cannot be written has no length, and is an error where it is written.
    serde_json::to_string(value).map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::clients::clair::vulnerability::Severity;

    fn found(severity: Severity, bytes: usize) -> Vulnerability {
        Vulnerability {
            name: "CVE".to_owned(),
            namespace_name: String::new(),
            description: "x".repeat(bytes),
            link: String::new(),
            severity,
            metadata: Value::Null,
            fixed_by: String::new(),
            fixed_in: Vec::new(),
            feature_name: String::new(),
            feature_version: String::new(),
        }
    }

    #[test]
    fn the_least_severe_of_all_images_are_left_out_until_the_rest_fits() {
        use Severity::{Critical, High, Low};
        let mut one = vec![found(Critical, 100), found(High, 100), found(Low, 100)];
        let mut two = vec![found(High, 100), found(Low, 100), found(Low, 100)];
        let (mut from_one, mut from_two) = (0, 0);
        let each = length(&one[0]);
        make(
            vec![(&mut one, &mut from_one), (&mut two, &mut from_two)],
            each * 3 + 4,
        );
        assert_eq!((one.len(), two.len(), from_one, from_two), (1, 1, 2, 2));
        assert_eq!((one[0].severity, two[0].severity), (Critical, High));
    }

    #[test]
    fn what_fits_stays_whole() {
        let mut all = vec![found(Severity::Low, 10)];
        let mut omitted = 0;
        let excess = excess(&all, 10_000);
        make(vec![(&mut all, &mut omitted)], excess);
        assert_eq!((all.len(), omitted), (1, 0));
    }
}
