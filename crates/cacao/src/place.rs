//! Where the values of a JSON text stand, as lines and columns.
//!
//! The text is walked once for all the pointers that are asked for, so that ten thousand
//! findings cost no more than one. It must have been read as JSON before: the walk does not
//! check it again.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::pointer::Key;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// The places of pointers: of its name for a member of an object, of the value for an element
/// of an array. A pointer to what is not there gets the place of the nearest value around it.
pub fn locate<'p>(
    text: &str,
    pointers: impl IntoIterator<Item = &'p [Key]>,
) -> HashMap<&'p [Key], Place> {
    let pointers: Vec<&'p [Key]> = pointers.into_iter().collect();
    let mut asked = HashSet::new();
    for pointer in &pointers {
        for length in 0..=pointer.len() {
            asked.insert(&pointer[..length]);
        }
    }
    let offsets = walk(text, &asked);
    let places = lines_and_columns(text, offsets.values().copied());
    let nearest = |pointer: &'p [Key]| {
        (0..=pointer.len())
            .rev()
            .find_map(|length| offsets.get(&pointer[..length]))
            .and_then(|offset| places.get(offset))
            .copied()
    };
    pointers
        .into_iter()
        .filter_map(|pointer| Some((pointer, nearest(pointer)?)))
        .collect()
}

/// An object or array that the walk is inside of.
enum Within {
    Object,
    Array(usize),
}

/// The byte offsets of the pointers that were asked for.
fn walk<'p>(text: &str, asked: &HashSet<&'p [Key]>) -> HashMap<&'p [Key], usize> {
    let bytes = text.as_bytes();
    let mut found = HashMap::new();
    let mut path: Vec<Key> = Vec::new();
    let mut within: Vec<Within> = Vec::new();
    let mut name_next = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let starts_value = !matches!(
            byte,
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'}' | b']'
        );
        if name_next && byte == b'"' {
            let end = string_end(bytes, at);
            let name = serde_json::from_str(&text[at..end]).unwrap_or_default();
            path.push(Key::Name(name));
            note(&mut found, asked, &path, at);
            name_next = false;
            at = end;
            continue;
        }
        if starts_value && !matches!(within.last(), Some(Within::Object)) {
            if let Some(Within::Array(index)) = within.last() {
                path.push(Key::Index(*index));
            }
            note(&mut found, asked, &path, at);
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
    found
}

fn note<'p>(
    found: &mut HashMap<&'p [Key], usize>,
    asked: &HashSet<&'p [Key]>,
    path: &[Key],
    at: usize,
) {
    if let Some(pointer) = asked.get(path) {
        found.entry(*pointer).or_insert(at);
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
fn lines_and_columns(text: &str, offsets: impl Iterator<Item = usize>) -> HashMap<usize, Place> {
    let mut offsets: Vec<usize> = offsets.collect();
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
    use crate::Pointer;

    fn place(text: &str, keys: Vec<Key>) -> (usize, usize) {
        let pointer = Pointer::of(keys);
        let places = locate(text, [pointer.keys()]);
        let place = places.get(pointer.keys()).expect("a place");
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
