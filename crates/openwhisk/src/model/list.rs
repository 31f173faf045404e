//! Pages of a collection: what may be asked for.

use serde::{Deserialize, Serialize};

use super::Collection;

/// Items of a page where nothing is said.
pub const LIST_DEFAULT: u32 = 30;

/// The most items of a page; `limit=0` means it.
pub const LIST_MAX: u32 = 200;

/// The query of a list of entities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListQuery {
    /// So many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Leave out so many first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u32>,
}

/// The query of a list of activations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationQuery {
    /// Only those of this `action` or `package/action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// So many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Leave out so many first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u32>,
    /// Only those that began at this time or later, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Only those that began at this time or earlier, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto: Option<i64>,
}

/// A page that no host gives. The texts are those of upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// `limit` is below 0 or too large.
    #[error("The value '{0}' is not in the range of 0 to {LIST_MAX} for {1}.")]
    Limit(i64, Collection),
    /// `skip` is below 0.
    #[error("The value '{0}' is not greater than or equal to 0 for {1}.")]
    Skip(i64, Collection),
    /// One of them is no number.
    #[error("The value '{0}' is not an integer for {1}.")]
    NoInteger(String, Collection),
}

/// How many items `limit` asks for, as it stands in a query.
pub fn read_limit(text: Option<&str>, collection: Collection) -> Result<u32, ListError> {
    let Some(text) = text else {
        return Ok(LIST_DEFAULT);
    };
    match integer(text, collection)? {
        0 => Ok(LIST_MAX),
        limit => match u32::try_from(limit) {
            Ok(limit) if limit <= LIST_MAX => Ok(limit),
            _ => Err(ListError::Limit(limit, collection)),
        },
    }
}

/// How many items `skip` leaves out, as it stands in a query.
pub fn read_skip(text: Option<&str>, collection: Collection) -> Result<u32, ListError> {
    let Some(text) = text else { return Ok(0) };
    let skip = integer(text, collection)?;
    u32::try_from(skip).map_err(|_| ListError::Skip(skip, collection))
}

fn integer(text: &str, collection: Collection) -> Result<i64, ListError> {
    let read = text.parse::<i32>();
    match read {
        Ok(number) => Ok(number.into()),
        Err(_) => Err(ListError::NoInteger(text.to_owned(), collection)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_and_refused_as_upstream_does() {
        let limit = |text| read_limit(text, Collection::Actions).map_err(|error| error.to_string());
        let skip = |text| read_skip(text, Collection::Rules).map_err(|error| error.to_string());
        assert_eq!(
            (limit(None), limit(Some("0")), limit(Some("200"))),
            (Ok(30), Ok(200), Ok(200))
        );
        let refused = |text: &str| Err(text.to_owned());
        assert_eq!(
            limit(Some("201")),
            refused("The value '201' is not in the range of 0 to 200 for actions.")
        );
        assert_eq!(
            limit(Some("-1")),
            refused("The value '-1' is not in the range of 0 to 200 for actions.")
        );
        assert_eq!(
            limit(Some("x")),
            refused("The value 'x' is not an integer for actions.")
        );
        assert_eq!((skip(None), skip(Some("7"))), (Ok(0), Ok(7)));
        assert_eq!(
            skip(Some("-1")),
            refused("The value '-1' is not greater than or equal to 0 for rules.")
        );
    }
}
