//! References: `__name__:value` within a text (§10.18.2).
//!
//! A reference may stand in the middle of a word, and names may hold underscores, so that
//! `__a__b__:value` could end with the variable `__a__b__` or with `__b__`. The longest name
//! that is declared wins. The text is walked once, and no more than the length of a name is
//! looked at again.

use super::name::{self, Form};

/// What a use of a variable ends with.
pub const KEYWORD: &str = ":value";

/// A use of a variable in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'t> {
    /// The variable's name, underscores included.
    pub name: &'t str,
    /// Where it begins, in bytes.
    pub at: usize,
    /// Whether there is such a variable.
    pub declared: bool,
}

impl Reference<'_> {
    /// Where the reference ends, in bytes: just after `:value`.
    pub const fn end(&self) -> usize {
        self.at + self.name.len() + KEYWORD.len()
    }
}

/// Something that looks like a reference and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearMiss<'t> {
    /// What is written there.
    pub text: &'t str,
    /// Where it begins, in bytes.
    pub at: usize,
    /// What keeps it from being a reference.
    pub fault: Fault,
}

/// What keeps a text from being a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The name of a variable without `:value` behind it.
    NoKeyword,
    /// `:value` in other letters, such as `:Value`.
    KeywordCase,
    /// `:value` behind what wants to be a name and is none, such as `_a__` or `__2__`.
    NoName,
    /// `$$name$$`, as CACAO 1 wrote it.
    FirstEdition,
}

/// All references in a text, in order; those to undeclared variables too.
pub fn references<'t, 'd>(text: &'t str, declared: &'d dyn Fn(&str) -> bool) -> References<'t, 'd> {
    References {
        text,
        declared,
        at: 0,
        steps: 0,
    }
}

/// An iterator over the references in a text.
pub struct References<'t, 'd> {
    text: &'t str,
    declared: &'d dyn Fn(&str) -> bool,
    /// The text before is done with.
    at: usize,
    /// Bytes looked at so far, those looked at twice counted twice.
    steps: usize,
}

impl References<'_, '_> {
    /// How many bytes were looked at so far: a test holds it to the length of the text.
    #[cfg(test)]
    pub(super) const fn steps(&self) -> usize {
        self.steps
    }
}

impl<'t> References<'t, '_> {
    /// The reference whose name ends at `end` and begins at `start` or later.
    fn named(&mut self, start: usize, end: usize) -> Option<Reference<'t>> {
        let run = &self.text[start..end];
        if !run.ends_with("__") {
            return None;
        }
        let candidates = || {
            run.match_indices('_').filter_map(|(at, _)| {
                let name = &run[at..];
                Some((start + at, name, name::form_of_run(name).ok()?))
            })
        };
        let reference = |(at, name, _), declared| Reference { name, at, declared };
        let longest = candidates().find(|(_, name, _)| {
            self.steps += name.len();
            (self.declared)(name)
        });
        if let Some(longest) = longest {
            return Some(reference(longest, true));
        }
        // Nobody knows which name was meant: the longest of the stricter form, most likely.
        let strict = candidates().find(|(_, _, form)| *form == Form::Strict);
        let likely = strict.or_else(|| candidates().next())?;
        Some(reference(likely, false))
    }
}

impl<'t> Iterator for References<'t, '_> {
    type Item = Reference<'t>;

    fn next(&mut self) -> Option<Reference<'t>> {
        let mut from = self.at;
        loop {
            let keyword = from + self.text[from..].find(KEYWORD)?;
            let start = run_start(self.text, self.at, keyword);
            let end = keyword + KEYWORD.len();
            self.steps += end - from + (keyword - start);
            if let Some(found) = self.named(start, keyword) {
                self.at = end;
                return Some(found);
            }
            from = end;
        }
    }
}

/// Where the run of characters of names begins that ends at `end`, or what a name can hold of it.
fn run_start(text: &str, least: usize, end: usize) -> usize {
    let bytes = &text.as_bytes()[least..end];
    let run = bytes
        .iter()
        .rev()
        .take(name::LENGTH_MAX)
        .take_while(|byte| name::is_name_byte(**byte))
        .count();
    end - run
}

/// What looks like a reference and is none, in order.
pub fn near_misses<'t>(text: &'t str, declared: &dyn Fn(&str) -> bool) -> Vec<NearMiss<'t>> {
    let mut found = Vec::new();
    let mut references = references(text, declared).peekable();
    let mut at = 0;
    while at < text.len() {
        if let Some(reference) = references.next_if(|reference| reference.at <= at) {
            at = reference.end();
            continue;
        }
        let rest = &text.as_bytes()[at..];
        // A run of characters of names that a reference does not claim the end of.
        let stop = references.peek().map_or(text.len(), |next| next.at);
        let most = stop - at;
        let run = rest[..most]
            .iter()
            .take_while(|byte| name::is_name_byte(**byte))
            .count();
        if run > 0 {
            found.extend(near_miss(text, at, at + run, declared));
            at += run;
        } else if let Some(length) = first_edition(&text[at..], declared) {
            found.push(NearMiss {
                text: &text[at..at + length],
                at,
                fault: Fault::FirstEdition,
            });
            at += length;
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}

/// What is wrong with the word between two offsets, if it wants to be a reference.
fn near_miss<'t>(
    text: &'t str,
    start: usize,
    end: usize,
    declared: &dyn Fn(&str) -> bool,
) -> Option<NearMiss<'t>> {
    let word = &text[start..end];
    let keyword = text
        .get(end..end + KEYWORD.len())
        .filter(|keyword| keyword.eq_ignore_ascii_case(KEYWORD));
    let miss = |length, fault| NearMiss {
        text: &text[start..start + length],
        at: start,
        fault,
    };
    let is_name = name::form(word).is_ok();
    match keyword {
        Some(KEYWORD) if word.starts_with('_') || word.ends_with('_') => {
            Some(miss(word.len() + KEYWORD.len(), Fault::NoName))
        }
        Some(_) if is_name => Some(miss(word.len() + KEYWORD.len(), Fault::KeywordCase)),
        _ if is_name && declared(word) => Some(miss(word.len(), Fault::NoKeyword)),
        _ => None,
    }
}

/// The length of `$$name$$` at the beginning of a text, if there is such a variable.
fn first_edition(text: &str, declared: &dyn Fn(&str) -> bool) -> Option<usize> {
    let inner = text.strip_prefix("$$")?;
    let length = inner
        .bytes()
        .take_while(|byte| name::is_name_byte(*byte))
        .count();
    let (inner, rest) = inner.split_at(length);
    let known = length <= name::LENGTH_MAX && declared(&format!("__{inner}__"));
    (known && rest.starts_with("$$")).then_some(length + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'t>(text: &'t str, names: &[&str]) -> Vec<(&'t str, usize, bool)> {
        references(text, &|name| names.contains(&name))
            .map(|found| (found.name, found.at, found.declared))
            .collect()
    }

    #[test]
    fn references_are_found_wherever_they_stand() {
        let text = "x__ip__:value/__n__:value24 é__n__:value__n__:value";
        let n = |at| ("__n__", at, true);
        assert_eq!(
            found(text, &["__ip__", "__n__"]),
            [("__ip__", 1, true), n(14), n(30), n(41)]
        );
    }

    #[test]
    fn the_longest_declared_name_wins() {
        let text = "__a__b__:value";
        assert_eq!(found(text, &["__a__b__", "__b__"]), [("__a__b__", 0, true)]);
        assert_eq!(found(text, &["__b__", "__a__"]), [("__b__", 3, true)]);
        assert_eq!(
            found("____b__:value", &["___b__", "__b__"]),
            [("___b__", 1, true)]
        );
    }

    #[test]
    fn an_undeclared_reference_is_the_likeliest_name() {
        assert_eq!(found("__a__b__:value", &[]), [("__a__b__", 0, false)]);
        assert_eq!(found("_____a__:value", &[]), [("__a__", 3, false)]);
        assert_eq!(found("x___:value _____:value", &[]), [("_____", 11, false)]);
        let long = format!("{}__a__:value", "x".repeat(400));
        assert_eq!(found(&long, &[]), [("__a__", 400, false)]);
    }

    #[test]
    fn what_is_no_reference_is_none() {
        for text in [
            "",
            "__a__",
            "__a__value",
            "__a__: value",
            "a:value",
            "_a__:value",
            "__é__:value",
        ] {
            assert_eq!(found(text, &["__a__"]), [], "{text}");
        }
    }

    fn missed(text: &str) -> Vec<(&str, Fault)> {
        near_misses(text, &|name| name == "__ip__" || name == "__x__")
            .into_iter()
            .map(|miss| {
                assert_eq!(&text[miss.at..miss.at + miss.text.len()], miss.text);
                (miss.text, miss.fault)
            })
            .collect()
    }

    #[test]
    fn near_misses_are_told_by_their_fault() {
        assert_eq!(missed("ping __ip__ é"), [("__ip__", Fault::NoKeyword)]);
        assert_eq!(
            missed("(__ip__:Value)"),
            [("__ip__:Value", Fault::KeywordCase)]
        );
        assert_eq!(missed("_ip__:value"), [("_ip__:value", Fault::NoName)]);
        assert_eq!(missed("__2__:value"), [("__2__:value", Fault::NoName)]);
        assert_eq!(missed("$$ip$$ costs $$"), [("$$ip$$", Fault::FirstEdition)]);
        assert_eq!(
            missed("__ip__:value __ip__ __x__:value,__x__"),
            [("__ip__", Fault::NoKeyword), ("__x__", Fault::NoKeyword)]
        );
    }

    #[test]
    fn references_and_the_words_of_others_are_no_near_misses() {
        for text in [
            "__ip__:value",
            "x__ip__:value.__x__:value",
            "def __init__(self): pass",
            "{\"key:value\": $HOME}",
            "$$ls$$ $$__x",
        ] {
            assert_eq!(missed(text), [], "{text}");
        }
    }

    #[test]
    fn the_work_grows_as_the_text_does() {
        let steps = |references: usize, filler: &str| {
            let text = format!("{filler}__x__:value").repeat(references);
            let none = |_: &str| false;
            let mut walk = super::references(&text, &none);
            assert_eq!(walk.by_ref().count(), references);
            (walk.steps(), text.len())
        };
        // In a row of underscores, every one could begin a name.
        for (filler, each) in [
            ("y".repeat(89), 3),
            (" :value__".repeat(10), 3),
            ("_".repeat(25), 20),
        ] {
            let (one, length) = steps(5_000, &filler);
            let (two, _) = steps(10_000, &filler);
            assert!(two <= 2 * one, "{one} then {two} steps");
            assert!(one <= each * length, "{one} steps for {length} bytes");
        }
    }
}
