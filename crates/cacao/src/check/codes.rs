//! The one table of all checks: code, name, and what a finding weighs in each profile.
//!
//! A code never changes its meaning and is never used again. Each has a page in
//! `docs/errors/`.

use self::Level::{Error as E, Off as O, Warning as W};
use crate::Profile;

/// What a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Not reported.
    Off,
    /// Reported; the document stays valid.
    Warning,
    /// The document is not valid.
    Error,
}

/// One check.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Its code, such as `CACAO002`.
    pub code: &'static str,
    /// Its name, such as `missing-property`.
    pub name: &'static str,
    /// What it looks for, in a sentence.
    pub about: &'static str,
    levels: [Level; 3],
}

impl Check {
    /// What its findings weigh in a profile.
    pub const fn level(&self, profile: Profile) -> Level {
        match profile {
            Profile::Lenient => self.levels[0],
            Profile::Standard => self.levels[1],
            Profile::Strict => self.levels[2],
        }
    }
}

macro_rules! checks {
    ($($constant:ident $code:literal $name:literal $lenient:ident $standard:ident $strict:ident $about:literal;)+) => {
        $(
            #[doc = $about]
            pub static $constant: Check = Check {
                code: $code,
                name: $name,
                about: $about,
                levels: [$lenient, $standard, $strict],
            };
        )+

        /// Every check, in the order of the codes.
        pub static ALL: &[&Check] = &[$(&$constant),+];
    };
}

// The three letters are lenient, standard and strict: Error, Warning, Off.
checks! {
    // The form of single values.
    JSON "CACAO001" "json" E E E "The text is I-JSON: names once, numbers exact, text of real characters.";
    MISSING "CACAO002" "missing-property" E E E "What an object must have is there.";
    KIND "CACAO003" "json-type" E E E "A value is of the JSON type that its property has.";
    UNKNOWN_PROPERTY "CACAO004" "unknown-property" W W E "CACAO knows the property.";
    CLOSED_WORD "CACAO005" "closed-vocabulary" E E E "A word is of its closed vocabulary.";
    OPEN_WORD "CACAO006" "open-vocabulary" O W W "A word is of its open vocabulary.";
    IDENTIFIER "CACAO007" "identifier" E E E "An identifier is a type, two hyphens and a UUID of RFC 4122.";
    TIMESTAMP "CACAO008" "timestamp" E E E "A timestamp is RFC 3339 in UTC, and on the calendar.";
    MILLISECONDS "CACAO009" "milliseconds" W E E "`created` and `modified` have exactly three decimals.";
    RANGE "CACAO010" "range" E E E "A number is within its range.";
    FEW "CACAO011" "too-few" W E E "A list or dictionary has as many elements as it must.";
    FIXED "CACAO012" "fixed-value" E E E "`type` and `spec_version` hold what they must.";
    NAME "CACAO013" "dictionary-name" W E E "Names in dictionaries are of the characters that they may be of.";
    IDENTIFIER_KIND "CACAO014" "identifier-type" E E E "An identifier names an object of a type that belongs there.";
    BASE64 "CACAO015" "base64" E E E "What is called base64 is base64.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_unique_and_names_too() {
        for (number, pair) in ALL.windows(2).enumerate() {
            assert!(
                pair[0].code < pair[1].code,
                "{} {}",
                pair[0].code,
                pair[1].code
            );
            let names = ALL.iter().filter(|check| check.name == pair[0].name);
            assert_eq!(names.count(), 1, "{} (check {number})", pair[0].name);
        }
    }

    #[test]
    fn a_stricter_profile_never_weighs_less() {
        let weight = |level| match level {
            Level::Off => 0,
            Level::Warning => 1,
            Level::Error => 2,
        };
        for check in ALL {
            let [lenient, standard, strict] = check.levels.map(weight);
            assert!(lenient <= standard && standard <= strict, "{}", check.code);
        }
    }
}
