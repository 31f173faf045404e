//! What came of an HTTP request, and what that means for a repeat.
//!
//! | what happened | GET HEAD OPTIONS | PUT DELETE | others |
//! |---|---|---|---|
//! | an expected status | result | result | result |
//! | refused by the egress policy, or invalid | permanent | permanent | permanent |
//! | no connection | retry | retry | retry |
//! | no answer, or half of one | retry | uncertain | uncertain |
//! | 408 425 429 503: the receiver says that it did nothing | retry | retry | retry |
//! | 500 502 504 and other 5xx: it may have acted | retry | retry | uncertain |
//! | 501 505 | permanent | permanent | permanent |
//! | an answer that is too large | permanent | permanent | permanent |
//! | any other status | permanent | permanent | permanent |
//!
//! A `Retry-After` is passed on. PUT and DELETE that broke off are uncertain, because a later
//! write of somebody else may lie between the two. Where a caller takes every answer as an
//! answer ([`Faults::Failed`]), all of 5xx but 503 is permanent. A redirect is never followed
//! here; its destination is told.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_core::json::Limits;
use conche_core::{Json, Timestamp};
use conche_runtime::egress;
use conche_runtime::secrets::Masker;
use http::{HeaderMap, Method, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::action::Error;

/// So much of an answer that was not expected is told.
const QUOTE_MAX: usize = 500;

/// A receiver that asks to wait for longer is asked again after this.
const WAIT_MAX: Duration = Duration::from_hours(24);

/// What a request returns.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answered {
    /// The status.
    status: u16,
    /// The headers in lower case; values of one name are joined by commas. Cookies are left out.
    headers: BTreeMap<String, String>,
    /// The body as text; in base64 where it is no UTF-8.
    body: String,
    /// `base64` where the body is; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    /// The body as JSON, where it says that it is and is within `limits`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    json: Option<Json>,
    /// True where the body was larger than wanted and this is its beginning; else absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// What a method promises of itself (RFC 9110).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// It changes nothing.
    Safe,
    /// Twice is like once.
    Idempotent,
    /// Nothing.
    Nothing,
}

impl Promise {
    /// The promise of a method.
    pub(crate) fn of(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS => Self::Safe,
            Method::PUT | Method::DELETE => Self::Idempotent,
            _ => Self::Nothing,
        }
    }
}

/// What a 5xx means that does not say that nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Faults {
    /// It may have been done: what the method promises decides.
    InDoubt,
    /// It failed, and the definition says what comes next.
    Failed,
}

/// Judges an answer.
pub(crate) struct Judge<'a> {
    pub(crate) promise: Promise,
    pub(crate) faults: Faults,
    /// The statuses that mean success; empty for 200 to 299.
    pub(crate) expect: &'a [u16],
    pub(crate) masker: &'a Masker,
    /// What the answer's JSON and the whole result may measure.
    pub(crate) limits: Limits,
    pub(crate) now: Timestamp,
}

impl Judge<'_> {
    /// The result, or what its failure means.
    pub(crate) fn judge(
        &self,
        result: Result<egress::Response, egress::Error>,
    ) -> Result<Json, Error> {
        match result {
            Ok(response) if self.is_expected(response.status) => self.answered(&response),
            Ok(response) => Err(self.refused(&response)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn is_expected(&self, status: StatusCode) -> bool {
        match self.expect {
            [] => status.is_success(),
            expected => expected.contains(&status.as_u16()),
        }
    }

    fn failed(&self, error: &egress::Error) -> Error {
        let message = self.masker.mask(&error.to_string()).into_owned();
        match error {
            egress::Error::NotSent { .. } => Error::retry(message),
            egress::Error::Uncertain { .. } if self.promise == Promise::Safe => {
                Error::retry(message)
            }
            egress::Error::Uncertain { .. } => Error::Uncertain(message),
            egress::Error::Invalid(_)
            | egress::Error::Refused { .. }
            | egress::Error::TooLarge { .. } => Error::Permanent(message),
        }
    }

    fn refused(&self, response: &egress::Response) -> Error {
        let body = String::from_utf8_lossy(&response.body);
        let quote = quote(&body, self.masker);
        let message = match response.headers.get(header::LOCATION) {
            Some(place) if response.status.is_redirection() => {
                let place = String::from_utf8_lossy(place.as_bytes());
                let place = self::quote(&place, self.masker);
                format!(
                    "answered {}, a redirect to {place}, which is not followed: {quote}",
                    response.status
                )
            }
            _ => format!("answered {}: {quote}", response.status),
        };
        let in_doubt = self.faults == Faults::InDoubt;
        let promises = self.promise != Promise::Nothing;
        match response.status.as_u16() {
            408 | 425 | 429 | 503 => Error::Retry {
                message,
                after: self.retry_after(&response.headers),
            },
            501 | 505 => Error::Permanent(message),
            500..=599 if in_doubt && promises => Error::Retry {
                message,
                after: self.retry_after(&response.headers),
            },
            500..=599 if in_doubt => Error::Uncertain(message),
            _ => Error::Permanent(message),
        }
    }

    /// Seconds, or a date.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = if let Ok(seconds) = text.parse() {
            Duration::from_secs(seconds)
        } else {
            let date = jiff::fmt::rfc2822::DateTimeParser::new()
                .parse_timestamp(text)
                .ok()?;
            Duration::try_from(date.duration_since(self.now)).unwrap_or_default()
        };
        Some(wait.min(WAIT_MAX))
    }

    fn answered(&self, response: &egress::Response) -> Result<Json, Error> {
        let (body, encoding) = match text(response) {
            Some(text) => (text.to_owned(), None),
            None => (STANDARD.encode(&response.body), Some("base64")),
        };
        let is_json = is_json(&response.headers);
        let body = self.masked(body, is_json);
        let json = is_json
            .then(|| Json::parse(body.as_bytes(), self.limits).ok())
            .flatten();
        let answered = Answered {
            status: response.status.as_u16(),
            headers: self.headers(&response.headers),
            body,
            encoding,
            json,
            truncated: response.is_cut,
        };
        let output =
            Json::from_value(&answered).map_err(|error| Error::permanent(error.to_string()))?;
        if output.as_str().len() > self.limits.bytes {
            return Err(Error::permanent(format!(
                "answered {}, but the result is larger than {} bytes: lower `max_response`",
                response.status, self.limits.bytes
            )));
        }
        Ok(output)
    }

    /// The body without secrets. JSON stays JSON, also where a secret is a number.
    fn masked(&self, body: String, is_json: bool) -> String {
        let Cow::Owned(masked) = self.masker.mask(&body) else {
            return body;
        };
        let json = is_json
            .then(|| Json::parse(body.as_bytes(), self.limits).ok())
            .flatten();
        let Some(mut value) = json.and_then(|json| json.read::<Value>().ok()) else {
            return masked;
        };
        self.masker.mask_json(&mut value);
        self.masker.mask(&value.to_string()).into_owned()
    }

    fn headers(&self, headers: &HeaderMap) -> BTreeMap<String, String> {
        let mut told: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in headers {
            if name == header::SET_COOKIE {
                continue;
            }
            let value = String::from_utf8_lossy(value.as_bytes());
            let value = self.masker.mask(&value);
            told.entry(name.as_str().to_owned())
                .and_modify(|all| {
                    all.push_str(", ");
                    all.push_str(&value);
                })
                .or_insert_with(|| value.into_owned());
        }
        told
    }
}

/// The beginning of a text for a message, without secrets.
pub(crate) fn quote(text: &str, masker: &Masker) -> String {
    masker.mask(text).chars().take(QUOTE_MAX).collect()
}

/// The body as text, but for half a character where it was cut; none where it is no UTF-8.
fn text(response: &egress::Response) -> Option<&str> {
    match std::str::from_utf8(&response.body) {
        Ok(text) => Some(text),
        Err(error) if response.is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&response.body[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use conche_runtime::units::Size;

    const NOW: &str = "2026-11-22T00:00:00Z";

    fn judge(
        method: &Method,
        expect: &[u16],
        result: Result<egress::Response, egress::Error>,
    ) -> Result<Json, Error> {
        let masker = Masker::default();
        masker.learn("token", &"hunter22".into());
        let limits = Limits {
            bytes: 4096,
            depth: 8,
        };
        let now = NOW.parse().unwrap();
        Judge {
            promise: Promise::of(method),
            faults: Faults::InDoubt,
            expect,
            masker: &masker,
            limits,
            now,
        }
        .judge(result)
    }

    fn response(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) -> egress::Response {
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        egress::Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: pairs.collect(),
            body: body.to_owned().into(),
            is_cut: false,
        }
    }

    fn word(result: &Result<Json, Error>) -> &'static str {
        match result {
            Ok(_) => "result",
            Err(Error::Retry { .. }) => "retry",
            Err(Error::Permanent(_)) => "permanent",
            Err(Error::Uncertain(_)) => "uncertain",
        }
    }

    #[test]
    fn every_status_and_failure_means_what_the_table_says() {
        let host = || "h".to_owned();
        let errors = [
            (egress::Error::Invalid("x".into()), ["permanent"; 3]),
            (
                egress::Error::NotSent {
                    host: host(),
                    reason: "x".into(),
                },
                ["retry"; 3],
            ),
            (
                egress::Error::Uncertain {
                    host: host(),
                    reason: "x".into(),
                },
                ["retry", "uncertain", "uncertain"],
            ),
            (
                egress::Error::TooLarge {
                    host: host(),
                    status: StatusCode::OK,
                    limit: Size::from_kib(1),
                },
                ["permanent"; 3],
            ),
        ];
        let statuses = [
            (200, ["result"; 3]),
            (204, ["result"; 3]),
            (301, ["permanent"; 3]),
            (304, ["permanent"; 3]),
            (400, ["permanent"; 3]),
            (401, ["permanent"; 3]),
            (404, ["permanent"; 3]),
            (409, ["permanent"; 3]),
            (408, ["retry"; 3]),
            (425, ["retry"; 3]),
            (429, ["retry"; 3]),
            (503, ["retry"; 3]),
            (500, ["retry", "retry", "uncertain"]),
            (502, ["retry", "retry", "uncertain"]),
            (504, ["retry", "retry", "uncertain"]),
            (599, ["retry", "retry", "uncertain"]),
            (501, ["permanent"; 3]),
            (505, ["permanent"; 3]),
        ];
        let methods = [Method::GET, Method::PUT, Method::POST];
        for (index, method) in methods.iter().enumerate() {
            for (error, expected) in &errors {
                assert_eq!(
                    word(&judge(method, &[], Err(error.clone()))),
                    expected[index],
                    "{method} {error}"
                );
            }
            for (status, expected) in &statuses {
                let result = judge(method, &[], Ok(response(*status, &[], "")));
                assert_eq!(word(&result), expected[index], "{method} {status}");
            }
        }
    }

    #[test]
    fn expected_statuses_are_the_callers() {
        assert_eq!(
            word(&judge(
                &Method::POST,
                &[404, 500],
                Ok(response(500, &[], ""))
            )),
            "result"
        );
        assert_eq!(
            word(&judge(&Method::POST, &[404], Ok(response(200, &[], "")))),
            "permanent"
        );
    }

    #[test]
    fn the_wait_that_a_receiver_asks_for_is_read_in_both_forms_and_bounded() {
        let table = [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("999999999", Some(86_400)),
            ("soon", None),
            ("-1", None),
            ("Sun, 22 Nov 2026 00:01:30 GMT", Some(90)),
            ("Sat, 21 Nov 2026 00:00:00 GMT", Some(0)),
        ];
        for (text, expected) in table {
            let result = judge(
                &Method::GET,
                &[],
                Ok(response(429, &[("retry-after", text)], "")),
            );
            let Err(Error::Retry { after, .. }) = result else {
                panic!("{text}")
            };
            assert_eq!(after, expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn an_answer_is_told_as_text_and_json_with_secrets_masked() {
        let headers = [
            ("content-type", "application/vnd.x+json; charset=utf-8"),
            ("set-cookie", "s=1"),
            ("x-echo", "hunter22"),
            ("x-a", "1"),
            ("x-a", "2"),
        ];
        let result = judge(
            &Method::GET,
            &[],
            Ok(response(200, &headers, r#"{"a":"hunter22"}"#)),
        )
        .unwrap();
        assert_eq!(
            result.as_str(),
            r#"{"status":200,"headers":{"content-type":"application/vnd.x+json; charset=utf-8","x-a":"1, 2","x-echo":"***token***"},"body":"{\"a\":\"***token***\"}","json":{"a":"***token***"}}"#
        );
        let refused = judge(
            &Method::GET,
            &[],
            Ok(response(400, &[], "no hunter22 here")),
        )
        .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "answered 400 Bad Request: no ***token*** here"
        );
    }

    #[test]
    fn a_secret_is_masked_however_json_spells_it() {
        let json = [("content-type", "application/json")];
        let table = [
            (
                r#"{"a":"\u0068unter2\u0032","hunter22":1.50}"#,
                Some(r#"{"a":"***token***","***token***":1.5}"#),
            ),
            (
                r#"["hunter\/22","hunter22"]"#,
                Some(r#"["hunter/22","***token***"]"#),
            ),
            (
                r#"{"url":"https:\/\/x?k=%68unter22"}"#,
                Some(r#"{"url":"https://x?k=***token***"}"#),
            ),
            (r#"{"a":["#, None),
        ];
        for (body, expected) in table {
            let result: Value = judge(&Method::GET, &[], Ok(response(200, &json, body)))
                .unwrap()
                .read()
                .unwrap();
            assert_eq!(result["body"], expected.unwrap_or(body), "{body}");
            let parsed = expected.map(|text| serde_json::from_str(text).unwrap());
            assert_eq!(result.get("json"), parsed.as_ref(), "{body}");
        }
    }

    #[test]
    fn json_that_is_none_or_too_deep_stays_text_and_bytes_become_base64() {
        let json = [("content-type", "application/json")];
        for body in ["{", &"[".repeat(9), ""] {
            let result: serde_json::Value =
                judge(&Method::GET, &[], Ok(response(200, &json, body)))
                    .unwrap()
                    .read()
                    .unwrap();
            assert_eq!(
                (result.get("json"), &result["body"]),
                (None, &serde_json::json!(body))
            );
        }
        let mut binary = response(200, &[], "");
        binary.body = vec![0xff, 0x00].into();
        let result: serde_json::Value = judge(&Method::GET, &[], Ok(binary))
            .unwrap()
            .read()
            .unwrap();
        assert_eq!(
            (&result["body"], &result["encoding"]),
            (&serde_json::json!("/wA="), &serde_json::json!("base64"))
        );
        let large = response(200, &[], &"x".repeat(5000));
        assert_eq!(word(&judge(&Method::GET, &[], Ok(large))), "permanent");
    }
}
