//! The tree of a manifest: each value with its place, so that what is wrong is said where it
//! stands, and with the environment, whose variables stand in texts.
//!
//! A key that nobody asked for is refused: nothing that is written is passed over.

use conche_cacao::Pointer;
use serde_json::{Map, Value};

use super::{Error, Written};

/// Looks a variable of the environment up.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    pub(super) at: Pointer,
    written: Written,
    variables: Variables<'a>,
}

impl<'a> Node<'a> {
    pub(super) fn top(value: &'a Value, written: Written, variables: Variables<'a>) -> Self {
        Self {
            value,
            at: Pointer::top(),
            written,
            variables,
        }
    }

    fn below(&self, key: &str, value: &'a Value) -> Self {
        Self {
            value,
            at: self.at.then(key),
            ..self.clone()
        }
    }

    /// What is wrong with it.
    pub(super) fn wrong(&self, flaw: impl Into<String>) -> Error {
        Error::Written {
            written: self.written,
            at: self.at.clone(),
            flaw: flaw.into(),
        }
    }

    /// A mapping with these keys and no others. Nothing at all is an empty one.
    pub(super) fn fields(self, known: &[&str]) -> Result<Fields<'a>, Error> {
        let members = self.mapping()?;
        if let Some((key, value)) = members.into_iter().flatten().find(|(key, _)| {
            let key = key.as_str();
            !known.contains(&key)
        }) {
            let known = known.join(", ");
            let unknown = self.below(key, value);
            return Err(unknown.wrong(format!("`{key}` is not known here; there is: {known}")));
        }
        Ok(Fields(self))
    }

    /// The members of a mapping, whatever their keys; variables in keys are filled in.
    pub(super) fn entries(&self) -> Result<Vec<(String, Node<'a>)>, Error> {
        let members = self.mapping()?.into_iter().flatten();
        let entries = members.map(|(key, value)| {
            let node = self.below(key, value);
            Ok((node.filled(key)?, node))
        });
        entries.collect()
    }

    fn mapping(&self) -> Result<Option<&'a Map<String, Value>>, Error> {
        match self.value {
            Value::Null => Ok(None),
            Value::Object(members) => Ok(Some(members)),
            _ => Err(self.wrong("a mapping belongs here")),
        }
    }

    /// A text, with the variables in it filled in.
    pub(super) fn text(&self) -> Result<String, Error> {
        self.filled(self.raw_text()?)
    }

    /// A text as it is, such as code.
    pub(super) fn raw_text(&self) -> Result<&'a str, Error> {
        let text = self.value.as_str().filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| self.wrong("a text belongs here"))
    }

    pub(super) fn flag(&self) -> Result<bool, Error> {
        let flag = self.value.as_bool();
        flag.ok_or_else(|| self.wrong("`true` or `false` belongs here"))
    }

    pub(super) fn whole(&self) -> Result<u64, Error> {
        let number = self.value.as_u64();
        number.ok_or_else(|| self.wrong("a whole number belongs here"))
    }

    /// The value with the variables in all its texts filled in.
    pub(super) fn resolved(&self) -> Result<Value, Error> {
        Ok(match self.value {
            Value::String(text) => self.filled(text)?.into(),
            Value::Array(items) => {
                let items = items.iter().enumerate().map(|(number, value)| {
                    let at = self.at.then(number);
                    let item = Self {
                        value,
                        at,
                        ..self.clone()
                    };
                    item.resolved()
                });
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let members = members
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.below(key, value).resolved()?)));
                Value::Object(members.collect::<Result<_, Error>>()?)
            }
            other => other.clone(),
        })
    }

    fn filled(&self, text: &str) -> Result<String, Error> {
        fill(text, self.variables).map_err(|name| {
            self.wrong(format!(
                "the variable `{name}` of the environment is not set"
            ))
        })
    }
}

/// A mapping of which all keys are known.
pub(super) struct Fields<'a>(Node<'a>);

impl<'a> Fields<'a> {
    /// What stands under a key; none where nothing does.
    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        let value = self.0.value.get(key).filter(|value| !value.is_null());
        value.map(|value| self.0.below(key, value))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Error> {
        self.get(key).map(|node| node.text()).transpose()
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        self.get(key).map(|node| node.flag()).transpose()
    }

    pub(super) fn whole(&self, key: &str) -> Result<Option<u64>, Error> {
        self.get(key).map(|node| node.whole()).transpose()
    }

    /// The entries of the mapping under a key; none where there is no such key.
    pub(super) fn entries(&self, key: &str) -> Result<Vec<(String, Node<'a>)>, Error> {
        let entries = self.get(key).map(|node| node.entries());
        Ok(entries.transpose()?.unwrap_or_default())
    }

    /// What is wrong with it as a whole.
    pub(super) fn wrong(&self, flaw: impl Into<String>) -> Error {
        self.0.wrong(flaw)
    }
}

/// A text with its references, `$NAME` and `${NAME}`, replaced by the values of the variables;
/// `$$NAME` and `$${NAME}` stand for the reference itself. What is no reference stays. The error
/// is the name of a variable that is not there.
fn fill(text: &str, variables: Variables<'_>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let escaped = rest[1..].starts_with('$');
        let reference = &rest[usize::from(escaped)..];
        match name(&reference[1..]) {
            Some((_, length)) if escaped => {
                filled.push_str(&reference[..=length]);
                rest = &reference[1 + length..];
            }
            Some((name, length)) => {
                filled.push_str(&variables(name).ok_or_else(|| name.to_owned())?);
                rest = &reference[1 + length..];
            }
            None => {
                filled.push('$');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The name of a variable at the beginning of a text, in braces or without, and how many bytes
/// it takes with them.
fn name(text: &str) -> Option<(&str, usize)> {
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let braced = text.strip_prefix('{');
    let within = braced.unwrap_or(text);
    let length = within.bytes().take_while(|byte| of_name(byte)).count();
    let name = &within[..length];
    let is_name = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    match braced {
        _ if !is_name => None,
        Some(_) if within[length..].starts_with('}') => Some((name, length + 2)),
        Some(_) => None,
        None => Some((name, length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_in_texts_with_braces_or_without() {
        let variables = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "LONG_2" => Some("$A".to_owned()),
            _ => None,
        };
        for (text, filled) in [
            ("", ""),
            ("none", "none"),
            ("$A", "1"),
            ("${A}", "1"),
            ("x${A}y$A/$LONG_2", "x1y1/$A"),
            ("$$A $${A}", "$A ${A}"),
            ("$$$A", "$$A"),
            ("5$ ${ ${} $1 ${A-b} $", "5$ ${ ${} $1 ${A-b} $"),
            ("é$A", "é1"),
        ] {
            assert_eq!(fill(text, &variables).as_deref(), Ok(filled), "{text}");
        }
        assert_eq!(fill("a ${NONE}", &variables), Err("NONE".to_owned()));
    }
}
