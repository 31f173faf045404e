//! The settings of `yara`. Off until `roots` are written.

use std::path::{Component, Path, PathBuf};

use conche_runtime::units::Size;
use nix::unistd::{Gid, Uid};
use schemars::JsonSchema;
use serde::Deserialize;

use super::PLACE;
use crate::actions::exec::config::user;
use crate::clients::ssh;
use crate::{BuildError, config as settings};

/// Settings of `yara`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// The folders whose files may be scanned, absolute; on this machine, and on hosts that
    /// files are fetched from. Default: none, and then nothing is scanned.
    pub(super) roots: Vec<PathBuf>,
    /// The program's absolute path: `yara` 4, or `yr` of YARA-X, told by the file's name.
    /// Default: `/usr/bin/yara`.
    pub(super) program: PathBuf,
    /// The user that it runs as. Must be written where Conche runs as root, and can't be
    /// another where it does not. Default: the user of Conche.
    pub(super) user: Option<String>,
    /// Larger files are not scanned. Default: `16MiB`.
    pub(super) max_file: Size,
    /// More files of one command are not scanned. Default: 100.
    pub(super) max_files: usize,
    /// More of what the program writes is not read. Default: `1MiB`.
    pub(super) max_output: Size,
    /// How to fetch files from hosts, and which to believe; as under `actions.ssh`. Default: as
    /// there.
    pub(super) ssh: ssh::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            program: PathBuf::from("/usr/bin/yara"),
            user: None,
            max_file: Size::from_mib(16),
            max_files: 100,
            max_output: Size::from_mib(1),
            ssh: ssh::Config::default(),
        }
    }
}

impl Config {
    /// Checks paths and finds the user. Whether the program is there is seen when it is run.
    pub(super) fn check(&self) -> Result<Option<(Uid, Gid)>, BuildError> {
        let wrong = |message: String| settings::error(PLACE, message);
        for path in self.roots.iter().chain([&self.program]) {
            if !is_plain(path) {
                return Err(wrong(format!(
                    "`{}` must be an absolute path without `..`",
                    path.display()
                )));
            }
        }
        if self.roots.is_empty() {
            return Ok(None);
        }
        user(self.user.as_deref()).map_err(wrong)
    }

    /// Whether the program is that of YARA-X.
    pub(super) fn is_yara_x(&self) -> bool {
        self.program.file_name().is_some_and(|name| name == "yr")
    }
}

/// Absolute, and leading nowhere else than it says.
pub(super) fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}
