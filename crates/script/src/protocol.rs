//! The frames between the parent and a worker: a little-endian `u32` length,
//! then one postcard value. The parent writes [`Setup`] once, then
//! [`Request`]s; the worker answers [`Ready`] once, then one [`Response`] per
//! request that carries an id, in the order of the requests.
//!
//! The worker runs hostile code, so the parent treats every byte it sends as
//! hostile: a length is only believed up to the limit of the call in hand, and
//! memory grows with the bytes that really arrived, never with a claim.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Bytes of the length in front of each frame.
pub(crate) const HEADER: usize = 4;

/// What a worker must know before it locks itself in.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Largest script heap that any call may ask for, in bytes.
    pub(crate) memory: u64,
    /// Calls after which a kept realm is thrown away.
    pub(crate) recycle_after: u32,
}

/// A worker's first frame.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ready {
    /// It is confined and takes requests.
    Confined {
        /// Protections that this kernel could not give, in words.
        missing: Vec<String>,
    },
    /// It could not lock itself in and ends.
    Refused {
        /// Why.
        reason: String,
    },
}

/// The limits of one call, as the worker enforces them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct CallLimits {
    pub(crate) time_micros: u64,
    pub(crate) memory: u64,
    pub(crate) output: u64,
    pub(crate) logs: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request<'a> {
    /// Names a source for later calls. Not answered.
    Define { slot: u32, source: &'a str },
    /// Drops every defined source and kept realm. Not answered.
    Forget,
    Evaluate {
        id: u64,
        slot: u32,
        fresh: bool,
        limits: CallLimits,
        event: &'a str,
        action_data: Option<&'a str>,
        lists: Option<&'a str>,
    },
    Check {
        id: u64,
        limits: CallLimits,
        source: &'a str,
    },
    Jq {
        id: u64,
        limits: CallLimits,
        filter: &'a str,
        input: &'a str,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Response<'a> {
    pub(crate) id: u64,
    /// The worker ends after this answer, because the call may have left the
    /// engine in a bad state.
    pub(crate) retiring: bool,
    #[serde(borrow)]
    pub(crate) result: CallResult<'a>,
    #[serde(borrow)]
    pub(crate) logs: Vec<Line<'a>>,
    pub(crate) logs_truncated: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CallResult<'a> {
    Stop {
        #[serde(borrow)]
        event: Option<Cow<'a, str>>,
    },
    Next {
        #[serde(borrow)]
        action: Cow<'a, str>,
        #[serde(borrow)]
        data: Cow<'a, str>,
        #[serde(borrow)]
        event: Option<Cow<'a, str>>,
    },
    /// The answer to a check that found nothing.
    Sound,
    /// What a jq filter yielded.
    Values {
        #[serde(borrow)]
        values: Vec<Cow<'a, str>>,
    },
    Failed(Failure),
    Timeout,
    Memory,
    OutputTooLarge,
}

/// An exception, a syntax error or a refused verdict.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) message: String,
    /// 1-based, where known.
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line<'a> {
    /// 0 debug, 1 info, 2 warn, 3 error.
    pub(crate) level: u8,
    #[serde(borrow)]
    pub(crate) text: Cow<'a, str>,
}

/// Appends one frame to `out`.
pub(crate) fn append<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), postcard::Error> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    // `to_extend` hands the same vector back, longer.
    *out = postcard::to_extend(value, std::mem::take(out))?;
    let length = u32::try_from(out.len() - start - HEADER)
        .map_err(|_| postcard::Error::SerializeBufferFull)?;
    out[start..start + HEADER].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// The length that the frame at the start of `buffer` claims, once its header
/// is there.
pub(crate) fn claimed_length(buffer: &[u8]) -> Option<usize> {
    let header = buffer.first_chunk::<HEADER>()?;
    Some(u32::from_le_bytes(*header) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_as_it_was_written() {
        let mut out = b"before".to_vec();
        append(
            &mut out,
            &Request::Define {
                slot: 7,
                source: "é",
            },
        )
        .unwrap();
        let frame = &out[6..];
        assert_eq!(claimed_length(frame), Some(frame.len() - HEADER));
        let back: Request<'_> = postcard::from_bytes(&frame[HEADER..]).unwrap();
        assert!(matches!(
            back,
            Request::Define {
                slot: 7,
                source: "é"
            }
        ));
    }

    #[test]
    fn an_incomplete_header_claims_nothing() {
        assert_eq!(claimed_length(&[1, 0, 0]), None);
    }
}
