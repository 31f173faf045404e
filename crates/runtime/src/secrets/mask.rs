//! Replaces known secret values in text by `***name***`.
//!
//! A value leaks not only as itself: it is also looked for as base64 (in both
//! alphabets and at each of the three alignments, since `user:secret` in an
//! `Authorization` header shifts it), percent-encoded, and as escaped in JSON,
//! whichever of its characters are encoded or escaped. Each long line of a
//! value of several lines (a key file) is looked for by itself. All forms are
//! matched in one pass over the text, and one more over it without its escapes.
//!
//! What the server itself knows is masked everywhere. What one run brought, by a variable or in
//! its playbook, is masked in what that run's calls say and nowhere else: whoever may start a
//! playbook would decide else what others' runs get to read.
//!
//! Masking is the last net, not the rule: values are kept out of texts in the
//! first place. It can't find a value that was hashed, compressed, split or
//! encoded twice.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::BTreeMap,
    fmt,
    future::Future,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use arc_swap::ArcSwapOption;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::view::View;

/// Shorter values are not masked: they would be found in ordinary words.
pub const SHORTEST_MASKED: usize = 4;

/// Shorter lines of a value of several lines are not looked for by themselves.
const SHORTEST_LINE: usize = 16;

tokio::task_local! {
    /// What the run knows on whose behalf this task calls a module.
    static OWN: Own;
}

/// Knows secret values and replaces them. Clones share what they know.
#[derive(Clone, Default)]
pub struct Masker {
    known: Arc<Known>,
    /// That of the run for whose call it was taken.
    own: Option<Own>,
}

/// Values that one run brought. Clones share what they know.
#[derive(Clone, Default)]
pub struct Own(Arc<Known>);

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

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own(..)")
    }
}

impl Own {
    /// Does a part of the run's work: every masker knows the run's values as well meanwhile, and
    /// those taken meanwhile do so for good.
    pub async fn scope<F: Future>(&self, work: F) -> F::Output {
        OWN.scope(self.clone(), work).await
    }

    /// The same for what does not wait.
    pub fn sync_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        OWN.sync_scope(self.clone(), work)
    }

    /// That of the run for which this task works, if it does for one.
    fn current() -> Option<Self> {
        OWN.try_with(Self::clone).ok()
    }
}

impl Masker {
    /// Adds a value for good. Old values stay known: a rotated secret may still be
    /// valid, and its old value may still be on its way into a text.
    pub fn learn(&self, name: &str, value: &SecretString) {
        self.known.learn(name, value);
    }

    /// Adds a value that a run brought: for that run, where this task works for one.
    pub(super) fn learn_own(&self, name: &str, value: &SecretString) {
        let own = Own::current().or_else(|| self.own.clone());
        own.map_or_else(|| self.known.clone(), |own| own.0)
            .learn(name, value);
    }

    /// The same that knows the values of the run for which this task works also elsewhere.
    pub(super) fn taken(&self) -> Self {
        Self {
            known: self.known.clone(),
            own: Own::current().or_else(|| self.own.clone()),
        }
    }

    /// The text with every known value replaced; the same text where it has none.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let own = Own::current().or_else(|| self.own.clone());
        let own = own.map(|own| own.0.matcher.load_full());
        let matchers = [self.known.matcher.load_full(), own.flatten()];
        let matchers: Vec<Arc<Matcher>> = matchers.into_iter().flatten().collect();
        let mut found: Vec<_> = matchers.iter().flat_map(|one| one.find(text)).collect();
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_by_key(|(part, _)| (part.start, Reverse(part.end)));
        let mut masked = String::with_capacity(text.len());
        let mut at = 0;
        for (part, replacement) in found {
            if part.start >= at {
                masked.push_str(&text[at..part.start]);
                masked.push_str(replacement);
            }
            at = at.max(part.end);
        }
        masked.push_str(&text[at..]);
        Cow::Owned(masked)
    }

    /// Masks every string and every key of a JSON value. A number that is a
    /// known value becomes a string.
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
            Value::Number(number) => {
                if let Cow::Owned(masked) = self.mask(&number.to_string()) {
                    *value = Value::String(masked);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

impl Known {
    fn learn(&self, name: &str, value: &SecretString) {
        let value = value.expose_secret();
        if value.len() < SHORTEST_MASKED {
            return;
        }
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        if forms.contains_key(value) {
            return;
        }
        for form in forms_of(value) {
            forms.entry(form).or_insert_with(|| name.to_owned());
        }
        match Matcher::new(&forms) {
            Ok(matcher) => self.matcher.store(Some(Arc::new(matcher))),
            Err(error) => {
                forms.remove(value);
                tracing::error!(secret = name, %error, "secret can't be masked");
            }
        }
    }
}

impl Matcher {
    fn new(forms: &BTreeMap<String, String>) -> Result<Self, aho_corasick::BuildError> {
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            // The fastest kind takes a hundred times as much memory as this one.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(forms.keys())?;
        let replacements = forms.values().map(|name| format!("***{name}***")).collect();
        Ok(Self {
            automaton,
            replacements,
        })
    }

    /// The parts of the text that give a value away, with what they are to be
    /// replaced by. They may overlap.
    fn find<'a>(&'a self, text: &str) -> Vec<(Range<usize>, &'a str)> {
        let mut found = self.matches(text.as_bytes());
        for view in [View::of_json(text), View::of_percent(text)]
            .into_iter()
            .flatten()
        {
            let matches = self.matches(&view.bytes).into_iter();
            found.extend(matches.map(|(part, name)| (view.origin(part), name)));
        }
        found
    }

    fn matches<'a>(&'a self, bytes: &[u8]) -> Vec<(Range<usize>, &'a str)> {
        let matches = self.automaton.find_iter(bytes).map(|found| {
            let replacement = &self.replacements[found.pattern().as_usize()];
            (found.range(), replacement.as_str())
        });
        matches.collect()
    }
}

fn forms_of(value: &str) -> Vec<String> {
    // HTML forms write a blank as `+`.
    let mut forms = vec![value.to_owned(), value.replace(' ', "+")];
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
    fn a_value_is_masked_however_many_of_its_characters_are_escaped() {
        let masker = masker("hunter/22 \u{1f600}");
        for text in [
            r"x hunter\/22 \ud83d\ude00 y",
            r"x \u0068unter/22\u0020\uD83D\uDE00 y",
            r"x \u0068\u0075\u006e\u0074\u0065\u0072\u002F\u0032\u0032\u0020\ud83d\ude00 y",
            "x hunter%2f22%20%F0%9f%98%80 y",
            "x %68unter/22+%F0%9F%98%80 y",
        ] {
            assert_eq!(masker.mask(text), "x ***db*** y", "{text}");
        }
        let whole = "hunter/22 \u{1f600} a\\/b hunter\\/22 \u{1f600}%";
        assert_eq!(masker.mask(whole), "***db*** a\\/b ***db***%");
        // What PHP makes of base64.
        let encoded = STANDARD
            .encode("???>>>hunter/22 \u{1f600}")
            .replace('/', "\\/");
        assert!(masker.mask(&encoded).contains("***db***"), "{encoded}");
    }

    #[test]
    fn a_text_full_of_escapes_is_masked_in_time() {
        let masker = masker("aaaaaaab");
        for piece in ["\\u0061", "%61", "\\", "%", "a", "\\ud83d"] {
            let text = piece.repeat(200_000);
            let began = std::time::Instant::now();
            assert_eq!(masker.mask(&text), text);
            let took = began.elapsed();
            assert!(took.as_secs() < 5, "{piece}: {took:?}");
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
        let mut value = serde_json::json!({ "24681357": ["x 24681357", 1, 24_681_357, null] });
        masker("24681357").mask_json(&mut value);
        assert_eq!(
            value,
            serde_json::json!({ "***db***": ["x ***db***", 1, "***db***", null] })
        );
    }

    #[test]
    fn each_long_line_of_a_key_file_is_masked() {
        let masker = masker("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nshort\n-----END KEY-----");
        assert_eq!(masker.mask("saw MIIEvQIBADANBgkqhkiG"), "saw ***db***");
        assert_eq!(masker.mask("-----BEGIN KEY-----"), "-----BEGIN KEY-----");
    }

    #[test]
    fn what_a_run_brought_is_masked_for_that_run_alone() {
        let all = masker("hunter22");
        let (one, other) = (Own::default(), Own::default());
        one.sync_scope(|| all.learn_own("own", &"clean".into()));
        let text = "clean hunter22";
        assert_eq!(all.mask(text), "clean ***db***");
        other.sync_scope(|| assert_eq!(all.mask(text), "clean ***db***"));
        one.sync_scope(|| assert_eq!(all.mask(text), "***own*** ***db***"));
        // Taken for one of its calls, and used where a task of the module is at work.
        let taken = one.sync_scope(|| all.taken());
        assert_eq!(taken.mask(text), "***own*** ***db***");
        other.sync_scope(|| taken.learn_own("other", &"other's".into()));
        assert_eq!(taken.mask("other's"), "other's");
    }

    #[test]
    fn a_long_value_takes_little_memory() {
        let all = masker(&"0123456789abcdef".repeat(4096));
        let matcher = all.known.matcher.load_full().expect("a matcher");
        assert!(matcher.automaton.memory_usage() < 32 << 20);
    }

    #[test]
    fn debug_shows_no_value() {
        assert!(!format!("{:?}", masker("hunter22")).contains("hunter22"));
    }
}
