//! The HTTP start line that `http-api` and `openc2-http` have as their command (CACAO 2.0
//! §5.4, §5.9): method, request target and version, with one space between.

use http::Method;

use crate::action::Error;
use crate::clients::outcome::Promise;
use crate::clients::request::method;

/// A start line. The version is read and not used: it is agreed on with the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct StartLine<'a> {
    pub(in crate::commands) method: Method,
    /// As it was written.
    pub(in crate::commands) target: &'a str,
}

impl<'a> StartLine<'a> {
    /// Reads a start line; what is around it does not count.
    pub(in crate::commands) fn parse(text: &'a str) -> Result<Self, Error> {
        let text = text.trim();
        let parts: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
        let [word, target, version] = parts[..] else {
            return Err(Error::permanent(format!(
                "`{text}` is no start line such as `GET /path?key=value HTTP/1.1`; a space in the path is written `%20`"
            )));
        };
        if !matches!(
            version,
            "HTTP/1.0" | "HTTP/1.1" | "HTTP/2" | "HTTP/2.0" | "HTTP/3" | "HTTP/3.0"
        ) {
            return Err(Error::permanent(format!(
                "`{version}` is no version of HTTP"
            )));
        }
        Ok(Self {
            method: method(word).map_err(Error::Permanent)?,
            target,
        })
    }

    /// Whether the method promises to change nothing.
    pub(in crate::commands) fn is_safe(&self) -> bool {
        Promise::of(&self.method) == Promise::Safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_line_has_three_parts_and_keeps_its_target() {
        let table = [
            ("GET /a?b=1&c=%20? HTTP/1.1", "GET", "/a?b=1&c=%20?", true),
            (" post  /  HTTP/2\n", "POST", "/", false),
            ("HEAD https://h/x HTTP/1.0", "HEAD", "https://h/x", true),
            ("OPTIONS / HTTP/1.1", "OPTIONS", "/", true),
            ("PURGE /x HTTP/1.1", "PURGE", "/x", false),
        ];
        for (text, method, target, safe) in table {
            let line = StartLine::parse(text).unwrap();
            assert_eq!(
                (line.method.as_str(), line.target, line.is_safe()),
                (method, target, safe),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_start_line_is_refused() {
        for text in [
            "",
            "GET /",
            "/",
            "GET /a b HTTP/1.1",
            "GET / HTTPS/1.1",
            "GET / http/1.1",
            "G\u{1}T / HTTP/1.1",
            "CONNECT h:1 HTTP/1.1",
            "TRACE / HTTP/1.1",
            "GET / HTTP/1.1\nHost:x",
        ] {
            assert!(StartLine::parse(text).is_err(), "{text}");
        }
    }
}
