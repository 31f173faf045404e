//! What follows an offset in a file: whole lines, within limits.
//!
//! A line that is too long is passed over without being held in memory. What was not ended
//! by a line feed is left for later, unless the file is known to be final.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use sha2::{Digest as _, Sha256};

use super::cursor::Head;

/// So much of a file's beginning tells its contents from others'.
const HEAD_MAX: u64 = 256;

/// Bytes read at a time.
const BLOCK: usize = 64 << 10;

/// A line with the offset of its first byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole { offset: u64, bytes: Vec<u8> },
    TooLong { offset: u64, bytes: u64 },
}

/// Lines after an offset.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) lines: Vec<Line>,
    /// Where to go on.
    pub(super) offset: u64,
    /// Whether it was a limit that ended the reading.
    pub(super) more: bool,
}

/// What one reading may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) lines: usize,
    pub(super) bytes: usize,
    /// Of one line.
    pub(super) line_bytes: usize,
}

/// Reads lines from `offset` on. With `is_final` the rest without a line feed is a line too.
pub(super) fn take(file: &File, offset: u64, limits: Limits, is_final: bool) -> io::Result<Taken> {
    let mut taken = Taken {
        offset,
        ..Taken::default()
    };
    let mut block = vec![0; BLOCK];
    let (mut line, mut line_bytes, mut total) = (Vec::new(), 0u64, 0usize);
    let mut at = offset;
    loop {
        let read = file.read_at(&mut block, at)?;
        let mut rest = &block[..read];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            extend(&mut line, &rest[..end], limits.line_bytes);
            line_bytes += end as u64;
            total += line.len();
            push(&mut taken, std::mem::take(&mut line), line_bytes, limits);
            taken.offset += line_bytes + 1;
            line_bytes = 0;
            rest = &rest[end + 1..];
            if taken.lines.len() >= limits.lines || total >= limits.bytes {
                taken.more = true;
                return Ok(taken);
            }
        }
        extend(&mut line, rest, limits.line_bytes);
        line_bytes += rest.len() as u64;
        at += read as u64;
        if read == 0 {
            break;
        }
    }
    if is_final && line_bytes > 0 {
        push(&mut taken, line, line_bytes, limits);
        taken.offset += line_bytes;
    }
    Ok(taken)
}

/// Keeps one byte more than a line may have, which tells that it is too long.
fn extend(line: &mut Vec<u8>, bytes: &[u8], line_bytes: usize) {
    let room = (line_bytes + 1).saturating_sub(line.len());
    line.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

fn push(taken: &mut Taken, mut line: Vec<u8>, bytes: u64, limits: Limits) {
    let offset = taken.offset;
    if line.len() > limits.line_bytes {
        taken.lines.push(Line::TooLong { offset, bytes });
        return;
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if !line.iter().all(u8::is_ascii_whitespace) {
        taken.lines.push(Line::Whole {
            offset,
            bytes: line,
        });
    }
}

/// Digest of the beginning, of `bytes` or as much as there is.
pub(super) fn head(file: &File, bytes: u64) -> io::Result<Head> {
    let mut start = vec![0; bytes.min(HEAD_MAX) as usize];
    let mut filled = 0;
    while filled < start.len() {
        match file.read_at(&mut start[filled..], filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(Head {
        bytes: filled as u64,
        digest: digest(&start[..filled]),
    })
}

/// The first 64 bits of SHA-256: it tells contents apart, and is no proof against forgery.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// Whether the file is still the one that was read up to `offset`.
pub(super) fn continues(file: &File, offset: u64, known: &Head) -> io::Result<bool> {
    Ok(file.metadata()?.len() >= offset && head(file, known.bytes)? == *known)
}
