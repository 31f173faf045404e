//! `conche lists`: named lists, such as of addresses that are blocked.

use clap::{Args, Subcommand};
use conche_core::span::Span;
use reqwest::Method;
use serde_json::{Value, json};

use super::Ask;
use crate::failure::Failure;
use crate::output;

/// What to do with lists.
#[derive(Debug, Subcommand)]
pub(crate) enum Lists {
    /// List the lists that have entries
    List(List),
    /// Show the entries of a list that count now
    Show(Show),
    /// Put an entry into a list, in place of the one of its key
    Put(Put),
    /// Take an entry out of a list
    Remove(Remove),
}

/// Lists the lists.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche lists list")]
pub(crate) struct List {
    #[command(flatten)]
    ask: Ask,
}

/// Shows a list.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche lists show blocked
  conche lists show blocked 1.2.3.4 -o json")]
pub(crate) struct Show {
    /// The list
    list: String,
    /// Exactly this key: exit code 1 where there is no such entry
    key: Option<String>,
    /// Those after this key
    #[arg(long, value_name = "KEY", conflicts_with = "key")]
    after: Option<String>,
    /// At most so many
    #[arg(long)]
    limit: Option<u32>,
    #[command(flatten)]
    ask: Ask,
}

/// Puts an entry.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche lists put blocked 1.2.3.4 --ttl 1h
  conche lists put owners web-1 --value '{\"team\": \"shop\"}'")]
pub(crate) struct Put {
    /// The list; it need not exist before
    list: String,
    /// The entry's key, such as an address
    key: String,
    /// What is kept under it, as JSON [default: true]
    #[arg(long, value_name = "JSON", value_parser = value)]
    value: Option<Value>,
    /// How long it counts, such as `1h` [default: until it is removed]
    #[arg(long, value_name = "SPAN", value_parser = span)]
    ttl: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

/// Removes an entry.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche lists remove blocked 1.2.3.4")]
pub(crate) struct Remove {
    /// The list
    list: String,
    /// The entry's key
    key: String,
    #[command(flatten)]
    ask: Ask,
}

fn value(text: &str) -> Result<Value, String> {
    let read = serde_json::from_str(text);
    read.map_err(|_| "it is not JSON; a text stands in quotes, as '\"text\"'".to_owned())
}

fn span(text: &str) -> Result<String, String> {
    let read = text.parse::<Span>().map_err(|error| error.to_string());
    read.map(|_| text.to_owned())
}

/// Does it; whether an entry that was asked for by its key is there.
pub(crate) async fn run(lists: Lists) -> Result<bool, Failure> {
    match lists {
        Lists::List(args) => list(args).await.map(|()| true),
        Lists::Show(args) => show(args).await,
        Lists::Put(args) => put(args).await.map(|()| true),
        Lists::Remove(args) => remove(args).await.map(|()| true),
    }
}

async fn list(args: List) -> Result<(), Failure> {
    let columns = [("NAME", "/name"), ("ENTRIES", "/entries")];
    let table = |rows: &[Value]| output::table(rows, &columns);
    args.ask.list("lists", &[], table).await
}

async fn show(args: Show) -> Result<bool, Failure> {
    let client = args.ask.server.client()?;
    let query = [
        ("key", args.key.clone()),
        ("after", args.after),
        ("limit", args.limit.map(|limit| limit.to_string())),
    ];
    let page = client.get(&path(&args.list), &query).await?;
    let rows = page["entries"].as_array().map_or(&[][..], Vec::as_slice);
    args.ask.output.print(&page, |page| {
        if rows.is_empty() {
            return match &args.key {
                Some(key) => format!("{key} is not in {}\n", args.list),
                None => format!("{} has no entries\n", args.list),
            };
        }
        let columns = [
            ("KEY", "/key"),
            ("VALUE", "/value"),
            ("EXPIRES", "/expires_at"),
            ("PUT", "/put_at"),
        ];
        let more = match page["next"].as_str() {
            Some(next) => format!("(there is more: --after {next})\n"),
            None => String::new(),
        };
        output::table(rows, &columns) + &more
    })?;
    Ok(args.key.is_none() || !rows.is_empty())
}

async fn put(args: Put) -> Result<(), Failure> {
    let mut body = json!({ "key": args.key });
    if let Some(value) = args.value {
        body["value"] = value;
    }
    if let Some(ttl) = args.ttl {
        body["ttl"] = ttl.into();
    }
    let told = |entry: &Value| {
        let until = match entry["expires_at"].as_str() {
            Some(end) => format!("until {end}"),
            None => "until it is removed".to_owned(),
        };
        format!("{} is in {} {until}\n", args.key, args.list)
    };
    args.ask
        .send(Method::PUT, &path(&args.list), Some(&body), told)
        .await
}

async fn remove(args: Remove) -> Result<(), Failure> {
    let client = args.ask.server.client()?;
    let mut url = client.url(&path(&args.list))?;
    url.query_pairs_mut().append_pair("key", &args.key);
    let answer = client.ask(client.http.delete(url)).await?;
    args.ask.output.print(&answer, |answer| {
        if answer["removed"] == true {
            format!("{} is out of {}\n", args.key, args.list)
        } else {
            format!("{} was not in {}\n", args.key, args.list)
        }
    })
}

fn path(list: &str) -> [&str; 5] {
    ["api", "v1", "lists", list, "entries"]
}
