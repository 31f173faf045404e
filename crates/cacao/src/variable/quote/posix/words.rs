//! Which word of which command a place of a script is.
//!
//! Quotes keep a value one word. Some commands take a word for code all the same, for a number
//! that bash calculates, or for the name of a variable, whose subscript bash calculates: and what
//! it calculates with may be `a[$(reboot)]`. A value of any text is refused there.
//!
//! Which command it is, is read from the author's text alone. In doubt a word counts as one of
//! the command that allows less.

use super::super::Error;

/// Commands all of whose words are code, numbers to calculate or names of variables.
const CODE: [(&str, &str); 15] = [
    ("alias", "behind `alias`"),
    ("bind", "behind `bind`"),
    ("compgen", "behind `compgen`"),
    ("complete", "behind `complete`"),
    ("enable", "behind `enable`"),
    ("eval", "behind `eval`"),
    ("fc", "behind `fc`"),
    ("getopts", "behind `getopts`"),
    ("let", "behind `let`"),
    ("mapfile", "behind `mapfile`"),
    ("read", "behind `read`"),
    ("readarray", "behind `readarray`"),
    ("trap", "behind `trap`"),
    ("unset", "behind `unset`"),
    ("wait", "behind `wait`"),
];
const DECLARING: [&str; 5] = ["declare", "export", "local", "readonly", "typeset"];
/// The characters of a word that are kept; no name or assignment that matters is longer.
const KEPT_MAX: usize = 4096;
const COMPARISON: &str = "beside a comparison of numbers (`-eq`, `-gt` …)";
const NAME: &str = "where a test looks for the name of a variable (`-v`)";
const DECLARATION: &str = "in a declaration that may be more than `NAME=value`";
const FORMAT: &str = "where `printf` looks for options or the name of a variable";
const SUBSCRIPT: &str = "within an array's subscript";
const TYPED: &str = "in a script that declares numbers or references (`declare -i`, `-n`)";

/// What a command takes its words for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Head {
    /// Its name is still to come: assignments, redirections and keywords may be before it.
    #[default]
    Name,
    /// Its name is still to come, after options of `command` and the like.
    Prefixed,
    /// The name of a function is to come, then what it does.
    Function,
    /// Text.
    Text,
    /// The elements of an array.
    Array,
    /// `[[`.
    Conditional,
    /// `[` or `test`.
    Test,
    Declaring,
    /// `printf`, before its format.
    Printf,
    /// One of [`CODE`].
    Code(&'static str),
}

#[derive(Debug, Clone, Default)]
struct Command {
    head: Head,
    /// Whether the next word is the target of a redirection.
    redirected: bool,
    /// Whether a declaration has options that make more of a value than text.
    optioned: bool,
    /// The last word of a test or of `printf`.
    previous: Option<Word>,
}

/// A word so far.
#[derive(Debug, Clone, Default)]
struct Word {
    /// Its text without quotes. A value is U+0000, which no script can hold.
    text: String,
    /// The same, with U+0000 for what is quoted.
    bare: String,
    /// Whether it holds an expansion or a value.
    dynamic: bool,
    /// The number of a reference within it whose value may be any text.
    reference: Option<usize>,
}

impl Word {
    fn push(&mut self, text: char, bare: char) {
        if self.text.len() < KEPT_MAX {
            self.text.push(text);
            self.bare.push(bare);
        }
    }
}

/// A command around another one: `$(…)`, `(…)`, the elements of an array.
#[derive(Debug, Clone)]
struct Around {
    command: Command,
    word: Option<Word>,
    /// Whether `()` makes a function of the word before it.
    function: bool,
}

/// Follows the words of a script from left to right.
#[derive(Debug, Default)]
pub(super) struct Words {
    command: Command,
    around: Vec<Around>,
    word: Option<Word>,
    /// The bare character just before.
    last: Option<char>,
    /// The command before an `&`, which goes on behind `&>`.
    before_ampersand: Option<Command>,
    /// How many references there were.
    references: usize,
    /// The first reference whose value may be any text.
    any: Option<usize>,
    typed: bool,
    /// A reference that is only now known to stand where its value could become code.
    fault: Option<(usize, Error)>,
    /// Why it is no longer known which word this is.
    lost: Option<&'static str>,
}

impl Words {
    pub(super) const fn fault(&self) -> Option<(usize, Error)> {
        self.fault
    }

    pub(super) const fn lost(&self) -> Option<&'static str> {
        self.lost
    }

    /// A character within quotes or behind a backslash.
    pub(super) fn quoted(&mut self, char: char) {
        self.word.get_or_insert_default().push(char, '\0');
        self.last = None;
    }

    /// A quotation mark: there is a word, though it may be empty.
    pub(super) fn mark(&mut self) {
        self.word.get_or_insert_default();
        self.last = None;
    }

    /// An expansion such as `$x` or `${x}`, or a part of it.
    pub(super) fn expansion(&mut self, text: &str) {
        let word = self.word.get_or_insert_default();
        text.chars().for_each(|char| word.push(char, char));
        word.dynamic = true;
        self.last = None;
    }

    /// A character outside of quotes; `expands` where a `$` stands before it.
    pub(super) fn bare(&mut self, char: char, expands: bool) {
        let conditional = self.command.head == Head::Conditional;
        match char {
            '(' => self.open(expands),
            ')' => self.close(),
            ' ' | '\t' => self.end_word(),
            '\n' | '&' | '|' | '<' | '>' if conditional => self.end_word(),
            '\n' if self.command.head == Head::Array => self.end_word(),
            '\n' | ';' => self.end_command(),
            '&' | '|' if matches!(self.last, Some('<' | '>')) => {}
            '&' => {
                self.end_word();
                let before = std::mem::take(&mut self.command);
                self.before_ampersand = Some(before);
            }
            '|' => self.end_command(),
            '<' | '>' => self.redirect(),
            char => self.word.get_or_insert_default().push(char, char),
        }
        self.last = Some(char);
    }

    /// The end of the script.
    pub(super) fn end(&mut self) {
        self.end_word();
    }

    /// Text of which it is not known which words it is.
    pub(super) fn unread(&mut self, text: &str) {
        let pending = self.word.as_ref().and_then(|word| word.reference);
        if matches!(self.command.head, Head::Conditional | Head::Test)
            && let Some(reference) = pending
        {
            self.blame(reference, COMPARISON);
        }
        let mut before = "";
        for word in text.split_whitespace() {
            if word.starts_with(['-', '+']) && DECLARING.iter().any(|name| before.ends_with(name)) {
                self.option(word);
            }
            before = word;
        }
    }

    /// A value; `harmless` where it cannot be code wherever it stands.
    pub(super) fn value(&mut self, harmless: bool) -> Result<(), Error> {
        let number = self.references;
        self.references += 1;
        self.last = None;
        if !harmless {
            self.allowed()?;
            self.any.get_or_insert(number);
        }
        let word = self.word.get_or_insert_default();
        word.push('\0', '\0');
        word.dynamic = true;
        if !harmless {
            word.reference.get_or_insert(number);
        }
        Ok(())
    }

    /// Whether any text may stand here.
    fn allowed(&self) -> Result<(), Error> {
        let empty = Word::default();
        let word = self.word.as_ref().unwrap_or(&empty);
        let previous = self.command.previous.as_ref();
        let said = previous.map_or("", |word| word.text.as_str());
        let refused = match self.command.head {
            _ if self.typed => Some(TYPED),
            _ if word.bare.starts_with('{') && word.bare.contains('[') => Some(SUBSCRIPT),
            _ if self.command.redirected => None,
            Head::Name | Head::Prefixed | Head::Array if self.in_subscript(word) => Some(SUBSCRIPT),
            Head::Code(place) => Some(place),
            Head::Conditional | Head::Test if is_comparison(said) => Some(COMPARISON),
            Head::Conditional | Head::Test if matches!(said, "-v" | "-R") => Some(NAME),
            // What is before it may be `-v`.
            Head::Test if previous.is_some_and(|word| word.dynamic) => Some(NAME),
            Head::Declaring if self.command.optioned || !is_assignment(&word.text) => {
                Some(DECLARATION)
            }
            Head::Printf if said == "-v" || word.text.is_empty() || word.text.starts_with('-') => {
                Some(FORMAT)
            }
            _ => None,
        };
        refused.map_or(Ok(()), |place| Err(Error::Word(place)))
    }

    /// Whether a word has the beginning of a subscript and not its end: `a[` or, among the
    /// elements of an array, `[`.
    fn in_subscript(&self, word: &Word) -> bool {
        let rest = after_name(&word.bare);
        let named = rest.len() < word.bare.len() || self.command.head == Head::Array;
        named && rest.starts_with('[') && !rest.contains("]=") && !rest.contains("]+=")
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        if std::mem::take(&mut self.command.redirected) {
            return;
        }
        if matches!(self.command.head, Head::Name | Head::Prefixed | Head::Array)
            && self.in_subscript(&word)
            && !word.bare.contains(']')
        {
            self.lost = Some(SUBSCRIPT);
        }
        match self.command.head {
            Head::Name | Head::Prefixed => self.named(&word),
            Head::Function => self.command.head = Head::Name,
            Head::Text if word.bare == "{" => self.command = Command::default(),
            Head::Text | Head::Array | Head::Code(_) => {}
            Head::Conditional if word.bare == "]]" => self.command.head = Head::Text,
            Head::Conditional | Head::Test => {
                let compared = self.command.previous.as_ref();
                let compared = compared.and_then(|word| word.reference);
                if let (true, Some(reference)) = (is_comparison(&word.text), compared) {
                    self.blame(reference, COMPARISON);
                }
                self.command.previous = Some(word);
            }
            Head::Declaring if word.text.starts_with(['-', '+']) => self.option(&word.text),
            Head::Declaring => self.command.optioned |= word.text.starts_with('$'),
            Head::Printf => {
                let named = self.command.previous.as_ref();
                let named = named.is_some_and(|word| word.text == "-v");
                if !named && !word.text.starts_with('-') {
                    self.command.head = Head::Text;
                }
                self.command.previous = Some(word);
            }
        }
    }

    /// The name of a command, or what may stand before it.
    fn named(&mut self, word: &Word) {
        let prefixed = self.command.head == Head::Prefixed;
        if is_assignment(&word.bare) || (prefixed && word.text.starts_with('-')) {
            return;
        }
        let name = word.text.as_str();
        self.command.head = match name {
            "!" | "{" | "coproc" | "do" | "elif" | "else" | "if" | "then" | "until" | "while" => {
                Head::Name
            }
            "builtin" | "command" | "exec" | "time" => Head::Prefixed,
            "function" => Head::Function,
            "[[" => Head::Conditional,
            "[" | "test" => Head::Test,
            "printf" => Head::Printf,
            declaring if DECLARING.contains(&declaring) => Head::Declaring,
            name => match CODE.iter().find(|(code, _)| *code == name) {
                Some((_, place)) => Head::Code(place),
                None => Head::Text,
            },
        };
        // The `)` of its patterns would count as one of those around it.
        if name == "case" && !self.around.is_empty() {
            self.lost = Some("behind a `case` within parentheses");
        }
    }

    /// An option of a declaration.
    fn option(&mut self, text: &str) {
        let letters = text.trim_start_matches(['-', '+']);
        let known = letters.chars().all(|letter| "glprux".contains(letter));
        self.command.optioned |= !known;
        if letters.contains(['i', 'n', '$', '\0']) {
            self.typed = true;
            if let Some(first) = self.any {
                self.blame(first, TYPED);
            }
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.command = Command::default();
    }

    fn redirect(&mut self) {
        if let (Some('&'), Some(before)) = (self.last, self.before_ampersand.take()) {
            self.command = before;
        }
        let descriptor = self.word.as_ref().is_some_and(|word| {
            let digits = word.bare.bytes().all(|byte| byte.is_ascii_digit());
            (digits && !word.bare.is_empty())
                || (word.bare.starts_with('{') && word.bare.ends_with('}'))
        });
        if descriptor {
            self.word = None;
        }
        self.end_word();
        self.command.redirected = true;
    }

    fn open(&mut self, expands: bool) {
        let process = matches!(self.last, Some('<' | '>'));
        let conditional = self.command.head == Head::Conditional;
        let (mut head, mut function) = (Head::Name, false);
        match &self.word {
            _ if expands || process => {}
            _ if conditional => head = Head::Conditional,
            Some(word) if word.bare.ends_with('=') => head = Head::Array,
            Some(_) => (head, function) = (Head::Text, true),
            None => {}
        }
        let inner = Command {
            head,
            ..Command::default()
        };
        self.around.push(Around {
            command: std::mem::replace(&mut self.command, inner),
            word: self.word.take(),
            function,
        });
    }

    fn close(&mut self) {
        self.end_command();
        // Without one around it, it ends a pattern of `case`.
        let Some(around) = self.around.pop() else {
            return;
        };
        if around.function && self.last == Some('(') {
            return;
        }
        self.command = around.command;
        self.word = around.word;
        if let Some(word) = &mut self.word {
            word.dynamic = true;
        }
    }

    fn blame(&mut self, reference: usize, place: &'static str) {
        self.fault.get_or_insert((reference, Error::Word(place)));
    }
}

fn is_comparison(text: &str) -> bool {
    matches!(text, "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge")
}

/// What follows the name that a text begins with.
fn after_name(text: &str) -> &str {
    let first = text.starts_with(|char: char| char.is_ascii_digit());
    let name = |char: char| char == '_' || char.is_ascii_alphanumeric();
    if first {
        text
    } else {
        text.trim_start_matches(name)
    }
}

/// Whether a text begins as `NAME=`, `NAME+=` or `NAME[…]=`.
fn is_assignment(text: &str) -> bool {
    let rest = after_name(text);
    let subscripted = rest.starts_with('[') && (rest.contains("]=") || rest.contains("]+="));
    rest.len() < text.len() && (rest.starts_with('=') || rest.starts_with("+=") || subscripted)
}
