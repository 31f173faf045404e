//! `conche tokens`: who may call a server. The first token can be made without one.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use conche_api::{Role, new_token};
use conche_core::Timestamp;
use conche_runtime::listener::Auth;
use conche_runtime::units::Span;
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{Act, Change, Ledger as _, RunStore as _, Who};
use reqwest::Method;
use serde_json::{Value, json};

use super::Ask;
use crate::config::{self, Loaded};
use crate::failure::Failure;
use crate::output;

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Tokens {
    /// Make a token; its value is shown this once
    Create(Create),
    /// List the stored tokens, never their values
    List(List),
    /// End a token for good
    Revoke(Revoke),
}

/// What a token allows; see docs/access.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleWord {
    /// Look
    Viewer,
    /// Look, send events, act on runs
    Operator,
    /// Look, answer approvals
    Approver,
    /// Everything
    Admin,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Viewer => Self::Viewer,
            RoleWord::Operator => Self::Operator,
            RoleWord::Approver => Self::Approver,
            RoleWord::Admin => Self::Admin,
        }
    }
}

/// Makes a token.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche tokens create --name ci --role operator --expires 90d
  conche tokens create --config conche.yaml --name ann --role admin

With --config the token is put into the store of that configuration directly: so the first one
is made. No server may run on its data folder then.")]
pub(crate) struct Create {
    /// A name for people; all that is done by the token is recorded under it
    #[arg(long)]
    name: String,
    /// What it allows
    #[arg(long)]
    role: RoleWord,
    /// When it ends by itself, such as `90d` or `12h` [default: never]
    #[arg(long, value_name = "SPAN")]
    expires: Option<Span>,
    /// Make it without a server, in the store of this configuration
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    ask: Ask,
}

/// Lists tokens.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche tokens list")]
pub(crate) struct List {
    #[command(flatten)]
    ask: Ask,
}

/// Ends a token.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche tokens revoke ci
  conche tokens revoke 0198c2f4-6f0a-7cc1-9c3e-0d4c2f6d7a11")]
pub(crate) struct Revoke {
    /// Its name or its id
    #[arg(value_name = "NAME|ID")]
    token: String,
    /// Even if nobody can administer the server by a token afterwards
    #[arg(long)]
    last_admin: bool,
    #[command(flatten)]
    ask: Ask,
}

/// Does it.
pub(crate) async fn run(tokens: Tokens) -> Result<(), Failure> {
    match tokens {
        Tokens::Create(args) => create(args).await,
        Tokens::List(args) => list(args).await,
        Tokens::Revoke(args) => revoke(args).await,
    }
}

async fn create(args: Create) -> Result<(), Failure> {
    let end = args.expires.map(|span| Timestamp::now() + span.duration());
    let created = match &args.config {
        Some(file) => {
            create_in_store(&args, Loaded::load(Some(file), config::environment())?, end).await?
        }
        None => {
            let role = Role::from(args.role).as_str();
            let mut body = json!({ "name": args.name, "role": role });
            if let Some(end) = end {
                body["expires_at"] = end.to_string().into();
            }
            let client = args.ask.server.client()?;
            let path = ["api", "v1", "tokens"];
            client.send(Method::POST, &path, Some(&body)).await?
        }
    };
    args.ask.output.print(&created, |token| {
        format!(
            "the token {} ({}) is made; this is its value, and it is shown nowhere else:\n{}\n",
            output::plain(&token["name"]),
            output::plain(&token["role"]),
            output::plain(&token["value"]),
        )
    })
}

/// Puts a token into the store of a configuration, which no server may have open.
async fn create_in_store(
    args: &Create,
    loaded: Loaded,
    end: Option<Timestamp>,
) -> Result<Value, Failure> {
    let config = &loaded.config;
    let cannot = |error: conche_store::Error| match error {
        conche_store::Error::Locked(dir) => Failure::Failed(format!(
            "a server runs on {dir}: make the token through it (leave --config out; --server and --token-file name it and show who you are), or stop it first"
        )),
        conche_store::Error::Exists { name, .. } => Failure::Failed(format!(
            "a token '{name}' is there already: choose another name, or revoke it first"
        )),
        error => Failure::of("can't store the token", error),
    };
    let now = Timestamp::now();
    let made = new_token(&args.name, args.role.into(), end, "local", now);
    let (row, value) = made.map_err(Failure::Usage)?;
    let act = Act {
        at: now,
        detail: [
            ("role".to_owned(), row.role.clone()),
            ("token".to_owned(), row.token.to_string()),
        ]
        .into(),
        outcome: "done".to_owned(),
        target: row.name.clone(),
        what: "token.create".to_owned(),
        who: Who {
            name: "local".to_owned(),
            ..Who::default()
        },
    };
    let created = json!({
        "id": row.token.to_string(),
        "name": row.name,
        "role": row.role,
        "status": "valid",
        "created_at": row.created_at,
        "created_by": row.created_by,
        "expires_at": row.expires_at,
        "value": value,
    });
    let store = SqliteStore::open(&SqliteConfig::new(&config.data_dir)).map_err(cannot)?;
    let stored = store.change(Change::PutToken(row), act).await;
    store.close().await.map_err(cannot)?;
    stored.map_err(cannot)?;
    if config.api.auth != Auth::Token {
        let note =
            "conche: this configuration's `api.auth` is not `token`: nobody is asked for one";
        // Where standard error is gone there is nobody to tell.
        std::io::Write::write_all(&mut std::io::stderr(), format!("{note}\n").as_bytes()).ok();
    }
    Ok(created)
}

async fn list(args: List) -> Result<(), Failure> {
    let columns = [
        ("NAME", "/name"),
        ("ROLE", "/role"),
        ("STATUS", "/status"),
        ("CREATED", "/created_at"),
        ("BY", "/created_by"),
        ("EXPIRES", "/expires_at"),
        ("LAST USED", "/last_used"),
        ("ID", "/id"),
    ];
    args.ask
        .list("tokens", &[], |rows| output::table(rows, &columns))
        .await
}

async fn revoke(args: Revoke) -> Result<(), Failure> {
    let client = args.ask.server.client()?;
    let list = client.get(&["api", "v1", "tokens"], &[]).await?;
    let rows = list["tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let is_meant = |row: &&Value| {
        row["id"] == args.token || (row["name"] == args.token && row["status"] != "revoked")
    };
    let Some(id) = rows
        .iter()
        .find(is_meant)
        .and_then(|row| row["id"].as_str())
    else {
        let message = format!("there is no token '{}' that is not revoked", args.token);
        return Err(Failure::Failed(message));
    };
    let mut url = client.url(&["api", "v1", "tokens", id])?;
    if args.last_admin {
        url.query_pairs_mut().append_pair("last_admin", "true");
    }
    let revoked = client.ask(client.http.delete(url)).await?;
    args.ask.output.print(&revoked, |token| {
        format!("{} is revoked\n", output::plain(&token["name"]))
    })
}
