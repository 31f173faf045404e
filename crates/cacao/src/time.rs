//! Timestamps: RFC 3339 in UTC (§10.16), and the stricter form with three decimals.

use jiff::Timestamp;
use thiserror::Error;

/// Not a timestamp.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum Error {
    /// Not of the form `yyyy-mm-ddThh:mm:ss[.s…]Z`.
    #[error("it is not of the form yyyy-mm-ddThh:mm:ss.sssZ")]
    Form,
    /// Of the form, and no day or hour of any calendar.
    #[error("there is no such day or hour")]
    NoSuchTime,
}

/// Reads a timestamp, and how many decimals its seconds are written with.
pub fn read(text: &str) -> Result<(Timestamp, usize), Error> {
    let decimals = form(text).ok_or(Error::Form)?;
    let time = text.parse().map_err(|_| Error::NoSuchTime)?;
    Ok((time, decimals))
}

/// The number of decimals of a text that has the form of a timestamp.
fn form(text: &str) -> Option<usize> {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let bytes = text.as_bytes();
    let (date_time, rest) = bytes.split_at_checked(FORM.len())?;
    let like = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    };
    if !date_time.iter().zip(FORM).all(like) {
        return None;
    }
    match rest {
        [b'Z'] => Some(0),
        [b'.', decimals @ .., b'Z'] if !decimals.is_empty() && decimals.len() <= 9 => decimals
            .iter()
            .all(u8::is_ascii_digit)
            .then_some(decimals.len()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_counted() {
        let of = |text| read(text).map(|(_, decimals)| decimals);
        assert_eq!(of("2023-11-27T10:00:00.000Z"), Ok(3));
        assert_eq!(of("2023-11-27T10:00:00Z"), Ok(0));
        assert_eq!(of("2016-12-31T23:59:60.5Z"), Ok(1), "a leap second");
    }

    #[test]
    fn what_no_calendar_has_is_refused() {
        assert_eq!(read("2023-02-31T10:00:00Z"), Err(Error::NoSuchTime));
        assert_eq!(read("2023-01-01T24:00:00Z"), Err(Error::NoSuchTime));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "2023-11-27T10:00:00.Z",
            "2023-11-27T10:00:00+00:00",
            "2023-11-27 10:00:00Z",
            "2023-11-27t10:00:00z",
            "2023-11-27T10:00:00",
            "２023-11-27T10:00:00Z",
            "",
        ] {
            assert_eq!(read(text), Err(Error::Form), "{text}");
        }
    }
}
