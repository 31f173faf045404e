//! The form of a token's value: `conche_`, 256 random bits in hexadecimal, and the first eight
//! hexadecimal digits of the SHA-256 of all before them.
//!
//! The prefix lets a scanner for secrets find one that leaked; the checksum tells it, and us,
//! from a text that only looks alike, without asking anybody. The value is shown once and kept
//! nowhere: only its digest is.

use std::fmt::Write as _;

use conche_core::Digest;
use ring::rand::{SecureRandom as _, SystemRandom};

const PREFIX: &str = "conche_";
const RANDOM_BYTES: usize = 32;
const CHECK_DIGITS: usize = 8;

/// The operating system has no randomness to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random numbers")]
pub struct NoRandomness;

/// Makes a new value.
///
/// # Errors
/// [`NoRandomness`]; no weaker source is tried.
pub fn generate() -> Result<String, NoRandomness> {
    let mut random = [0; RANDOM_BYTES];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_unspecified| NoRandomness)?;
    let value = PREFIX.to_owned() + &hexadecimal(&random);
    let check = check_of(&value);
    Ok(value + &check)
}

/// Whether a text has the form of a token that was made here.
pub(crate) fn is_well_formed(text: &str) -> bool {
    let Some((body, check)) = text
        .len()
        .checked_sub(CHECK_DIGITS)
        .and_then(|at| text.split_at_checked(at))
    else {
        return false;
    };
    let digits = body.strip_prefix(PREFIX).unwrap_or_default();
    let is_hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits.len() == 2 * RANDOM_BYTES
        && digits.bytes().all(is_hexadecimal)
        && check == check_of(body)
}

fn check_of(body: &str) -> String {
    let digest = Digest::of(body.as_bytes());
    hexadecimal(&digest.as_bytes()[..CHECK_DIGITS / 2])
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String can't fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_well_formed_and_never_the_same() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert!(is_well_formed(&one) && is_well_formed(&other));
        assert_ne!(one, other);
        assert_eq!(one.len(), 7 + 64 + 8);
    }

    #[test]
    fn the_checksum_is_what_the_page_says_it_is() {
        // printf %s conche_00…00 | sha256sum | cut -c1-8
        let value = format!("conche_{}", "0".repeat(64));
        assert!(is_well_formed(&(value + "af9e12b7")));
    }

    #[test]
    fn what_is_not_whole_is_no_token() {
        let value = generate().unwrap();
        let other = if value.ends_with('0') { '1' } else { '0' };
        let changed = format!("{}{other}", &value[..value.len() - 1]);
        for text in [
            "",
            "conche_",
            "ä",
            &changed,
            &value[1..],
            &value[..value.len() - 1],
            &format!("{value}0"),
            &value.to_uppercase(),
            &value.replace("conche_", "couche_"),
        ] {
            assert!(!is_well_formed(text), "{text}");
        }
    }
}
