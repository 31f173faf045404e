//! vuls as a program of this machine: run as a list of arguments, in a process group that is
//! killed when the time is over or nobody waits for it any more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use conche_runtime::secrets::Masker;
use tokio::time::Instant;

use super::work::{Step, Work, judge};
use crate::action::Error;
use crate::actions::exec::process;

/// So much of what vuls writes is kept, to tell why it failed.
const KEPT: usize = 64 * 1024;

/// What vuls may see of our environment: where ssh is, and where its own files are.
const VARIABLES: [&str; 3] = ["PATH", "HOME", "USER"];

pub(super) struct Program {
    pub(super) path: PathBuf,
    /// Where older releases of vuls look for their databases.
    pub(super) databases: Option<PathBuf>,
}

impl Program {
    pub(super) async fn scan(
        &self,
        work: &Work,
        steps: &[Step],
        limit: Duration,
        masker: &Masker,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        for step in steps {
            let command = self.command(work.path(), step);
            let child = process::start(command).map_err(|error| {
                Error::permanent(format!("{} can't be started: {error}", self.path.display()))
            })?;
            let watched = tokio::time::timeout_at(deadline, process::watch(child, b"", KEPT));
            let ended = match watched.await {
                Ok(ended) => ended,
                Err(_elapsed) => {
                    let message = format!("`vuls {}` was killed: {limit:?} are over", step.name);
                    return Err(Error::retry(message));
                }
            };
            let lost = |error| Error::retry(format!("`vuls {}` was lost: {error}", step.name));
            let ended = ended.map_err(lost)?;
            let (output, _) = ended.stdout.text(KEPT, masker);
            let (errors, _) = ended.stderr.text(KEPT, masker);
            let Some(code) = ended.status.code() else {
                let message = format!("`vuls {}` was ended: {}", step.name, ended.status);
                return Err(Error::retry(message));
            };
            judge(step, code.into(), &format!("{output}\n{errors}"))?;
        }
        Ok(())
    }

    fn command(&self, folder: &Path, step: &Step) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.path);
        command
            .args(&step.arguments)
            .current_dir(self.databases.as_deref().unwrap_or(folder))
            .env_clear();
        for name in VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }
}
