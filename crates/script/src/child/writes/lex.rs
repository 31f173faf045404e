//! Cuts a script into tokens, for [`super`] only.
//!
//! Comments, strings, templates and regular expressions are told apart from
//! code exactly or not at all: where a `/` could begin a regular expression as
//! well as divide, or a character means something only in rare places, there
//! are no tokens. A script that the engine refuses may be cut anyhow.

/// Signs of more than one character, longer ones first.
const SIGNS: [&str; 32] = [
    ">>>=", "===", "!==", "**=", "<<=", ">>=", ">>>", "&&=", "||=", "??=", "=>", "==", "!=", "<=",
    ">=", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "&&", "||", "??", "**", "<<",
    ">>", "${",
];

/// Keywords after which `/` begins a regular expression.
const BEFORE_REGEX: [&str; 11] = [
    "case",
    "delete",
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

/// Words that are operators in some places and names in others.
const EITHER: [&str; 3] = ["await", "of", "yield"];

/// Words before `(` after whose `)` a statement may begin.
const HEADS: [&str; 5] = ["await", "for", "if", "while", "with"];

const LINE_ENDS: [char; 4] = ['\n', '\r', '\u{2028}', '\u{2029}'];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A name, a keyword or a run of digits: a number may become several tokens.
    Word,
    /// A string with its quotes.
    Text,
    /// A regular expression with its flags, or a part of a template; no text.
    Opaque,
    Sign,
}

/// A piece of a script.
#[derive(Debug)]
pub(super) struct Token<'a> {
    kind: Kind,
    pub(super) text: &'a str,
    /// The token that opened the innermost bracket around this one; for a
    /// closing bracket, the one that opened it.
    pub(super) inside: Option<usize>,
    /// For an opening bracket, the token that closes it.
    pub(super) pair: usize,
    /// Where the source goes on.
    end: usize,
}

impl Token<'_> {
    pub(super) fn is_word(&self) -> bool {
        self.kind == Kind::Word
    }

    pub(super) fn is_string(&self) -> bool {
        self.kind == Kind::Text
    }

    pub(super) fn is_number(&self) -> bool {
        self.is_word() && self.text.starts_with(|char: char| char.is_ascii_digit())
    }

    /// Whether an operand may end with this token. True of keywords also.
    pub(super) fn ends_operand(&self) -> bool {
        self.kind != Kind::Sign || matches!(self.text, ")" | "]" | "}")
    }

    /// Whether an operand may begin with this token. True of keywords also.
    pub(super) fn begins_operand(&self) -> bool {
        self.kind != Kind::Sign || matches!(self.text, "(" | "[" | "{" | "/")
    }
}

/// The tokens of `source`; none where they can't be told for certain.
pub(super) fn tokens(source: &str) -> Option<Vec<Token<'_>>> {
    let mut lexer = Lexer {
        source,
        at: 0,
        tokens: Vec::with_capacity(source.len() / 4),
        open: Vec::new(),
    };
    while lexer.at < source.len() {
        lexer.step()?;
    }
    lexer.open.is_empty().then_some(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token<'a>>,
    open: Vec<usize>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn step(&mut self) -> Option<()> {
        let rest = self.rest();
        // Comments too, but only in scripts and partly only where a line begins.
        if rest.starts_with("<!--") || rest.starts_with("-->") {
            return None;
        }
        match rest.as_bytes()[0] {
            b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
            byte if is_word(byte) => {
                let length = rest.bytes().take_while(|&byte| is_word(byte)).count();
                self.push(Kind::Word, length);
            }
            quote @ (b'"' | b'\'') => {
                let length = string(rest.as_bytes(), quote)?;
                self.push(Kind::Text, length);
            }
            b'`' => self.template()?,
            b'/' if rest.starts_with("//") => {
                self.at += rest.find(LINE_ENDS).unwrap_or(rest.len());
            }
            b'/' if rest.starts_with("/*") => self.at += rest[2..].find("*/")? + 4,
            b'/' if self.is_regex()? => {
                let length = regex(rest.as_bytes())?;
                self.push(Kind::Opaque, length);
            }
            _ => self.sign()?,
        }
        Some(())
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let end = self.at + length;
        let text = match kind {
            Kind::Opaque => "",
            _ => &self.source[self.at..end],
        };
        self.tokens.push(Token {
            kind,
            text,
            inside: self.open.last().copied(),
            pair: 0,
            end,
        });
        self.at = end;
    }

    fn sign(&mut self) -> Option<()> {
        let rest = self.rest();
        let byte = rest.as_bytes()[0];
        match byte {
            b'(' | b'[' | b'{' => {
                self.push(Kind::Sign, 1);
                self.open.push(self.tokens.len() - 1);
            }
            b')' | b']' | b'}' => {
                let close = self.tokens.len();
                self.push(Kind::Sign, 1);
                let opened = &mut self.tokens[self.open.pop()?];
                opened.pair = close;
                match (opened.text, byte) {
                    ("(", b')') | ("[", b']') | ("{", b'}') => {}
                    ("${", b'}') => self.template_part()?,
                    _ => return None,
                }
            }
            _ if b"=+-*/%&|^~!<>?:;,.".contains(&byte) => {
                let long = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                self.push(Kind::Sign, long.map_or(1, |sign| sign.len()));
            }
            // Escaped names, private names, blanks and letters beyond ASCII.
            _ => return None,
        }
        Some(())
    }

    fn template(&mut self) -> Option<()> {
        self.push(Kind::Opaque, 1);
        self.template_part()
    }

    /// Reads on in a template up to its end or the next `${`.
    fn template_part(&mut self) -> Option<()> {
        let bytes = self.rest().as_bytes();
        let mut end = 0;
        loop {
            match bytes.get(end)? {
                b'\\' => end += 2,
                b'`' => {
                    self.push(Kind::Opaque, end + 1);
                    return Some(());
                }
                b'$' if bytes.get(end + 1) == Some(&b'{') => {
                    self.push(Kind::Opaque, end);
                    self.push(Kind::Sign, "${".len());
                    self.open.push(self.tokens.len() - 1);
                    return Some(());
                }
                _ => end += 1,
            }
        }
    }

    /// Whether a `/` begins a regular expression here; none if that is unclear,
    /// as on a new line, where a statement may begin that needed no semicolon.
    fn is_regex(&self) -> Option<bool> {
        let Some((last, before)) = self.tokens.split_last() else {
            return Some(true);
        };
        let is_operator = last.kind == Kind::Sign && !last.ends_operand();
        if !is_operator && self.source[last.end..self.at].contains(LINE_ENDS) {
            return None;
        }
        let is_member = before.last().is_some_and(|token| token.text == ".");
        match last.kind {
            Kind::Text | Kind::Opaque => Some(false),
            Kind::Word if is_member => Some(false),
            Kind::Word if EITHER.contains(&last.text) => None,
            Kind::Word => Some(BEFORE_REGEX.contains(&last.text)),
            Kind::Sign => match last.text {
                "]" => Some(false),
                ")" => {
                    let head = last.inside.and_then(|open| open.checked_sub(1));
                    let is_head = head.is_some_and(|head| HEADS.contains(&self.tokens[head].text));
                    (!is_head).then_some(false)
                }
                "}" | "." | "++" | "--" => None,
                _ => Some(true),
            },
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

/// The length of the string that `bytes` begin with.
fn string(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'\n' | b'\r' => return None,
            &byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The length of the regular expression, with flags, that `bytes` begin with.
fn regex(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    let mut in_class = false;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'\n' | b'\r' => return None,
            b'/' if !in_class => break,
            &byte => {
                in_class = (in_class || byte == b'[') && byte != b']';
                at += 1;
            }
        }
    }
    let flags = bytes[at + 1..].iter().take_while(|&&byte| is_word(byte));
    Some(at + 1 + flags.count())
}
