//! Media types: whether a body of a type is text, bytes or JSON.

/// A media type with its parameters, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Media<'a> {
    text: &'a str,
    essence: String,
}

impl<'a> Media<'a> {
    /// Reads a `Content-Type`; none where it is no media type.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let essence = text.split(';').next()?.trim().to_ascii_lowercase();
        let (main, sub) = essence.split_once('/')?;
        let is_fit = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        (is_token(main) && is_token(sub) && is_fit).then_some(Self { text, essence })
    }

    /// `type/subtype` in lower case.
    pub(crate) fn essence(&self) -> &str {
        &self.essence
    }

    /// Whether it is JSON, or something written as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.essence == "application/json" || self.essence.ends_with("+json")
    }

    /// Whether bodies of it are bytes rather than text.
    pub(crate) fn is_binary(&self) -> bool {
        let texts = ["javascript", "xml", "x-www-form-urlencoded", "ecmascript"];
        match self.essence.split_once('/') {
            Some(("text", _)) => false,
            Some(("application", sub)) if texts.contains(&sub) => false,
            _ => !self.is_json() && !self.essence.ends_with("+xml"),
        }
    }

    /// As it is answered: text says its character set.
    pub(crate) fn with_charset(&self) -> String {
        let has_one = self.text.to_ascii_lowercase().contains("charset=");
        if has_one || self.is_binary() || self.is_json() {
            self.text.to_owned()
        } else {
            format!("{}; charset=UTF-8", self.text)
        }
    }
}

fn is_token(text: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*'`|~%".contains(&byte);
    !text.is_empty() && text.bytes().all(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_text_bytes_or_json() {
        for (text, binary, json) in [
            ("text/html; charset=utf-8", false, false),
            ("application/json", false, true),
            ("application/vnd.api+json", false, true),
            ("image/svg+xml", false, false),
            ("image/PNG", true, false),
            ("application/octet-stream", true, false),
            ("application/x-www-form-urlencoded", false, false),
        ] {
            let media = Media::parse(text).unwrap();
            assert_eq!(
                (media.is_binary(), media.is_json()),
                (binary, json),
                "{text}"
            );
        }
        for text in [
            "",
            "text",
            "/",
            "text/",
            "te xt/html",
            "text/ht\nml",
            "a/b\r\nx: y",
        ] {
            assert_eq!(Media::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn text_says_its_character_set() {
        let shown = |text: &str| Media::parse(text).unwrap().with_charset();
        assert_eq!(shown("text/html"), "text/html; charset=UTF-8");
        assert_eq!(
            shown("text/html; charset=latin1"),
            "text/html; charset=latin1"
        );
        assert_eq!(shown("application/json"), "application/json");
        assert_eq!(shown("image/png"), "image/png");
    }
}
