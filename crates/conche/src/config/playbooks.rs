//! `playbooks:`, the folder of CACAO playbooks.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Folder;

const DEFAULT_DIR: &str = "./playbooks";

/// CACAO playbooks kept in files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Playbooks {
    /// The folder of `.json` files, looked at every second; it must exist where it is written
    /// here. Default: `./playbooks`, where that exists at the start.
    dir: Option<PathBuf>,
}

impl Playbooks {
    pub(super) fn resolve(self) -> Folder {
        self.dir
            .map_or_else(|| Folder::Default(DEFAULT_DIR.into()), Folder::Named)
    }
}
