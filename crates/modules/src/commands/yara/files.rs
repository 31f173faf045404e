//! Which files are scanned: those of this machine below the configured folders, or copies of a
//! host's, fetched by SSH.
//!
//! Where a path leads is asked of the system, not read off the path: a link out of the folders
//! leads nowhere. Files are counted and measured before they are scanned.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::config::{Config, is_plain};
use super::report::Skipped;
use crate::action::Error;
use crate::clients::ssh::{Exit, Ssh};
use crate::command::CommandInput;

/// A file to scan.
#[derive(Debug)]
pub(super) struct Target {
    /// As it is told.
    pub(super) name: String,
    /// Where it is on this machine.
    pub(super) path: PathBuf,
}

/// What is scanned, and what is not.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) targets: Vec<Target>,
    pub(super) skipped: Vec<Skipped>,
}

impl Found {
    fn skip(&mut self, file: impl Into<String>, reason: impl Into<String>) {
        self.skipped.push(Skipped {
            file: file.into(),
            reason: reason.into(),
        });
    }
}

/// More files and folders are not looked at.
const VISITED_MAX: usize = 10_000;

/// The exit code of our own line on the host: the file is outside of the folders.
const OUTSIDE: u32 = 77;

/// The paths that a command is about: its property `paths`, else its variables of type string
/// or uri that hold an absolute path.
pub(super) fn asked(input: &CommandInput) -> Result<Vec<String>, Error> {
    let wrong = || Error::permanent("`paths` must be a list of texts");
    let paths = match input.command.other.get("paths") {
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect::<Result<Vec<_>, _>>()?,
        Some(Value::String(one)) => vec![one.clone()],
        Some(_) => return Err(wrong()),
        None => input
            .variables
            .values()
            .filter(|variable| ["string", "uri"].contains(&variable.kind.as_str()))
            .filter_map(|variable| variable.value.as_str())
            .map(|text| text.strip_prefix("file://").unwrap_or(text))
            .filter(|text| text.starts_with('/'))
            .map(str::to_owned)
            .collect(),
    };
    if paths.is_empty() {
        return Err(Error::permanent(
            "no file is named: give the command `paths`, or the step `in_args` with absolute paths",
        ));
    }
    for path in &paths {
        if !is_plain(Path::new(path)) || path.contains(['\n', '\r', '\0']) {
            return Err(Error::permanent(format!(
                "`{path}` is no absolute path of a file or folder"
            )));
        }
    }
    Ok(paths)
}

/// The files of this machine, folders searched. Blocks.
pub(super) fn local(config: &Config, paths: &[String]) -> Result<Found, Error> {
    let roots: Vec<_> = config
        .roots
        .iter()
        .filter_map(|root| root.canonicalize().ok())
        .collect();
    let mut found = Found::default();
    let mut open = Vec::new();
    for path in paths.iter().rev() {
        let real = Path::new(path)
            .canonicalize()
            .map_err(|error| Error::permanent(format!("can't scan `{path}`: {error}")))?;
        if !roots.iter().any(|root| real.starts_with(root)) {
            return Err(outside(path));
        }
        open.push(real);
    }
    let mut visited = 0;
    while let Some(path) = open.pop() {
        visited += 1;
        if visited > VISITED_MAX {
            found.skip(path.to_string_lossy(), "there are too many folders");
            break;
        }
        if path.is_dir() {
            match entries(&path) {
                Ok(entries) => open.extend(entries),
                Err(error) => found.skip(path.to_string_lossy(), error.to_string()),
            }
        } else if found.targets.len() == config.max_files {
            found.skip(path.to_string_lossy(), "there are more than `max_files`");
            break;
        } else {
            take(config, path, &mut found);
        }
    }
    Ok(found)
}

/// What a folder holds, links left out, the last name first.
fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_symlink() {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable_by(|one, other| other.cmp(one));
    Ok(paths)
}

fn take(config: &Config, path: PathBuf, found: &mut Found) {
    let Some(name) = path.to_str().filter(|name| !name.contains(['\n', '\r'])) else {
        return found.skip(path.to_string_lossy(), "its name is no line of text");
    };
    let name = name.to_owned();
    match std::fs::metadata(&path) {
        Ok(known) if !known.is_file() => found.skip(name, "it is no regular file"),
        Ok(known) if known.len() > config.max_file.bytes() => {
            found.skip(name, format!("it is larger than {}", config.max_file));
        }
        Ok(_) => found.targets.push(Target { name, path }),
        Err(error) => found.skip(name, error.to_string()),
    }
}

/// Copies of a host's files in `folder`.
pub(super) async fn fetch(
    (ssh, config): (&Ssh, &Config),
    input: &CommandInput,
    paths: &[String],
    folder: &Path,
    deadline: Instant,
) -> Result<Found, Error> {
    let mut found = Found::default();
    let limit = config.max_file.length();
    for (number, path) in paths.iter().enumerate() {
        if number == config.max_files {
            found.skip(path, "there are more than `max_files`");
            break;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            return Err(Error::retry("the files were not fetched in time"));
        }
        let line = line(config, path);
        // Nothing is changed by that: in doubt it is done again.
        let ended = match ssh.run(input, line.as_bytes(), limit + 1, left).await {
            Err(Error::Uncertain(message)) => return Err(Error::retry(message)),
            ended => ended?,
        };
        match ended.exit {
            Exit::Code(0) if ended.stdout.bytes().len() > limit => {
                found.skip(path, format!("it is larger than {}", config.max_file));
            }
            Exit::Code(0) => {
                let copy = folder.join(format!("file-{number}"));
                let written = tokio::fs::write(&copy, ended.stdout.bytes()).await;
                written.map_err(|error| Error::retry(format!("a copy can't be kept: {error}")))?;
                found.targets.push(Target {
                    name: path.clone(),
                    path: copy,
                });
            }
            Exit::Code(OUTSIDE) => return Err(outside(path)),
            _ => {
                return Err(Error::permanent(format!(
                    "the host gives no file `{path}`: it is not there, or not to be read"
                )));
            }
        }
    }
    Ok(found)
}

/// The line for the host's shell that writes a file, where it is in one of the folders.
fn line(config: &Config, path: &str) -> String {
    let roots = config.roots.iter().map(|root| {
        let root = root.to_string_lossy();
        format!("{}/*", quoted(root.trim_end_matches('/')))
    });
    let roots = roots.collect::<Vec<_>>().join("|");
    let most = config.max_file.bytes() + 1;
    format!(
        "file=$(readlink -f -- {}) && test -f \"$file\" || exit 1; case \"$file\" in {roots}) exec \
         head -c {most} -- \"$file\";; esac; exit {OUTSIDE}",
        quoted(path)
    )
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn outside(path: &str) -> Error {
    Error::permanent(format!(
        "`{path}` is in none of the folders that may be scanned (`actions.yara.roots`)"
    ))
}
