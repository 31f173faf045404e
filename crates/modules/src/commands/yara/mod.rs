//! `yara`: rules of a playbook against files, by the installed program.
//!
//! Off until the configuration names folders. The program runs without a shell, with an empty
//! environment, as the user that is written, and is killed with its group when its time is
//! over. Files come from this machine, or are fetched from the host that the step is about. A
//! scan changes nothing, so one whose end is unknown is made again.

mod config;
mod files;
mod report;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::secrets::Secrets;
use nix::unistd::{Gid, Uid};
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, timeout_at};

use self::config::Config;
use self::files::{Found, asked};
use self::report::Report;
use super::command_line;
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::actions::exec::{not_started, process};
use crate::actions::{input, output, unknown};
use crate::clients::ssh::Ssh;
use crate::command::{CommandInput, EXECUTE};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "yara",
    summary: "YARA rules against files of this machine or of other hosts.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Scans files by a rule and tells what matched.",
        input: &settings::schema::<CommandInput>,
        output: &settings::schema::<Report>,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.yara";

/// A longer rule is not taken.
const RULE_MAX: usize = 1 << 20;

/// So much of what a failed scan wrote is told.
const QUOTE_MAX: usize = 500;

/// The statement that reads another file into a rule: the word, then a text, whatever comments
/// stand between.
static INCLUDE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\binclude(?:\s|/\*(?s:.*?)\*/|//[^\n]*\n)*""#).ok());

struct Yara {
    config: Config,
    user: Option<(Uid, Gid)>,
    ssh: Ssh,
    secrets: Arc<Secrets>,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    Ok(Arc::new(Yara {
        user: config.check()?,
        ssh: Ssh::new(&format!("{PLACE}.ssh"), config.ssh.clone(), cx)?,
        config,
        secrets: cx.secrets.clone(),
    }))
}

#[async_trait]
impl Action for Yara {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != EXECUTE {
            return Err(unknown("yara", &call.action));
        }
        let input: CommandInput = input(call)?;
        if self.config.roots.is_empty() {
            return Err(Error::permanent(format!(
                "nothing may be scanned: write folders under `{PLACE}.roots`"
            )));
        }
        let rule = command_line::bytes(&input.command)?;
        check(&rule)?;
        let paths = asked(&input)?;
        let deadline = Instant::now() + call.timeout;
        let lost = |error: std::io::Error| Error::retry(format!("no folder for copies: {error}"));
        let folder = tempfile::tempdir().map_err(lost)?;
        let found = if input.acted_on().is_elsewhere() {
            let from = (&self.ssh, &self.config);
            files::fetch(from, &input, &paths, folder.path(), deadline).await?
        } else {
            files::local(&self.config, &paths)?
        };
        output(&self.scan(&rule, found, &folder, deadline).await?)
    }
}

impl Yara {
    async fn scan(
        &self,
        rule: &[u8],
        found: Found,
        folder: &TempDir,
        deadline: Instant,
    ) -> Result<Report, Error> {
        let names: HashMap<String, String> = found
            .targets
            .into_iter()
            .map(|target| (target.path.to_string_lossy().into_owned(), target.name))
            .collect();
        if names.is_empty() {
            return Ok(Report {
                skipped: found.skipped,
                ..Report::default()
            });
        }
        let child = self.start(rule, folder.path(), &names)?;
        let limit = self.config.max_output.length();
        let watch = timeout_at(deadline, process::watch(child, &[], limit));
        let ended = match watch.await {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => return Err(Error::retry(format!("yara was lost: {error}"))),
            Err(_elapsed) => return Err(Error::permanent("the scan was killed: it took too long")),
        };
        let masker = self.secrets.masker();
        if !ended.status.success() {
            let (errors, _) = ended.stderr.text(limit, &masker);
            let quote: String = errors.trim().chars().take(QUOTE_MAX).collect();
            return Err(Error::permanent(format!("the scan failed: {quote}")));
        }
        let text = String::from_utf8_lossy(ended.stdout.bytes());
        let mut report = Report::read(&text, &names, &masker);
        report.truncated |= ended.stdout.bytes().len() > limit;
        report.skipped = found.skipped;
        Ok(report)
    }

    /// Starts the program on a list of files.
    fn start(
        &self,
        rule: &[u8],
        folder: &Path,
        names: &HashMap<String, String>,
    ) -> Result<tokio::process::Child, Error> {
        let lost = |error: std::io::Error| Error::retry(format!("no list of files: {error}"));
        let (list, rules) = (folder.join("list"), folder.join("rules"));
        let mut paths: Vec<_> = names.keys().map(String::as_str).collect();
        paths.sort_unstable();
        std::fs::write(&rules, rule).map_err(lost)?;
        std::fs::write(&list, paths.join("\n") + "\n").map_err(lost)?;
        if let Some((user, group)) = self.user {
            // The folder and what is in it are for the one who scans.
            let entries = std::fs::read_dir(folder).map_err(lost)?;
            let entries = entries.map(|entry| entry.map(|entry| entry.path()));
            for path in entries.chain([Ok(folder.to_owned())]) {
                let changed = nix::unistd::chown(&path.map_err(lost)?, Some(user), Some(group));
                changed.map_err(|error| lost(error.into()))?;
            }
        }
        let mut command = tokio::process::Command::new(&self.config.program);
        if self.config.is_yara_x() {
            command.args(["scan", "--disable-warnings", "--disable-includes"]);
        } else {
            command.args(["--no-warnings", "--threads=1"]);
        }
        command
            .args(["--print-strings", "--scan-list"])
            .args([rules, list])
            .current_dir("/");
        process::confine(&mut command, &BTreeMap::new(), self.user, &self.secrets)?;
        process::start(command).map_err(|error| not_started("yara", &error))
    }
}

/// A rule must be text, of bounded length, and read no other file.
fn check(rule: &[u8]) -> Result<(), Error> {
    if rule.len() > RULE_MAX {
        return Err(Error::permanent(format!(
            "the rule is longer than {RULE_MAX} bytes"
        )));
    }
    let text = String::from_utf8_lossy(rule);
    if INCLUDE
        .as_ref()
        .is_none_or(|include| include.is_match(&text))
    {
        return Err(Error::permanent(
            "the rule has an `include`, which would read a file of this machine: write the \
             included rules themselves (a text that ends in the word include is taken for one)",
        ));
    }
    Ok(())
}
