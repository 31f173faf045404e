//! `trivy`: vulnerabilities, misconfigurations and leaked secrets, by the installed program.
//!
//! Off unless configured. The program is started without a shell, with the environment that
//! is listed, and killed with its group when its time is over. What events and scripts give
//! it is an image's name, a path below the listed folders or words of fixed lists, behind
//! `--`: nothing of that can be an option. A scan changes nothing, so one whose end is
//! unknown is made again.

mod config;
mod report;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::json::Limits;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::secrets::Secrets;
use nix::unistd::{Gid, Uid};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Value;
use tempfile::NamedTempFile;

use self::config::Config;
use self::report::Findings;
use super::exec::config::EnvValue;
use super::exec::process::{self, Ended};
use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::clients::registry::{Platform, Reference};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "trivy",
    summary: "Vulnerabilities, misconfigurations and leaked secrets, by Trivy.",
    actions: &[
        spec(
            "image",
            "Scans a container image.",
            &settings::schema::<OfImage>,
        ),
        spec(
            "fs",
            "Scans a folder or file of this machine.",
            &settings::schema::<OfPath>,
        ),
        spec(
            "sbom",
            "Looks for vulnerabilities of what a bill of materials lists.",
            &settings::schema::<OfSbom>,
        ),
    ],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.trivy";

/// So much of what a failed scan wrote is told.
const QUOTE_MAX: usize = 500;

/// What registries and the program say where the same would fail again.
const FINAL_WORDS: [&str; 6] = [
    "MANIFEST_UNKNOWN",
    "NAME_UNKNOWN",
    "UNAUTHORIZED",
    "DENIED",
    "unknown flag",
    "failed to detect SBOM format",
];

const fn spec(
    name: &'static str,
    summary: &'static str,
    input: crate::action::Describe,
) -> ActionSpec {
    ActionSpec {
        name,
        summary,
        input,
        output: &settings::schema::<Findings>,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }
}

/// What `image` takes.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfImage {
    /// The image, as `docker pull` takes it.
    image: String,
    /// The platform, such as `linux/arm64`. Default: that of this machine.
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(flatten)]
    how: How,
}

/// What `fs` takes.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfPath {
    /// An absolute path in one of the configured `paths`.
    path: String,
    #[serde(flatten)]
    how: How,
}

/// What `sbom` takes: one of the two.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfSbom {
    /// An absolute path in one of the configured `paths`. Default: none.
    #[serde(default)]
    path: Option<String>,
    /// The bill itself, CycloneDX or SPDX in JSON. Default: none.
    #[serde(default)]
    #[schemars(with = "Option<Value>")]
    sbom: Option<Json>,
    #[serde(flatten)]
    how: How,
}

/// What is looked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct How {
    /// `vuln`, `misconfig`, `secret`, `license`. Default: Trivy's own choice.
    scanners: Vec<Scanner>,
    /// Only these: `UNKNOWN`, `LOW`, `MEDIUM`, `HIGH`, `CRITICAL`. Default: all.
    severity: Vec<Rating>,
    /// Leaves out what no newer package mends. Default: false.
    ignore_unfixed: bool,
    /// Gives Trivy's own report as well, which has to fit `limits.result_bytes`. Default: false.
    report: bool,
}

/// What Trivy can look for.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Scanner {
    Vuln,
    Misconfig,
    Secret,
    License,
}

/// Trivy's severities.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Rating {
    Unknown,
    Low,
    Medium,
    High,
    Critical,
}

struct Trivy {
    config: Config,
    user: Option<(Uid, Gid)>,
    secrets: Arc<Secrets>,
    limits: Limits,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    Ok(Arc::new(Trivy {
        user: config.check(cx)?,
        config,
        secrets: cx.secrets.clone(),
        limits: cx.json,
    }))
}

/// What to scan, behind `--`, and what has to be kept until that is done.
struct Target {
    flags: Vec<String>,
    name: OsString,
    _kept: Option<NamedTempFile>,
}

#[async_trait]
impl Action for Trivy {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let (target, how) = match call.action.as_str() {
            "image" => image(input(call)?)?,
            "fs" => {
                let OfPath { path, how } = input(call)?;
                (self.path(&path)?, how)
            }
            "sbom" => self.sbom(input(call)?)?,
            other => return Err(unknown("trivy", other)),
        };
        let command = self.command(&call.action, &target, &how)?;
        let child = process::start(command).map_err(|error| {
            let message = format!(
                "{} can't be started: {error}",
                self.config.program.display()
            );
            Error::permanent(message)
        })?;
        let limit = self.config.timeout.duration().min(call.timeout);
        let kept = self.config.max_report.length();
        match tokio::time::timeout(limit, process::watch(child, b"", kept)).await {
            Ok(Ok(ended)) => self.judge(&ended, how.report),
            Ok(Err(error)) => Err(Error::retry(format!("trivy was lost: {error}"))),
            Err(_elapsed) => Err(Error::retry(format!("trivy was killed after {limit:?}"))),
        }
    }
}

fn image(input: OfImage) -> Result<(Target, How), Error> {
    let OfImage {
        image,
        platform,
        how,
    } = input;
    let reference: Reference = image
        .parse()
        .map_err(|error: crate::clients::registry::Invalid| Error::permanent(error.to_string()))?;
    let platform = platform.map(|platform| ["--platform".to_owned(), platform.to_string()]);
    let target = Target {
        flags: platform.into_iter().flatten().collect(),
        name: reference.to_string().into(),
        _kept: None,
    };
    Ok((target, how))
}

impl Trivy {
    fn path(&self, path: &str) -> Result<Target, Error> {
        let real = self.config.readable(path).map_err(Error::permanent)?;
        Ok(Target {
            flags: Vec::new(),
            name: real.into(),
            _kept: None,
        })
    }

    fn sbom(&self, input: OfSbom) -> Result<(Target, How), Error> {
        let target = match (input.path, input.sbom) {
            (Some(path), None) => self.path(&path)?,
            (None, Some(sbom)) => {
                let lost = |error: std::io::Error| {
                    Error::retry(format!("the bill can't be written: {error}"))
                };
                let mut file = NamedTempFile::new().map_err(lost)?;
                file.write_all(sbom.as_str().as_bytes()).map_err(lost)?;
                if let Some((user, group)) = self.user {
                    nix::unistd::chown(file.path(), Some(user), Some(group))
                        .map_err(|error| lost(error.into()))?;
                }
                Target {
                    flags: Vec::new(),
                    name: file.path().into(),
                    _kept: Some(file),
                }
            }
            _ => return Err(Error::permanent("`sbom` takes either `path` or `sbom`")),
        };
        Ok((target, input.how))
    }

    fn command(
        &self,
        action: &str,
        target: &Target,
        how: &How,
    ) -> Result<tokio::process::Command, Error> {
        let config = &self.config;
        let mut command = tokio::process::Command::new(&config.program);
        command.current_dir("/").env_clear().arg(action);
        command.args([
            "--format",
            "json",
            "--no-progress",
            "--exit-code",
            "0",
            "--cache-dir",
        ]);
        command.arg(&config.cache_dir);
        // Of newer versions; older ones pass over what they do not know.
        command.env("TRIVY_DISABLE_TELEMETRY", "true");
        command.env("TRIVY_SKIP_VERSION_CHECK", "true");
        command.arg(format!(
            "--timeout={}s",
            config.timeout.duration().as_secs().max(1)
        ));
        if let Some(server) = &config.server {
            command.arg(format!("--server={server}"));
        }
        if config.offline {
            command.args([
                "--offline-scan",
                "--skip-db-update",
                "--skip-java-db-update",
            ]);
            if action != "sbom" {
                command.arg("--skip-check-update");
            }
        }
        let words = |words: Vec<String>| words.join(",");
        if !how.scanners.is_empty() {
            let scanners = how
                .scanners
                .iter()
                .map(|word| format!("{word:?}").to_lowercase());
            command.arg(format!("--scanners={}", words(scanners.collect())));
        }
        if !how.severity.is_empty() {
            let ratings = how
                .severity
                .iter()
                .map(|word| format!("{word:?}").to_uppercase());
            command.arg(format!("--severity={}", words(ratings.collect())));
        }
        if how.ignore_unfixed {
            command.arg("--ignore-unfixed");
        }
        let secret = |name: &settings::SecretName| {
            let value = self.secrets.get(&name.secret);
            value.map_err(|error| Error::retry(error.to_string()))
        };
        if let Some(token) = &config.token {
            command.env("TRIVY_TOKEN", secret(token)?.expose_secret());
        }
        for (name, value) in &config.env {
            match value {
                EnvValue::Text(text) => command.env(name, text),
                EnvValue::Secret(of) => command.env(name, secret(of)?.expose_secret()),
            };
        }
        if let Some((user, group)) = self.user {
            command.uid(user.as_raw()).gid(group.as_raw());
        }
        command.args(&target.flags).arg("--").arg(&target.name);
        Ok(command)
    }

    fn judge(&self, ended: &Ended, with_report: bool) -> Result<Output, Error> {
        let masker = self.secrets.masker();
        let (report, more) = ended.stdout.text(self.config.max_report.length(), &masker);
        if !ended.status.success() {
            let (errors, _) = ended.stderr.text(64 << 10, &masker);
            let told: Vec<char> = errors.trim().chars().collect();
            let told: String = told[told.len().saturating_sub(QUOTE_MAX)..]
                .iter()
                .collect();
            let how = match (ended.status.code(), ended.status.signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (None, signal) => format!("signal {}", signal.unwrap_or_default()),
            };
            let message = format!("trivy ended with {how}: {told}");
            let is_final = FINAL_WORDS.iter().any(|words| errors.contains(words));
            return Err(if is_final {
                Error::permanent(message)
            } else {
                Error::retry(message)
            });
        }
        if more {
            return Err(Error::permanent(format!(
                "trivy's report has more than {} (`max_report`)",
                self.config.max_report
            )));
        }
        let wrong =
            |reason: String| Error::permanent(format!("trivy's report can't be read: {reason}"));
        let mut found = report::read(report.as_bytes(), self.config.max_findings).map_err(wrong)?;
        if with_report {
            let own = serde_json::from_str(&report).map_err(|error| wrong(error.to_string()))?;
            found.report = Some(own);
        }
        let output = output(&found)?;
        let length = output.as_str().len();
        if length > self.limits.bytes {
            return Err(Error::permanent(format!(
                "the result has {length} bytes; at most {} are taken: ask for fewer findings (`severity`, `max_findings`) or without `report`",
                self.limits.bytes
            )));
        }
        Ok(output)
    }
}
