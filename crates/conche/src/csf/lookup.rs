//! Where a module's own settings are: CSF's `localfiles` provider.
//!
//! Source: CSF `ext/config_providers/localfiles`: the entries of the folder in the order of
//! their names, each without its *last* extension; the first that is the module's name in
//! any case.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Error;

/// The file of a module, if there is one.
pub(super) fn find(dir: &Path, module: &str) -> Result<Option<PathBuf>, Error> {
    let refused = |source| Error::Read {
        file: dir.to_owned(),
        source,
    };
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(refused)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(refused)?;
    entries.sort();
    let is_its = |file: &PathBuf| {
        let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        stem.to_lowercase() == module.to_lowercase()
    };
    Ok(entries.into_iter().find(is_its))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_of_the_modules_name_in_any_case_counts() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "mail.yml.bak",
            "MAIL.yml",
            "mail.yaml",
            "k8s",
            "clair.yml",
            ".mail",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = |module| {
            let file = find(dir.path(), module).unwrap()?;
            Some(file.file_name()?.to_str()?.to_owned())
        };
        assert_eq!(found("mail").as_deref(), Some("MAIL.yml"));
        assert_eq!(found("Clair").as_deref(), Some("clair.yml"));
        assert_eq!(found("k8s").as_deref(), Some("k8s"));
        assert_eq!(found("vuls"), None);
        assert!(find(Path::new("/nonexistent"), "mail").is_err());
    }
}
