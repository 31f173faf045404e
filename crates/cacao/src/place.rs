//! Where the values of a JSON text stand, as lines and columns.
//!
//! The text is walked once for all the pointers that are asked for, so that ten thousand
//! findings cost no more than one. It must have been read as JSON before: the walk does not
//! check it again.

use std::collections::HashMap;

use serde::Serialize;

use crate::pointer::{Key, Pointer};

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// The place of each pointer: of its name for a member of an object, of the value for an
/// element of an array. A pointer to what is not there gets the place of the nearest value
/// around it; where there is no text at all, there is none.
pub fn locate(text: &str, pointers: &[&Pointer]) -> Vec<Option<Place>> {
    let mut asked = Asked::default();
    let nodes: Vec<usize> = pointers.iter().map(|pointer| asked.ask(pointer)).collect();
    asked.walk(text);
    let offsets = asked.nodes.iter().filter_map(|node| node.offset);
    let places = lines_and_columns(text, offsets.collect());
    let place = |node| places.get(&asked.nearest(node)?).copied();
    nodes.into_iter().map(place).collect()
}

/// The pointers that are asked for, as a tree of their keys; the first node is the document.
struct Asked<'p> {
    nodes: Vec<Node<'p>>,
}

struct Node<'p> {
    around: usize,
    within: HashMap<&'p Key, usize>,
    /// Where it stands in the text, in bytes, once that is known.
    offset: Option<usize>,
}

/// An object or array that the walk is inside of.
enum Within {
    Object,
    Array(usize),
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(0)],
        }
    }
}

impl Node<'_> {
    fn new(around: usize) -> Self {
        Self {
            around,
            within: HashMap::new(),
            offset: None,
        }
    }
}

impl<'p> Asked<'p> {
    /// The node of a pointer.
    fn ask(&mut self, pointer: &'p Pointer) -> usize {
        pointer.keys().into_iter().fold(0, |node, key| {
            let new = self.nodes.len();
            let next = *self.nodes[node].within.entry(key).or_insert(new);
            if next == new {
                self.nodes.push(Node::new(node));
            }
            next
        })
    }

    /// Where a node stands, or else what is nearest around it.
    fn nearest(&self, node: usize) -> Option<usize> {
        let mut node = node;
        loop {
            let offset = self.nodes[node].offset;
            if offset.is_some() || node == 0 {
                return offset;
            }
            node = self.nodes[node].around;
        }
    }

    /// The node of a key within a node, noted to stand at an offset.
    fn note(&mut self, node: Option<usize>, key: &Key, at: usize) -> Option<usize> {
        let inner = *self.nodes[node?].within.get(key)?;
        self.nodes[inner].offset.get_or_insert(at);
        Some(inner)
    }

    /// Goes through the text once, with the node of each value that it is inside of.
    fn walk(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut path: Vec<Option<usize>> = Vec::new();
        let mut within: Vec<Within> = Vec::new();
        let mut name_next = false;
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let starts_value = !matches!(
                byte,
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'}' | b']'
            );
            let around = path.last().copied().unwrap_or(Some(0));
            if name_next && byte == b'"' {
                let end = string_end(bytes, at);
                // Names under which nothing is asked for need not be read.
                let name = around.and_then(|_| serde_json::from_str(&text[at..end]).ok());
                let node = name.and_then(|name| self.note(around, &Key::Name(name), at));
                path.push(node);
                name_next = false;
                at = end;
                continue;
            }
            if starts_value {
                match within.last() {
                    Some(Within::Object) => {}
                    Some(Within::Array(index)) => {
                        let node = self.note(around, &Key::Index(*index), at);
                        path.push(node);
                    }
                    None => {
                        self.nodes[0].offset.get_or_insert(at);
                    }
                }
            }
            match byte {
                b'{' => {
                    within.push(Within::Object);
                    name_next = true;
                }
                b'[' => within.push(Within::Array(0)),
                b'}' | b']' => {
                    let empty = matches!(previous(bytes, at), Some(b'{' | b'['));
                    within.pop();
                    if !empty {
                        path.pop();
                    }
                    name_next = false;
                }
                b',' => {
                    path.pop();
                    match within.last_mut() {
                        Some(Within::Array(index)) => *index += 1,
                        Some(Within::Object) => name_next = true,
                        None => {}
                    }
                }
                b'"' => {
                    at = string_end(bytes, at);
                    continue;
                }
                _ if starts_value => {
                    at = scalar_end(bytes, at);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }
}

/// The last byte before `at` that is no white space.
fn previous(bytes: &[u8], at: usize) -> Option<u8> {
    let before = bytes[..at].iter().rev();
    before.copied().find(|byte| !byte.is_ascii_whitespace())
}

/// Just after the string that begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'"' => return end + 1,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    bytes.len()
}

/// Just after the number or word that begins at `at`.
fn scalar_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes[at..].iter();
    let length =
        rest.take_while(|byte| !matches!(byte, b',' | b'}' | b']') && !byte.is_ascii_whitespace());
    at + length.count().max(1)
}

/// The places of byte offsets, by one walk along the text.
fn lines_and_columns(text: &str, mut offsets: Vec<usize>) -> HashMap<usize, Place> {
    offsets.sort_unstable();
    let mut offsets = offsets.into_iter().peekable();
    let mut places = HashMap::new();
    let mut place = Place { line: 1, column: 1 };
    for (at, char) in text.char_indices() {
        while offsets.next_if(|offset| *offset <= at).is_some() {
            places.insert(at, place);
        }
        if char == '\n' {
            place = Place {
                line: place.line + 1,
                column: 1,
            };
        } else {
            place.column += 1;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, keys: Vec<Key>) -> (usize, usize) {
        let pointer = Pointer::of(keys);
        let place = locate(text, &[&pointer])[0].expect("a place");
        (place.line, place.column)
    }

    const TEXT: &str = "{\n  \"a\\u0062\": [1, {\"x\": {}, \"y\": \"}\\\"\"}, [], 2],\n  \"é\": null, \"z\": true\n}";

    #[test]
    fn members_stand_at_their_names_and_elements_at_their_values() {
        assert_eq!(place(TEXT, vec![]), (1, 1));
        assert_eq!(place(TEXT, vec!["ab".into()]), (2, 3));
        assert_eq!(place(TEXT, vec!["ab".into(), 1.into()]), (2, 18));
        assert_eq!(
            place(TEXT, vec!["ab".into(), 1.into(), "y".into()]),
            (2, 28)
        );
        assert_eq!(place(TEXT, vec!["ab".into(), 2.into()]), (2, 41));
        assert_eq!(place(TEXT, vec!["ab".into(), 3.into()]), (2, 45));
        assert_eq!(place(TEXT, vec!["z".into()]), (3, 14));
    }

    #[test]
    fn what_is_not_there_is_placed_at_what_is_around_it() {
        assert_eq!(place(TEXT, vec!["ab".into(), 9.into()]), (2, 3));
        assert_eq!(place(TEXT, vec!["nothing".into(), "in".into()]), (1, 1));
        assert_eq!(
            place(TEXT, vec!["ab".into(), 1.into(), "x".into(), "k".into()]),
            (2, 19)
        );
    }
}
