//! Archives of strangers, unpacked below one folder and nowhere else.
//!
//! What is written is counted as it is written: no size that an archive claims is believed. Only
//! files, folders and links that stay inside are made; links last, so that nothing is ever
//! written through one. Of the modes only "executable" is kept.

use std::fs::{self, File, Permissions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;

/// What an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Files, folders and links. Default 50,000.
    pub entries: usize,
    /// Bytes of all files. Default 512 MiB.
    pub bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            entries: 50_000,
            bytes: 512 << 20,
        }
    }
}

/// The longest path of an entry in bytes.
const PATH_MAX: usize = 1024;

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("it is no zip and no tar.gz")]
    Format,
    #[error("it can't be read: {0}")]
    Zip(#[from] zip::result::ZipError),
    #[error("it can't be read or written: {0}")]
    Io(#[from] io::Error),
    #[error("the path `{0}` leads out of the archive")]
    Outside(String),
    #[error("the link `{0}` leads out of the archive")]
    LinkOutside(String),
    #[error("`{0}` is no file, folder or symbolic link")]
    Special(String),
    #[error("it has more than {0} entries")]
    Entries(usize),
    #[error("it has more than {0} bytes")]
    Bytes(u64),
}

/// Unpacks a zip or a tar.gz into a folder that exists and is empty.
pub(super) fn unpack(archive: &[u8], folder: &Path, limits: UnpackLimits) -> Result<(), Error> {
    let mut target = Target {
        folder,
        limits,
        entries: 0,
        bytes: 0,
        links: Vec::new(),
    };
    if is_zip(archive) {
        unzip(archive, &mut target)?;
    } else if is_gzip(archive) {
        untar(GzDecoder::new(archive), &mut target)?;
    } else {
        return Err(Error::Format);
    }
    target.make_links()
}

/// Whether the bytes begin like an archive.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    is_zip(bytes) || is_gzip(bytes)
}

fn is_zip(bytes: &[u8]) -> bool {
    // An empty zip has only the end of its directory.
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

fn unzip(archive: &[u8], target: &mut Target<'_>) -> Result<(), Error> {
    let mut zip = zip::ZipArchive::new(Cursor::new(archive))?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        let name = entry.name()?.into_owned();
        if entry.is_dir() {
            target.folder(&name)?;
        } else if entry.is_symlink() {
            let mut to = String::new();
            entry
                .by_ref()
                .take(PATH_MAX as u64)
                .read_to_string(&mut to)?;
            target.link(&name, &to)?;
        } else {
            let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
            target.file(&name, executable, &mut entry)?;
        }
    }
    Ok(())
}

fn untar(from: impl Read, target: &mut Target<'_>) -> Result<(), Error> {
    let mut tar = tar::Archive::new(from);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.header().entry_type() {
            tar::EntryType::Directory => target.folder(&name)?,
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                let executable = entry.header().mode()? & 0o111 != 0;
                target.file(&name, executable, &mut entry)?;
            }
            tar::EntryType::Symlink => {
                let to = entry.link_name_bytes().unwrap_or_default().into_owned();
                target.link(&name, &String::from_utf8_lossy(&to))?;
            }
            // Remarks for the entries that follow.
            tar::EntryType::XHeader | tar::EntryType::XGlobalHeader => {}
            _ => return Err(Error::Special(name)),
        }
    }
    Ok(())
}

/// Where an archive is unpacked.
struct Target<'a> {
    folder: &'a Path,
    limits: UnpackLimits,
    entries: usize,
    bytes: u64,
    links: Vec<(PathBuf, String)>,
}

impl Target<'_> {
    fn folder(&mut self, name: &str) -> Result<(), Error> {
        let path = self.place(name)?;
        self.make_folders(&path)
    }

    fn file(&mut self, name: &str, executable: bool, from: &mut impl Read) -> Result<(), Error> {
        let path = self.place(name)?;
        if let Some(parent) = path.parent() {
            self.make_folders(parent)?;
        }
        let mut file = File::create(&path)?;
        let mode = if executable { 0o755 } else { 0o644 };
        file.set_permissions(Permissions::from_mode(mode))?;
        // One more than allowed, to see whether there is more.
        let left = self.limits.bytes - self.bytes;
        let copied = io::copy(&mut from.take(left + 1), &mut file)?;
        if copied > left {
            return Err(Error::Bytes(self.limits.bytes));
        }
        self.bytes += copied;
        Ok(())
    }

    fn link(&mut self, name: &str, to: &str) -> Result<(), Error> {
        let path = self.place(name)?;
        let inside = path.strip_prefix(self.folder).unwrap_or(&path);
        let depth = inside.components().count().saturating_sub(1);
        if !stays_inside(Path::new(to), depth) {
            return Err(Error::LinkOutside(name.to_owned()));
        }
        self.links.push((path, to.to_owned()));
        Ok(())
    }

    fn make_links(self) -> Result<(), Error> {
        for (path, to) in &self.links {
            if let Some(parent) = path.parent() {
                self.make_folders(parent)?;
            }
            symlink(to, path)?;
        }
        Ok(())
    }

    /// The place of an entry, counted.
    fn place(&mut self, name: &str) -> Result<PathBuf, Error> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Error::Entries(self.limits.entries));
        }
        let outside = || Error::Outside(name.chars().take(PATH_MAX).collect());
        if name.len() > PATH_MAX || name.contains('\0') {
            return Err(outside());
        }
        let mut path = self.folder.to_owned();
        for component in Path::new(name).components() {
            match component {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                _ => return Err(outside()),
            }
        }
        Ok(path)
    }

    /// Makes the folders down to `path`, readable by the user that the action runs as.
    fn make_folders(&self, path: &Path) -> Result<(), Error> {
        let below = path.strip_prefix(self.folder).unwrap_or(Path::new(""));
        let mut path = self.folder.to_owned();
        for part in below {
            path.push(part);
            match fs::create_dir(&path) {
                Ok(()) => fs::set_permissions(&path, Permissions::from_mode(0o755))?,
                // A link is no folder to go through, even where it leads to one.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !fs::symlink_metadata(&path)?.is_dir() {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Whether a relative link that stands so many folders deep stays below the top.
///
/// It may climb only before it goes down: the folders that it climbs through are real ones,
/// while those that it goes down through may be links, which stay inside by the same rule.
fn stays_inside(to: &Path, depth: usize) -> bool {
    let mut climbed = 0;
    let mut went_down = false;
    to.components().all(|component| match component {
        Component::Normal(_) => {
            went_down = true;
            true
        }
        Component::CurDir => true,
        Component::ParentDir => {
            climbed += 1;
            !went_down && climbed <= depth
        }
        Component::RootDir | Component::Prefix(_) => false,
    }) && !to.as_os_str().is_empty()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;
    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    const LIMITS: UnpackLimits = UnpackLimits {
        entries: 10,
        bytes: 1000,
    };

    fn zipped(entries: &[(&str, &[u8], u32)]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes, mode) in entries {
            let options = SimpleFileOptions::default().unix_permissions(*mode);
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn tarred(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(encoder);
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_old();
            // As hostile archives do: without the checks of the library.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o4777);
            let body = match kind {
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    let link = &mut header.as_old_mut().linkname;
                    link[..content.len()].copy_from_slice(content.as_bytes());
                    ""
                }
                _ => content,
            };
            header.set_size(body.len() as u64);
            header.set_cksum();
            tar.append(&header, body.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn unpacked(archive: &[u8]) -> Result<tempfile::TempDir, Error> {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        fs::create_dir(&below).unwrap();
        let done = unpack(archive, &below, LIMITS);
        let beside: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(beside.len(), 1, "{beside:?}");
        done.map(|()| folder)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn files_keep_whether_they_are_executable_and_nothing_else() {
        let archive = zipped(&[("a/b.js", b"x", 0o600), ("exec", b"y", 0o4711)]);
        let folder = unpacked(&archive).unwrap();
        let below = folder.path().join("below");
        assert_eq!(fs::read(below.join("a/b.js")).unwrap(), b"x");
        assert_eq!(mode(&below.join("a/b.js")), 0o644);
        assert_eq!(mode(&below.join("exec")), 0o755);
        let archive = tarred(&[("./x", tar::EntryType::Regular, "z")]);
        let folder = unpacked(&archive).unwrap();
        assert_eq!(mode(&folder.path().join("below/x")), 0o755);
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for name in ["../x", "/x", "a/../../x", "a/../x"] {
            let zip = unpacked(&zipped(&[(name, b"x", 0o644)]));
            let tar = unpacked(&tarred(&[(name, tar::EntryType::Regular, "x")]));
            for refused in [zip.unwrap_err(), tar.unwrap_err()] {
                assert!(matches!(refused, Error::Outside(_)), "{name}: {refused}");
            }
        }
    }

    #[test]
    fn links_that_stay_inside_are_made_and_others_refused() {
        let link = tar::EntryType::Symlink;
        let file = ("lib/x.js", tar::EntryType::Regular, "x");
        let folder = unpacked(&tarred(&[("bin/x", link, "../lib/x.js"), file])).unwrap();
        let made = fs::read(folder.path().join("below/bin/x")).unwrap();
        assert_eq!(made, b"x");
        for to in ["/etc/passwd", "../x", "..", "lib/..", ""] {
            let refused = unpacked(&tarred(&[("x", link, to)])).unwrap_err();
            assert!(matches!(refused, Error::LinkOutside(_)), "{to}: {refused}");
        }
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let link = tar::EntryType::Symlink;
        let archive = tarred(&[
            ("a", link, "b"),
            ("b/c", tar::EntryType::Regular, "x"),
            ("a/d", tar::EntryType::Regular, "y"),
        ]);
        // `a` is a folder by the time the link is made.
        assert!(matches!(unpacked(&archive), Err(Error::Io(_))));
    }

    #[test]
    fn hard_links_and_devices_are_refused() {
        for kind in [
            tar::EntryType::Link,
            tar::EntryType::Char,
            tar::EntryType::Fifo,
        ] {
            let refused = unpacked(&tarred(&[("x", kind, "y")])).unwrap_err();
            assert!(matches!(refused, Error::Special(_)), "{kind:?}: {refused}");
        }
    }

    #[test]
    fn sizes_are_counted_and_not_believed() {
        let much = vec![0; 2000];
        let bomb = zipped(&[("x", &much, 0o644)]);
        assert!(bomb.len() < 300, "{}", bomb.len());
        assert!(matches!(unpacked(&bomb), Err(Error::Bytes(1000))));
        let halves = zipped(&[("x", &much[..600], 0o644), ("y", &much[..600], 0o644)]);
        assert!(matches!(unpacked(&halves), Err(Error::Bytes(1000))));
        let names: Vec<String> = (0..11).map(|number| number.to_string()).collect();
        let many: Vec<(&str, &[u8], u32)> = names
            .iter()
            .map(|name| (name.as_str(), &b""[..], 0o644))
            .collect();
        assert!(matches!(unpacked(&zipped(&many)), Err(Error::Entries(10))));
    }

    #[test]
    fn what_is_no_archive_or_a_broken_one_is_refused() {
        assert!(matches!(unpacked(b"hello"), Err(Error::Format)));
        let whole = zipped(&[("x", b"hello", 0o644)]);
        for end in (4..whole.len()).step_by(7) {
            assert!(unpacked(&whole[..end]).is_err(), "{end}");
        }
        let whole = tarred(&[("x", tar::EntryType::Regular, "hello")]);
        assert!(unpacked(&whole[..whole.len() / 2]).is_err());
    }
}
