//! The command line: nouns in the plural, each with its verbs.

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use serde_json::json;

use crate::bench::BenchArgs;
use crate::client::import::Import;
use crate::client::{
    Ask, approvals::Approvals, audit::Audit, events::Events, lists::Lists, reactions::Reactions,
    runs::Runs, sources::Sources, tokens::Tokens,
};
use crate::copies::{BackupArgs, RestoreArgs};
use crate::doctor::DoctorArgs;
use crate::failure::Failure;
use crate::k8s::K8s;
use crate::modules::Modules;
use crate::openwhisk::OpenWhisk;
use crate::output::{self, OutputArgs};
use crate::playbooks::{FmtArgs, GraphArgs, Playbooks, SignArgs, VerifyArgs};
use crate::run::RunArgs;
use crate::serve::ServeArgs;
use crate::settings::{ConfigVerb, SchemaArgs, SecretsVerb};
use crate::validate::ValidateArgs;

/// Turns security events into durable, tested, explainable responses.
#[derive(Debug, Parser)]
#[command(
    name = "conche",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(after_help = "Examples:
  conche serve --config conche.yaml
  conche run reactions/suspend-vm.yaml --event event.json
  conche runs list --status needs_attention

Exit codes: 0 done, 1 failed, 2 usage.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Stands here so that it may come before the verb. Each verb that takes it reads its own,
    /// to which clap hands what stood here.
    #[command(flatten)]
    before: Ask,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// Run a reaction file on an event, without a server
    Run(RunArgs),
    /// Check reaction files and CACAO playbooks, without a server
    Validate(ValidateArgs),
    /// Write CACAO playbooks in their usual order
    Fmt(FmtArgs),
    /// Draw the workflow of a CACAO playbook
    Graph(GraphArgs),
    /// Sign a CACAO playbook
    Sign(SignArgs),
    /// Verify the signatures of a CACAO playbook
    Verify(VerifyArgs),
    /// Begin CACAO playbooks, look at them, compare them and have a server run them
    #[command(
        subcommand,
        after_help = "Example:\n  conche playbooks new --name 'Block an address' > block.json"
    )]
    Playbooks(Playbooks),
    /// Functions in OpenWhisk's way: run the embedded host, and invoke actions of any host
    #[command(
        subcommand,
        after_help = "Examples:
  conche openwhisk serve --dev
  conche openwhisk invoke utils/echo --param greeting=hello"
    )]
    Openwhisk(OpenWhisk),
    /// Hand in events and look at them
    #[command(
        subcommand,
        after_help = "Example:\n  conche events send --type vm.suspicious event.json"
    )]
    Events(Events),
    /// Look at runs and act on them
    #[command(subcommand, after_help = "Example:\n  conche runs list")]
    Runs(Runs),
    /// Look at what playbooks ask people, and answer
    #[command(subcommand, after_help = "Example:\n  conche approvals list")]
    Approvals(Approvals),
    /// Look at the reactions in force and change them
    #[command(subcommand, after_help = "Example:\n  conche reactions list")]
    Reactions(Reactions),
    /// Look at named lists and change them
    #[command(
        subcommand,
        after_help = "Example:\n  conche lists put blocked 1.2.3.4 --ttl 1h"
    )]
    Lists(Lists),
    /// Look at the sources of a server, and whether they reach what they read from
    #[command(subcommand, after_help = "Example:\n  conche sources list")]
    Sources(Sources),
    /// Look at what sources and actions can be made of
    #[command(subcommand, after_help = "Example:\n  conche modules list")]
    Modules(Modules),
    /// Check or print a configuration
    #[command(
        subcommand,
        after_help = "Example:\n  conche config check --config conche.yaml"
    )]
    Config(ConfigVerb),
    /// Take a copy of the store, also while a server runs
    Backup(BackupArgs),
    /// Put a copy of the store back
    Restore(RestoreArgs),
    /// Take over what other programs keep
    #[command(subcommand, after_help = "Example:\n  conche import tiedot ./db")]
    Import(Import),
    /// Print a JSON Schema
    Schema(SchemaArgs),
    /// Check the secrets of a configuration
    #[command(
        subcommand,
        after_help = "Example:\n  conche secrets check --config conche.yaml"
    )]
    Secrets(SecretsVerb),
    /// Say who may call a server
    #[command(
        subcommand,
        after_help = "Example:\n  conche tokens create --name ci --role operator"
    )]
    Tokens(Tokens),
    /// Look at what was done by whom
    #[command(subcommand, after_help = "Example:\n  conche audit verify")]
    Audit(Audit),
    /// Print what a Kubernetes cluster has to be told
    #[command(
        subcommand,
        after_help = "Example:\n  conche k8s webhook-config --ca-file ca.pem | kubectl apply -f -"
    )]
    K8s(K8s),
    /// Check whether this machine and a configuration can carry a server
    Doctor(DoctorArgs),
    /// Measure this build on this machine
    Bench(BenchArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Print the version
    Version(VersionArgs),
}

/// Prints completions.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche completions bash > ~/.local/share/bash-completion/completions/conche")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the version.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche version -o json")]
pub(crate) struct VersionArgs {
    #[command(flatten)]
    output: OutputArgs,
}

/// `conche completions`.
pub(crate) fn completions(args: CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "conche", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())
}

/// `conche version`.
pub(crate) fn version(args: VersionArgs) -> Result<(), Failure> {
    let version = json!({ "version": crate::VERSION, "commit": crate::COMMIT });
    args.output.print(&version, |_| match crate::COMMIT {
        Some(commit) => format!("conche {} ({commit})", crate::VERSION),
        None => format!("conche {}", crate::VERSION),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_server_and_the_form_are_named_before_or_after_the_verb() {
        let shared = ["--server", "http://a.example", "-o", "json"];
        let verb = ["runs", "show", "r"];
        for words in [[&shared[..], &verb[..]], [&verb[..], &shared[..]]] {
            let words = ["conche"].into_iter().chain(words.concat());
            let Command::Runs(Runs::Show(show)) = Cli::try_parse_from(words).unwrap().command
            else {
                panic!("another verb was read");
            };
            let read = format!("{show:?}");
            assert!(
                read.contains("a.example") && read.contains("Json"),
                "{read}"
            );
        }
    }

    #[test]
    fn what_is_no_server_is_misuse_that_says_how_one_is_written() {
        for (server, expected) in [
            ("ftp://x", "by http or https, not by `ftp`"),
            ("x", "write it as http://"),
            ("localhost:8888", "by http or https, not by `localhost`"),
            ("http://u:p@x", "a token, not a name and password"),
            ("http://x/?a=b", "nothing may follow its path"),
        ] {
            let error = Cli::try_parse_from(["conche", "runs", "list", "--server", server]);
            let error = error.unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn the_help_of_every_verb_has_an_example() {
        fn look(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "{}\n{help}", command.get_name());
            let verbs = command.get_subcommands_mut();
            verbs
                .filter(|verb| verb.get_name() != "help")
                .for_each(look);
        }
        look(&mut Cli::command());
    }
}
