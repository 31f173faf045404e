//! The key that seals what is secret and has to be stored: the file `sealing.key` in the data
//! folder, made at the first start.
//!
//! It is no part of a copy that `conche backup` makes, so that a copy alone opens nothing. The
//! caller holds the store's lock, so that two processes never make two keys. The key must never
//! be shown or logged.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use conche_runtime::secrets::SEAL_KEY_BYTES;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The key's file in the data folder.
const FILE: &str = "sealing.key";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read or made.
    #[error("{file}: {source}")]
    File {
        /// The file.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is none that was made here.
    #[error("{0} is no key: put the right file back, or remove it to have a new one made")]
    NoKey(String),
}

/// The key of a data folder; a new one where there is none yet.
pub(crate) fn key(data_dir: &Path) -> Result<[u8; SEAL_KEY_BYTES], Error> {
    let path = data_dir.join(FILE);
    let file = path.display().to_string();
    let cannot = |source| Error::File {
        file: file.clone(),
        source,
    };
    match fs::read(&path) {
        Ok(bytes) => bytes.try_into().map_err(|_| Error::NoKey(file.clone())),
        Err(error) if error.kind() == ErrorKind::NotFound => make(data_dir).map_err(cannot),
        Err(error) => Err(cannot(error)),
    }
}

/// Under another name first: a crash leaves no half of a key.
fn make(data_dir: &Path) -> Result<[u8; SEAL_KEY_BYTES], std::io::Error> {
    let mut key = [0; SEAL_KEY_BYTES];
    let filled = SystemRandom::new().fill(&mut key);
    filled.map_err(|_| std::io::Error::other("there is no randomness"))?;
    let new = data_dir.join(format!("{FILE}.new"));
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(&new)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&new, data_dir.join(FILE))?;
    File::open(data_dir)?.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let first = key(folder.path()).unwrap();
        assert_eq!(key(folder.path()).unwrap(), first);
        let made = fs::metadata(folder.path().join(FILE)).unwrap();
        assert_eq!(made.permissions().mode() & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(key(other.path()).unwrap(), first);
        fs::write(folder.path().join(FILE), "short").unwrap();
        assert!(matches!(key(folder.path()), Err(Error::NoKey(_))));
    }
}
