//! CSF's folder, unchanged: its `config.<ext>`, its module files and its database become a
//! configuration of ours and reactions of ours.
//!
//! What CSF did not look at is not looked at here; what it looked at and we cannot honour is
//! said, never passed over. Nothing in the folder is ever written to.

mod address;
mod document;
mod import;
mod lookup;
mod modules;
mod tiedot;
mod translate;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::{self, Place};

pub(crate) use import::{import_once, reactions};
pub(crate) use tiedot::read as read_tiedot;

/// A folder of CSF's, in our words.
#[derive(Debug, Clone)]
pub(crate) struct Translated {
    /// The file that was read.
    pub(crate) file: PathBuf,
    /// What our configuration file would say.
    pub(crate) config: Value,
    /// CSF's database, to be imported at the first start.
    pub(crate) database: PathBuf,
    /// The log filter that its `csf.logLevel` asks for.
    pub(crate) log: &'static str,
    /// Whether it asks for logs in JSON.
    pub(crate) log_json: bool,
    /// What the owner should know.
    pub(crate) notes: Vec<String>,
    /// Where the parts of `config` come from: our place, and CSF's key or file.
    origins: Vec<(Place, String)>,
}

impl Translated {
    /// An error of our configuration in the words of CSF's folder.
    pub(crate) fn named(&self, error: config::Error) -> config::Error {
        error.named(|place| {
            let mut within = self.origins.iter().filter_map(|(outer, origin)| {
                let rest = place.within(outer)?;
                Some((rest, origin))
            });
            let (rest, origin) = within.next()?;
            Some(if rest.is_top() {
                origin.clone()
            } else {
                format!("{origin}: {rest}")
            })
        })
    }
}

/// Why a folder of CSF's can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no configuration file in it.
    #[error("there is no config.yaml in {} (nor .yml, .json, .toml, .properties, .hcl)", .0.display())]
    NoFile(PathBuf),
    /// A file or folder can't be read.
    #[error("can't read {}: {source}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why the operating system refused.
        source: std::io::Error,
    },
    /// A file can be read but not understood.
    #[error("{}: {message}", file.display())]
    Syntax {
        /// Which.
        file: PathBuf,
        /// What is wrong, and where it is known, at which line.
        message: String,
    },
    /// Its settings can't be honoured.
    #[error("{}", faults(file, found))]
    Settings {
        /// The file.
        file: PathBuf,
        /// What is wrong; at least one.
        found: Vec<String>,
    },
}

fn faults(file: &Path, found: &[String]) -> String {
    let lines = found
        .iter()
        .map(|fault| format!("{}: {fault}", file.display()));
    lines.collect::<Vec<_>>().join("\n")
}

/// Reads a folder of CSF's.
pub(crate) fn read(dir: &Path) -> Result<Translated, Error> {
    let (file, document) = document::find(dir)?;
    translate::translate(file, document)
}
