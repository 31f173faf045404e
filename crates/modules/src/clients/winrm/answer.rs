//! What hosts answer: SOAP envelopes, read strictly.
//!
//! An answer comes from a host that nobody vouches for: documents with a DTD (and so with
//! entities) are refused, and so is one that is no envelope. Names count with their namespace.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roxmltree::{Document, Node, ParsingOptions};

const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
const SHELL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
const FAULT: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault";

/// An answer of a host within its own limit has far fewer.
const NODES_MAX: u32 = 20_000;

/// So much of a host's words is told.
const WORDS_MAX: usize = 500;

/// The time of an operation was over before there was anything to tell.
const TIMED_OUT: u32 = 2_150_858_793;

/// An answer that is none.
#[derive(Debug, thiserror::Error)]
#[error("the host's answer can't be read: {0}")]
pub(super) struct Unreadable(String);

/// A part of what a command wrote, and its exit code once it has ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// Some where the command has ended.
    pub(super) exit_code: Option<i64>,
}

/// Why a host did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The number of the error, such as 5 for access denied.
    code: Option<u32>,
    /// The local name of what kind it is, such as `QuotaLimit`.
    kind: String,
    /// Whether the request is to blame, so that nothing was done.
    is_senders: bool,
    /// In words.
    reason: String,
}

impl Fault {
    /// Whether there is only nothing to tell yet.
    pub(super) fn is_time_over(&self) -> bool {
        self.code == Some(TIMED_OUT)
    }

    /// Whether the host has too much to do, so that another try may go well.
    pub(super) fn is_quota(&self) -> bool {
        self.kind == "QuotaLimit"
    }

    /// Whether the host says that it did nothing.
    pub(super) fn is_refusal(&self) -> bool {
        self.is_senders
    }

    /// For people, with a hint where one helps.
    pub(super) fn words(&self) -> String {
        let hint = match self.code {
            Some(5) => {
                "; the user must be an administrator of the host or be allowed by its \
                 `winrm configSDDL default`"
            }
            _ => "",
        };
        let code = self.code.map(|code| format!(" {code}")).unwrap_or_default();
        format!("the host says: {} ({}{code}){hint}", self.reason, self.kind)
    }
}

/// The fault of an answer; none where it is no envelope with one.
pub(super) fn fault(text: &str) -> Option<Fault> {
    let document = parse(text).ok()?;
    let fault = find(&document, SOAP, "Fault")?;
    let below = |space: &'static str, name: &'static str| {
        let mut nodes = fault.descendants();
        nodes.find(move |node| node.has_tag_name((space, name)))
    };
    let value = |node: Option<Node<'_, '_>>| {
        let value = node?
            .children()
            .find(|node| node.has_tag_name((SOAP, "Value")))?;
        let text = value.text()?.trim();
        Some(text.rsplit(':').next().unwrap_or(text).to_owned())
    };
    let detail = below(FAULT, "WSManFault");
    let code = detail.and_then(|node| node.attribute("Code"));
    let message = detail
        .map(|node| words(node))
        .filter(|text| !text.is_empty());
    let reason = message.or_else(|| below(SOAP, "Text").map(|node| words(node)));
    let sender = value(below(SOAP, "Code"));
    Some(Fault {
        code: code.and_then(|code| code.trim().parse().ok()),
        kind: value(below(SOAP, "Subcode"))
            .or_else(|| sender.clone())
            .unwrap_or_default(),
        is_senders: sender.as_deref() == Some("Sender"),
        reason: reason.unwrap_or_default(),
    })
}

/// The shell that was created.
pub(super) fn shell_id(text: &str) -> Result<String, Unreadable> {
    let document = parse(text)?;
    let selector = document.descendants().find(|node| {
        node.has_tag_name((WSMAN, "Selector")) && node.attribute("Name") == Some("ShellId")
    });
    let found = selector.or_else(|| find(&document, SHELL, "ShellId"));
    identifier(found, "shell")
}

/// The command that was begun.
pub(super) fn command_id(text: &str) -> Result<String, Unreadable> {
    let document = parse(text)?;
    identifier(find(&document, SHELL, "CommandId"), "command")
}

/// What a command has written and how it ended.
pub(super) fn received(text: &str) -> Result<Received, Unreadable> {
    let document = parse(text)?;
    if find(&document, SHELL, "ReceiveResponse").is_none() {
        return Err(Unreadable("it is no `ReceiveResponse`".to_owned()));
    }
    let mut received = Received::default();
    for node in document.descendants() {
        if node.has_tag_name((SHELL, "Stream")) {
            let encoded = node.text().unwrap_or_default().trim();
            let piece = STANDARD
                .decode(encoded)
                .map_err(|_| Unreadable("a piece of output is no base64".to_owned()))?;
            match node.attribute("Name") {
                Some("stdout") => received.stdout.extend(piece),
                Some("stderr") => received.stderr.extend(piece),
                _ => {}
            }
        }
        let is_state = node.has_tag_name((SHELL, "CommandState"));
        let state = node.attribute("State").filter(|_| is_state);
        if state.is_some_and(|state| state.ends_with("/CommandState/Done")) {
            let code = node
                .descendants()
                .find(|node| node.has_tag_name((SHELL, "ExitCode")));
            let code = code.and_then(|code| code.text()?.trim().parse().ok());
            let none = || Unreadable("the command ended without an exit code".to_owned());
            received.exit_code = Some(code.ok_or_else(none)?);
        }
    }
    Ok(received)
}

fn parse(text: &str) -> Result<Document<'_>, Unreadable> {
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: NODES_MAX,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| Unreadable(error.to_string()))?;
    if document.root_element().has_tag_name((SOAP, "Envelope")) {
        Ok(document)
    } else {
        Err(Unreadable("it is no SOAP envelope".to_owned()))
    }
}

fn find<'a, 'input>(
    document: &'a Document<'input>,
    space: &str,
    name: &str,
) -> Option<Node<'a, 'input>> {
    let mut nodes = document.descendants();
    nodes.find(|node| node.has_tag_name((space, name)))
}

fn identifier(node: Option<Node<'_, '_>>, of: &str) -> Result<String, Unreadable> {
    let text = node.and_then(|node| node.text()).map(str::trim);
    match text {
        Some(id) if !id.is_empty() && id.len() <= 100 => Ok(id.to_owned()),
        _ => Err(Unreadable(format!("it names no {of}"))),
    }
}

/// All text of a node in one line.
fn words(node: Node<'_, '_>) -> String {
    let all = node.descendants().filter(Node::is_text);
    let text: Vec<_> = all
        .filter_map(|node| node.text())
        .flat_map(str::split_whitespace)
        .collect();
    text.join(" ").chars().take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests;
