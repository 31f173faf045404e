//! The code of an action as its process needs it: a text, or a folder that an archive was
//! unpacked into. A folder is shared by the processes of one revision, which can't write to it,
//! and goes with the last of them.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::removal::OwnFolder;
use super::run::{ActionKey, Code};
use super::texts;
use super::unpack::{self, UnpackLimits};

/// The name of the program in an archive of the kind `exec`.
pub(super) const PROGRAM: &str = "exec";
/// Says for which environment a program was built.
const BUILT_FOR: &str = "exec.env";
/// Bytes of it that are read.
const BUILT_FOR_MAX: u64 = 1024;

/// Code that a process can be started with.
#[derive(Debug, Clone)]
pub(super) enum Prepared {
    Text(Arc<str>),
    Folder(Arc<Folder>),
}

/// An unpacked archive; removed when dropped.
#[derive(Debug)]
pub(super) struct Folder(OwnFolder<()>);

impl Folder {
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Why code can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It is the action's fault; the text is for its author.
    #[error("{0}")]
    Unusable(String),
    /// It is not.
    #[error("cannot make a folder for code: {0}")]
    Folder(#[from] std::io::Error),
}

/// Folders that are in use, by the revision that they belong to.
pub(super) struct Folders {
    below: PathBuf,
    limits: UnpackLimits,
    known: Mutex<HashMap<ActionKey, Weak<Folder>>>,
}

/// What is done with code that is no archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// A text stays one; base64 must be an archive.
    Text,
    /// It is a program: a script or a binary.
    Program,
}

impl Folders {
    pub(super) fn new(below: PathBuf, limits: UnpackLimits) -> Self {
        Self {
            below,
            limits,
            known: Mutex::default(),
        }
    }

    /// Makes code ready. A second process of a revision gets the folder of the first.
    pub(super) async fn prepare(
        &self,
        key: &ActionKey,
        code: &Code,
        otherwise: Otherwise,
    ) -> Result<Prepared, Error> {
        if code.text.trim().is_empty() {
            return Err(Error::Unusable(texts::NO_CODE.to_owned()));
        }
        if !code.binary && otherwise == Otherwise::Text {
            return Ok(Prepared::Text(Arc::clone(&code.text)));
        }
        if let Some(folder) = self.known(key) {
            return Ok(Prepared::Folder(folder));
        }
        let (below, limits) = (self.below.clone(), self.limits);
        let (text, binary) = (Arc::clone(&code.text), code.binary);
        let work = move || lay_out(&below, &text, binary, otherwise, limits);
        let folder = tokio::task::spawn_blocking(work)
            .await
            .map_err(std::io::Error::other)??;
        let folder = Arc::new(folder);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, folder| folder.strong_count() > 0);
        known.insert(key.clone(), Arc::downgrade(&folder));
        Ok(Prepared::Folder(folder))
    }

    fn known(&self, key: &ActionKey) -> Option<Arc<Folder>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key)?.upgrade()
    }
}

fn lay_out(
    below: &Path,
    text: &str,
    binary: bool,
    otherwise: Otherwise,
    limits: UnpackLimits,
) -> Result<Folder, Error> {
    let folder = OwnFolder::make(below, "code-", ())?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let bytes = if binary {
        let decoded = BASE64_STANDARD.decode(text.trim());
        decoded.map_err(|_| Error::Unusable(texts::NO_ARCHIVE.to_owned()))?
    } else {
        text.as_bytes().to_owned()
    };
    if unpack::is_archive(&bytes) || otherwise == Otherwise::Text {
        unpack::unpack(&bytes, folder.path(), limits).map_err(|error| {
            tracing::info!(%error, "the archive of an action was refused");
            Error::Unusable(texts::NO_ARCHIVE.to_owned())
        })?;
    } else {
        let program = folder.path().join(PROGRAM);
        fs::write(&program, bytes)?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    }
    Ok(Folder(folder))
}

/// Checks that a folder has a program, built for `environment` where both say which.
pub(super) fn check_program(folder: &Path, environment: Option<&str>) -> Result<PathBuf, Error> {
    let program = folder.join(PROGRAM);
    let is_program = fs::metadata(&program)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    if !is_program {
        let text = format!("The archive has no executable `{PROGRAM}` at its root.");
        return Err(Error::Unusable(text));
    }
    let mut built_for = None;
    if let Ok(file) = File::open(folder.join(BUILT_FOR)) {
        let mut text = String::new();
        file.take(BUILT_FOR_MAX).read_to_string(&mut text)?;
        built_for = Some(text);
    }
    match (environment, built_for.as_deref().map(str::trim)) {
        (Some(environment), Some(built_for)) if built_for != environment => Err(Error::Unusable(
            format!("The program was built for `{built_for}`, and this is `{environment}`."),
        )),
        _ => Ok(program),
    }
}
