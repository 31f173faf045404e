//! One field of a search, `name|modifier|modifier: value` or a list of values, and the values
//! that an event has for it.
//!
//! A name with dots is a key of the event, or leads through objects and lists; of a list any
//! element may match.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use regex::RegexBuilder;
use serde_json::Value;

use super::pattern::{Budget, Glob, Order, Place, Spent, Test, Token, text};

/// What all searches of a rule may have.
#[derive(Debug)]
pub(super) struct Limits {
    tests: usize,
    expressions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tests: 2000,
            expressions: 64,
        }
    }
}

impl Limits {
    fn test(&mut self) -> Result<(), String> {
        let left = self.tests.checked_sub(1);
        self.tests = left.ok_or("the rule has more than 2000 values")?;
        Ok(())
    }

    fn expression(&mut self) -> Result<(), String> {
        let left = self.expressions.checked_sub(1);
        self.expressions = left.ok_or("the rule has more than 64 expressions")?;
        Ok(())
    }
}

/// An expression may take so much memory.
const EXPRESSION_BYTES: usize = 512 * 1024;

/// Characters that stand for a dash before an option.
const DASHES: [&str; 5] = ["-", "/", "\u{2013}", "\u{2014}", "\u{2015}"];

/// What is asked of a field.
#[derive(Debug)]
pub(super) struct Check {
    /// The field; none for any value of the event.
    name: Option<String>,
    asks: Asks,
}

#[derive(Debug)]
enum Asks {
    /// Any of the tests, or all of them.
    Tests {
        all: bool,
        tests: Vec<Test>,
    },
    Exists(bool),
    /// The value of another field.
    Same {
        other: String,
        how: How,
    },
}

/// How a text is looked for.
#[derive(Debug, Clone, Copy)]
struct How {
    place: Place,
    cased: bool,
}

/// The modifiers of a field.
#[derive(Debug, Default)]
struct Modifiers<'a> {
    place: Option<Place>,
    all: bool,
    cased: bool,
    kind: Option<&'a str>,
    flags: Vec<&'a str>,
    encodings: Vec<&'a str>,
}

impl<'a> Modifiers<'a> {
    fn parse(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut modifiers = Self::default();
        for word in words {
            match word {
                "contains" => modifiers.place = Some(Place::Anywhere),
                "startswith" => modifiers.place = Some(Place::Start),
                "endswith" => modifiers.place = Some(Place::End),
                "all" => modifiers.all = true,
                "cased" => modifiers.cased = true,
                "re" | "cidr" | "lt" | "lte" | "gt" | "gte" | "exists" | "fieldref"
                    if modifiers.kind.is_none() =>
                {
                    modifiers.kind = Some(word);
                }
                "i" | "m" | "s" if modifiers.kind == Some("re") => modifiers.flags.push(word),
                "windash" | "wide" | "utf16" | "utf16le" | "utf16be" | "base64"
                | "base64offset" => modifiers.encodings.push(word),
                other => return Err(format!("the modifier `{other}` is not known")),
            }
        }
        Ok(modifiers)
    }

    fn how(&self) -> How {
        How {
            place: self.place.unwrap_or(Place::Whole),
            cased: self.cased,
        }
    }
}

impl Check {
    pub(super) fn new(key: &str, value: &Value, limits: &mut Limits) -> Result<Self, String> {
        let mut words = key.split('|');
        let name = words.next().filter(|name| !name.is_empty());
        let mut modifiers = Modifiers::parse(words)?;
        if name.is_none() && modifiers.place.is_none() {
            // Words without a field are looked for anywhere in a value.
            modifiers.place = Some(Place::Anywhere);
        }
        let asks = match (modifiers.kind, value) {
            (Some("exists"), Value::Bool(exists)) => Asks::Exists(*exists),
            (Some("exists"), _) => return Err(format!("`{key}` must be true or false")),
            (Some("fieldref"), Value::String(other)) => Asks::Same {
                other: other.clone(),
                how: modifiers.how(),
            },
            (Some("fieldref"), _) => return Err(format!("`{key}` must name a field")),
            _ => Asks::Tests {
                all: modifiers.all,
                tests: tests(key, value, &modifiers, limits)?,
            },
        };
        Ok(Self {
            name: name.map(str::to_owned),
            asks,
        })
    }

    /// Whether an event passes.
    pub(super) fn holds(&self, event: &Value, budget: &mut Budget) -> Result<bool, Spent> {
        let values = self.values(event, budget)?;
        match &self.asks {
            Asks::Exists(exists) => Ok(values.is_empty() != *exists),
            Asks::Tests { all, tests } => {
                for test in tests {
                    if passes(test, &values, budget)? != *all {
                        return Ok(!*all);
                    }
                }
                Ok(*all)
            }
            Asks::Same { other, how } => {
                let mut others = Vec::new();
                named(event, other, &mut others, budget)?;
                for text in others.into_iter().filter_map(text) {
                    let tokens = text.chars().map(Token::Char).collect();
                    let test = Test::Text(vec![Glob::new(tokens, how.place, how.cased)]);
                    if passes(&test, &values, budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    fn values<'e>(&self, event: &'e Value, budget: &mut Budget) -> Result<Vec<&'e Value>, Spent> {
        let mut values = Vec::new();
        match &self.name {
            Some(name) => named(event, name, &mut values, budget)?,
            None => scalars(event, true, &mut values, budget)?,
        }
        Ok(values)
    }
}

/// Words looked for anywhere in an event: any of a list, or one.
pub(super) fn keywords(value: &Value, limits: &mut Limits) -> Result<Check, String> {
    Check::new("", value, limits)
}

fn passes(test: &Test, values: &[&Value], budget: &mut Budget) -> Result<bool, Spent> {
    if values.is_empty() {
        return Ok(matches!(test, Test::Absent));
    }
    for value in values {
        if test.passes(value, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The scalars that a name leads to.
fn named<'e>(
    event: &'e Value,
    name: &str,
    found: &mut Vec<&'e Value>,
    budget: &mut Budget,
) -> Result<(), Spent> {
    budget.take(name.len())?;
    match event {
        Value::Array(items) => {
            for item in items {
                named(item, name, found, budget)?;
            }
        }
        Value::Object(members) => {
            if let Some(value) = members.get(name) {
                return scalars(value, false, found, budget);
            }
            for (at, _) in name.match_indices('.') {
                if let Some(value) = members.get(&name[..at]) {
                    named(value, &name[at + 1..], found, budget)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// The scalars of a value and of its lists, and of its objects where `deep`.
fn scalars<'e>(
    value: &'e Value,
    deep: bool,
    found: &mut Vec<&'e Value>,
    budget: &mut Budget,
) -> Result<(), Spent> {
    budget.take(0)?;
    match value {
        Value::Array(items) => {
            for item in items {
                scalars(item, deep, found, budget)?;
            }
        }
        Value::Object(members) => {
            for member in members.values().filter(|_| deep) {
                scalars(member, deep, found, budget)?;
            }
        }
        scalar => found.push(scalar),
    }
    Ok(())
}

fn tests(
    key: &str,
    value: &Value,
    modifiers: &Modifiers<'_>,
    limits: &mut Limits,
) -> Result<Vec<Test>, String> {
    let values = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    if values.is_empty() {
        return Err(format!("`{key}` has no value"));
    }
    let mut tests = Vec::new();
    for value in values {
        limits.test()?;
        let test = test(value, modifiers, limits);
        tests.push(test.map_err(|flaw| format!("`{key}`: {flaw}"))?);
    }
    Ok(tests)
}

fn test(value: &Value, modifiers: &Modifiers<'_>, limits: &mut Limits) -> Result<Test, String> {
    if value.is_null() && modifiers.kind.is_none() {
        return Ok(Test::Absent);
    }
    let text = text(value).ok_or_else(|| format!("{value} is no text, number or boolean"))?;
    let number = || text.parse().map_err(|_| format!("`{text}` is no number"));
    match modifiers.kind {
        Some("re") => {
            limits.expression()?;
            RegexBuilder::new(&text)
                .case_insensitive(modifiers.flags.contains(&"i"))
                .multi_line(modifiers.flags.contains(&"m"))
                .dot_matches_new_line(modifiers.flags.contains(&"s"))
                .size_limit(EXPRESSION_BYTES)
                .dfa_size_limit(EXPRESSION_BYTES)
                .build()
                .map(Test::Expression)
                .map_err(|error| format!("the expression can't be used: {error}"))
        }
        Some("cidr") => text
            .parse::<IpNet>()
            .map(Test::Network)
            .map_err(|_| format!("`{text}` is no network")),
        Some("lt") => Ok(Test::Ordered(Order::Less, number()?)),
        Some("lte") => Ok(Test::Ordered(Order::LessOrEqual, number()?)),
        Some("gt") => Ok(Test::Ordered(Order::Greater, number()?)),
        Some("gte") => Ok(Test::Ordered(Order::GreaterOrEqual, number()?)),
        _ if value.is_number() && modifiers.place.is_none() && modifiers.encodings.is_empty() => {
            Ok(Test::Number(number()?))
        }
        _ => texts(&text, modifiers).map(Test::Text),
    }
}

/// The ways in which a text may be written.
fn texts(text: &str, modifiers: &Modifiers<'_>) -> Result<Vec<Glob>, String> {
    let how = modifiers.how();
    let glob = |tokens| Glob::new(tokens, how.place, how.cased);
    if modifiers.encodings.is_empty() {
        return Ok(vec![glob(Glob::parse(text))]);
    }
    let mut ways = vec![text.to_owned()];
    let mut bytes: Option<Vec<u8>> = None;
    let mut is_encoded = false;
    for encoding in &modifiers.encodings {
        if is_encoded {
            return Err("nothing can be encoded after `base64`".to_owned());
        }
        let units = || text.encode_utf16();
        match *encoding {
            "windash" if bytes.is_none() => ways = dashes(text),
            "wide" | "utf16le" => bytes = Some(units().flat_map(u16::to_le_bytes).collect()),
            "utf16be" => bytes = Some(units().flat_map(u16::to_be_bytes).collect()),
            "utf16" => {
                let marked = std::iter::once(0xfeff).chain(units());
                bytes = Some(marked.flat_map(u16::to_le_bytes).collect());
            }
            "base64" => {
                let plain = bytes.take().unwrap_or_else(|| text.as_bytes().to_vec());
                ways = vec![core(&plain, 0)];
                if !plain.len().is_multiple_of(3) && how.place == Place::Whole {
                    ways = vec![STANDARD.encode(&plain)];
                }
                is_encoded = true;
            }
            "base64offset" => {
                let plain = bytes.take().unwrap_or_else(|| text.as_bytes().to_vec());
                ways = (0..3).map(|shift| core(&plain, shift)).collect();
                is_encoded = true;
            }
            other => return Err(format!("`{other}` can't stand here")),
        }
    }
    if bytes.is_some() {
        return Err("a text in UTF-16 is only found in `base64`".to_owned());
    }
    let tokens = |way: String| {
        if is_encoded {
            way.chars().map(Token::Char).collect()
        } else {
            Glob::parse(&way)
        }
    };
    Ok(ways.into_iter().map(|way| glob(tokens(way))).collect())
}

/// The base64 characters that depend on these bytes alone when `shift` others stand before.
fn core(bytes: &[u8], shift: usize) -> String {
    let mut shifted = vec![0; shift];
    shifted.extend_from_slice(bytes);
    let encoded = STANDARD.encode(&shifted);
    let (first, end) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
    encoded.get(first..end).unwrap_or_default().to_owned()
}

/// The text with each dash or slash that begins a word written in every way.
fn dashes(text: &str) -> Vec<String> {
    let begins = |before: Option<char>, after: Option<char>| {
        before.is_none_or(|char| !char.is_alphanumeric())
            && after.is_some_and(|char| char.is_alphanumeric() || char == '_')
    };
    let chars: Vec<char> = text.chars().collect();
    let written = DASHES.map(|dash| {
        let mut way = String::new();
        for (at, char) in chars.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| chars[before]);
            if matches!(char, '-' | '/') && begins(before, chars.get(at + 1).copied()) {
                way.push_str(dash);
            } else {
                way.push(*char);
            }
        }
        way
    });
    written.into()
}
