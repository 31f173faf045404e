//! Decimal numbers of any size, compared exactly.
//!
//! CACAO writes numbers as text and names no width for `long`, so that a number here is its
//! digits. It is compared and written, never calculated with.

use std::cmp::Ordering;
use std::fmt;

/// A decimal number. Equal numbers are equal however they were written: `+07.50` is `7.5`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number {
    /// Never set for zero.
    negative: bool,
    /// Digits before the point, without leading zeros; empty for zero.
    whole: String,
    /// Digits after the point, without trailing zeros.
    fraction: String,
}

impl Number {
    /// Reads `[+-]` digits, and perhaps a point and digits; nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None if digits.is_empty() => return None,
            None => (digits, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self {
            negative: negative && !zero,
            whole,
            fraction,
        })
    }

    /// Whether nothing follows the point.
    pub const fn is_whole(&self) -> bool {
        self.fraction.is_empty()
    }

    /// The number as an `i64`, if it is whole and fits.
    pub fn to_i64(&self) -> Option<i64> {
        self.is_whole().then(|| self.to_string().parse().ok())?
    }

    /// The nearest double; infinite where it is larger than all of them.
    pub fn to_f64(&self) -> f64 {
        // The standard library reads digits of any length.
        self.to_string().parse().unwrap_or(f64::NAN)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = || {
            (self.whole.len().cmp(&other.whole.len()))
                .then_with(|| self.whole.cmp(&other.whole))
                .then_with(|| self.fraction.cmp(&other.fraction))
        };
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => size(),
            (true, true) => size().reverse(),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        f.write_str(if self.whole.is_empty() {
            "0"
        } else {
            &self.whole
        })?;
        if !self.fraction.is_empty() {
            write!(f, ".{}", self.fraction)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn a_number_is_written_in_one_way() {
        for (text, canonical) in [
            ("+007.500", "7.5"),
            ("-0", "0"),
            ("-0.0", "0"),
            (".5", "0.5"),
            (
                "-340282366920938463463374607431768211456",
                "-340282366920938463463374607431768211456",
            ),
        ] {
            assert_eq!(number(text).to_string(), canonical);
        }
        for text in [
            "", "-", "+", ".", "5.", "1e3", "0x1", " 1", "1 ", "--1", "١", "1.2.3",
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_no_machine_word_holds_is_compared_exactly() {
        assert!(number("9007199254740993") > number("9007199254740992.9999999999999999"));
        assert!(number("-100000000000000000000") < number("-99999999999999999999"));
        assert!(number("-0.1") < number("0") && number("0.09") < number("0.1"));
    }

    proptest! {
        #[test]
        fn numbers_that_fit_a_machine_word_are_ordered_as_it_is(a: i64, b: i64) {
            let (left, right) = (number(&a.to_string()), number(&b.to_string()));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(left.to_i64(), Some(a));
        }
    }
}
