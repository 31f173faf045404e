//! Whether a script can change its event at all.
//!
//! Writing a 2 KiB event back to JSON, only to find it unchanged, costs as
//! much as parsing it did: half of a small script's time. Most scripts only
//! read. So the source is scanned once for anything that could write into an
//! object it was given; a source without any never has its event compared.
//!
//! The scan knows no syntax beyond single tokens and looks into strings,
//! comments and regular expressions as if they were code. That can only make
//! it suspect a script that is innocent, which costs time but nothing else.
//! JSON values are plain objects and arrays, so the ways to change one are few:
//! assigning to a member (or `++`, `--`, destructuring, a `for` target),
//! `delete`, and a builtin that mutates, whose name must then stand in the
//! source: computed member access other than by a number counts as suspect.

/// Names of what can write, or can reach or run what is not in the source.
const WRITERS: [&str; 28] = [
    "Function",
    "Reflect",
    "__defineGetter__",
    "__defineSetter__",
    "__proto__",
    "apply",
    "assign",
    "bind",
    "call",
    "constructor",
    "copyWithin",
    "defineProperties",
    "defineProperty",
    "delete",
    "eval",
    "fill",
    "getOwnPropertyDescriptor",
    "getOwnPropertyDescriptors",
    "import",
    "pop",
    "push",
    "reverse",
    "setPrototypeOf",
    "shift",
    "sort",
    "splice",
    "unshift",
    "with",
];

/// Words after which `[` begins an array and not a member access.
const BEFORE_ARRAY: [&str; 10] = [
    "case",
    "do",
    "else",
    "in",
    "instanceof",
    "new",
    "of",
    "return",
    "typeof",
    "void",
];

/// True unless the source provably never writes into an object.
pub(super) fn may_write(source: &str) -> bool {
    let bytes = source.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if is_word(byte) {
            let end = word_end(bytes, at);
            let word = &source[at..end];
            let loop_target = matches!(word, "of" | "in")
                && ends_in_operand(source, at)
                && !ends_in_own_name(source, at);
            if WRITERS.contains(&word) || loop_target {
                return true;
            }
            at = end;
            continue;
        }
        let suspect = match byte {
            // An escape can spell any name.
            b'\\' => matches!(bytes.get(at + 1), Some(b'u' | b'x')),
            b'=' => {
                is_assignment(bytes, at) && !ends_in_own_name(source, operator_start(bytes, at))
            }
            b'+' | b'-' if bytes.get(at + 1) == Some(&byte) => {
                at += 1;
                let (before, after) = (at - 1, at + 1);
                (ends_in_operand(source, before) && !ends_in_own_name(source, before))
                    || (begins_with_operand(source, after) && !begins_with_own_name(source, after))
            }
            // A comment could hide which name follows.
            b'.' => source[at + 1..].trim_start().starts_with('/'),
            b'[' => is_computed_member(source, at),
            _ => false,
        };
        if suspect {
            return true;
        }
        at += 1;
    }
    false
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || !byte.is_ascii()
}

fn word_end(bytes: &[u8], start: usize) -> usize {
    let length = bytes[start..]
        .iter()
        .take_while(|&&byte| is_word(byte))
        .count();
    start + length
}

/// Whether the `=` at `at` assigns: no comparison and no arrow.
fn is_assignment(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| bytes[before]);
    let after = bytes.get(at + 1).copied();
    if matches!(after, Some(b'=' | b'>')) || matches!(before, Some(b'=' | b'!')) {
        return false;
    }
    // `<=` and `>=` compare, `<<=` and `>>=` assign.
    let twice = at >= 2 && bytes[at - 2] == bytes[at - 1];
    !matches!(before, Some(b'<' | b'>')) || twice
}

/// Where the operator that ends with the `=` at `at` begins.
fn operator_start(bytes: &[u8], at: usize) -> usize {
    let signs = bytes[..at].iter().rev();
    at - signs
        .take_while(|byte| b"+-*/%&|^?<>".contains(byte))
        .count()
}

/// Whether the text before `end` ends in a name that stands for itself.
fn ends_in_own_name(source: &str, end: usize) -> bool {
    let before = source[..end].trim_end();
    let name = before.len()
        - before
            .bytes()
            .rev()
            .take_while(|&byte| is_word(byte))
            .count();
    name < before.len() && !source[..name].trim_end().ends_with('.')
}

fn ends_in_operand(source: &str, end: usize) -> bool {
    let before = source[..end].trim_end();
    before.ends_with([']', ')', '}']) || before.bytes().next_back().is_some_and(is_word)
}

fn begins_with_operand(source: &str, start: usize) -> bool {
    let after = source[start..].trim_start();
    after.starts_with(['(', '[', '/', '{']) || after.bytes().next().is_some_and(is_word)
}

/// Whether the text from `start` begins with a name that stands for itself.
fn begins_with_own_name(source: &str, start: usize) -> bool {
    let after = source[start..].trim_start();
    let name = word_end(after.as_bytes(), 0);
    name > 0
        && !after[name..]
            .trim_start()
            .starts_with(['.', '[', '(', '?', '/'])
}

/// Whether the `[` at `at` picks a member by anything but a number.
fn is_computed_member(source: &str, at: usize) -> bool {
    let before = source[..at].trim_end();
    let Some(last) = before.bytes().next_back() else {
        return false;
    };
    if is_word(last) {
        let name = before.len()
            - before
                .bytes()
                .rev()
                .take_while(|&byte| is_word(byte))
                .count();
        if BEFORE_ARRAY.contains(&&before[name..]) {
            return false;
        }
    } else if !b")]}.'\"`".contains(&last) {
        return false;
    }
    let inside = source[at + 1..].split(']').next().unwrap_or_default();
    inside.is_empty() || !inside.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_only_read_are_known_as_such() {
        for source in [
            "",
            crate::bench::SCRIPT,
            "if (event.n > 0) { nextAction = 'mail'; result = { to: event.name } }",
            "for (var i = 0; i < event.list.length; i++) { total += event.list[0].size }",
            "var a = event.a >= 1 && event.b <= 2 && event.c == 3 && event.d === 4 && event.e != 5",
            "let big = event.list.filter((x) => x.size > 10).map(x => x.name); nextAction = `a${big}`",
            "const f = (a = 1) => a; --i; i--; x ??= 1; x <<= 2; return [1, 2]; typeof [1]",
            "for (const item of event.list) { if ('a' in item) nextAction = 'x' }",
            "nextAction = /^(a|b)$/.test(event.x) ? 'a' : 'b'; result = { first: event.list[0] }",
        ] {
            assert!(!may_write(source), "{source}");
        }
    }

    #[test]
    fn every_way_to_write_is_suspect() {
        for source in [
            "event.a = 1",
            "event . a = 1",
            "event['a'] = 1",
            "event[k] = 1",
            "event.list[0] = 1",
            "event.a += 1",
            "event.a ??= 1",
            "event.a ||= 1",
            "event.a <<= 1",
            "event.a >>>= 1",
            "event.a **= 2",
            "event.a++",
            "++event.a",
            "event.a --",
            "-- event['a']",
            "++event?.a",
            "++(event.a)",
            "(event.a)++",
            "[event.a] = [1]",
            "({ a: event.a } = x)",
            "[event.a, b] = [1]",
            "[...event.a] = x",
            "for (event.a of [1]) ;",
            "for (event.a in x) ;",
            "for (event['a'] of x) ;",
            "for ([event.a] of x) ;",
            "delete event.a",
            "event.list.push(1)",
            "event.list['push'](1)",
            "event.list['pu' + 'sh'](1)",
            "event.list.sort()",
            "event.list.reverse()",
            "event.list.splice(0)",
            "event.list.length = 0",
            "var p = event.list.pop; p.call(x)",
            "[1].forEach(event.list[name], event.list)",
            "Object.assign(event, {})",
            "Object.defineProperty(event, 'a', {})",
            "Reflect.set(event, 'a', 1)",
            "Object.setPrototypeOf(event, x)",
            "event.__proto__ = x",
            "event.__defineGetter__('a', f)",
            "eval('event' + '.a' + '=1')",
            "new Function('e', code)(event)",
            "f.constructor(code)()",
            "with (event) { a = 1 }",
            "event.l\\u0069st.p\\u0075sh(1)",
            "import('x')",
            "(event).a = 1",
            "event\n.a\n= 1",
            "event/**/.a/**/=1",
            "event.list.fill(0)",
            "event.list.at(0)[k] = 1",
            "event.a.b.c -= 2",
            "event./* c */a = 1",
            "event.// c\na = 1",
            "event.a ++\n b",
            "b\n++event.a",
            "typeof ++event.a",
            "++b/**/.a",
            "let { ['pu' + 'sh']: f } = []; [1].forEach(f, event.list)",
            "event.list.copyWithin(0, 1)",
            "x = event.a = 1",
        ] {
            assert!(may_write(source), "{source}");
        }
    }
}
