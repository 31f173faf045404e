//! What is in the folder: names that match a pattern, and who they are.
//!
//! Only plain files count. A link, a pipe or a device in a folder that others may write to
//! must never make the server read elsewhere or wait.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::cursor::Identity;

/// A folder and which of its names count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) folder: PathBuf,
    name: Option<Vec<char>>,
}

/// A plain file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) identity: Identity,
    pub(super) name: String,
    pub(super) bytes: u64,
    /// In nanoseconds since 1970.
    pub(super) modified: i128,
    /// Whether the pattern wants it; others are looked at only where they were followed before.
    pub(super) wanted: bool,
}

impl Pattern {
    /// A path whose last part has a wildcard, or names a folder; or one plain file's path.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let path = Path::new(text);
        let last = path.file_name().and_then(|name| name.to_str());
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        if parent.to_string_lossy().contains(['*', '?']) {
            return Err("`path` may have wildcards in its last part only".to_owned());
        }
        let wild = last.is_some_and(|last| last.contains(['*', '?']));
        let name = match last {
            _ if text.is_empty() => return Err("`path` is empty".to_owned()),
            Some(last) if wild || (!text.ends_with('/') && !path.is_dir()) => last,
            _ => {
                return Ok(Self {
                    folder: path.to_owned(),
                    name: None,
                });
            }
        };
        Ok(Self {
            folder: parent.to_owned(),
            name: Some(name.chars().collect()),
        })
    }

    /// Hidden names count only where the pattern begins with a dot itself: half-written files
    /// are often called so.
    pub(super) fn wants(&self, name: &str) -> bool {
        match &self.name {
            None => !name.starts_with('.'),
            Some(pattern) => {
                let chars: Vec<char> = name.chars().collect();
                (!name.starts_with('.') || pattern.first() == Some(&'.')) && like(pattern, &chars)
            }
        }
    }

    /// The plain files of the folder, in the order of their names.
    pub(super) fn list(&self) -> io::Result<Vec<Found>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            // What has gone meanwhile is not there; a name that is not UTF-8 can't be told.
            let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata())
            else {
                continue;
            };
            if metadata.is_file() {
                all.push(Found {
                    wanted: self.wants(&name),
                    name,
                    ..found(&metadata)
                });
            }
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Opens a file that was found; fails where it is not that file any more. What somebody
    /// put into its place meanwhile is neither followed, if a link, nor waited for, if a pipe.
    pub(super) fn open(&self, found: &Found) -> io::Result<File> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(self.folder.join(&found.name));
        let file = opened.map_err(|error| match error.raw_os_error() {
            Some(code) if Errno::from_raw(code) == Errno::ELOOP => gone(),
            _ => error,
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || identity(&metadata) != found.identity {
            return Err(gone());
        }
        Ok(file)
    }
}

/// What the system says of a file, without its name.
pub(super) fn found(metadata: &std::fs::Metadata) -> Found {
    Found {
        identity: identity(metadata),
        name: String::new(),
        bytes: metadata.len(),
        modified: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        wanted: false,
    }
}

fn identity(metadata: &std::fs::Metadata) -> Identity {
    Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
    }
}

/// Whether a name is like a pattern of `*` and `?`. Goes back to the last `*` only, so the
/// work is bounded by the product of both lengths.
fn like(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(char) if *char == '?' || *char == name[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((star_at, taken)) => {
                    star = Some((star_at, taken + 1));
                    at = star_at + 1;
                    read = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|char| *char == '*')
}
