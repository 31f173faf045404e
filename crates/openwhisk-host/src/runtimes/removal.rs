//! Removing folders that functions wrote to.
//!
//! What is in such a folder a stranger has chosen: folders within folders, deeper than a stack or
//! the longest path, more of them than there are descriptors, some that nobody may enter. So a
//! folder that is found within is moved up to the top first and emptied there, which takes four
//! descriptors and no recursion however deep it was. Every step begins at a descriptor and
//! follows no link.
//!
//! It may take seconds, so it must never happen on a thread of the async runtime.

use std::ffi::CStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::NixPath;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Rounds in which nothing went before it is given up. Not one: whoever was killed just now may
/// have made its last file.
const VAIN_ROUNDS: u32 = 4;

/// A folder that is removed when dropped, and something that is given up only when it is gone.
#[derive(Debug)]
pub(super) struct OwnFolder<T: Send + 'static> {
    path: PathBuf,
    held: Option<T>,
}

impl<T: Send + 'static> OwnFolder<T> {
    /// Makes a folder with a name that begins so.
    pub(super) fn make(below: &Path, prefix: &str, held: T) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(below)?;
        Ok(Self {
            path: folder.keep(),
            held: Some(held),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it and gives back what it held.
    pub(super) async fn removed(mut self) -> Option<T> {
        let held = self.held.take();
        let path = std::mem::take(&mut self.path);
        // Where the runtime stops, what is left goes with the folder around it.
        tokio::task::spawn_blocking(move || remove_or_tell(&path))
            .await
            .ok();
        held
    }
}

impl<T: Send + 'static> Drop for OwnFolder<T> {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        let path = std::mem::take(&mut self.path);
        // Most functions write nothing.
        if fs::remove_dir(&path).is_ok() {
            return;
        }
        let shown = path.display().to_string();
        let work = move || {
            remove_or_tell(&path);
            drop(held);
        };
        let thread = std::thread::Builder::new().name("function-folder".to_owned());
        if let Err(error) = thread.spawn(work) {
            tracing::warn!(path = shown, %error, "a folder of a function stays");
        }
    }
}

fn remove_or_tell(path: &Path) {
    if let Err(error) = remove(path) {
        tracing::warn!(path = %path.display(), %error, "a folder of a function stays");
    }
}

/// Removes a folder with all that is in it. Others may do so at the same time.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    let Some(mut top) = or_gone(enter(AT_FDCWD, folder))? else {
        return Ok(());
    };
    let mut removal = Removal {
        top: top.as_fd().try_clone_to_owned()?,
        lifted: 0,
        gone: 0,
        failed: None,
    };
    let mut vain = 0;
    loop {
        let before = removal.gone;
        removal.round(&mut top)?;
        match or_gone(unlinkat(AT_FDCWD, folder, UnlinkatFlags::RemoveDir)) {
            Ok(_) => return Ok(()),
            Err(Errno::ENOTEMPTY | Errno::EEXIST) if removal.gone > before => vain = 0,
            Err(error) => {
                vain += 1;
                if vain > VAIN_ROUNDS {
                    return Err(removal.failed.unwrap_or(error).into());
                }
            }
        }
    }
}

/// What is known while a folder is emptied.
struct Removal {
    top: OwnedFd,
    /// Folders that were moved to the top.
    lifted: u64,
    /// Files and folders that are gone.
    gone: u64,
    /// What went wrong first.
    failed: Option<Errno>,
}

impl Removal {
    /// Removes what is at the top. What was moved there meanwhile may be left for the next.
    fn round(&mut self, top: &mut Dir) -> io::Result<()> {
        for entry in top.iter() {
            let entry = entry?;
            if is_other(entry.file_name()) {
                let cleared = self.clear(entry.file_name(), entry.file_type());
                self.note(cleared);
            }
        }
        Ok(())
    }

    fn note(&mut self, done: nix::Result<()>) {
        match or_gone(done) {
            Ok(_) => self.gone += 1,
            Err(error) => {
                self.failed.get_or_insert(error);
            }
        }
    }

    fn clear(&mut self, name: &CStr, kind: Option<Type>) -> nix::Result<()> {
        if unlinked(self.top.as_fd(), name, kind)? {
            return Ok(());
        }
        let mut folder = enter(&self.top, name)?;
        let inner = folder
            .as_fd()
            .try_clone_to_owned()
            .map_err(|_| Errno::EMFILE)?;
        for entry in folder.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if is_other(name) {
                let cleared = match unlinked(inner.as_fd(), name, entry.file_type()) {
                    Ok(false) => self.lift(inner.as_fd(), name),
                    other => other.map(drop),
                };
                self.note(cleared);
            }
        }
        unlinkat(&self.top, name, UnlinkatFlags::RemoveDir)
    }

    /// Moves a folder to the top, under a name that is free or that of an empty folder.
    fn lift(&mut self, from: BorrowedFd<'_>, name: &CStr) -> nix::Result<()> {
        let mut may_be_closed = true;
        loop {
            let free = format!(".lifted-{}", self.lifted);
            match renameat(from, name, &self.top, free.as_str()) {
                Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR) => self.lifted += 1,
                // To be moved it must be writable, as what is above it is written in it.
                Err(Errno::EACCES) if may_be_closed => {
                    enter(from, name)?;
                    may_be_closed = false;
                }
                done => {
                    self.lifted += 1;
                    return done;
                }
            }
        }
    }
}

/// Opens a folder, with the rights to empty it.
fn enter(parent: impl AsFd, name: &(impl NixPath + ?Sized)) -> nix::Result<Dir> {
    let folder = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let handle = openat(
        parent,
        name,
        folder | OFlag::O_PATH | OFlag::O_NOFOLLOW,
        Mode::empty(),
    )?;
    if Mode::from_bits_truncate(fstat(&handle)?.st_mode) & Mode::S_IRWXU != Mode::S_IRWXU {
        // By this name the very folder that was opened is meant, whatever bears its name now.
        let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|_| Errno::EACCES)?;
    }
    Dir::openat(&handle, ".", folder | OFlag::O_RDONLY, Mode::empty())
}

/// Removes what is no folder; false where it is one.
fn unlinked(parent: BorrowedFd<'_>, name: &CStr, kind: Option<Type>) -> nix::Result<bool> {
    if kind == Some(Type::Directory) {
        return Ok(false);
    }
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => Ok(false),
        done => done.map(|()| true),
    }
}

/// What is gone already need not be removed.
fn or_gone<T>(done: nix::Result<T>) -> nix::Result<Option<T>> {
    match done {
        Err(Errno::ENOENT) => Ok(None),
        other => other.map(Some),
    }
}

fn is_other(name: &CStr) -> bool {
    name != c"." && name != c".."
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::mpsc;
    use std::thread::ThreadId;

    use super::*;

    /// More levels than such a stack has room for, and than there usually are descriptors.
    const DEEP: usize = 1200;
    const STACK: usize = 64 << 10;

    /// A chain of folders, made from its end.
    fn chain(below: &Path) {
        let (chain, around) = (below.join("chain"), below.join("around"));
        fs::create_dir(&chain).unwrap();
        for _ in 0..DEEP {
            fs::create_dir(&around).unwrap();
            fs::rename(&chain, around.join("d")).unwrap();
            fs::rename(&around, &chain).unwrap();
        }
    }

    #[test]
    fn a_folder_goes_however_deep_and_closed_it_is() {
        let below = tempfile::tempdir().unwrap();
        let folder = below.path().join("folder");
        fs::create_dir(&folder).unwrap();
        chain(&folder);
        for name in [".lifted-0", "a/b/c", "a/b/d/e", ".lifted-2/x"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::write(folder.join(".lifted-1"), "a file").unwrap();
        for closed in ["a/b/d", "a/b", "a"] {
            fs::set_permissions(folder.join(closed), Permissions::from_mode(0o000)).unwrap();
        }
        let path = folder.clone();
        let thread = std::thread::Builder::new().stack_size(STACK);
        let removed = thread.spawn(move || remove(&path)).unwrap();
        removed.join().unwrap().unwrap();
        assert!(!folder.exists());
        remove(&folder).unwrap();
    }

    #[test]
    fn no_link_is_followed() {
        let below = tempfile::tempdir().unwrap();
        let [folder, other] = ["folder", "other"].map(|name| below.path().join(name));
        for folder in [&folder.join("in"), &other] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(other.join("file"), "kept").unwrap();
        symlink(&other, folder.join("link")).unwrap();
        symlink(&other, folder.join("in/link")).unwrap();
        remove(&folder).unwrap();
        assert!(!folder.exists() && other.join("file").exists());
        symlink(&other, &folder).unwrap();
        assert!(remove(&folder).is_err(), "it is no folder");
        assert!(other.join("file").exists());
    }

    /// Tells on which thread it was dropped, and whether the folder was there.
    struct Witness(PathBuf, mpsc::Sender<(ThreadId, bool)>);

    impl Drop for Witness {
        fn drop(&mut self) {
            let there = self.0.exists();
            self.1.send((std::thread::current().id(), there)).unwrap();
        }
    }

    #[test]
    fn dropping_a_folder_waits_for_nothing_and_what_it_holds_goes_after_it() {
        let below = tempfile::tempdir().unwrap();
        let (sender, dropped) = mpsc::channel();
        let mut folder = OwnFolder::make(below.path(), "a-", None).unwrap();
        folder.held = Some(Some(Witness(folder.path().to_owned(), sender)));
        fs::write(folder.path().join("file"), "").unwrap();
        drop(folder);
        let (thread, there) = dropped.recv().unwrap();
        assert_ne!(thread, std::thread::current().id());
        assert!(!there);
    }

    #[tokio::test]
    async fn what_a_folder_holds_can_be_had_back() {
        let below = tempfile::tempdir().unwrap();
        let folder = OwnFolder::make(below.path(), "a-", 7).unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("file"), "").unwrap();
        assert_eq!(folder.removed().await, Some(7));
        assert!(!path.exists());
    }
}
