//! `reactions:`, the folder of reaction files.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const DEFAULT_DIR: &str = "./reactions";

/// Reactions kept in files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Reactions {
    /// The folder, looked at every second; it must exist where it is written here.
    /// Default: `./reactions`, where that exists at the start.
    dir: Option<PathBuf>,
}

/// A folder of reactions or playbooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Folder {
    /// Named in the configuration: it must be there.
    Named(PathBuf),
    /// The default one, which may be absent.
    Default(PathBuf),
}

impl Reactions {
    pub(super) fn resolve(self) -> Folder {
        self.dir
            .map_or_else(|| Folder::Default(DEFAULT_DIR.into()), Folder::Named)
    }
}
