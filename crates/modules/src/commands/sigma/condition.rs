//! The condition of a rule: names of searches joined by `and`, `or`, `not` and parentheses, and
//! `1 of name*`, `all of them` and the like.
//!
//! Nesting is bounded, so is the length; aggregations (`| count()`) are refused.

use std::collections::BTreeMap;

/// A longer condition is not taken.
const LENGTH_MAX: usize = 8 * 1024;

/// A deeper nesting is not taken.
const DEPTH_MAX: usize = 32;

/// A condition over searches by name.
#[derive(Debug, PartialEq)]
pub(super) enum Condition {
    Search(String),
    /// At least so many of the named searches.
    Of(usize, Vec<String>),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

impl Condition {
    /// Reads a condition over these searches.
    pub(super) fn parse<T>(text: &str, searches: &BTreeMap<String, T>) -> Result<Self, String> {
        if text.len() > LENGTH_MAX {
            return Err(format!("the condition is longer than {LENGTH_MAX} bytes"));
        }
        let names = searches.keys().map(String::as_str).collect();
        let mut parser = Parser {
            words: words(text),
            at: 0,
            names,
        };
        let condition = parser.any(0)?;
        match parser.peek() {
            None => Ok(condition),
            Some(word) => Err(format!("the condition goes on with `{word}`")),
        }
    }

    /// Whether it holds; `holds` tells of one search.
    pub(super) fn holds<E>(
        &self,
        holds: &mut impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<bool, E> {
        match self {
            Self::Search(name) => holds(name),
            Self::Not(inner) => Ok(!inner.holds(holds)?),
            Self::All(parts) => {
                for part in parts {
                    if !part.holds(holds)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(parts) => {
                for part in parts {
                    if part.holds(holds)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Of(least, names) => {
                let mut found = 0;
                for name in names {
                    found += usize::from(holds(name)?);
                    if found >= *least {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

fn words(text: &str) -> Vec<String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    spaced.split_whitespace().map(str::to_owned).collect()
}

struct Parser<'a> {
    words: Vec<String>,
    at: usize,
    names: Vec<&'a str>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).map(String::as_str)
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_next = self
            .peek()
            .is_some_and(|next| next.eq_ignore_ascii_case(word));
        self.at += usize::from(is_next);
        is_next
    }

    fn any(&mut self, depth: usize) -> Result<Condition, String> {
        let mut parts = vec![self.all(depth)?];
        while self.takes("or") {
            parts.push(self.all(depth)?);
        }
        Ok(single(parts, Condition::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Condition, String> {
        let mut parts = vec![self.one(depth)?];
        while self.takes("and") {
            parts.push(self.one(depth)?);
        }
        Ok(single(parts, Condition::All))
    }

    fn one(&mut self, depth: usize) -> Result<Condition, String> {
        if depth > DEPTH_MAX {
            return Err(format!("the condition is nested deeper than {DEPTH_MAX}"));
        }
        if self.takes("not") {
            return Ok(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes("(") {
            let inner = self.any(depth + 1)?;
            if !self.takes(")") {
                return Err("a parenthesis of the condition is not closed".to_owned());
            }
            return Ok(inner);
        }
        let word = self
            .peek()
            .ok_or("the condition ends too early")?
            .to_owned();
        self.at += 1;
        if self.takes("of") {
            return self.of(&word);
        }
        if self.names.contains(&word.as_str()) {
            return Ok(Condition::Search(word));
        }
        Err(format!(
            "the condition names `{word}`, and there is no such search"
        ))
    }

    /// What stands behind `1 of` or `all of`.
    fn of(&mut self, amount: &str) -> Result<Condition, String> {
        let pattern = self
            .peek()
            .ok_or("the condition ends too early")?
            .to_owned();
        self.at += 1;
        let is_meant = |name: &&str| match pattern.as_str() {
            "them" => !name.starts_with('_'),
            pattern => match pattern.split_once('*') {
                None => *name == pattern,
                Some((start, end)) => {
                    name.len() >= start.len() + end.len()
                        && name.starts_with(start)
                        && name.ends_with(end)
                }
            },
        };
        let names: Vec<_> = self
            .names
            .iter()
            .copied()
            .filter(is_meant)
            .map(str::to_owned)
            .collect();
        if names.is_empty() {
            return Err(format!(
                "the condition names `{pattern}`, and there is no such search"
            ));
        }
        let least = match amount {
            "all" => names.len(),
            "any" => 1,
            number => number
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| format!("the condition asks for `{number} of`"))?,
        };
        Ok(Condition::Of(least, names))
    }
}

fn single(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            join(parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> Result<bool, String> {
        let searches = [
            ("sel_a", true),
            ("sel_b", false),
            ("other", true),
            ("_x", false),
        ];
        let searches: BTreeMap<_, _> = searches
            .map(|(name, holds)| (name.to_owned(), holds))
            .into();
        let condition = Condition::parse(text, &searches)?;
        condition.holds(&mut |name| Ok(searches[name]))
    }

    #[test]
    fn conditions_hold_as_sigma_has_it() {
        let table = [
            ("sel_a", true),
            ("not sel_a", false),
            ("sel_b or sel_a and other", true),
            ("sel_b or sel_a and not other", false),
            ("(sel_b or sel_a) and other", true),
            ("not (sel_b or sel_a) or other", true),
            ("not not sel_a", true),
            ("1 of sel_*", true),
            ("all of sel_*", false),
            ("2 of them", true),
            ("all of them", false),
            ("any of *_b", false),
            ("sel_a AND NOT 1 OF sel_b*", true),
        ];
        for (text, expected) in table {
            assert_eq!(holds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        let deep = "(".repeat(100) + "sel_a" + &")".repeat(100);
        let nots = "not ".repeat(100) + "sel_a";
        let long = "sel_a or ".repeat(2000) + "sel_a";
        for text in [
            "",
            "sel_a and",
            "(sel_a",
            "sel_a)",
            "sel_a sel_b",
            "nope",
            "1 of nope*",
            "0 of sel_*",
            "sel_a | count() > 3",
            "x of sel_*",
            &deep,
            &nots,
            &long,
        ] {
            assert!(holds(text).is_err(), "{text}");
        }
    }
}
