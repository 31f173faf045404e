//! One look at the folder: what is new in which file, and where that leaves each of them.
//!
//! The reader's memory runs ahead of what is stored by one look at most: the caller stores
//! [`Reader::cursor`] with the pieces of that look before it asks for the next.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::Path;

use super::cursor::{Cursor, Head, Identity, Mark, Memory, Progress};
use super::folder::Found;
use super::lines::{self, Line};
use super::{Read, Rules, Start};

/// Pieces and bytes of one look: they go into one transaction.
const PIECES_MAX: usize = 200;
const BYTES_MAX: usize = 1 << 20;

/// Begins the id of a file that was read anew because the cursor was lost: its lines' ids hold
/// a digest of the line, since the same inode may have held another file before.
const BY_CONTENT: &str = "content:";

/// What one look found.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) pieces: Vec<Piece>,
    pub(super) refusals: Vec<Refusal>,
    /// Whether the cursor changed.
    pub(super) changed: bool,
    /// Whether there is more to be read at once.
    pub(super) more: bool,
    pub(super) bytes: usize,
}

/// The bytes of one event.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// The file, where it is one event as a whole.
    pub(super) whole: Option<Identity>,
}

/// What could not be read.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) place: String,
    pub(super) reason: String,
    /// A whole file, which is refused once and stays: each is told.
    pub(super) is_file: bool,
}

/// A file that is followed.
pub(super) struct Followed {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) progress: Progress,
    /// Held for lines, so that what is moved away is read to its end.
    file: Option<File>,
}

/// What the first look, and no other, means for files that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// The source never ran: `start` decides.
    First,
    /// It ran, and its memory is lost: they are read from their beginning, and their lines
    /// have ids by content, so that a second loss makes no new events of them.
    Anew,
    /// They are new.
    Past,
}

pub(super) struct Reader {
    pub(super) rules: Rules,
    pub(super) files: HashMap<Identity, Followed>,
    /// Whole files whose events are stored or about to be.
    pub(super) done: HashSet<Identity>,
    pub(super) begin: Begin,
    told_full: bool,
}

impl Reader {
    /// Goes on where the cursor says; at the very first start there is none.
    pub(super) fn new(rules: Rules, memory: Memory) -> Self {
        let (begin, cursor) = match memory {
            Memory::None => (Begin::First, Cursor::default()),
            Memory::Cursor(cursor) => (Begin::Past, cursor),
            Memory::Lost(_) => (Begin::Anew, Cursor::default()),
        };
        let marks = cursor.files.into_iter();
        let files = marks.map(|mark| {
            let followed = Followed {
                name: String::new(),
                id: mark.id,
                progress: mark.progress,
                file: None,
            };
            (mark.identity, followed)
        });
        Self {
            rules,
            files: files.collect(),
            done: HashSet::new(),
            begin,
            told_full: false,
        }
    }

    /// What is to be stored with the pieces of the last look.
    pub(super) fn cursor(&self) -> Cursor {
        let mut files: Vec<_> = self
            .files
            .iter()
            .map(|(identity, followed)| Mark {
                identity: *identity,
                id: followed.id.clone(),
                progress: followed.progress.clone(),
            })
            .collect();
        files.sort_by_key(|mark| mark.identity);
        Cursor { files }
    }

    /// Looks once. A folder that is not there has no files.
    pub(super) fn look(&mut self) -> io::Result<Look> {
        let mut look = Look::default();
        let all = match self.rules.pattern.list() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed?,
        };
        self.rest_of_those_gone(&all, &mut look);
        for found in &all {
            if look.pieces.len() >= PIECES_MAX || look.bytes >= BYTES_MAX {
                look.more = true;
                break;
            }
            if let Err(error) = self.look_at(found, &mut look)
                && error.kind() != io::ErrorKind::NotFound
            {
                look.refuse(&found.name, &error.to_string());
            }
        }
        if self.begin != Begin::Past && !look.more {
            self.begin = Begin::Past;
            look.changed = true;
        }
        Ok(look)
    }

    fn look_at(&mut self, found: &Found, look: &mut Look) -> io::Result<()> {
        let known = self.files.get(&found.identity);
        let is_known = known.is_some();
        let was_whole = known.is_some_and(|known| matches!(known.progress, Progress::Whole { .. }));
        if !found.wanted && (!is_known || was_whole) {
            return Ok(());
        }
        if !is_known && self.files.len() >= self.rules.files_max {
            if !std::mem::replace(&mut self.told_full, true) {
                look.refuse(&found.name, "`files` are followed already: it has to wait");
            }
            return Ok(());
        }
        let is_whole = match self.rules.read {
            Read::Json => true,
            Read::Lines => false,
            Read::Auto => Path::new(&found.name)
                .extension()
                .is_some_and(|end| end.eq_ignore_ascii_case("json")),
        };
        if is_whole && found.wanted {
            return self.look_at_whole(found, look);
        }
        self.look_at_lines(found, look)
    }

    fn look_at_lines(&mut self, found: &Found, look: &mut Look) -> io::Result<()> {
        let held = self.files.get_mut(&found.identity);
        let file = match held.and_then(|followed| followed.file.take()) {
            Some(file) => file,
            None => self.rules.pattern.open(found)?,
        };
        let known = self.files.get(&found.identity);
        let known = known.and_then(|followed| match &followed.progress {
            Progress::Lines { offset, head } => Some((*offset, head.clone())),
            Progress::Whole { .. } => None,
        });
        let offset = match known {
            Some((offset, head)) if lines::continues(&file, offset, &head)? => Some(offset),
            Some(_) => None,
            None if self.begin == Begin::First && self.rules.start == Start::End => {
                self.start_at_end(found, file, look)?;
                return Ok(());
            }
            None => None,
        };
        if offset.is_none() {
            // Another file, or other contents: another id for its lines.
            self.files.remove(&found.identity);
        }
        let taken = lines::take(&file, offset.unwrap_or(0), self.limits(), false)?;
        look.more |= taken.more;
        look.changed |= offset != Some(taken.offset);
        let head = lines::head(&file, taken.offset)?;
        let progress = Progress::Lines {
            offset: taken.offset,
            head,
        };
        let id = self.remember(found, progress, Some(file));
        look.lines(&id, &found.name, taken.lines);
        Ok(())
    }

    fn start_at_end(&mut self, found: &Found, file: File, look: &mut Look) -> io::Result<()> {
        let offset = file.metadata()?.len();
        let head = lines::head(&file, offset)?;
        self.remember(found, Progress::Lines { offset, head }, Some(file));
        look.changed = true;
        Ok(())
    }

    fn limits(&self) -> lines::Limits {
        lines::Limits {
            lines: PIECES_MAX,
            bytes: BYTES_MAX,
            line_bytes: self.rules.bytes_max,
        }
    }

    /// Notes how far a file was read; gives its id.
    pub(super) fn remember(
        &mut self,
        found: &Found,
        progress: Progress,
        file: Option<File>,
    ) -> String {
        let followed = self
            .files
            .entry(found.identity)
            .or_insert_with(|| Followed {
                name: String::new(),
                id: if self.begin == Begin::Anew {
                    format!(
                        "{BY_CONTENT}{}:{}",
                        found.identity.device, found.identity.inode
                    )
                } else {
                    uuid::Uuid::now_v7().to_string()
                },
                progress: Progress::Lines {
                    offset: 0,
                    head: Head::default(),
                },
                file: None,
            });
        followed.name.clone_from(&found.name);
        followed.progress = progress;
        followed.file = file;
        followed.id.clone()
    }

    /// Files that have left the folder are read to their end, then forgotten.
    fn rest_of_those_gone(&mut self, all: &[Found], look: &mut Look) {
        let present: HashSet<_> = all.iter().map(|found| found.identity).collect();
        let gone = self.files.keys().filter(|known| !present.contains(*known));
        for identity in gone.copied().collect::<Vec<_>>() {
            let Some(mut followed) = self.files.remove(&identity) else {
                continue;
            };
            look.changed = true;
            self.told_full = false;
            self.done.remove(&identity);
            let (Some(file), Progress::Lines { offset, head }) =
                (&followed.file, &mut followed.progress)
            else {
                continue;
            };
            match lines::take(file, *offset, self.limits(), true) {
                Ok(taken) => {
                    look.lines(&followed.id, &followed.name, taken.lines);
                    if taken.more {
                        look.more = true;
                        *offset = taken.offset;
                        *head = lines::head(file, taken.offset).unwrap_or_default();
                        self.files.insert(identity, followed);
                    }
                }
                Err(error) => look.refuse(&followed.name, &error.to_string()),
            }
            if look.pieces.len() >= PIECES_MAX {
                look.more = true;
                break;
            }
        }
    }
}

/// The id of a line: its file's and its place, which no other line has.
fn line_id(file: &str, offset: u64, line: &[u8]) -> String {
    if file.starts_with(BY_CONTENT) {
        format!("{file}:{offset}:{}", lines::digest(line))
    } else {
        format!("{file}:{offset}")
    }
}

impl Look {
    fn refuse(&mut self, place: &str, reason: &str) {
        self.refusals.push(Refusal {
            place: place.to_owned(),
            reason: reason.to_owned(),
            is_file: false,
        });
    }

    pub(super) fn refuse_file(&mut self, name: &str, reason: String) {
        self.refusals.push(Refusal {
            place: name.to_owned(),
            reason,
            is_file: true,
        });
    }

    fn lines(&mut self, id: &str, name: &str, lines: Vec<Line>) {
        for line in lines {
            match line {
                Line::Whole { offset, bytes } => {
                    self.bytes += bytes.len();
                    self.pieces.push(Piece {
                        id: line_id(id, offset, &bytes),
                        name: name.to_owned(),
                        bytes,
                        whole: None,
                    });
                }
                Line::TooLong { offset, bytes } => self.refuse(
                    name,
                    &format!("the line at {offset} is too long: {bytes} bytes"),
                ),
            }
        }
    }
}
