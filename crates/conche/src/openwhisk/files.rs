//! The files that are deployed, read from a folder with limits.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use conche_openwhisk::deploy::{File, Files, Found, Listed};

/// Bytes of a file or of all files of a folder: no host takes more.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Files of a folder.
pub(super) const FILES_MAX: usize = 20_000;
/// Folders within each other.
const DEPTH_MAX: usize = 64;

/// A folder.
pub(super) struct Folder {
    path: PathBuf,
    /// Whether what is outside of it, also by a link, is refused.
    confined: bool,
}

impl Folder {
    pub(super) fn new(path: &Path, confined: bool) -> Self {
        Self {
            path: path.to_owned(),
            confined,
        }
    }

    /// The path of a file or folder that may be read.
    fn allowed(&self, path: &Path) -> Result<PathBuf, String> {
        let real = path.canonicalize().map_err(text)?;
        if self.confined && !real.starts_with(self.path.canonicalize().map_err(text)?) {
            return Err("it is outside of the folder".to_owned());
        }
        Ok(real)
    }
}

impl Files for Folder {
    fn list(&self) -> Result<Vec<Listed>, String> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(text)? {
            let entry = entry.map_err(text)?;
            let name = name(&entry)?;
            // A link that leads nowhere is no function.
            let Ok(about) = fs::metadata(entry.path()) else {
                continue;
            };
            listed.push(Listed {
                name,
                is_folder: about.is_dir(),
                is_executable: is_executable(&about),
            });
        }
        Ok(listed)
    }

    fn has(&self, path: &str) -> bool {
        self.path.join(path).is_file()
    }

    fn read(&self, path: &str) -> Result<Found, String> {
        if path.contains("://") {
            return Err("files are not fetched: it has to be here".to_owned());
        }
        let path = self.allowed(&self.path.join(path))?;
        if !path.is_dir() {
            return Ok(Found::File(file(&path, BYTES_MAX)?));
        }
        let mut walk = Walk {
            within: self,
            files: Vec::new(),
            left: BYTES_MAX,
        };
        walk.folder(&path, "", DEPTH_MAX)?;
        Ok(Found::Folder(walk.files))
    }
}

/// All files of a folder and below, but for those of version control.
struct Walk<'a> {
    within: &'a Folder,
    files: Vec<(String, File)>,
    /// Bytes that may still come.
    left: u64,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), String> {
        if depth == 0 {
            return Err(format!("{prefix} is more than {DEPTH_MAX} folders deep"));
        }
        for entry in fs::read_dir(folder).map_err(text)? {
            let entry = entry.map_err(text)?;
            let name = name(&entry)?;
            if name == ".git" {
                continue;
            }
            let within = format!("{prefix}{name}");
            let failed = |error: &dyn std::fmt::Display| format!("{within}: {error}");
            let about = fs::metadata(entry.path()).map_err(|error| failed(&error))?;
            if !about.is_dir() {
                let path = self.within.allowed(&entry.path());
                let file = path.and_then(|path| file(&path, self.left));
                let file = file.map_err(|error| failed(&error))?;
                self.left -= file.bytes.len() as u64;
                self.files.push((within, file));
                if self.files.len() > FILES_MAX {
                    return Err(format!("there are more than {FILES_MAX} files"));
                }
            } else if entry.file_type().map_err(text)?.is_symlink() {
                // It could lead to a folder around it.
                return Err(failed(&"a link to a folder can't be packed"));
            } else {
                self.folder(&entry.path(), &format!("{within}/"), depth - 1)?;
            }
        }
        Ok(())
    }
}

/// A regular file of so many bytes at most.
fn file(path: &Path, most: u64) -> Result<File, String> {
    let about = fs::metadata(path).map_err(text)?;
    if !about.is_file() {
        return Err("it is neither file nor folder".to_owned());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(text)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(text)?;
    if bytes.len() as u64 > most {
        return Err(format!("there are more than {BYTES_MAX} bytes"));
    }
    Ok(File {
        bytes,
        is_executable: is_executable(&about),
    })
}

fn is_executable(about: &fs::Metadata) -> bool {
    about.is_file() && about.permissions().mode() & 0o111 != 0
}

fn name(entry: &fs::DirEntry) -> Result<String, String> {
    let name = entry.file_name().into_string();
    name.map_err(|name| format!("{} is no name in UTF-8", name.display()))
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
