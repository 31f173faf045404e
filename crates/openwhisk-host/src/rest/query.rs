//! The query of a request. A `?` with nothing after it is no query.

use std::collections::HashMap;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use conche_openwhisk::model::{Collection, read_limit, read_skip};

use crate::refusal::Refusal;

/// The last value of each parameter.
#[derive(Debug, Default)]
pub(crate) struct Query(HashMap<String, String>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    fn read(text: &str) -> Self {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// A parameter that says something.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.get(name).map(String::as_str);
        found.filter(|text| !text.is_empty())
    }

    /// A parameter that is true or false.
    pub(crate) fn flag(&self, name: &str, absent: bool) -> Result<bool, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(absent);
        };
        match &*text.to_ascii_lowercase() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(Refusal::query(
                name,
                format!("'{text}' is not a valid Boolean value"),
            )),
        }
    }

    /// A time in milliseconds since 1970.
    pub(crate) fn time(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let wrong = |_| {
            let detail = format!("'{text}' is not a valid 64-bit signed integer value");
            Refusal::query(name, detail)
        };
        let time: i64 = text.parse().map_err(wrong)?;
        Ok(Some(u64::try_from(time).unwrap_or(0)))
    }

    /// `limit` and `skip`.
    pub(crate) fn page(&self, collection: Collection) -> Result<(usize, usize), Refusal> {
        let limit = read_limit(self.get("limit"), collection)
            .map_err(|error| Refusal::query("limit", error))?;
        let skip = read_skip(self.get("skip"), collection)
            .map_err(|error| Refusal::query("skip", error))?;
        Ok((limit as usize, skip as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_words_for_true_and_false() {
        let query = Query::read("a=true&b=NO&c=&d=maybe&a=false");
        assert_eq!(query.flag("a", true), Ok(false));
        assert_eq!(query.flag("b", true), Ok(false));
        assert_eq!(query.flag("c", true), Ok(true));
        let refused = query.flag("d", true).unwrap_err();
        assert_eq!(
            refused.text,
            "The query parameter 'd' was malformed:\n'maybe' is not a valid Boolean value"
        );
    }
}
