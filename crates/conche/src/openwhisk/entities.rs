//! `conche openwhisk list`, `get` and `activations`.

use clap::{Args, Subcommand, ValueEnum};
use conche_openwhisk::model::{
    Action, ActivationId, ActivationQuery, Collection, EntityPath, FullyQualifiedName, ListQuery,
    Name, Package, Rule, Trigger,
};
use serde_json::Value;

use super::connect::{Connect, Connected, failure, value};
use crate::failure::Failure;
use crate::output;

/// A collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Actions and sequences
    Actions,
    /// Packages and bindings
    Packages,
    /// Rules
    Rules,
    /// Triggers
    Triggers,
}

/// Lists entities.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche openwhisk list actions
  conche openwhisk list actions --package utils")]
pub(crate) struct ListArgs {
    /// Of what
    #[arg(value_enum)]
    kind: Kind,
    /// Only the actions of this package
    #[arg(long)]
    package: Option<String>,
    /// So many at most, up to 200
    #[arg(long, default_value_t = 30)]
    limit: u32,
    /// Leave out so many first
    #[arg(long, default_value_t = 0)]
    skip: u32,
    #[command(flatten)]
    connect: Connect,
}

/// Shows an entity.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche openwhisk get actions utils/echo -o json")]
pub(crate) struct GetArgs {
    /// Of what
    #[arg(value_enum)]
    kind: Kind,
    /// Its name
    name: String,
    #[command(flatten)]
    connect: Connect,
}

/// What to do with activations.
#[derive(Debug, Subcommand)]
pub(crate) enum Activations {
    /// List activations, newest first
    #[command(after_help = "Example:
  conche openwhisk activations list --name utils/echo --limit 5")]
    List(Listed),
    /// Show an activation
    #[command(after_help = "Example:
  conche openwhisk activations get 44794bd6aab74415b4e42a308d880e5b")]
    Get(One),
    /// Show the log of an activation
    #[command(after_help = "Example:
  conche openwhisk activations logs 44794bd6aab74415b4e42a308d880e5b")]
    Logs(One),
    /// Show what came of an activation
    #[command(after_help = "Example:
  conche openwhisk activations result 44794bd6aab74415b4e42a308d880e5b")]
    Result(One),
}

/// Which activations.
#[derive(Debug, Args)]
pub(crate) struct Listed {
    /// Only those of this action
    #[arg(long)]
    name: Option<String>,
    /// So many at most, up to 200
    #[arg(long, default_value_t = 30)]
    limit: u32,
    /// Leave out so many first
    #[arg(long, default_value_t = 0)]
    skip: u32,
    /// Only those that began then or later, in milliseconds since 1970
    #[arg(long)]
    since: Option<i64>,
    #[command(flatten)]
    connect: Connect,
}

/// One activation.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its identifier
    id: String,
    #[command(flatten)]
    connect: Connect,
}

impl Kind {
    const fn collection(self) -> Collection {
        match self {
            Self::Actions => Collection::Actions,
            Self::Packages => Collection::Packages,
            Self::Rules => Collection::Rules,
            Self::Triggers => Collection::Triggers,
        }
    }
}

/// `conche openwhisk list`.
pub(crate) async fn list(args: ListArgs) -> Result<bool, Failure> {
    let connected = args.connect.connect()?;
    let package = args.package.as_deref().map(Name::parse).transpose();
    let within = EntityPath {
        namespace: connected.namespace().clone(),
        package: package.map_err(|error| Failure::Usage(error.to_string()))?,
    };
    let query = ListQuery {
        limit: Some(args.limit),
        skip: Some(args.skip),
    };
    let client = &connected.client;
    let items = match args.kind {
        Kind::Actions => value(
            &client
                .list::<Action>(&within, query)
                .await
                .map_err(failure)?,
        ),
        Kind::Packages => value(
            &client
                .list::<Package>(&within, query)
                .await
                .map_err(failure)?,
        ),
        Kind::Rules => value(&client.list::<Rule>(&within, query).await.map_err(failure)?),
        Kind::Triggers => value(
            &client
                .list::<Trigger>(&within, query)
                .await
                .map_err(failure)?,
        ),
    }?;
    args.connect.output.print(&items, |items| {
        let rows = items.as_array().cloned().unwrap_or_default();
        let columns = [
            ("NAMESPACE", "/namespace"),
            ("NAME", "/name"),
            ("VERSION", "/version"),
            ("PUBLIC", "/publish"),
        ];
        output::table(&rows, &columns)
    })?;
    Ok(true)
}

/// `conche openwhisk get`.
pub(crate) async fn get(args: GetArgs) -> Result<bool, Failure> {
    let connected = args.connect.connect()?;
    let name: FullyQualifiedName = connected.name(&args.name)?;
    let found = connected
        .client
        .get_value(args.kind.collection(), &name)
        .await;
    show(&args.connect, &found.map_err(failure)?)
}

/// Prints a document; for people as JSON too, since it has no other form.
fn show(connect: &Connect, document: &Value) -> Result<bool, Failure> {
    connect.output.print(document, |document| {
        serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
    })?;
    Ok(true)
}

/// `conche openwhisk activations`.
pub(crate) async fn activations(verb: Activations) -> Result<bool, Failure> {
    let (args, part) = match verb {
        Activations::List(args) => return listed(args).await,
        Activations::Get(args) => (args, ""),
        Activations::Logs(args) => (args, "logs"),
        Activations::Result(args) => (args, "result"),
    };
    let Connected { client, .. } = args.connect.connect()?;
    let id = ActivationId::parse(&args.id).map_err(|error| Failure::Usage(error.to_string()))?;
    match part {
        "logs" => {
            let logs = value(&client.logs(&id).await.map_err(failure)?)?;
            args.connect.output.print(&logs, |logs| {
                let lines = logs["logs"].as_array().into_iter().flatten();
                lines.map(|line| output::plain(line) + "\n").collect()
            })?;
            Ok(true)
        }
        "result" => show(
            &args.connect,
            &value(&client.result(&id).await.map_err(failure)?)?,
        ),
        _ => show(
            &args.connect,
            &client.activation_value(&id).await.map_err(failure)?,
        ),
    }
}

async fn listed(args: Listed) -> Result<bool, Failure> {
    let Connected { client, .. } = args.connect.connect()?;
    let query = ActivationQuery {
        name: args.name,
        limit: Some(args.limit),
        skip: Some(args.skip),
        since: args.since,
        upto: None,
    };
    let items = value(&client.activations(&query).await.map_err(failure)?)?;
    args.connect.output.print(&items, |items| {
        let mut rows = items.as_array().cloned().unwrap_or_default();
        for row in &mut rows {
            let code = row["statusCode"]
                .as_u64()
                .and_then(|code| u8::try_from(code).ok());
            let status = code.and_then(conche_openwhisk::model::Status::of_code);
            row["status"] = status.map_or(Value::Null, |status| status.as_str().into());
        }
        let columns = [
            ("ACTIVATION", "/activationId"),
            ("NAME", "/name"),
            ("STATUS", "/status"),
            ("START", "/start"),
            ("MS", "/duration"),
        ];
        output::table(&rows, &columns)
    })?;
    Ok(true)
}
