//! The requests of a remote shell (MS-WSMV) as SOAP envelopes.
//!
//! Every value is escaped where it is put in, so none can become markup.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use uuid::Uuid;

/// The shell of Windows that commands run in.
const SHELL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
const ANONYMOUS: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";

/// The namespaces of all envelopes.
const NAMESPACES: &str = concat!(
    r#"xmlns:s="http://www.w3.org/2003/05/soap-envelope" "#,
    r#"xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" "#,
    r#"xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" "#,
    r#"xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd" "#,
    r#"xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell""#,
);

/// A host answers in envelopes of at most so many bytes; every version of Windows takes this.
const ENVELOPE_MAX: u32 = 153_600;

/// A shell that nobody asks about any more ends after so many seconds: one whose creation was
/// never answered, or that could not be deleted.
const IDLE_SECONDS: u32 = 180;

/// What is asked of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation<'a> {
    /// A shell without a profile, in UTF-8.
    Create,
    /// A command in a shell.
    Command {
        shell: &'a str,
        program: &'a str,
        arguments: &'a str,
    },
    /// What a command has written since, and whether it has ended.
    Receive { shell: &'a str, command: &'a str },
    /// The end of a command.
    Terminate { shell: &'a str, command: &'a str },
    /// The end of a shell and all that runs in it.
    Delete { shell: &'a str },
}

impl<'a> Operation<'a> {
    fn action(self) -> String {
        match self {
            Self::Create => format!("{TRANSFER}/Create"),
            Self::Delete { .. } => format!("{TRANSFER}/Delete"),
            Self::Command { .. } => format!("{SHELL}/Command"),
            Self::Receive { .. } => format!("{SHELL}/Receive"),
            Self::Terminate { .. } => format!("{SHELL}/Signal"),
        }
    }

    fn shell(self) -> Option<&'a str> {
        match self {
            Self::Create => None,
            Self::Command { shell, .. }
            | Self::Receive { shell, .. }
            | Self::Terminate { shell, .. }
            | Self::Delete { shell } => Some(shell),
        }
    }

    fn options(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Create => &[("WINRS_NOPROFILE", "TRUE"), ("WINRS_CODEPAGE", "65001")],
            // By `cmd`, which finds the program; without it a whole path would be needed.
            Self::Command { .. } => &[
                ("WINRS_CONSOLEMODE_STDIN", "TRUE"),
                ("WINRS_SKIP_CMD_SHELL", "FALSE"),
            ],
            _ => &[],
        }
    }

    fn body(self) -> String {
        match self {
            Self::Create => format!(
                "<rsp:Shell><rsp:InputStreams>stdin</rsp:InputStreams>\
                 <rsp:OutputStreams>stdout stderr</rsp:OutputStreams>\
                 <rsp:IdleTimeOut>PT{IDLE_SECONDS}S</rsp:IdleTimeOut></rsp:Shell>"
            ),
            Self::Command {
                program, arguments, ..
            } => format!(
                "<rsp:CommandLine><rsp:Command>{}</rsp:Command>\
                 <rsp:Arguments>{}</rsp:Arguments></rsp:CommandLine>",
                escaped(program),
                escaped(arguments)
            ),
            Self::Receive { command, .. } => format!(
                "<rsp:Receive><rsp:DesiredStream CommandId=\"{}\">stdout stderr\
                 </rsp:DesiredStream></rsp:Receive>",
                escaped(command)
            ),
            Self::Terminate { command, .. } => format!(
                "<rsp:Signal CommandId=\"{}\"><rsp:Code>{SHELL}/signal/terminate</rsp:Code>\
                 </rsp:Signal>",
                escaped(command)
            ),
            Self::Delete { .. } => String::new(),
        }
    }
}

/// The envelope of an operation for a host, which is to answer within `time`.
pub(super) fn envelope(to: &str, operation: Operation<'_>, time: Duration) -> String {
    let mut header = format!(
        "<a:To>{}</a:To><a:ReplyTo><a:Address s:mustUnderstand=\"true\">{ANONYMOUS}</a:Address>\
         </a:ReplyTo><w:MaxEnvelopeSize s:mustUnderstand=\"true\">{ENVELOPE_MAX}\
         </w:MaxEnvelopeSize><a:MessageID>uuid:{}</a:MessageID>\
         <w:Locale xml:lang=\"en-US\" s:mustUnderstand=\"false\"/>\
         <p:DataLocale xml:lang=\"en-US\" s:mustUnderstand=\"false\"/>\
         <w:OperationTimeout>PT{:.3}S</w:OperationTimeout>\
         <w:ResourceURI s:mustUnderstand=\"true\">{SHELL}/cmd</w:ResourceURI>\
         <a:Action s:mustUnderstand=\"true\">{}</a:Action>",
        escaped(to),
        Uuid::now_v7(),
        time.as_secs_f64(),
        operation.action(),
    );
    if let Some(shell) = operation.shell() {
        let shell = escaped(shell);
        // Writing to a text can't fail.
        write!(
            header,
            "<w:SelectorSet><w:Selector Name=\"ShellId\">{shell}</w:Selector></w:SelectorSet>"
        )
        .ok();
    }
    if !operation.options().is_empty() {
        header += "<w:OptionSet>";
        for (name, value) in operation.options() {
            write!(header, "<w:Option Name=\"{name}\">{value}</w:Option>").ok();
        }
        header += "</w:OptionSet>";
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope {NAMESPACES}><s:Header>{header}\
         </s:Header><s:Body>{}</s:Body></s:Envelope>",
        operation.body()
    )
}

/// A text as the content of an element or an attribute. What XML can't hold is replaced.
fn escaped(text: &str) -> Cow<'_, str> {
    let special = |char: char| matches!(char, '&' | '<' | '>' | '"' | '\'') || !is_xml(char);
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            char if is_xml(char) => escaped.push(char),
            _ => escaped.push(char::REPLACEMENT_CHARACTER),
        }
    }
    Cow::Owned(escaped)
}

/// Whether XML 1.0 has the character (§2.2).
fn is_xml(char: char) -> bool {
    !matches!(char, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::*;

    #[test]
    fn no_value_becomes_markup() {
        let nasty = "a</rsp:Command><x y=\"'&amp;\u{0}\u{1b}";
        let all = [
            Operation::Create,
            Operation::Command {
                shell: nasty,
                program: nasty,
                arguments: nasty,
            },
            Operation::Receive {
                shell: nasty,
                command: nasty,
            },
            Operation::Terminate {
                shell: nasty,
                command: nasty,
            },
            Operation::Delete { shell: nasty },
        ];
        let kept = nasty.replace(['\u{0}', '\u{1b}'], "\u{fffd}");
        for operation in all {
            let text = envelope("https://h:5986/<&>", operation, Duration::from_millis(1500));
            let read = Document::parse(&text).unwrap();
            assert!(!read.descendants().any(|node| node.has_tag_name("x")));
            let texts: Vec<_> = read.descendants().filter_map(|node| node.text()).collect();
            assert!(texts.contains(&"https://h:5986/<&>"), "{text}");
            assert!(texts.contains(&"PT1.500S"), "{text}");
            let named = read
                .descendants()
                .find(|node| node.attribute("Name") == Some("ShellId"));
            let shell = named.and_then(|node| node.text());
            assert_eq!(shell, operation.shell().map(|_| kept.as_str()));
        }
    }
}
