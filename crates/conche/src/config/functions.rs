//! `functions:`, the folder of functions.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Folder;

const DEFAULT_DIR: &str = "./functions";

/// Functions kept in files, for the embedded OpenWhisk host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Functions {
    /// The folder of functions, or of a `manifest.yaml`, looked at every second; it must exist
    /// where it is written here, and the embedded host must be on. Default: `./functions`,
    /// where that exists at the start.
    dir: Option<PathBuf>,
}

impl Functions {
    pub(super) fn resolve(self) -> Folder {
        self.dir
            .map_or_else(|| Folder::Default(DEFAULT_DIR.into()), Folder::Named)
    }
}
