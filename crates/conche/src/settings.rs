//! `conche config`, `conche schema` and `conche secrets`: what a configuration says, may say
//! and names.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use conche_runtime::secrets::Secrets;
use serde_json::json;

use crate::config::{self, Loaded};
use crate::failure::Failure;
use crate::output::{self, Form, OutputArgs};
use crate::parts::Parts;
use crate::telemetry::Telemetry;

/// Which configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration file [default: ./conche.yaml where it exists, else built-in defaults]
    #[arg(long, short, env = "CONCHE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// CSF's configuration folder, taken as it is; see docs/moving-from-csf.md
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    csf_config: Option<PathBuf>,
}

impl ConfigArgs {
    /// Whether it was named, rather than found where it usually is.
    pub(crate) fn is_named(&self) -> bool {
        self.config.is_some() || self.csf_config.is_some()
    }

    /// Reads it, with the environment laid over it.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let variables = config::environment();
        match &self.csf_config {
            Some(dir) => Loaded::load_csf(dir, variables),
            None => Ok(Loaded::load(self.config.as_deref(), variables)?),
        }
    }
}

/// How it would be served.
#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// As it would be with `serve --allow-unauthenticated`
    #[arg(long)]
    pub(crate) allow_unauthenticated: bool,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Check a configuration as the server would, and start nothing
    #[command(after_help = "Example:
  conche config check --config conche.yaml

Ports, the store and the values of secrets are looked at by `conche doctor`.")]
    Check(CheckArgs),
    /// Print a configuration with all defaults and variables; secrets by name only
    #[command(after_help = "Example:
  CONCHE_API__LISTEN=127.0.0.1:0 conche config print --config conche.yaml")]
    Print(PrintArgs),
}

/// Which configuration, and how it would be served.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    open: OpenArgs,
}

/// Which configuration, and in which form.
#[derive(Debug, Args)]
pub(crate) struct PrintArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `conche config`.
pub(crate) fn config(verb: ConfigVerb) -> Result<(), Failure> {
    match verb {
        ConfigVerb::Check(args) => {
            let loaded = args.config.load()?;
            let loaded = loaded.for_a_server(args.open.allow_unauthenticated)?;
            let parts = Parts::for_a_server(&loaded)?;
            Telemetry::from_environment(parts.secrets.masker())?;
            for warning in &loaded.warnings {
                output::text(&format!("warning: {warning}"))?;
            }
            let what = match loaded.file() {
                Some(file) => file.display().to_string(),
                None => "the built-in configuration".to_owned(),
            };
            let (sources, actions) = (parts.sources.len(), parts.actions.len());
            output::text(&format!(
                "{what} is in order: sources: {sources}, action modules: {actions}"
            ))
        }
        ConfigVerb::Print(args) => {
            let authored = args.config.load()?.authored.masked();
            match args.output.output {
                Form::Json => output::json(&authored),
                Form::Yaml | Form::Table => output::yaml(&authored),
                Form::Sarif | Form::Junit => Err(output::only_findings()),
            }
        }
    }
}

/// What a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// The configuration file, with the settings of every module
    Config,
    /// A reaction file
    Reaction,
    /// A CACAO playbook
    Playbook,
    /// The command `openwhisk` of playbooks
    OpenwhiskCommand,
    /// The step extension that puts parts of results into variables
    ResultMapping,
}

/// `conche schema`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche schema config > conche.schema.json
  conche schema reaction

Editors that know YAML schemas take it by a first line such as:
  # yaml-language-server: $schema=conche.schema.json")]
pub(crate) struct SchemaArgs {
    /// What it describes
    subject: Subject,
}

/// Prints a JSON Schema.
pub(crate) fn schema(args: SchemaArgs) -> Result<(), Failure> {
    match args.subject {
        Subject::Config => output::json(&config::schema()),
        Subject::Reaction => output::json(&crate::reaction_schema::schema()),
        Subject::Playbook => output::json(&conche_cacao::schema::playbook()),
        Subject::OpenwhiskCommand => output::json(&conche_openwhisk::command::schema()),
        Subject::ResultMapping => output::json(&conche_core::playbook::result_mapping_schema()),
    }
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsVerb {
    /// Check that every secret of the configuration can be read; shows none
    #[command(after_help = "Example:
  conche secrets check --config conche.yaml")]
    Check(PrintArgs),
}

/// `conche secrets`; whether all can be read.
pub(crate) fn secrets(verb: SecretsVerb) -> Result<bool, Failure> {
    let SecretsVerb::Check(args) = verb;
    let loaded = args.config.load()?;
    let checks = Secrets::load(loaded.config.secrets).check();
    let all = checks.iter().all(|check| check.result.is_ok());
    let rows: Vec<_> = checks
        .iter()
        .map(|check| {
            let (status, detail) = match &check.result {
                Err(error) => ("error", error.to_string()),
                Ok(()) if !check.warnings.is_empty() => ("warning", check.warnings.join("; ")),
                Ok(()) => ("ok", String::new()),
            };
            json!({ "name": check.name, "status": status, "detail": detail })
        })
        .collect();
    args.output.print(&json!({ "secrets": rows }), |_| {
        let columns = [
            ("NAME", "/name"),
            ("STATUS", "/status"),
            ("DETAIL", "/detail"),
        ];
        output::table(&rows, &columns)
    })?;
    Ok(all)
}
