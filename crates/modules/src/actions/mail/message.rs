//! From an action's input to a mail: pure.
//!
//! Control characters are refused in everything that becomes a header, so that no value from
//! an event can add a header or a recipient. Line ends of the text are normalised by the
//! library that writes it; raw messages are never passed on.

use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_core::Timestamp;
use conche_core::run::IdempotencyKey;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Mailboxes, MultiPart, SinglePart};
use lettre::{Address, Message};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::action::Error;

/// The most recipients of one mail.
const RECIPIENTS_MAX: usize = 100;

/// The most attachments, and the most headers, of one mail.
const PARTS_MAX: usize = 32;

/// The longest header value in bytes; RFC 5322's longest line.
const VALUE_MAX: usize = 998;

/// What `send_mail` takes. Like CSF it leaves out members that it does not know; it names
/// them in the log.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Input {
    /// Who gets it: one address, several with commas between, or an array of them.
    to: Recipients,
    /// Who gets a copy. Default: nobody.
    #[serde(default)]
    cc: Recipients,
    /// Who gets a copy that the others are not told of. Default: nobody.
    #[serde(default)]
    bcc: Recipients,
    /// Who it is from. Only the address that is configured may be given, with any name before
    /// it: who a mail is from is not for a script to say. Default: the configured sender.
    #[serde(default)]
    from: Option<String>,
    /// The subject, in one line. Default: empty.
    #[serde(default)]
    subject: String,
    /// The text. Default: none; then `html` is needed.
    #[serde(default)]
    content: Option<String>,
    /// The text in HTML. Default: none.
    #[serde(default)]
    html: Option<String>,
    /// Files to send along. Default: none.
    #[serde(default)]
    attachments: Vec<File>,
    /// Further headers; their names begin with `X-`. Default: none.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What else there is.
    #[serde(flatten)]
    #[schemars(skip)]
    pub(super) unknown: BTreeMap<String, Value>,
}

/// One or several addresses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Recipients {
    /// One, or several with commas between.
    Text(String),
    /// Several.
    List(Vec<String>),
}

impl Default for Recipients {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// A file to send along: exactly one of `content` and `base64`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    /// Its name.
    name: String,
    /// Its media type. Default: `text/plain; charset=utf-8` with `content`, else
    /// `application/octet-stream`.
    #[serde(default)]
    content_type: Option<String>,
    /// Its text. Default: none.
    #[serde(default)]
    content: Option<String>,
    /// Its bytes in base64. Default: none.
    #[serde(default)]
    base64: Option<String>,
}

/// A mail that is ready to be sent.
#[derive(Debug)]
pub(super) struct Mail {
    /// The sender's address.
    pub(super) from: Address,
    /// Everybody who gets it, each once.
    pub(super) recipients: Vec<Address>,
    /// Its id, with angle brackets.
    pub(super) message_id: String,
    /// The message.
    pub(super) bytes: Vec<u8>,
}

/// Who a mail is from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) from: &'a Mailbox,
    pub(super) reply_to: Option<&'a Mailbox>,
}

/// Writes the mail. Its id follows from the key and the sender's domain, so that a repeat
/// is recognised by mailboxes that look at ids.
pub(super) fn compose(
    input: &Input,
    sender: Sender<'_>,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<Mail, Error> {
    single_line("subject", &input.subject)?;
    let sent_by = sent_by(input, sender.from)?;
    let from = sent_by.email.clone();
    let message_id = format!("<{key}@{}>", from.domain());
    let mut message = Message::builder()
        .from(sent_by)
        .subject(input.subject.as_str())
        .date(SystemTime::from(now))
        .message_id(Some(message_id.clone()))
        .raw_header(header("Auto-Submitted", "auto-generated")?);
    if let Some(reply_to) = sender.reply_to {
        message = message.reply_to(reply_to.clone());
    }
    for (name, value) in extra_headers(&input.headers)? {
        message = message.raw_header(header(name, value)?);
    }
    let (to, cc, bcc) = (
        mailboxes("to", &input.to)?,
        mailboxes("cc", &input.cc)?,
        mailboxes("bcc", &input.bcc)?,
    );
    if to.is_empty() {
        return Err(Error::permanent("`to` has no address"));
    }
    let recipients = addresses([&to, &cc, &bcc])?;
    message = to
        .into_iter()
        .fold(message, lettre::message::MessageBuilder::to);
    message = cc
        .into_iter()
        .fold(message, lettre::message::MessageBuilder::cc);
    // Given by itself, since what it would be derived from lacks `bcc`.
    let envelope = Envelope::new(Some(from.clone()), recipients.clone());
    message = message.envelope(envelope.map_err(|error| wrong(&error))?);
    let message = body(message, input)?;
    Ok(Mail {
        from,
        recipients,
        message_id,
        bytes: message.formatted(),
    })
}

/// The configured sender, under the name that the input gives it.
fn sent_by(input: &Input, configured: &Mailbox) -> Result<Mailbox, Error> {
    let Some(text) = &input.from else {
        return Ok(configured.clone());
    };
    single_line("from", text)?;
    let asked = text.parse::<Mailbox>().ok();
    let asked = asked.filter(|asked| asked.email == configured.email);
    let mut sent_by = asked.ok_or_else(|| {
        Error::permanent(format!(
            "`from` is `{text}`, but mails are sent from {} only: leave `from` out, or change `actions.mail.from` in the configuration",
            configured.email
        ))
    })?;
    if sent_by.name.is_none() {
        sent_by.name.clone_from(&configured.name);
    }
    Ok(sent_by)
}

fn wrong(error: &dyn std::error::Error) -> Error {
    Error::permanent(format!("the mail can't be written: {error}"))
}

fn single_line(what: &str, text: &str) -> Result<(), Error> {
    if text.len() > VALUE_MAX || text.chars().any(char::is_control) {
        return Err(Error::permanent(format!(
            "the {what} must be one line of at most {VALUE_MAX} bytes without control characters"
        )));
    }
    Ok(())
}

fn header(name: &str, value: &str) -> Result<HeaderValue, Error> {
    let name = HeaderName::new_from_ascii(name.to_owned())
        .map_err(|_| Error::permanent(format!("`{name}` is not the name of a header")))?;
    Ok(HeaderValue::new(name, value.to_owned()))
}

/// The caller's headers. All but `X-` ones are ours or change what the mail means.
fn extra_headers(headers: &BTreeMap<String, String>) -> Result<Vec<(&str, &str)>, Error> {
    if headers.len() > PARTS_MAX {
        return Err(Error::permanent(format!(
            "a mail has at most {PARTS_MAX} further headers"
        )));
    }
    let pairs = headers.iter().map(|(name, value)| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_extra = name
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("x-"));
        if !is_extra || !name.bytes().all(token) || name.len() > 76 {
            return Err(Error::permanent(format!(
                "the header `{name}` can't be set: further headers begin with `X-`"
            )));
        }
        single_line("header value", value)?;
        Ok((name.as_str(), value.as_str()))
    });
    pairs.collect()
}

fn mailboxes(what: &str, recipients: &Recipients) -> Result<Vec<Mailbox>, Error> {
    let texts = match recipients {
        Recipients::Text(text) => std::slice::from_ref(text),
        Recipients::List(texts) => texts,
    };
    let mut all = Vec::new();
    for text in texts {
        let parsed = text.trim().trim_end_matches(',').parse::<Mailboxes>().ok();
        let parsed = parsed.filter(|_| !text.trim().chars().any(char::is_control));
        match parsed {
            Some(parsed) => all.extend(parsed),
            None => {
                return Err(Error::permanent(format!(
                    "`{what}` has no valid address: {text:?}"
                )));
            }
        }
        if all.len() > RECIPIENTS_MAX {
            return Err(too_many());
        }
    }
    Ok(all)
}

/// Everybody's address, each once.
fn addresses(lists: [&Vec<Mailbox>; 3]) -> Result<Vec<Address>, Error> {
    let mut seen = HashSet::new();
    let all = lists
        .into_iter()
        .flatten()
        .map(|mailbox| mailbox.email.clone());
    let all: Vec<_> = all.filter(|address| seen.insert(address.clone())).collect();
    if all.len() > RECIPIENTS_MAX {
        Err(too_many())
    } else {
        Ok(all)
    }
}

fn too_many() -> Error {
    Error::permanent(format!("a mail has at most {RECIPIENTS_MAX} recipients"))
}

fn body(message: lettre::message::MessageBuilder, input: &Input) -> Result<Message, Error> {
    if input.attachments.len() > PARTS_MAX {
        return Err(Error::permanent(format!(
            "a mail has at most {PARTS_MAX} attachments"
        )));
    }
    let files = input
        .attachments
        .iter()
        .map(attachment)
        .collect::<Result<Vec<_>, _>>()?;
    let content = input.content.as_deref().map(lines);
    let html = input.html.as_deref().map(lines);
    let written = match (&content, &html, files.is_empty()) {
        (None, None, _) => return Err(Error::permanent("a mail needs `content` or `html`")),
        (Some(text), None, true) => message.singlepart(SinglePart::plain(text.clone())),
        (None, Some(html), true) => message.singlepart(SinglePart::html(html.clone())),
        (Some(text), Some(html), true) => message.multipart(MultiPart::alternative_plain_html(
            text.clone(),
            html.clone(),
        )),
        (text, html, false) => {
            let mixed = MultiPart::mixed();
            let mixed = match (text, html) {
                (Some(text), Some(html)) => mixed.multipart(MultiPart::alternative_plain_html(
                    text.clone(),
                    html.clone(),
                )),
                (_, Some(html)) => mixed.singlepart(SinglePart::html(html.clone())),
                (text, None) => {
                    mixed.singlepart(SinglePart::plain(text.clone().unwrap_or_default()))
                }
            };
            message.multipart(files.into_iter().fold(mixed, MultiPart::singlepart))
        }
    };
    written.map_err(|error| wrong(&error))
}

/// Text with plain line feeds, which the transport makes into CRLF. A bare CR, which some
/// receivers take for the end of a line and others not, must not come from an event.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn attachment(file: &File) -> Result<SinglePart, Error> {
    single_line("name of an attachment", &file.name)?;
    let (bytes, default) = match (&file.content, &file.base64) {
        (Some(text), None) => (text.clone().into_bytes(), "text/plain; charset=utf-8"),
        (None, Some(encoded)) => {
            let bytes = STANDARD.decode(encoded).map_err(|error| {
                Error::permanent(format!("attachment `{}`: not base64: {error}", file.name))
            })?;
            (bytes, "application/octet-stream")
        }
        _ => {
            return Err(Error::permanent(format!(
                "attachment `{}` needs exactly one of `content` and `base64`",
                file.name
            )));
        }
    };
    let kind = file.content_type.as_deref().unwrap_or(default);
    single_line("content type of an attachment", kind)?;
    let kind = ContentType::parse(kind).map_err(|_| {
        Error::permanent(format!(
            "attachment `{}`: `{kind}` is not a content type",
            file.name
        ))
    })?;
    Ok(Attachment::new(file.name.clone()).body(bytes, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use conche_core::{RunId, StepId};

    fn key() -> IdempotencyKey {
        let run = RunId::new(uuid::Uuid::nil());
        IdempotencyKey::of(run, &StepId::from("a"), &Vec::new(), 0, 0)
    }

    fn mail(input: Value) -> Result<Mail, Error> {
        let from: Mailbox = "SOC <soc@example.com>".parse().unwrap();
        let sender = Sender {
            from: &from,
            reply_to: None,
        };
        let input: Input = serde_json::from_value(input).unwrap();
        compose(
            &input,
            sender,
            &key(),
            "2026-11-22T01:02:03Z".parse().unwrap(),
        )
    }

    fn text(input: Value) -> String {
        String::from_utf8(mail(input).unwrap().bytes).unwrap()
    }

    #[test]
    fn addresses_come_in_csfs_form_as_a_list_and_as_an_array_each_once() {
        let table = [
            (serde_json::json!("a@x.y"), vec!["a@x.y"]),
            (
                serde_json::json!("a@x.y, B <b@x.y> ,c@x.y,"),
                vec!["a@x.y", "b@x.y", "c@x.y"],
            ),
            (
                serde_json::json!(["a@x.y", "b@x.y, a@x.y"]),
                vec!["a@x.y", "b@x.y"],
            ),
        ];
        for (to, expected) in table {
            let written = mail(serde_json::json!({ "to": to, "content": "." })).unwrap();
            let found: Vec<_> = written.recipients.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{to}");
        }
    }

    #[test]
    fn the_message_has_what_it_needs_and_never_names_blind_copies() {
        let text = text(serde_json::json!({
            "to": "a@x.y", "cc": ["c@x.y"], "bcc": "hidden@x.y", "subject": "Übung",
            "content": "one\ntwo\n.\nthree", "headers": { "X-Team": "Grün" },
        }));
        let id = format!("Message-ID: <{}@example.com>\r\n", key());
        for line in [
            "From: SOC <soc@example.com>\r\n",
            "To: a@x.y\r\n",
            "Cc: c@x.y\r\n",
            "Date: Sun, 22 Nov 2026 01:02:03 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "MIME-Version: 1.0\r\n",
            "Subject: =?utf-8?",
            "X-Team: =?utf-8?",
            &id,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("hidden"), "{text}");
    }

    #[test]
    fn a_value_from_an_event_adds_no_header_and_no_recipient() {
        let inject = "x\r\nBcc: evil@x.y";
        let table = [
            serde_json::json!({ "to": "a@x.y", "content": "t", "subject": inject }),
            serde_json::json!({ "to": format!("a@x.y{inject}"), "content": "t" }),
            serde_json::json!({ "to": format!("\"{inject}\" <a@x.y>"), "content": "t" }),
            serde_json::json!({ "to": ["a@x.y", "b\u{0}@x.y"], "content": "t" }),
            serde_json::json!({ "to": "a@x.y", "content": "t", "headers": { "X-A": inject } }),
            serde_json::json!({ "to": "a@x.y", "content": "t", "headers": { "X-A: b\r\nBcc": "e@x.y" } }),
            serde_json::json!({ "to": "a@x.y", "content": "t", "headers": { "Bcc": "e@x.y" } }),
            serde_json::json!({ "to": "a@x.y", "content": "t", "attachments": [{ "name": inject, "content": "" }] }),
            serde_json::json!({ "to": "a@x.y", "content": "t", "attachments": [{ "name": "n", "content": "", "content_type": format!("text/plain{inject}") }] }),
        ];
        for input in table {
            assert!(
                matches!(mail(input.clone()), Err(Error::Permanent(_))),
                "{input}"
            );
        }
    }

    #[test]
    fn a_script_may_name_the_configured_sender_and_no_other() {
        let from = |from: &str| {
            let input = serde_json::json!({ "to": "a@x.y", "content": "t", "from": from });
            mail(input).map(|mail| String::from_utf8(mail.bytes).unwrap())
        };
        for (given, written) in [
            ("soc@example.com", "From: SOC <soc@example.com>\r\n"),
            (
                "Night <soc@example.com>",
                "From: Night <soc@example.com>\r\n",
            ),
        ] {
            let text = from(given).unwrap();
            assert!(text.contains(written), "{text}");
        }
        for other in [
            "",
            "boss@example.com",
            "soc@example.com, x@x.y",
            "soc",
            "soc@example.com\r\nBcc: e@x.y",
        ] {
            let refused = from(other).unwrap_err();
            assert!(matches!(refused, Error::Permanent(_)), "{other}: {refused}");
            assert!(
                refused.to_string().contains("`from`") || other.contains('\r'),
                "{refused}"
            );
        }
    }

    #[test]
    fn what_is_missing_or_contradicts_itself_is_refused() {
        let many: Vec<_> = (0..=RECIPIENTS_MAX).map(|n| format!("a{n}@x.y")).collect();
        let table = [
            (serde_json::json!({ "to": "", "content": "t" }), "`to`"),
            (
                serde_json::json!({ "to": [], "content": "t" }),
                "`to` has no address",
            ),
            (
                serde_json::json!({ "to": "nobody", "content": "t" }),
                "no valid address",
            ),
            (
                serde_json::json!({ "to": many, "content": "t" }),
                "at most 100",
            ),
            (serde_json::json!({ "to": "a@x.y" }), "`content` or `html`"),
            (
                serde_json::json!({ "to": "a@x.y", "content": "t", "attachments": [{ "name": "n" }] }),
                "exactly one",
            ),
            (
                serde_json::json!({ "to": "a@x.y", "content": "t", "attachments": [{ "name": "n", "base64": "%" }] }),
                "not base64",
            ),
            (
                serde_json::json!({ "to": "a@x.y", "content": "t", "attachments": [{ "name": "n", "content": "", "content_type": "x" }] }),
                "content type",
            ),
        ];
        for (input, expected) in table {
            let refused = mail(input.clone()).unwrap_err().to_string();
            assert!(refused.contains(expected), "{input}: {refused}");
        }
    }
}
