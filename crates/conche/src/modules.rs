//! `conche modules`: what sources and actions can be made of.
//!
//! The modules are compiled in, and the configuration may add recipes, so this asks no server:
//! one of the same version and configuration has the same ones.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use conche_modules::{actions, sources};
use serde_json::{Value, json};

use crate::config::closest;
use crate::failure::Failure;
use crate::output::{self, OutputArgs};
use crate::settings::ConfigArgs;

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
#[command(after_help = "Examples:
  conche modules list
  conche modules list --config conche.yaml

Recipes of the configuration's `recipes.dir` are listed, too.")]
pub(crate) struct List {
    #[command(flatten)]
    config: ConfigArgs,
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
    config: ConfigArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Does it.
pub(crate) fn run(modules: Modules) -> Result<(), Failure> {
    let (Modules::List(List { config, .. }) | Modules::Show(Show { config, .. })) = &modules;
    add_recipes(config)?;
    let all = conche_api::modules_document();
    match modules {
        Modules::List(args) => args.output.print(&all, |modules| {
            let rows: Vec<Value> = rows(modules).collect();
            let columns = [
                ("KIND", "/kind"),
                ("NAME", "/name"),
                ("SUMMARY", "/summary"),
            ];
            output::table(&rows, &columns)
        }),
        Modules::Show(args) => show(&all, &args),
    }
}

/// Adds the recipes of the configuration, which is what reading it does. Who looks modules up
/// may be in the middle of writing a configuration: one that was not named is no hindrance.
fn add_recipes(config: &ConfigArgs) -> Result<(), Failure> {
    match config.load() {
        Err(error) if !config.is_named() => {
            let note = format!("conche: recipes of one's own may be missing: {error}\n");
            // Where standard error is gone there is nobody to tell.
            io::stderr().write_all(note.as_bytes()).ok();
            Ok(())
        }
        read => read.map(drop),
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

fn show(all: &Value, args: &Show) -> Result<(), Failure> {
    let named = |kind: &str| {
        let modules = all[kind].as_array().into_iter().flatten();
        let found = modules.filter(|module| module["name"] == *args.name);
        found.cloned().collect::<Vec<_>>()
    };
    let found = json!({ "sources": named("sources"), "actions": named("actions") });
    if found == json!({ "sources": [], "actions": [] }) {
        return Err(none(&args.name));
    }
    // Schemas have no table: YAML is the form for people.
    args.output.print(&found, |found| {
        serde_saphyr::to_string(found).unwrap_or_default()
    })
}

fn none(name: &str) -> Failure {
    let mut known: Vec<&str> = sources::ALL.iter().map(|module| module.name).collect();
    known.extend(actions::ALL.iter().map(|module| module.name));
    let help = match closest(name, &known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "see `conche modules list`".to_owned(),
    };
    Failure::Failed(format!("there is no module `{name}`; {help}"))
}
