//! `conche import`: takes over what other programs keep.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use conche_core::csf::CsfReaction;
use conche_core::reaction::Reaction;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, Client};
use crate::failure::Failure;
use crate::{csf, input, output, soarca_env};

/// What to take over.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// The reactions of CSF's database
    #[command(after_help = "Examples:
  conche import tiedot ./db
  conche import tiedot ./db --to ./reactions

Exit code 1 where something was not taken as it was.")]
    Tiedot(Tiedot),
    /// The environment file of a SOARCA installation, as a configuration
    #[command(after_help = "Example:
  conche import soarca-env .env > conche.yaml

What cannot be taken over is told in comments at the top.")]
    SoarcaEnv {
        /// SOARCA's `.env`; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// A database of CSF's.
#[derive(Debug, Args)]
pub(crate) struct Tiedot {
    /// The database folder, `storage.config.path` of CSF's configuration
    #[arg(value_name = "DIR")]
    database: PathBuf,
    /// Write a file for each reaction into this folder, which is made where it is not there,
    /// instead of asking a server
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    #[command(flatten)]
    ask: Ask,
}

/// Does it; whether everything was taken as it was.
pub(crate) async fn run(import: Import) -> Result<bool, Failure> {
    let args = match import {
        Import::Tiedot(args) => args,
        Import::SoarcaEnv { file } => return soarca(&file),
    };
    let reading = csf::read_tiedot(&args.database);
    let reading = reading.map_err(|error| Failure::Failed(error.to_string()))?;
    let (reactions, mut faults) = csf::reactions(reading);
    let client = args.ask.server.client()?;
    if let Some(folder) = &args.to {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::of(&format!("can't make {}", folder.display()), error))?;
    }
    let mut taken: Vec<String> = Vec::new();
    for reaction in reactions {
        let done = match &args.to {
            Some(folder) => write(folder, &reaction),
            None => put(&client, &reaction).await,
        };
        match done {
            Ok(()) => taken.push(reaction.name),
            Err(error) => faults.push(format!("{}: {error}", reaction.name)),
        }
    }
    let answer = json!({ "reactions": taken, "faults": faults });
    args.ask.output.print(&answer, told)?;
    Ok(faults.is_empty())
}

fn soarca(file: &Path) -> Result<bool, Failure> {
    let translated = soarca_env::translate(&input::text(file)?);
    for note in &translated.notes {
        output::line(&format!("# {note}"))?;
    }
    let text = serde_saphyr::to_string(&translated.config)
        .map_err(|error| Failure::of("can't write the configuration", error))?;
    output::line(text.trim_end())?;
    Ok(true)
}

fn told(answer: &Value) -> String {
    let lines = |key: &str, sign: &str| -> Vec<String> {
        let all = answer[key].as_array().into_iter().flatten();
        all.map(|line| format!("{sign} {}", line.as_str().unwrap_or_default()))
            .collect()
    };
    let mut text = lines("reactions", "taken ");
    text.extend(lines("faults", "NOTE  "));
    if text.is_empty() {
        text.push("the database has no reactions".to_owned());
    }
    text.join("\n")
}

async fn put(client: &Client, reaction: &Reaction) -> Result<(), Failure> {
    let body = serde_json::to_value(reaction)
        .map_err(|error| Failure::of("can't write the reaction", error))?;
    let path = ["api", "v1", "reactions", &reaction.name];
    client.send(Method::PUT, &path, Some(&body)).await.map(drop)
}

/// Writes a file in CSF's JSON. Nothing that is there is overwritten.
fn write(folder: &Path, reaction: &Reaction) -> Result<(), Failure> {
    let event = reaction.events.first().map_or("", String::as_str);
    let text = serde_json::to_string_pretty(&CsfReaction::of(reaction, event))
        .map_err(|error| Failure::of("can't write the reaction", error))?;
    let plain = |letter: char| match letter {
        letter if letter.is_alphanumeric() || "-_.() ".contains(letter) => letter,
        _ => '_',
    };
    let name: String = reaction.name.chars().map(plain).collect();
    let file = folder.join(format!("{name}.json"));
    let cannot =
        |error: std::io::Error| Failure::of(&format!("can't write {}", file.display()), error);
    let mut opened = std::fs::File::create_new(&file).map_err(cannot)?;
    writeln!(opened, "{text}").map_err(cannot)
}
