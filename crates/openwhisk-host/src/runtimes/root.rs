//! The folder that everything of the runtimes is made in, and what earlier hosts left of theirs.
//!
//! A host that is killed can't tidy up. Its folder has a file that was locked as long as it
//! lived; the next host removes the folders whose lock it gets, while it serves already.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::removal::remove;

const PREFIX: &str = "conche-functions-";
const LOCK: &str = "lock";

/// See the module. Removed when dropped.
pub(super) struct Root {
    folder: PathBuf,
    _lock: File,
}

impl Root {
    /// Makes a folder below another, and begins to remove what is left of those of hosts that are
    /// gone.
    pub(super) fn new(below: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(below)?;
        // Other users go through it, but can't see what is there.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
        // Locked before it has its name, so that nobody finds it unlocked.
        let unnamed = folder.path().join("new");
        let lock = File::create(&unnamed)?;
        lock.lock()?;
        fs::rename(&unnamed, folder.path().join(LOCK))?;
        let below = below.to_owned();
        std::thread::Builder::new()
            .name("function-sweep".to_owned())
            .spawn(move || sweep(&below))?;
        Ok(Self {
            folder: folder.keep(),
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.folder) {
            tracing::warn!(path = %self.folder.display(), %error, "the folder of functions stays");
        }
    }
}

/// Removes the folders of hosts that are gone.
fn sweep(below: &Path) {
    let entries = fs::read_dir(below).into_iter().flatten().flatten();
    for entry in entries {
        let is_root = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_root && is_left(&entry.path()) {
            let path = entry.path();
            match remove(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "folder of an ended host removed"),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "folder of an ended host stays");
                }
            }
        }
    }
}

fn is_left(folder: &Path) -> bool {
    let is_own = fs::symlink_metadata(folder)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == nix::unistd::geteuid().as_raw());
    is_own && File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_hosts_that_are_gone_are_removed_and_no_others() {
        let below = tempfile::tempdir().unwrap();
        let alive = Root::new(below.path()).unwrap();
        let gone = below.path().join("conche-functions-gone");
        let starting = below.path().join("conche-functions-starting");
        let other = below.path().join("other");
        for folder in [&gone, &starting, &other] {
            fs::create_dir(folder).unwrap();
        }
        for folder in [&gone, &other] {
            fs::write(folder.join(LOCK), "").unwrap();
        }
        sweep(below.path());
        assert!(!gone.exists());
        assert!(alive.path().exists() && starting.exists() && other.exists());
    }
}
