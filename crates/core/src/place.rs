//! Keys of a YAML or JSON text, such as a configuration or a reaction, and where they stand.
//!
//! Looked up only when there is something to complain about, by reading the text once more
//! as a tree of positions: what was read from it needs to carry none.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// One step of a path through a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A key of a mapping.
    Name(String),
    /// An element of a list, from 0.
    Index(usize),
}

impl Key {
    /// A key of a mapping.
    pub fn named(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

/// A path through a text, such as `sources[0].path`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place(Vec<Key>);

impl Place {
    /// The whole text.
    pub const fn top() -> Self {
        Self(Vec::new())
    }

    /// A key of a section.
    pub fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Key::named(key)).collect())
    }

    /// A path one step further.
    pub fn then(&self, key: Key) -> Self {
        let mut keys = self.0.clone();
        keys.push(key);
        Self(keys)
    }

    /// The same path as JSON Pointer (RFC 6901).
    pub fn pointer(&self) -> String {
        let keys = self.0.iter().map(|key| match key {
            Key::Index(index) => format!("/{index}"),
            Key::Name(name) => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
        });
        keys.collect()
    }

    /// What follows `outer` in it; `None` where it is not within that.
    pub fn within(&self, outer: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&*outer.0)?;
        Some(Self(rest.to_vec()))
    }

    /// Whether it is the whole text.
    pub fn is_top(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, key) in self.0.iter().enumerate() {
            match key {
                Key::Index(index) => write!(f, "[{index}]")?,
                Key::Name(name) if number == 0 => f.write_str(name)?,
                Key::Name(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

/// The line and column of a key in a YAML text, or of the nearest key around it.
pub fn find(text: &str, place: &Place) -> Option<(u64, u64)> {
    let mut node: Node = serde_saphyr::from_str(text).ok()?;
    let mut found = None;
    for key in &place.0 {
        let inner = match (node, key) {
            (Node::Map(entries), Key::Name(name)) => entries
                .into_iter()
                .find(|(key, _)| key.value == *name)
                .map(|(key, value)| (position(&key), value)),
            (Node::List(items), Key::Index(index)) => items
                .into_iter()
                .nth(*index)
                .map(|item| (position(&item), item.value)),
            _ => None,
        };
        let Some((at, next)) = inner else { break };
        found = at.or(found);
        node = next;
    }
    found
}

/// The line and column in a YAML text of a place within the block (`script: |`) that stands
/// under a key. `None` for a value in any other style, which has no lines of its own.
pub fn within_block(text: &str, key: &Place, (line, column): (u32, u32)) -> Option<(u64, u64)> {
    let (first, indent) = block_start(text, find(text, key)?)?;
    Some((first + u64::from(line) - 1, indent + u64::from(column)))
}

/// Where the text of a YAML block begins: its first line, and the columns before its first
/// character.
fn block_start(text: &str, (line, column): (u64, u64)) -> Option<(u64, u64)> {
    let index = usize::try_from(line).ok()?;
    let column = usize::try_from(column).ok()?;
    let mut lines = text.lines().skip(index - 1);
    let key: String = lines.next()?.chars().skip(column - 1).collect();
    let style = key.split_once(':')?.1.trim_start();
    if !style.starts_with(['|', '>']) {
        return None;
    }
    let first = lines.find(|line| !line.trim().is_empty())?;
    let indent = first.chars().take_while(|char| *char == ' ').count();
    Some((line + 1, indent as u64))
}

fn position<T>(spanned: &Spanned<T>) -> Option<(u64, u64)> {
    let at = spanned.referenced;
    (at.line() > 0).then(|| (at.line(), at.column()))
}

/// A YAML text of which only positions count.
enum Node {
    Map(Vec<(Spanned<String>, Node)>),
    List(Vec<Spanned<Node>>),
    Scalar,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: de::Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
        Node::deserialize(inner)
    }

    fn visit_newtype_struct<D: de::Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| Node::Scalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "api:\n  listen: null\nsources:\n  - { id: a, module: dummy }\n  - id: b\n    pth: /x\n";

    #[test]
    fn a_key_is_found_by_its_path() {
        let sources = Place::of(&["sources"]);
        let second = sources.then(Key::Index(1));
        assert_eq!(find(TEXT, &Place::of(&["api", "listen"])), Some((2, 3)));
        assert_eq!(find(TEXT, &sources), Some((3, 1)));
        assert_eq!(find(TEXT, &second), Some((5, 5)));
        assert_eq!(find(TEXT, &second.then(Key::named("pth"))), Some((6, 5)));
    }

    #[test]
    fn a_key_that_is_not_there_stands_where_the_one_around_it_does() {
        assert_eq!(find(TEXT, &Place::of(&["api", "token"])), Some((1, 1)));
        assert_eq!(find(TEXT, &Place::of(&["egress"])), None);
        assert_eq!(find("", &Place::of(&["api"])), None);
    }

    #[test]
    fn only_a_block_has_lines_of_its_own() {
        let script = Place::of(&["script"]);
        let text = "name: r\nscript: |\n\n  a\n  b\n";
        assert_eq!(within_block(text, &script, (3, 1)), Some((5, 3)));
        assert_eq!(within_block("script: a b\n", &script, (1, 1)), None);
        assert_eq!(within_block("script: |\n", &script, (1, 1)), None);
        assert_eq!(within_block("name: r\n", &script, (1, 1)), None);
    }
}
