//! The files of the playbooks folder: what lies within it, wherever links lead.
//!
//! A link to a file of the folder is one of its files, as Kubernetes mounts them; one that
//! leads out of it is none, since its content would be anybody's and is shown to whoever may
//! read playbooks. Links to folders are not followed: they could lead in a circle.

use std::collections::BTreeMap;
use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};

/// Folders within each other that are looked into.
const DEPTH_MAX: usize = 16;

/// What a folder holds, by paths within it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its `.json` files.
    pub(super) files: BTreeMap<String, PathBuf>,
    /// Links to files elsewhere.
    pub(super) outside: Vec<String>,
}

/// Lists a folder; what is hidden is passed by.
pub(super) fn list(dir: &Path) -> Result<Listed, Error> {
    let root = fs::canonicalize(dir)?;
    let mut listed = Listed::default();
    let mut folders = vec![(dir.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let hidden = path.file_name().is_none_or(|name| {
                // Hidden files are editors' and Kubernetes' own.
                name.to_string_lossy().starts_with('.')
            });
            if hidden {
                continue;
            }
            if path.is_dir() {
                if !path.is_symlink() && depth < DEPTH_MAX {
                    folders.push((path, depth + 1));
                }
                continue;
            }
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            let name = path.strip_prefix(dir).unwrap_or(&path);
            let name = name.to_string_lossy().into_owned();
            let leads_out = path.is_symlink()
                && fs::canonicalize(&path).is_ok_and(|real| !real.starts_with(&root));
            if leads_out {
                listed.outside.push(name);
            } else {
                listed.files.insert(name, path);
            }
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_count_where_they_stay_within_the_folder() {
        let around = tempfile::tempdir().unwrap();
        let dir = around.path().join("soc");
        fs::create_dir_all(dir.join("..data")).unwrap();
        fs::create_dir_all(dir.join("more")).unwrap();
        fs::write(around.path().join("secret.json"), "{}").unwrap();
        fs::write(dir.join("..data/a.json"), "{}").unwrap();
        fs::write(dir.join("more/b.json"), "{}").unwrap();
        fs::write(dir.join("c.yaml"), "").unwrap();
        symlink("..data/a.json", dir.join("a.json")).unwrap();
        symlink("../secret.json", dir.join("out.json")).unwrap();
        symlink("..", dir.join("more/circle")).unwrap();
        symlink(around.path(), dir.join("elsewhere")).unwrap();
        let listed = list(&dir).unwrap();
        let names: Vec<&String> = listed.files.keys().collect();
        assert_eq!(names, ["a.json", "more/b.json"]);
        assert_eq!(listed.outside, ["out.json"]);
        assert!(list(&dir.join("none")).is_err());
    }
}
