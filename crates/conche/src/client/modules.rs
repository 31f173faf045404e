//! `conche modules`: what a server's sources and actions can be made of.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ServerArgs;
use crate::failure::Failure;
use crate::output::{self, OutputArgs};

/// What to do with modules.
#[derive(Debug, Subcommand)]
pub(crate) enum Modules {
    /// List sources and actions
    List(List),
    /// Show the settings of a module, and what its actions take and give
    Show(Show),
}

/// Lists modules.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche modules list")]
pub(crate) struct List {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Shows a module.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche modules show mail -o json")]
pub(crate) struct Show {
    /// Its name; a source and an action module of one name are both shown
    name: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Does it.
pub(crate) async fn run(modules: Modules) -> Result<(), Failure> {
    match modules {
        Modules::List(args) => {
            let client = args.server.client()?;
            let answer = client.get(&["api", "v1", "modules"], &[]).await?;
            args.output.print(&answer, |modules| {
                let rows: Vec<Value> = rows(modules).collect();
                let columns = [
                    ("KIND", "/kind"),
                    ("NAME", "/name"),
                    ("SUMMARY", "/summary"),
                ];
                output::table(&rows, &columns)
            })
        }
        Modules::Show(args) => show(args).await,
    }
}

/// A row for each source and for each action of each module.
fn rows(modules: &Value) -> impl Iterator<Item = Value> {
    let sources = modules["sources"].as_array().into_iter().flatten();
    let sources = sources.map(
        |source| json!({ "kind": "source", "name": source["name"], "summary": source["summary"] }),
    );
    let actions = modules["actions"].as_array().into_iter().flatten();
    let actions = actions.flat_map(|module| {
        let name = output::plain(&module["name"]);
        let actions = module["actions"].as_array().into_iter().flatten();
        actions.map(move |action| {
            let name = format!("{name}.{}", output::plain(&action["name"]));
            json!({ "kind": "action", "name": name, "summary": action["summary"] })
        })
    });
    sources.chain(actions)
}

async fn show(args: Show) -> Result<(), Failure> {
    let client = args.server.client()?;
    let answer = client.get(&["api", "v1", "modules"], &[]).await?;
    let named = |kind: &str| {
        let all = answer[kind].as_array().into_iter().flatten();
        all.filter(|module| module["name"] == *args.name)
            .cloned()
            .collect::<Vec<_>>()
    };
    let found = json!({ "sources": named("sources"), "actions": named("actions") });
    if found == json!({ "sources": [], "actions": [] }) {
        let message = format!(
            "there is no module `{}`: see `conche modules list`",
            args.name
        );
        return Err(Failure::Failed(message));
    }
    // Schemas have no table: YAML is the form for people.
    args.output.print(&found, |found| {
        serde_saphyr::to_string(found).unwrap_or_default()
    })
}
