//! Whether a script can change its event at all.
//!
//! Writing a 2 KiB event back to JSON, only to find it unchanged, costs as
//! much as parsing it did: half of a small script's time. Most scripts only
//! read. So the source is looked at once, and only a source that is proven
//! never to write into any object has its event left uncompared.
//!
//! The proof follows no values, so aliases need no thought. An event is plain
//! objects and arrays (those of Kubernetes have a prototype that reads for
//! them), and these are changed in three ways only:
//!
//! - by syntax: an assignment, `++`, `--` or loop target that is a member. Each
//!   target must be a bare name or a declaration; `delete`, `with` and `class`
//!   (whose fields land on what a constructor returns) must not occur;
//! - by a builtin that mutates. Its name is in [`WRITERS`] and must not occur,
//!   and no function may be picked by a name that is not in the source;
//! - by text that is run, which needs one of those names too.
//!
//! What is not understood counts as writing. That costs time; the other
//! mistake would lose a change without a word, and must never be made.

mod lex;
#[cfg(test)]
mod tests;

use self::lex::Token;

/// Names of what can write, or can reach or run what is not in the source.
const WRITERS: [&str; 40] = [
    "Function",
    "Proxy",
    "Reflect",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
    "apply",
    "assign",
    "bind",
    "call",
    "captureStackTrace",
    "class",
    "constructor",
    "copyWithin",
    "create",
    "defineProperties",
    "defineProperty",
    "delete",
    "eval",
    "fill",
    "getOwnPropertyDescriptor",
    "getOwnPropertyDescriptors",
    "getOwnPropertySymbols",
    "globalThis",
    "import",
    "pop",
    "push",
    "reverse",
    "setPrototypeOf",
    "shift",
    "sort",
    "species",
    "splice",
    "super",
    "this",
    "unshift",
    "valueOf",
    "with",
];

/// These fill what the constructor they are called on returns, so they may be
/// called on `Array` itself and not be handed around.
const MAKERS: [&str; 3] = ["from", "fromAsync", "of"];

/// Keywords after which `[` begins an array and not a member access.
const BEFORE_ARRAY: [&str; 10] = [
    "case",
    "do",
    "else",
    "in",
    "instanceof",
    "new",
    "return",
    "throw",
    "typeof",
    "void",
];

const ASSIGNMENTS: [&str; 16] = [
    "=", "+=", "-=", "*=", "/=", "%=", "**=", "<<=", ">>=", ">>>=", "&=", "|=", "^=", "&&=", "||=",
    "??=",
];

/// Operators that make something plain of their left operand.
const CONSUMERS: [&str; 13] = [
    "===", "!==", "==", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%",
];

/// True unless the source provably never writes into an object.
pub(super) fn may_write(source: &str) -> bool {
    let Some(tokens) = lex::tokens(source) else {
        return true;
    };
    let proof = Proof { tokens: &tokens };
    (0..tokens.len()).any(|at| proof.is_suspect(at))
}

struct Proof<'a> {
    tokens: &'a [Token<'a>],
}

impl<'a> Proof<'a> {
    fn is_suspect(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        match token.text {
            word if token.is_word() => {
                WRITERS.contains(&word)
                    || (word == "Array" && !self.is_plain_array(at))
                    || (matches!(word, "of" | "in") && !self.is_plain_loop(at))
            }
            _ if token.is_string() => self.is_key(at) && !is_plain_key(token.text),
            sign if ASSIGNMENTS.contains(&sign) => !self.is_plain_assignment(at),
            "++" | "--" => !self.is_plain_update(at),
            "[" => self.is_member_or_key(at) && !self.is_plain_member(at),
            _ => false,
        }
    }

    fn text(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    fn before(&self, at: usize) -> &'a str {
        at.checked_sub(1).map_or("", |before| self.text(before))
    }

    fn is_word(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(Token::is_word)
    }

    /// A name, or keyword, that is not the name of a member.
    fn is_bare(&self, at: usize) -> bool {
        self.is_word(at) && self.before(at) != "."
    }

    fn is_keyword(&self, at: usize, words: &[&str]) -> bool {
        self.is_bare(at) && words.contains(&self.text(at))
    }

    /// Whether the token at `at` begins a declaration. `let` can also be the
    /// name of a variable, but not where a statement or a loop begins.
    fn is_declaration(&self, at: usize) -> bool {
        self.is_keyword(at, &["const", "var"])
            || (self.is_keyword(at, &["let"])
                && (matches!(self.before(at), "" | ";" | "{" | "}")
                    || at.checked_sub(1).is_some_and(|open| self.is_loop(open))))
    }

    /// Whether the `(` at `open` holds the head of a loop.
    fn is_loop(&self, open: usize) -> bool {
        self.text(open) == "("
            && open
                .checked_sub(1)
                .is_some_and(|word| self.is_keyword(word, &["for", "await"]))
    }

    /// Whether `of` or `in` at `at` is none of a loop, or one of a loop over
    /// declared names or a bare one.
    fn is_plain_loop(&self, at: usize) -> bool {
        let Some(open) = self.tokens[at].inside.filter(|&open| self.is_loop(open)) else {
            return true;
        };
        if self.is_declaration(open + 1) {
            return self.is_word(open + 2) || matches!(self.text(open + 2), "[" | "{");
        }
        at == open + 2 && self.is_bare(open + 1)
    }

    fn is_plain_assignment(&self, at: usize) -> bool {
        let Some(target) = at.checked_sub(1) else {
            return false;
        };
        if self.is_word(target) {
            return self.is_bare(target);
        }
        // A pattern may hold members, unless it declares.
        let open = self.tokens[target].inside;
        matches!(self.text(target), "]" | "}")
            && open
                .and_then(|open| open.checked_sub(1))
                .is_some_and(|word| self.is_declaration(word))
    }

    /// Whether `++` or `--` counts a bare name, whichever side it belongs to.
    fn is_plain_update(&self, at: usize) -> bool {
        let left = at
            .checked_sub(1)
            .is_none_or(|left| !self.tokens[left].ends_operand() || self.is_bare(left));
        let right = self.tokens.get(at + 1).is_none_or(|right| {
            !right.begins_operand()
                || (right.is_word()
                    && !matches!(right.text, "async" | "function" | "new")
                    && !matches!(self.text(at + 2), "." | "[" | "(" | "?"))
        });
        left && right
    }

    /// Whether the `[` at `at` picks a member or may compute a key.
    fn is_member_or_key(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else {
            return false;
        };
        match self.text(before) {
            "{" | "." => true,
            "," => self.tokens[at]
                .inside
                .is_some_and(|open| self.text(open) == "{"),
            "of" if self.is_bare(before) => !self.tokens[before]
                .inside
                .is_some_and(|open| self.is_loop(open)),
            _ => {
                self.tokens[before].ends_operand()
                    && !self.is_keyword(before, &BEFORE_ARRAY)
                    && !self.is_declaration(before)
            }
        }
    }

    /// Whether what the `[` at `at` picks is known, or can't be a function
    /// that is kept or called.
    fn is_plain_member(&self, at: usize) -> bool {
        let key = &self.tokens[at + 1];
        let close = self.tokens[at].pair;
        if close == at + 2 && (key.is_number() || key.is_string() && is_plain_key(key.text)) {
            return true;
        }
        let name = match (self.text(close + 1), self.text(close + 2)) {
            (".", _) => close + 2,
            ("?", ".") => close + 3,
            (after, _) => return after == "?" || CONSUMERS.contains(&after),
        };
        self.is_word(name) && !MAKERS.contains(&self.text(name))
    }

    /// Whether `Array` at `at` has a member read, and a maker only called.
    fn is_plain_array(&self, at: usize) -> bool {
        self.text(at + 1) == "."
            && self.is_word(at + 2)
            && (!MAKERS.contains(&self.text(at + 2)) || self.text(at + 3) == "(")
    }

    /// Whether the string at `at` is a key of an object or a pattern.
    fn is_key(&self, at: usize) -> bool {
        self.text(at + 1) == ":" && matches!(self.before(at), "{" | ",")
    }
}

/// Whether a string literal, with its quotes, spells a harmless name as it is.
fn is_plain_key(literal: &str) -> bool {
    let name = &literal[1..literal.len() - 1];
    !name.contains('\\') && !WRITERS.contains(&name) && !MAKERS.contains(&name)
}
