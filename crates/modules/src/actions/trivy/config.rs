//! The configuration of `trivy`: which program, what it may read, and what it may take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use conche_runtime::units::{Size, Span};
use nix::unistd::{Gid, Uid};
use schemars::JsonSchema;
use serde::Deserialize;

use super::PLACE;
use crate::actions::exec::config::{EnvValue, user};
use crate::config::{self as settings, SecretName};
use crate::{BuildContext, BuildError};

/// Settings of `trivy`. Without them the module is not there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The program's absolute path, such as `/usr/bin/trivy`.
    pub(super) program: PathBuf,
    /// Where it keeps its databases; absolute, and its user must be able to write there.
    pub(super) cache_dir: PathBuf,
    /// A Trivy server that has the databases, such as `https://trivy.example.com`.
    /// Default: none; then the program fetches them itself.
    #[serde(default)]
    pub(super) server: Option<String>,
    /// The server's token: `{ secret: NAME }`. Default: none.
    #[serde(default)]
    pub(super) token: Option<SecretName>,
    /// The folders that `fs` and `sbom` may read in; absolute. Default: none, so nothing.
    #[serde(default)]
    pub(super) paths: Vec<PathBuf>,
    /// Fetches nothing: no database, no checks. Default: false.
    #[serde(default)]
    pub(super) offline: bool,
    /// More of its environment, which is otherwise empty: texts, or names of secrets, such as
    /// `TRIVY_USERNAME` and `TRIVY_PASSWORD` for registries. Default: none.
    #[serde(default)]
    pub(super) env: BTreeMap<String, EnvValue>,
    /// The user that it runs as. Must be written where Conche runs as root, and can't be
    /// another where it does not. Default: the user of Conche.
    #[serde(default)]
    user: Option<String>,
    /// After this it is killed with all that it started. A step's own time counts as well.
    /// Default: `10m`.
    #[serde(default = "default_timeout")]
    pub(super) timeout: Span,
    /// The largest report. Default: `64MiB`.
    #[serde(default = "default_report")]
    pub(super) max_report: Size,
    /// The most findings of each kind that are given, the worst first. Default: 500.
    #[serde(default = "default_findings")]
    pub(super) max_findings: usize,
}

const fn default_timeout() -> Span {
    Span::from_secs(600)
}

const fn default_report() -> Size {
    Size::from_mib(64)
}

const fn default_findings() -> usize {
    500
}

impl Config {
    /// Checks the settings; gives whom to become. Whether the program is there is seen when it runs.
    pub(super) fn check(&self, cx: &BuildContext) -> Result<Option<(Uid, Gid)>, BuildError> {
        let wrong = |message: String| settings::error(PLACE, message);
        let paths = [&self.program, &self.cache_dir];
        if paths
            .into_iter()
            .chain(&self.paths)
            .any(|path| !path.is_absolute())
        {
            return Err(wrong(
                "`program`, `cache_dir` and `paths` must be absolute".to_owned(),
            ));
        }
        if let Some(server) = &self.server {
            crate::clients::clair::address(server)
                .map_err(|message| wrong(format!("`server`: {message}")))?;
        }
        let names = self.env.values().filter_map(|value| match value {
            EnvValue::Secret(name) => Some(name),
            EnvValue::Text(_) => None,
        });
        for name in names.chain(&self.token) {
            name.check(PLACE, &cx.secrets)?;
        }
        user(self.user.as_deref()).map_err(wrong)
    }

    /// A path that may be read, with all links followed. What is exchanged afterwards by
    /// somebody who may write there is that somebody's.
    pub(super) fn readable(&self, path: &str) -> Result<PathBuf, String> {
        let refused = || format!("`{}` is not in one of `{PLACE}.paths`", path.escape_debug());
        if !Path::new(path).is_absolute() {
            return Err(refused());
        }
        let real = std::fs::canonicalize(path).map_err(|_| refused())?;
        let is_below =
            |root: &PathBuf| std::fs::canonicalize(root).is_ok_and(|root| real.starts_with(root));
        if self.paths.iter().any(is_below) {
            Ok(real)
        } else {
            Err(refused())
        }
    }
}
