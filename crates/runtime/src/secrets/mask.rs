//! Replaces known secret values in text by `***name***`.
//!
//! A value leaks not only as itself: it is also looked for as base64 (in both
//! alphabets and at each of the three alignments, since `user:secret` in an
//! `Authorization` header shifts it), percent-encoded, and as escaped in JSON.
//! Each long line of a value of several lines (a key file) is looked for by
//! itself. All forms are matched in one pass.
//!
//! Masking is the last net, not the rule: values are kept out of texts in the
//! first place. It can't find a value that was hashed, compressed, split or
//! encoded twice.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aho_corasick::{AhoCorasick, MatchKind};
use arc_swap::ArcSwapOption;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Shorter values are not masked: they would be found in ordinary words.
pub const SHORTEST_MASKED: usize = 4;

/// Shorter lines of a value of several lines are not looked for by themselves.
const SHORTEST_LINE: usize = 16;

/// What RFC 3986 leaves as it is in a URL.
const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Knows secret values and replaces them. Clones share what they know.
#[derive(Clone, Default)]
pub struct Masker(Arc<Known>);

#[derive(Default)]
struct Known {
    /// Each form of each value, with the secret's name.
    forms: Mutex<BTreeMap<String, String>>,
    matcher: ArcSwapOption<Matcher>,
}

struct Matcher {
    automaton: AhoCorasick,
    replacements: Vec<String>,
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masker(..)")
    }
}

impl Masker {
    /// Adds a value. Old values stay known: a rotated secret may still be
    /// valid, and its old value may still be on its way into a text.
    pub fn learn(&self, name: &str, value: &SecretString) {
        let value = value.expose_secret();
        if value.len() < SHORTEST_MASKED {
            return;
        }
        let mut forms = self.0.forms.lock().unwrap_or_else(PoisonError::into_inner);
        if forms.contains_key(value) {
            return;
        }
        for form in forms_of(value) {
            forms.entry(form).or_insert_with(|| name.to_owned());
        }
        match Matcher::new(&forms) {
            Ok(matcher) => self.0.matcher.store(Some(Arc::new(matcher))),
            Err(error) => {
                forms.remove(value);
                tracing::error!(secret = name, %error, "secret can't be masked");
            }
        }
    }

    /// The text with every known value replaced; the same text where it has none.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &*self.0.matcher.load() {
            Some(matcher) if matcher.automaton.is_match(text) => {
                Cow::Owned(matcher.automaton.replace_all(text, &matcher.replacements))
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// Masks every string and every key of a JSON value.
    ///
    /// The depth is that of the value, which its parser has limited.
    pub fn mask_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.mask(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_json(item)),
            Value::Object(members) => {
                if members
                    .keys()
                    .any(|key| matches!(self.mask(key), Cow::Owned(_)))
                {
                    *members = std::mem::take(members)
                        .into_iter()
                        .map(|(key, member)| (self.mask(&key).into_owned(), member))
                        .collect();
                }
                members
                    .values_mut()
                    .for_each(|member| self.mask_json(member));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

impl Matcher {
    fn new(forms: &BTreeMap<String, String>) -> Result<Self, aho_corasick::BuildError> {
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(forms.keys())?;
        let replacements = forms.values().map(|name| format!("***{name}***")).collect();
        Ok(Self {
            automaton,
            replacements,
        })
    }
}

fn forms_of(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned(), json_escaped(value)];
    let encoded = utf8_percent_encode(value, &RESERVED).to_string();
    // The form of HTML forms, and the lower-case digits some encoders write.
    forms.push(encoded.replace("%20", "+"));
    forms.push(lower_escapes(&encoded));
    forms.push(encoded);
    for shift in 0..3 {
        forms.extend(base64_core(value.as_bytes(), shift, &STANDARD_NO_PAD));
        forms.extend(base64_core(value.as_bytes(), shift, &URL_SAFE_NO_PAD));
    }
    if value.contains('\n') {
        let lines = value.lines().map(str::trim);
        let secret = |line: &&str| line.len() >= SHORTEST_LINE && !line.starts_with("-----");
        forms.extend(lines.filter(secret).map(str::to_owned));
    }
    forms
}

fn json_escaped(value: &str) -> String {
    let quoted = Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn lower_escapes(encoded: &str) -> String {
    let mut digits = 0;
    encoded
        .chars()
        .map(|char| {
            if char == '%' {
                digits = 2;
                return char;
            }
            if digits == 0 {
                return char;
            }
            digits -= 1;
            char.to_ascii_lowercase()
        })
        .collect()
}

/// The base64 characters that depend on `value` alone when `shift` unknown
/// bytes stand before it and any bytes may follow.
fn base64_core(value: &[u8], shift: usize, alphabet: &impl Engine) -> Option<String> {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(value);
    let encoded = alphabet.encode(&bytes);
    let first = (shift * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    let core = encoded.get(first..end)?;
    (core.len() >= SHORTEST_MASKED).then(|| core.to_owned())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn masker(value: &str) -> Masker {
        let masker = Masker::default();
        masker.learn("db", &value.into());
        masker
    }

    #[test]
    fn a_value_is_masked_as_itself_and_in_every_encoding() {
        let value = "p/ss w\"rd+ü!";
        let masker = masker(value);
        for text in [
            value.to_owned(),
            "p%2Fss%20w%22rd%2B%C3%BC%21".to_owned(),
            "p%2fss%20w%22rd%2b%c3%bc%21".to_owned(),
            "p%2Fss+w%22rd%2B%C3%BC%21".to_owned(),
            serde_json::to_string(value).unwrap(),
            STANDARD.encode(value),
        ] {
            let masked = masker.mask(&text).into_owned();
            assert!(masked.contains("***db***"), "{text} -> {masked}");
        }
    }

    #[test]
    fn a_value_inside_base64_is_masked_at_every_alignment() {
        let masker = masker("correct horse battery");
        for user in ["", "a", "ab", "abc", "admin"] {
            for end in ["", "x", "xy", "xyz"] {
                let header = STANDARD.encode(format!("{user}:correct horse battery{end}"));
                let masked = masker.mask(&header).into_owned();
                assert!(masked.contains("***db***"), "{user} {end}: {masked}");
            }
        }
    }

    #[test]
    fn text_without_a_value_is_borrowed_unchanged() {
        assert!(matches!(
            masker("hunter22").mask("nothing here"),
            Cow::Borrowed(_)
        ));
        assert!(matches!(
            Masker::default().mask("nothing"),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn the_longer_of_two_values_wins() {
        let masker = masker("token");
        masker.learn("long", &"token-extended".into());
        assert_eq!(masker.mask("a token-extended b"), "a ***long*** b");
        assert_eq!(masker.mask("a token b"), "a ***db*** b");
    }

    #[test]
    fn keys_and_strings_of_json_are_masked() {
        let mut value = serde_json::json!({ "hunter22": ["x hunter22", 1, null] });
        masker("hunter22").mask_json(&mut value);
        assert_eq!(
            value,
            serde_json::json!({ "***db***": ["x ***db***", 1, null] })
        );
    }

    #[test]
    fn each_long_line_of_a_key_file_is_masked() {
        let masker = masker("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nshort\n-----END KEY-----");
        assert_eq!(masker.mask("saw MIIEvQIBADANBgkqhkiG"), "saw ***db***");
        assert_eq!(masker.mask("-----BEGIN KEY-----"), "-----BEGIN KEY-----");
    }

    #[test]
    fn debug_shows_no_value() {
        assert!(!format!("{:?}", masker("hunter22")).contains("hunter22"));
    }
}
