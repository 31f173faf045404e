//! What was done by whom: a record that can only grow at its end, each row sealed by the hash
//! of the one before, so that a row changed, removed or moved is found.
//!
//! The chain shows that the rows are those that were written; it cannot show that rows at its
//! very end are missing where the mark of its head was taken back with them. Who fears that
//! keeps the head elsewhere. A value of a secret never gets in here, only names.

use std::collections::BTreeMap;

use conche_core::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Characters of any one text of an act; what is longer is cut.
const TEXT_MAX: usize = 512;

/// What retention writes when it removes old acts; its detail names the checkpoint.
pub const EXPIRED: &str = "audit.expired";

/// Something that was done, or tried. The members stand in the order of their names: their
/// JSON is then canonical (RFC 8785), since all values are texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// When; kept to the microsecond.
    pub at: Timestamp,
    /// More about it, by name.
    pub detail: BTreeMap<String, String>,
    /// `done`, or the code of the problem that it was answered with.
    pub outcome: String,
    /// To what: a name or an id.
    pub target: String,
    /// The kind of act, such as `reaction.put`.
    pub what: String,
    /// By whom.
    pub who: Who,
}

/// Who did it, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// The subject of the client certificate that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The listener that the request came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// The name of the caller.
    pub name: String,
    /// The address at the other end of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The id of the stored token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl Act {
    /// Within the bounds that every backend keeps.
    #[must_use]
    pub(crate) fn bounded(mut self) -> Self {
        let at = Timestamp::from_microsecond(self.at.as_microsecond());
        self.at = at.unwrap_or(self.at);
        let who = &mut self.who;
        let texts = [&mut self.outcome, &mut self.target, &mut self.what].into_iter();
        let texts = texts.chain(self.detail.values_mut());
        let texts = texts.chain([&mut who.name]);
        let optional = [&mut who.certificate, &mut who.listener, &mut who.peer];
        for text in texts.chain(optional.into_iter().flatten()) {
            if let Some((end, _)) = text.char_indices().nth(TEXT_MAX) {
                text.truncate(end);
            }
        }
        self
    }

    /// What retention did.
    pub(crate) fn expired(checkpoint: Mark, at: Timestamp) -> Self {
        Self {
            at,
            detail: [("hash".to_owned(), checkpoint.hash.to_string())].into(),
            outcome: "done".to_owned(),
            target: checkpoint.seq.to_string(),
            what: EXPIRED.to_owned(),
            who: Who {
                name: "retention".to_owned(),
                ..Who::default()
            },
        }
    }

    /// The mark that an act of retention tells of.
    fn tells_of(&self) -> Option<(String, &str)> {
        let hash = self.detail.get("hash")?;
        (self.what == EXPIRED).then(|| (self.target.clone(), hash.as_str()))
    }
}

/// A place in the chain: a row's number and hash. Number 0 is the place before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The number of the row.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Default for Mark {
    fn default() -> Self {
        Self {
            seq: 0,
            hash: Digest::from_bytes([0; 32]),
        }
    }
}

/// An act as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its number, from 1 without gaps.
    pub seq: u64,
    /// The canonical JSON that the hash seals: the act with its number.
    pub text: String,
    /// The SHA-256 of the hash of the row before (32 bytes) and the text.
    pub hash: Digest,
}

/// The text of a row.
#[derive(Serialize, Deserialize)]
struct Numbered {
    act: Act,
    seq: u64,
}

impl Recorded {
    /// Seals an act as the row after a place.
    pub(crate) fn after(last: Mark, act: Act) -> Result<Self, Error> {
        let seq = last.seq + 1;
        let numbered = Numbered { act, seq };
        let text = serde_json::to_string(&numbered).map_err(|error| Error::Corrupt {
            kind: "act",
            name: seq.to_string(),
            message: error.to_string(),
        })?;
        let hash = seal(last.hash, &text);
        Ok(Self { seq, text, hash })
    }

    /// Where it stands.
    pub const fn mark(&self) -> Mark {
        Mark {
            seq: self.seq,
            hash: self.hash,
        }
    }

    /// The act.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the text is none that was written here.
    pub fn act(&self) -> Result<Act, Error> {
        self.numbered()
            .map(|numbered| numbered.act)
            .map_err(|error| Error::Corrupt {
                kind: "act",
                name: self.seq.to_string(),
                message: error.to_string(),
            })
    }

    fn numbered(&self) -> serde_json::Result<Numbered> {
        serde_json::from_str(&self.text)
    }
}

fn seal(before: Digest, text: &str) -> Digest {
    Digest::of(&[before.as_bytes(), text.as_bytes()].concat())
}

/// A piece of the record, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acts {
    /// The rows.
    pub rows: Vec<Recorded>,
    /// The last row that retention removed: the chain goes on from it.
    pub checkpoint: Mark,
    /// The last row of all.
    pub head: Mark,
}

/// The first place at which a chain is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row {seq} is broken: {why}")]
pub struct Broken {
    /// The row.
    pub seq: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Checks a chain row by row, from its checkpoint to its head.
#[derive(Debug)]
pub struct Chain {
    last: Mark,
    checkpoint: Mark,
    /// Whether a row tells of the checkpoint: else rows at the front may have been removed
    /// by another than retention.
    is_told: bool,
}

impl Chain {
    /// A chain that goes on from a checkpoint.
    pub fn new(checkpoint: Mark) -> Self {
        Self {
            last: checkpoint,
            checkpoint,
            is_told: checkpoint == Mark::default(),
        }
    }

    /// Where the check has come to.
    pub const fn last(&self) -> Mark {
        self.last
    }

    /// Checks the next row.
    ///
    /// # Errors
    /// [`Broken`] where it is not the row that was written after the one before.
    pub fn check(&mut self, row: &Recorded) -> Result<(), Broken> {
        let due = self.last.seq + 1;
        let broken = |why: String| Err(Broken { seq: due, why });
        if row.seq != due {
            return broken(format!("it is missing, the next is row {}", row.seq));
        }
        if seal(self.last.hash, &row.text) != row.hash {
            return broken("its text or its hash was changed, or the row before".to_owned());
        }
        match row.numbered() {
            Ok(numbered) if numbered.seq != due => {
                return broken(format!("its text is that of row {}", numbered.seq));
            }
            Ok(numbered) => {
                let mark = self.checkpoint;
                let told = (mark.seq.to_string(), mark.hash.to_string());
                self.is_told |= numbered.act.tells_of() == Some((told.0, &told.1));
            }
            Err(error) => return broken(format!("its text cannot be read: {error}")),
        }
        self.last = row.mark();
        Ok(())
    }

    /// Checks that nothing is missing at the end, nor at the front but by retention.
    ///
    /// # Errors
    /// [`Broken`] where the last row is not the head, or no row tells of the checkpoint.
    pub fn end(self, head: Mark) -> Result<Mark, Broken> {
        if self.last != head {
            let why = format!(
                "it is missing or another than was written: the head is row {} with {}",
                head.seq, head.hash
            );
            let seq = head.seq.min(self.last.seq.saturating_add(1)).max(1);
            return Err(Broken { seq, why });
        }
        if !self.is_told {
            let why = "rows up to it are gone, and no row tells that retention removed them";
            return Err(Broken {
                seq: self.checkpoint.seq,
                why: why.to_owned(),
            });
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(target: &str) -> Act {
        Act {
            at: Timestamp::UNIX_EPOCH,
            detail: BTreeMap::new(),
            outcome: "done".to_owned(),
            target: target.to_owned(),
            what: "reaction.put".to_owned(),
            who: Who {
                name: "ann".to_owned(),
                ..Who::default()
            },
        }
    }

    fn rows(count: u32) -> Vec<Recorded> {
        let mut last = Mark::default();
        let sealed = (0..count).map(|number| {
            let row = Recorded::after(last, act(&number.to_string())).unwrap();
            last = row.mark();
            row
        });
        sealed.collect()
    }

    fn verify(rows: &[Recorded], head: Mark) -> Result<Mark, Broken> {
        let mut chain = Chain::new(Mark::default());
        rows.iter().try_for_each(|row| chain.check(row))?;
        chain.end(head)
    }

    #[test]
    fn the_text_of_a_row_never_changes_its_form() {
        let row = &rows(1)[0];
        let text = r#"{"act":{"at":"1970-01-01T00:00:00Z","detail":{},"outcome":"done","target":"0","what":"reaction.put","who":{"name":"ann"}},"seq":1}"#;
        assert_eq!(row.text, text);
        let of = Digest::of(&[&[0; 32][..], text.as_bytes()].concat());
        assert_eq!(row.hash, of);
    }

    #[test]
    fn a_chain_as_it_was_written_is_whole() {
        let rows = rows(5);
        assert_eq!(verify(&rows, rows[4].mark()), Ok(rows[4].mark()));
        assert_eq!(verify(&[], Mark::default()), Ok(Mark::default()));
    }

    #[test]
    fn the_first_row_that_was_changed_removed_or_moved_is_named() {
        let whole = rows(5);
        let head = whole[4].mark();
        for (changed, seq) in [
            (
                {
                    let mut rows = whole.clone();
                    rows[2].text = rows[2].text.replace("ann", "bob");
                    rows
                },
                3,
            ),
            (
                {
                    let mut rows = whole.clone();
                    rows[1].hash = rows[0].hash;
                    rows
                },
                2,
            ),
            ([&whole[..2], &whole[3..]].concat(), 3),
            (whole[1..].to_vec(), 1),
            (whole[..4].to_vec(), 5),
            (
                {
                    let mut rows = whole.clone();
                    rows.swap(1, 2);
                    rows
                },
                2,
            ),
            (
                {
                    let mut rows = whole.clone();
                    rows.swap(1, 2);
                    (rows[1].seq, rows[2].seq) = (2, 3);
                    rows
                },
                2,
            ),
        ] {
            assert_eq!(verify(&changed, head).unwrap_err().seq, seq);
        }
    }

    #[test]
    fn rows_at_the_front_are_missed_unless_retention_tells_of_them() {
        let mut rows = rows(3);
        let checkpoint = rows[1].mark();
        let check = |rows: &[Recorded]| {
            let mut chain = Chain::new(checkpoint);
            rows.iter().try_for_each(|row| chain.check(row))?;
            chain.end(rows.last().map_or(checkpoint, Recorded::mark))
        };
        assert_eq!(check(&rows[2..]).unwrap_err().seq, 2);
        let told = Act::expired(checkpoint, Timestamp::UNIX_EPOCH);
        rows.push(Recorded::after(rows[2].mark(), told).unwrap());
        assert_eq!(check(&rows[2..]), Ok(rows[3].mark()));
    }

    #[test]
    fn long_texts_are_cut_and_times_are_kept_to_the_microsecond() {
        let mut long = act(&"ä".repeat(1000));
        long.at = Timestamp::from_nanosecond(1_234_567).unwrap();
        let bounded = long.bounded();
        assert_eq!(bounded.target.chars().count(), TEXT_MAX);
        assert_eq!(bounded.at.as_nanosecond(), 1_234_000);
    }
}
