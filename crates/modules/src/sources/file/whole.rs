//! Files that are one event each: read when they are complete, and then moved or deleted.
//!
//! A file of which there is no event is neither moved nor deleted, whatever becomes of it.

use std::io::{self, Read as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::cursor::{Identity, Progress};
use super::folder::{self, Found};
use super::reader::{Begin, Followed, Look, Piece, Reader};
use super::{OnDone, Start};

impl Reader {
    /// Looks at a file that is one event as a whole.
    pub(super) fn look_at_whole(&mut self, found: &Found, look: &mut Look) -> io::Result<()> {
        let now = |passed_over| Progress::Whole {
            bytes: found.bytes,
            modified: found.modified,
            passed_over,
        };
        let known = self.files.get(&found.identity);
        let known = known.map(|known| known.progress.clone());
        if let Some(known) = known.filter(|known| *known == now(false) || *known == now(true)) {
            if known == now(false) {
                self.done.insert(found.identity);
            }
            self.remember(found, known, None);
            return Ok(());
        }
        // What it was is not what is done with now.
        self.done.remove(&found.identity);
        let limit = self.rules.bytes_max;
        let skipped = self.begin == Begin::First && self.rules.start == Start::End;
        let too_large = found.bytes > limit as u64;
        if skipped || too_large {
            if !skipped {
                let reason = format!("it has {} bytes; at most {limit} are allowed", found.bytes);
                look.refuse_file(&found.name, reason);
            }
            look.changed = true;
            self.remember(found, now(true), None);
            return Ok(());
        }
        let Some(bytes) = self.read_whole(found)? else {
            return Ok(());
        };
        let id = format!(
            "{}:{}:{}:{}",
            found.identity.device, found.identity.inode, found.modified, found.bytes
        );
        look.bytes += bytes.len();
        look.pieces.push(Piece {
            id,
            name: found.name.clone(),
            bytes,
            whole: Some(found.identity),
        });
        self.done.insert(found.identity);
        look.changed = true;
        self.remember(found, now(false), None);
        Ok(())
    }

    /// Reads a file; none where it may be half-written.
    fn read_whole(&self, found: &Found) -> io::Result<Option<Vec<u8>>> {
        let settled = self.settled(found);
        if found.bytes == 0 && !settled {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let file = self.rules.pattern.open(found)?;
        file.take(self.rules.bytes_max as u64 + 1)
            .read_to_end(&mut bytes)?;
        let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(&bytes).is_ok();
        Ok((is_json || settled).then_some(bytes))
    }

    /// A whole file of the last look gave no event of its own: it stays where it is.
    pub(super) fn pass_over(&mut self, file: Identity) {
        self.done.remove(&file);
        if let Some(Followed {
            progress: Progress::Whole { passed_over, .. },
            ..
        }) = self.files.get_mut(&file)
        {
            *passed_over = true;
        }
    }

    /// Whether the file was left alone for long enough to be complete.
    fn settled(&self, found: &Found) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_nanos() as i128);
        now - found.modified >= self.rules.settle.as_nanos() as i128
    }

    /// Moves or deletes whole files whose events are stored; gives what did not work.
    pub(super) fn settle_done(&mut self) -> Vec<(String, io::Error)> {
        let done: Vec<_> = self.done.drain().collect();
        let mut failed = Vec::new();
        if self.rules.on_done == OnDone::Keep {
            return failed;
        }
        for identity in done {
            let Some(followed) = self.files.get(&identity) else {
                continue;
            };
            let from = self.rules.pattern.folder.join(&followed.name);
            // Another file in its place, or other contents, are no event yet.
            if !is_as_read(&from, identity, &followed.progress) {
                continue;
            }
            let result = match (self.rules.on_done, &self.rules.move_to) {
                (OnDone::Delete, _) => std::fs::remove_file(&from),
                (OnDone::Move, Some(folder)) => move_to(&from, folder, followed),
                _ => Ok(()),
            };
            if let Err(error) = result {
                failed.push((followed.name.clone(), error));
            }
        }
        failed
    }
}

/// Whether what is there is still the file whose event is stored.
fn is_as_read(path: &Path, known: Identity, progress: &Progress) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return false;
    };
    let now = folder::found(&metadata);
    let read = Progress::Whole {
        bytes: now.bytes,
        modified: now.modified,
        passed_over: false,
    };
    metadata.is_file() && now.identity == known && *progress == read
}

/// Never over a file that is there already.
fn move_to(from: &Path, folder: &Path, followed: &Followed) -> io::Result<()> {
    let mut to = folder.join(&followed.name);
    if to.try_exists()? {
        to = folder.join(format!("{}.{}", followed.name, followed.id));
    }
    std::fs::rename(from, to)
}
