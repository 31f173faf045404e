//! What an action executes: its code, as a text or as base64, and its kind.
//!
//! The kind is what is written, or what the file's name or an archive's content says. A folder
//! becomes an archive that is the same each time, so that it is not written again.

use std::io::{Cursor, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, DateTime, ZipArchive};

use super::{File, Found};
use crate::model::{Blackbox, Code, Exec, Other};

/// What carries a program out that speaks the line protocol.
const PROGRAM: &str = "exec:1";
/// The image that carries out programs in OpenWhisk.
const SKELETON: &str = "openwhisk/dockerskeleton";

/// Endings of files, and the language of each.
const ENDINGS: [(&str, &str); 8] = [
    ("go", "go"),
    ("jar", "java"),
    ("js", "nodejs"),
    ("php", "php"),
    ("py", "python"),
    ("rb", "ruby"),
    ("rs", "rust"),
    ("swift", "swift"),
];

/// Files at the root of an archive that say what carries it out.
pub(super) const ROOTS: [(&str, &str); 4] = [
    ("package.json", "nodejs:default"),
    ("index.js", "nodejs:default"),
    ("__main__.py", "python:default"),
    ("exec", PROGRAM),
];

/// How an action is to be carried out, as far as it is said.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// `nodejs:20`, `nodejs@20` or `nodejs`.
    pub(super) runtime: Option<String>,
    /// The function to call.
    pub(super) main: Option<String>,
    /// The image to carry it out.
    pub(super) image: Option<String>,
}

impl Run {
    /// In the image for programs.
    pub(super) fn native(mut self) -> Self {
        self.image.get_or_insert_with(|| SKELETON.to_owned());
        self
    }

    /// Carries out code that is written in the manifest.
    pub(super) fn inline(self, code: &str) -> Result<Exec, String> {
        let kind = self.kind().ok_or("code needs a `runtime`");
        match self.image {
            Some(_) => Ok(self.exec(String::new(), Some(code.to_owned()))),
            None => Ok(self.exec(kind?, Some(code.to_owned()))),
        }
    }

    /// Carries out an image that brings its own code.
    pub(super) fn bare(self) -> Exec {
        self.exec(String::new(), None)
    }

    /// Carries out what is at a path.
    pub(super) fn found(self, path: &str, found: Found) -> Result<Exec, String> {
        let (kind, code) = match found {
            Found::Folder(files) => {
                let names = files.iter().map(|(name, _)| name.as_str());
                (of_archive(names), STANDARD.encode(archive(files)?))
            }
            Found::File(file) => of_file(path, &file)?,
        };
        let kind = self.kind().or(kind);
        match (&self.image, kind) {
            (Some(_), _) => Ok(self.exec(String::new(), Some(code))),
            (None, Some(kind)) => Ok(self.exec(kind, Some(code))),
            (None, None) => {
                Err("nothing says what carries it out: it needs a `runtime`".to_owned())
            }
        }
    }

    /// The kind that is written; none where the language is left open.
    fn kind(&self) -> Option<String> {
        let written = self.runtime.as_deref()?.replace('@', ":");
        match written.split_once(':') {
            Some(("language", _)) => None,
            Some(_) => Some(written),
            None => Some(format!("{written}:default")),
        }
    }

    fn exec(self, kind: String, code: Option<String>) -> Exec {
        match self.image {
            Some(image) => Exec::Blackbox(Blackbox {
                image,
                code,
                binary: None,
                main: self.main,
                other: Other::new(),
            }),
            None => Exec::Code(Code {
                kind,
                code,
                binary: None,
                main: self.main,
                other: Other::new(),
            }),
        }
    }
}

/// The language of a file, by its ending.
pub(super) fn language(path: &str) -> Option<&'static str> {
    let ending = ending(path)?;
    let found = ENDINGS.iter().find(|(known, _)| *known == ending);
    found.map(|(_, language)| *language)
}

/// Whether a file is an archive, by its ending.
pub(super) fn is_archive(path: &str) -> bool {
    ending(path) == Some("zip")
}

fn ending(path: &str) -> Option<&str> {
    path.rsplit_once('.').map(|(_, ending)| ending)
}

/// Whether a file is a program: it may be executed, and begins as one does.
pub(super) fn is_program(file: &File) -> bool {
    file.is_executable && (file.bytes.starts_with(b"#!") || file.bytes.starts_with(b"\x7fELF"))
}

fn of_file(path: &str, file: &File) -> Result<(Option<String>, String), String> {
    if is_archive(path) {
        let zip = ZipArchive::new(Cursor::new(&file.bytes)).map_err(|error| error.to_string())?;
        let names: Vec<_> = zip.file_names().filter_map(Result::ok).collect();
        let kind = of_archive(names.iter().map(AsRef::as_ref));
        return Ok((kind, STANDARD.encode(&file.bytes)));
    }
    let language = language(path);
    let kind = match language {
        Some(language) => Some(format!("{language}:default")),
        None => is_program(file).then(|| PROGRAM.to_owned()),
    };
    let code = match std::str::from_utf8(&file.bytes) {
        Ok(text) if language != Some("java") => text.to_owned(),
        _ => STANDARD.encode(&file.bytes),
    };
    Ok((kind, code))
}

fn of_archive<'n>(names: impl Iterator<Item = &'n str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    let root = ROOTS.iter().find(|(root, _)| names.contains(root));
    root.map(|(_, kind)| (*kind).to_owned())
}

/// A zip of files: in order, without times, so that the same files are the same archive.
fn archive(mut files: Vec<(String, File)>) -> Result<Vec<u8>, String> {
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, file) in files {
        let mode = if file.is_executable { 0o755 } else { 0o644 };
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(mode);
        zip.start_file(path, options)
            .map_err(|error| error.to_string())?;
        zip.write_all(&file.bytes)
            .map_err(|error| error.to_string())?;
    }
    let written = zip.finish().map_err(|error| error.to_string())?;
    Ok(written.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        File {
            bytes: bytes.to_vec(),
            is_executable: bytes.starts_with(b"#!"),
        }
    }

    fn kind(runtime: Option<&str>, path: &str, found: Found) -> Result<String, String> {
        let run = Run {
            runtime: runtime.map(str::to_owned),
            ..Run::default()
        };
        run.found(path, found).map(|exec| exec.kind().to_owned())
    }

    #[test]
    fn the_kind_is_what_is_written_or_what_the_file_says() {
        let of = |runtime, path, bytes| kind(runtime, path, Found::File(file(bytes)));
        assert_eq!(of(None, "a.js", b"x").as_deref(), Ok("nodejs:default"));
        assert_eq!(of(None, "d/a.py", b"x").as_deref(), Ok("python:default"));
        assert_eq!(
            of(Some("nodejs@20"), "a.js", b"x").as_deref(),
            Ok("nodejs:20")
        );
        assert_eq!(
            of(Some("python"), "a", b"x").as_deref(),
            Ok("python:default")
        );
        assert_eq!(
            of(Some("language:default"), "a.rb", b"x").as_deref(),
            Ok("ruby:default")
        );
        assert_eq!(of(None, "scan", b"#!/bin/sh\n").as_deref(), Ok("exec:1"));
        assert!(
            of(None, "a.txt", b"x")
                .unwrap_err()
                .contains("needs a `runtime`")
        );
        assert!(of(None, "a.zip", b"no archive").is_err());
        let image = Run {
            image: Some("me/it".to_owned()),
            ..Run::default()
        };
        let exec = image.found("a", Found::File(file(b"x"))).unwrap();
        assert_eq!((exec.kind(), exec.source()), ("blackbox", Some("x")));
    }

    #[test]
    fn a_folder_is_the_same_archive_each_time_and_says_its_kind() {
        let files = |reversed: bool| {
            let mut files = vec![
                ("package.json".to_owned(), file(b"{}")),
                ("lib/a.js".to_owned(), file(b"exports.a = 1")),
                ("bin/run".to_owned(), file(b"#!/bin/sh\n")),
            ];
            if reversed {
                files.reverse();
            }
            Found::Folder(files)
        };
        let exec = |found| Run::default().found("pkg", found).unwrap();
        let (one, other) = (exec(files(false)), exec(files(true)));
        assert_eq!(one, other);
        assert_eq!(one.kind(), "nodejs:default");
        let bytes = STANDARD.decode(one.source().unwrap()).unwrap();
        // The archive itself says the same.
        let given = Found::File(file(&bytes));
        assert_eq!(Run::default().found("pkg.zip", given), Ok(one));
        let mut zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(zip.by_name("bin/run").unwrap().unix_mode(), Some(0o100_755));
        assert_eq!(
            zip.by_name("lib/a.js").unwrap().unix_mode(),
            Some(0o100_644)
        );
    }
}
